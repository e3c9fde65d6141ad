"""The index of this machine, kept up with what is published. It can be rebuilt from the database at any time. Art. 19, 21."""

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final

from sqlalchemy import Engine, Select, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col

from hotline.organisation import OrgUnit, Platform
from knowledge_base.models import Article, ArticleUse, ArticleVersion, KnowledgeChange
from knowledge_base.orders import Guide
from knowledge_base.search.disk import IndexBroken, Writer, WriterBusy
from knowledge_base.search.entry import Entry, Filters, Results
from knowledge_base.search.reader import Reader
from workflow.deadlines import local_day
from workflow.vocabulary import VersionState

log = logging.getLogger("hotline.knowledge")
POPULAR_DAYS: Final = 30
"""Popularity is how often an article was told in so many days."""

_BATCH: Final = 500
_STREAM: Final = 1000


class Library:
    """The index in `folder` for one process: any number of threads search it, at most one process of the machine writes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reader = Reader(folder)
        self._writing = Lock()
        self._thread: Thread | None = None
        self._closing = Event()

    def search(self, text: str, on: date, filters: Filters, limit: int) -> Results:
        """What the index answers; `ready` is false where there is none."""
        return self.reader.search(text, on=on, filters=filters, limit=limit)

    def is_current(self, session: Session) -> bool:
        """Whether the index has everything published by now, and is of this database."""
        return self.reader.cursor() == cursor_at(session, _newest(session))

    def behind(self, session: Session) -> int | None:
        """How many changes the index has not taken in yet; None where there is none, or one of another database."""
        since = _continued(session, self.reader.cursor())
        return None if since is None else _newest(session) - since

    def follow(self, session: Session, as_of: datetime) -> int:
        """Take in one batch of changes, or everything where there is no index that can be continued; returns how many.

        0 where nothing is new, or another process of this machine is writing. Reads only.
        """
        if self.is_current(session) or not self._writing.acquire(blocking=False):
            return 0
        try:
            with Writer(self.folder) as writer:
                return self._take_in(session, writer, local_day(as_of))
        except (WriterBusy, IndexBroken):
            return 0  # whoever holds it goes on; what is broken is marked, and the next tick starts anew
        finally:
            self._writing.release()

    def _take_in(self, session: Session, writer: Writer, on: date) -> int:
        since = _continued(session, writer.cursor)
        if since is None:
            return self._rebuild(session, writer, on)
        changes = session.execute(
            select(col(KnowledgeChange.id), col(KnowledgeChange.article_id))
            .where(col(KnowledgeChange.id) > since)
            .order_by(col(KnowledgeChange.id))
            .limit(_BATCH)
        ).all()
        if not changes:
            return 0
        self._put(session, writer, {article_id for _, article_id in changes}, on)
        writer.commit(cursor_at(session, changes[-1][0]))
        return len(changes)

    def _rebuild(self, session: Session, writer: Writer, on: date) -> int:
        """Everything anew. The cursor is read first: what is published meanwhile is taken in again by the next batch."""
        log.info("knowledge index is being rebuilt")
        cursor, count = cursor_at(session, _newest(session)), 0

        def counted() -> Iterator[Entry]:
            nonlocal count
            told = _told_of_late(session, on)
            for entry in _entries(session, told, None):
                count += 1
                if self._closing.is_set():
                    raise IndexBroken("closing")
                yield entry

        writer.rebuild(counted(), cursor)
        log.info("knowledge index rebuilt: %d articles", count)
        return max(count, 1)

    def _put(self, session: Session, writer: Writer, article_ids: set[int], on: date) -> None:
        entries = list(_entries(session, _told_of_late(session, on, article_ids), article_ids))
        gone = {str(article_id) for article_id in article_ids} - {entry.key for entry in entries}
        writer.remove(sorted(gone))
        writer.put(entries)

    def refresh_popularity(self, session: Session, as_of: datetime) -> int:
        """Count anew how often was told what was used yesterday and today, or drops out of the window. Always 0: one batch does."""
        on = local_day(as_of)
        edge = on - timedelta(days=POPULAR_DAYS)
        days = [on, on - timedelta(days=1), edge, edge - timedelta(days=1)]
        used = set(
            session.execute(
                select(col(ArticleUse.article_id)).where(
                    col(ArticleUse.day).in_(days), col(ArticleUse.told) > 0
                )
            ).scalars()
        )
        if not used or not self.is_current(session) or not self._writing.acquire(blocking=False):
            return 0
        try:
            with Writer(self.folder) as writer:
                if writer.cursor is not None:
                    self._put(session, writer, used, on)
                    writer.commit(writer.cursor)
        except (WriterBusy, IndexBroken):
            log.info("knowledge index is busy; popularity waits")
        finally:
            self._writing.release()
        return 0

    def follow_soon(self, engine: Engine, as_of: datetime) -> None:
        """Catch up in the background, for a process without a ticker; one thread at a time."""
        if self._closing.is_set() or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = Thread(
            target=self._follow_all, args=(engine, as_of), name="knowledge-index", daemon=True
        )
        self._thread.start()

    def _follow_all(self, engine: Engine, as_of: datetime) -> None:
        try:
            with Session(engine) as session:
                while not self._closing.is_set() and self.follow(session, as_of):
                    session.rollback()
        except SQLAlchemyError as error:  # its text may repeat rows: only its kind is logged
            log.warning("knowledge index could not follow: %s", type(error).__name__)
        except OSError as error:
            log.warning("knowledge index cannot be written: %s", os.strerror(error.errno or 0))

    def close(self) -> None:
        """Stop what runs in the background."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()


