"""同步: articles that another platform's engine maintains, taken in here; and ours, sent to who follows us. Art. 19, 21.

Taking in is idempotent by (platform, article, version), in whatever order versions come: a version once superseded or withdrawn
never stands again. What came stays read-only here; local additions and overrides are articles of their own and stay.
"""

import base64
import binascii
import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.case import Office
from hotline.exchange import outbox
from hotline.organisation import OrgUnit, Platform
from hotline.recordings import lock_bytes
from hotline.storage.blobs import BlobStore
from knowledge_base import articles, feed, lifecycle
from knowledge_base.feed import Change, Document, FileNote, Identity
from knowledge_base.models import Article, ArticleFile, ArticleVersion, Peer
from knowledge_base.orders import ArticleOrder, Guide
from workflow.errors import NotFound, OrderInvalid, RuleBroken
from workflow.vocabulary import KnowledgeStep, VersionState

MESSAGE_TYPE: Final = "knowledge.changes"
MOST_CHANGES: Final = 100
_FILE_PATH: Final = re.compile(r"/knowledge/\d{1,19}/versions/\d{1,10}/files/\d{1,19}")
_ENDS: Final = frozenset({VersionState.SUPERSEDED, VersionState.WITHDRAWN})
_SENT: Final = _ENDS | {VersionState.PUBLISHED}


class Delivery(BaseModel):
    """What one engine sends another: changes of the articles of `platform`, in order."""

    type: str = Field(pattern=f"^{MESSAGE_TYPE}$", examples=[MESSAGE_TYPE])
    platform: feed.PlatformCode = Field(description="知识所属的平台代码")
    changes: list[Change] = Field(max_length=MOST_CHANGES)


class Taken(BaseModel):
    """What became of changes: `new` versions, versions whose standing `turned`, those `known` already, and refused ones with why."""

    new: int = 0
    turned: int = 0
    known: int = 0
    refused: list[str] = []


FetchFile = Callable[[FileNote], bytes | None]


def take_in(
    session: Session,
    office: Office,
    home: Platform,
    changes: Sequence[Change],
    *,
    by: Actor,
    at: datetime,
    fetch: FetchFile | None = None,
) -> Taken:
    """Take in changes of the articles that platform `home`'s own engine maintains; `fetch` gets the bytes of a file not sent along.

    Changes of other platforms' articles, and a version that is here with other content, are refused and said. The caller commits.
    """
    brought = _brought(office.blobs, changes, fetch) if fetch is not None else frozenset()
    lifecycle.lock_feed(session)
    for sha256 in sorted({note.sha256 for change in changes for note in change.document.files}):
        lock_bytes(session, sha256)
    taken = Taken()
    shelf = _Arrivals(session, office.blobs, home, by, at, brought)
    for change in changes:
        document = change.document
        problem = _why_refused(document, home)
        if problem is not None:
            taken.refused.append(problem)
            continue
        try:
            with session.begin_nested():
                came = shelf.place(document)
        except (ValidationError, RuleBroken) as error:
            reason = error.message if isinstance(error, RuleBroken) else "内容不符合要求"
            taken.refused.append(f"{_name(document)}：{reason}")
        else:
            setattr(taken, came, getattr(taken, came) + 1)
    shelf.announce()
    return taken


def _brought(blobs: BlobStore, changes: Iterable[Change], fetch: FetchFile) -> frozenset[str]:
    """Fetch the files that did not come along, before anything is locked; which are now in our store, by their hashes."""
    found: set[str] = set()
    for note in (note for change in changes for note in change.document.files if note.content is None):
        content = None if note.sha256 in found else fetch(note)
        if content is None or hashlib.sha256(content).hexdigest() != note.sha256:
            continue
        with contextlib.suppress(RuleBroken):  # of a kind not taken here
            blobs.put(content)
            found.add(note.sha256)
    return frozenset(found)


def _name(document: Document) -> str:
    return f"{document.platform}/{document.article}@{document.version}"


def _why_refused(document: Document, home: Platform) -> str | None:
    if document.platform != home.code:
        return f"{_name(document)}：不是平台 {home.code} 维护的知识"
    if document.state not in _SENT:
        return f"{_name(document)}：尚未发布"
    return None