# --- how far the index has come ----------------------------------------------------------------------------------------


def _newest(session: Session) -> int:
    newest: int = session.execute(select(func.coalesce(func.max(col(KnowledgeChange.id)), 0))).scalar_one()
    return newest


def cursor_at(session: Session, change_id: int) -> str:
    """The place of one change in this database's feed: its key and a digest of what it says, or of the platforms before the first.

    An index whose digest is not that of the change it names belongs to another database, or to one restored from a backup.
    """
    change = session.get(KnowledgeChange, change_id) if change_id else None
    if change is not None:
        said = [
            change.platform_id,
            change.article_id,
            change.version,
            change.what.value,
            change.at.timestamp(),
        ]
    else:
        said = [
            list(row)
            for row in session.execute(
                select(col(Platform.id), col(Platform.code), col(Platform.name)).order_by(col(Platform.id))
            )
        ]
    return f"{change_id}:{hashlib.sha256(repr(said).encode()).hexdigest()[:16]}"


def _continued(session: Session, cursor: str | None) -> int | None:
    """The change after which an index goes on; None where it has to be rebuilt."""
    number = (cursor or "").partition(":")[0]
    if not number.isdigit() or len(number) > 18 or cursor_at(session, int(number)) != cursor:
        return None
    return int(number)


# --- entries -----------------------------------------------------------------------------------------------------------


def _told_of_late(session: Session, on: date, article_ids: set[int] | None = None) -> dict[int, int]:
    statement = (
        select(col(ArticleUse.article_id), func.sum(col(ArticleUse.told)))
        .where(col(ArticleUse.day) > on - timedelta(days=POPULAR_DAYS), col(ArticleUse.day) <= on)
        .group_by(col(ArticleUse.article_id))
    )
    if article_ids is not None:
        statement = statement.where(col(ArticleUse.article_id).in_(article_ids))
    return {article_id: int(told) for article_id, told in session.execute(statement)}


def published() -> Select[Article, ArticleVersion, str, str]:
    """Every article with the wording that agents read now, its unit's code and its platform's area."""
    return (
        select(Article, ArticleVersion, col(OrgUnit.code), col(Platform.area_code))
        .join(
            ArticleVersion,
            (col(ArticleVersion.article_id) == col(Article.id))
            & (col(ArticleVersion.version) == col(Article.published_version)),
        )
        .join(Platform, col(Platform.id) == col(Article.platform_id))
        .outerjoin(OrgUnit, col(OrgUnit.id) == col(Article.unit_id))
        .where(col(ArticleVersion.state) == VersionState.PUBLISHED)
    )


def _entries(session: Session, told: dict[int, int], article_ids: set[int] | None) -> Iterator[Entry]:
    statement = published()
    if article_ids is not None:
        statement = statement.where(col(Article.id).in_(article_ids))
    rows = session.execute(statement.execution_options(yield_per=_STREAM))
    for article, version, unit, area in rows:  # the session holds them weakly: those behind us are let go
        yield entry_of(article, version, unit, area, told.get(article.id, 0))


def entry_of(article: Article, version: ArticleVersion, unit: str | None, home: str, told: int) -> Entry:
    """What of a published version goes into the index, under the article's key; `home` is its platform's area."""
    guide = [(name, str(version.guide[name])) for name in Guide.model_fields if name in version.guide]
    if version.legal_basis:
        guide.append(("legal_basis", version.legal_basis))
    return Entry(
        key=str(article.id),
        question=version.question,
        answer=version.answer,
        guide=tuple(guide),
        synonyms=tuple(version.synonyms),
        categories=tuple(version.categories) or ((article.category_code,) if article.category_code else ()),
        area=common_area(version.areas) if version.areas else home,
        unit=unit,
        platforms=(article.platform_id,),
        valid_from=version.valid_from,
        valid_until=version.valid_until,
        popularity=told,
    )


_SIZES: Final = (12, 9, 6, 4, 2)


def common_area(codes: Sequence[str]) -> str | None:
    """The smallest area that has all of these in it; None where there is none."""
    for size in _SIZES:
        heads = {_whole(code)[:size] for code in codes}
        if len(heads) == 1 and all(len(_whole(code)) >= size for code in codes):
            return heads.pop().ljust(12, "0")
    return None


def _whole(code: str) -> str:
    """An area code without the zeros that stand for nothing, in the sizes of the five levels."""
    bare = code.rstrip("0")
    return code[: next((size for size in reversed(_SIZES) if size >= len(bare)), 12)]