@dataclass(slots=True)
class _Arrivals:
    """Documents of one platform put in their places; what stands differently afterwards is announced once, at the end."""

    session: Session
    blobs: BlobStore
    home: Platform
    by: Actor
    at: datetime
    brought: frozenset[str]
    turned: dict[int, tuple[Article, int | None]] = field(default_factory=dict)

    def place(self, document: Document) -> str:
        """Put one document in its place; which count of `Taken` it belongs to. Raises `OrderInvalid` where a version differs."""
        order = _order_of(document)
        article = self._article(document)
        if article is None:
            article = self._new(document, order)
        version = articles.version_of(self.session, article.id, document.version)
        self.turned.setdefault(article.id, (article, article.published_version))
        if version is None:
            self._add(article, document, order)
            came = "new"
        else:
            if version.content_sha256 != articles.content_digest(order, article.kind):
                raise OrderInvalid("该版本在本平台已有不同的内容，已保留原有内容。")
            came = "turned" if self._advance(version, document) else "known"
            self._complete_files(article, document)
        self.session.flush()
        self._stand(article, document)
        return came

    def _article(self, document: Document) -> Article | None:
        return self.session.execute(
            select(Article)
            .where(col(Article.platform_id) == self.home.id, col(Article.origin) == feed.origin_of(document))
            .with_for_update()
        ).scalar_one_or_none()

    def _new(self, document: Document, order: ArticleOrder) -> Article:
        source = self._source(document.source)
        article = Article(
            platform_id=self.home.id,
            unit_id=self._unit(document),
            kind=document.kind,
            origin=feed.origin_of(document),
            source_id=source,
            relation=document.relation if source is not None else None,
            category_code=order.categories[0] if order.categories else None,
            area_code=order.areas[0] if order.areas else None,
        )
        self.session.add(article)
        self.session.flush()
        return article

    def _unit(self, document: Document) -> int | None:
        if document.unit is None:
            return None
        return self.session.execute(
            select(col(OrgUnit.id)).where(
                col(OrgUnit.code) == document.unit.code, col(OrgUnit.platform_id) == self.home.id
            )
        ).scalar_one_or_none()

    def _source(self, source: Identity | None) -> int | None:
        """The article here that the document's article adds to or overrides: one that came from there, or one of our own."""
        if source is None:
            return None
        mine = (
            select(col(Article.id))
            .join(Platform, col(Platform.id) == col(Article.platform_id))
            .where(col(Platform.code) == source.platform)
        )
        came = mine.where(col(Article.origin) == feed.origin_of(source))
        own = mine.where(
            col(Article.id) == source.article,
            col(Article.origin).is_(None) | ~col(Article.origin).startswith(articles.SYNCED),
        )
        return (
            self.session.execute(came).scalar_one_or_none() or self.session.execute(own).scalar_one_or_none()
        )

    def _add(self, article: Article, document: Document, order: ArticleOrder) -> None:
        given = document.model_dump(include=set(_KEPT))
        version = ArticleVersion(
            article_id=article.id,
            guide=order.guide.as_data() if order.guide else {},
            content_sha256=articles.content_digest(order, article.kind),
            **given,
        )
        article.current_version = max(article.current_version, document.version)
        self.session.add_all((article, version))
        articles.record_step(
            self.session, version, KnowledgeStep.PUBLISH, self.by, self.at, f"由{self.home.short_name}同步"
        )
        self._complete_files(article, document)

    def _advance(self, version: ArticleVersion, document: Document) -> bool:
        """A version's standing goes forward only. It stands until its successor is here too: then `_stand` supersedes it."""
        if version.state in _ENDS or document.state is not VersionState.WITHDRAWN:
            return False
        version.state, version.ended_at = document.state, document.ended_at
        self.session.add(version)
        return True

    def _stand(self, article: Article, document: Document) -> None:
        """Which version stands now: the newest that was ever published, unless it was withdrawn."""
        versions = self.session.execute(
            select(ArticleVersion)
            .where(col(ArticleVersion.article_id) == article.id)
            .order_by(col(ArticleVersion.version).desc())
        ).scalars()
        newest, *older = versions
        for version in older:
            if version.state is VersionState.PUBLISHED:
                version.state, version.ended_at = VersionState.SUPERSEDED, newest.published_at
                self.session.add(version)
        stands = newest.state is VersionState.PUBLISHED
        article.published_version = newest.version if stands else None
        article.withdrawn_at = None if stands else newest.ended_at or self.at
        if newest.version == document.version:
            article.review_on = newest.review_on
            article.unit_id = self._unit(document)
            article.category_code = newest.categories[0] if newest.categories else None
            article.area_code = newest.areas[0] if newest.areas else None
        self.session.add(article)
        self.session.flush()

    def _complete_files(self, article: Article, document: Document) -> None:
        """The files of a version with as many of their bytes as can be had."""
        kept = {
            file.sha256
            for file in self.session.execute(
                select(ArticleFile).where(
                    col(ArticleFile.article_id) == article.id, col(ArticleFile.version) == document.version
                )
            ).scalars()
        }
        for note in document.files:
            content = self._bytes(note)
            if note.sha256 in kept or content is None:
                continue
            blob = self.blobs.put(content)
            if blob.sha256 != note.sha256:
                raise OrderInvalid(f"附件“{note.name[:40]}”的内容与其哈希不符。")
            self.session.add(
                ArticleFile(
                    article_id=article.id,
                    version=document.version,
                    name=note.name,
                    media_type=blob.media_type,
                    size=blob.size,
                    sha256=blob.sha256,
                    added_by=self.home.short_name,
                    added_at=self.at,
                )
            )

    def _bytes(self, note: FileNote) -> bytes | None:
        """A file's bytes, as far as the sender showed them: what else lies in our store under that hash is not the sender's to name."""
        if note.content is not None:
            try:
                return base64.b64decode(note.content, validate=True)
            except binascii.Error:
                return None
        if note.sha256 not in self.brought:
            return None
        with contextlib.suppress(
            NotFound
        ):  # destroyed meanwhile with a recording of the same bytes: a replay brings it
            return self.blobs.get(note.sha256)
        return None

    def announce(self) -> None:
        """Tell our own feed what stands differently now."""
        told: list[tuple[Article, ArticleVersion]] = []
        for article, before in self.turned.values():
            if article.published_version == before:
                continue
            number = article.published_version or before
            version = articles.version_of(self.session, article.id, number) if number else None
            if version is not None and version.state in lifecycle.ANNOUNCED:
                told.append((article, version))
        lifecycle.announce(self.session, told, self.at)


_KEPT: Final = (
    "version",
    "state",
    "question",
    "answer",
    "legal_basis",
    "synonyms",
    "categories",
    "areas",
    "source_url",
    "valid_from",
    "valid_until",
    "review_on",
    "change_note",
    "corrects",
    "written_by",
    "written_at",
    "published_at",
    "ended_at",
)


def _order_of(document: Document) -> ArticleOrder:
    """The document's content as an order, checked like one. Raises `ValidationError`."""
    content = document.model_dump(include=set(_KEPT) & set(ArticleOrder.model_fields))
    return ArticleOrder(**content, kind=document.kind, guide=Guide.of(document.guide))


# --- pulling -----------------------------------------------------------------------------------------------------------


def pull(
    session: Session,
    office: Office,
    peer: Peer,
    token: str,
    *,
    by: Actor,
    clock: Callable[[], datetime],
    progress: Callable[[Taken, int], None] | None = None,
) -> Taken:
    """Follow a peer's feed from its cursor to its end, one commit a page: killed anywhere, it goes on from the last page.

    Raises `outbox.SendFailed`, `TargetRefused`.
    """
    total = Taken()
    home = session.get_one(Platform, peer.platform_id)
    peer_id = peer.id
    while True:
        peer = session.get_one(Peer, peer_id, with_for_update=True, populate_existing=True)
        remote = Remote(peer.url, token, allow_private=office.policy.allow_private_targets)
        page = remote.changes(peer.cursor)
        taken = take_in(session, office, home, page.changes, by=by, at=clock(), fetch=remote.file)
        peer.cursor, peer.last_ok_at, peer.failures, peer.last_problem = page.next, clock(), 0, None
        session.add(peer)
        session.commit()
        total.new, total.turned, total.known = (
            total.new + taken.new,
            total.turned + taken.turned,
            total.known + taken.known,
        )
        total.refused += taken.refused
        if progress is not None:
            progress(total, page.next)
        if not page.more:
            return total


@dataclass(frozen=True, slots=True)
class Remote:
    """Another engine's interface at its address, with a token of ours."""

    url: str
    token: str
    allow_private: bool = False

    def changes(self, after: int) -> feed.ChangePage:
        """One page of its feed. Raises `outbox.SendFailed`."""
        answer = self._get(f"/knowledge/changes?after={after}&limit={MOST_CHANGES}")
        if answer.status != 200:
            raise outbox.SendFailed(f"对方返回 {answer.status}")
        try:
            return feed.ChangePage.model_validate_json(answer.body)
        except ValidationError:
            raise outbox.SendFailed("对方的应答不是知识变更流") from None

    def file(self, note: FileNote) -> bytes | None:
        """A file's bytes, None where they are not to be had."""
        if note.path is None or not _FILE_PATH.fullmatch(note.path):
            return None
        answer = self._get(note.path)
        return answer.body if answer.status == 200 else None

    def _get(self, path: str) -> outbox.Answer:
        base = self.url.rstrip("/").removesuffix("/api/v1") + "/api/v1"
        return outbox.request(
            "GET",
            base + path,
            headers={"authorization": f"Bearer {self.token}"},
            allow_private=self.allow_private,
        )


def peers_of_sender(session: Session, code: str) -> list[Peer]:
    """The peers whose signature a message about platform `code` may bear."""
    return list(
        session.execute(
            select(Peer)
            .join(Platform, col(Platform.id) == col(Peer.platform_id))
            .where(col(Platform.code) == code, col(Peer.pulls), col(Peer.active))
            .order_by(col(Peer.id))
            .limit(20)
        ).scalars()
    )
