"""变更流: what was published or withdrawn, in order, each change with the version whole; read by cursor, by indexes and other platforms."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.fields import Code, Demanded, Instant, Line, Prose, Whole
from knowledge_base.articles import SYNCED, names_of, visible_articles
from knowledge_base.models import Article, ArticleFile, ArticleVersion, KnowledgeChange
from knowledge_base.orders import AreaCode, CategoryCode, Day, Title, Url
from workflow.vocabulary import ArticleKind, Relation, VersionState

MOST: Final = 200
"""Changes in one page at most."""

_MOST_CHARACTERS: Final = 3_000_000
"""Characters the texts of one page have at most, but for a single article: what reads it must be able to."""

Key = Annotated[Whole, Field(ge=1, le=2**62)]
VersionNumber = Annotated[Whole, Field(ge=1, le=2**31 - 1)]
PlatformCode = Annotated[str, Field(pattern=r"^[0-9]{2}$")]


class Identity(BaseModel):
    """An article by the platform whose engine maintains it and its number there."""

    platform: PlatformCode
    article: Key


class Answerable(BaseModel):
    """The unit answerable for an article."""

    code: Code
    name: Line


class FileNote(BaseModel):
    """A file that belongs to a version; `path` is where its bytes are, under the engine's address; `content` its bytes in Base64."""

    name: Line
    media_type: str = Field(max_length=100)
    size: int = Field(ge=1, le=2**31 - 1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    path: str | None = Field(default=None, max_length=200)
    content: str | None = None


class Document(Identity):
    """One version of an article whole, as platforms send it to each other. Identified by (platform, article, version)."""

    model_config = ConfigDict(extra="ignore")

    version: VersionNumber
    state: VersionState
    kind: ArticleKind
    question: Title
    answer: Demanded
    guide: dict[str, Any] = {}
    legal_basis: Prose | None = None
    synonyms: list[Line] = Field(default=[], max_length=50)
    categories: list[CategoryCode] = Field(default=[], max_length=20)
    areas: list[AreaCode] = Field(default=[], max_length=100)
    source_url: Url | None = None
    valid_from: Day | None = None
    valid_until: Day | None = None
    review_on: Day | None = None
    change_note: Prose | None = None
    corrects: bool = False
    unit: Answerable | None = None
    source: Identity | None = None
    relation: Relation | None = None
    written_by: Line
    written_at: Instant
    published_at: Instant
    ended_at: Instant | None = None
    files: list[FileNote] = Field(default=[], max_length=100)


class Change(BaseModel):
    """One change: its cursor, what happened, when, and the version as it stands now."""

    cursor: int = Field(ge=0, le=2**62)
    what: VersionState
    at: Instant
    document: Document


class ChangePage(BaseModel):
    """Changes in order; `next` is the cursor to ask after next time, `more` whether there are more already."""

    changes: list[Change]
    next: int
    more: bool


def changes(session: Session, actor: Actor, after: int, limit: int) -> ChangePage:
    """The changes behind cursor `after` of the articles this actor sees, oldest first. Never skips one: keys commit in order."""
    return page(session, visible_articles(actor), after, limit)


def page(session: Session, which: ColumnElement[bool], after: int, limit: int) -> ChangePage:
    """The same for the articles that meet a condition."""
    rows = session.execute(
        select(KnowledgeChange, ArticleVersion, Article)
        .join(Article, col(Article.id) == col(KnowledgeChange.article_id))
        .join(
            ArticleVersion,
            (col(ArticleVersion.article_id) == col(KnowledgeChange.article_id))
            & (col(ArticleVersion.version) == col(KnowledgeChange.version)),
        )
        .where(col(KnowledgeChange.id) > after, which)
        .order_by(col(KnowledgeChange.id))
        .limit(limit + 1)
    ).all()
    shown = _fitting([(version, article) for _, version, article in rows[:limit]])
    told = documents(session, [(article, version) for _, version, article in rows[:shown]])
    found = [
        Change.model_construct(cursor=change.id, what=change.what, at=change.at, document=document)
        for (change, _, _), document in zip(rows[:shown], told, strict=True)
    ]
    return ChangePage.model_construct(
        changes=found, next=found[-1].cursor if found else after, more=len(rows) > shown
    )


def _fitting(rows: Sequence[tuple[ArticleVersion, Article]]) -> int:
    """How many of these a page holds: as many as fit, and at least one."""
    size = 0
    for count, (version, _) in enumerate(rows):
        size += len(version.answer) + sum(len(str(value)) for value in version.guide.values())
        if count and size > _MOST_CHARACTERS:
            return count
    return len(rows)


def documents(session: Session, versions: Sequence[tuple[Article, ArticleVersion]]) -> list[Document]:
    """These versions as documents, in the same order."""
    articles = {article.id: article for article, _ in versions}
    sources = _sources(session, articles.values())
    platforms, units = names_of(session, articles | sources)
    files = _files(session, articles)
    return [
        _document(
            article,
            version,
            {id_: platform.code for id_, platform in platforms.items()},
            Answerable.model_construct(code=units[article.unit_id].code, name=units[article.unit_id].name)
            if article.unit_id is not None
            else None,
            sources.get(article.source_id) if article.source_id is not None else None,
            files.get((article.id, version.version), []),
        )
        for article, version in versions
    ]


def _document(
    article: Article,
    version: ArticleVersion,
    codes: Mapping[int, str],
    unit: Answerable | None,
    source: Article | None,
    files: list[FileNote],
) -> Document:
    mine = identity(article, codes[article.platform_id])
    return Document.model_construct(
        platform=mine.platform,
        article=mine.article,
        kind=article.kind,
        unit=unit,
        source=identity(source, codes[source.platform_id]) if source is not None else None,
        relation=article.relation if source is not None else None,
        files=files,
        **{name: getattr(version, name) for name in _FROM_VERSION},
    )


_FROM_VERSION: Final = tuple(name for name in Document.model_fields if name in ArticleVersion.model_fields)


def identity(article: Article, platform_code: str) -> Identity:
    """Where an article is at home: here, or at the platform it was synchronised from."""
    if article.origin is not None and article.origin.startswith(SYNCED):
        platform, _, number = article.origin.removeprefix(SYNCED).partition(":")
        return Identity(platform=platform, article=int(number))
    return Identity(platform=platform_code, article=article.id)


def origin_of(home: Identity) -> str:
    """The `origin` under which an article of another platform is kept here."""
    return f"{SYNCED}{home.platform}:{home.article}"


def _sources(session: Session, articles: Iterable[Article]) -> dict[int, Article]:
    ids = {article.source_id for article in articles} - {None}
    found = session.execute(select(Article).where(col(Article.id).in_(ids))).scalars() if ids else ()
    return {article.id: article for article in found}


def _files(session: Session, articles: Mapping[int, Article]) -> dict[tuple[int, int], list[FileNote]]:
    found: dict[tuple[int, int], list[FileNote]] = {}
    rows = session.execute(
        select(ArticleFile)
        .where(col(ArticleFile.article_id).in_(sorted(articles)))
        .order_by(col(ArticleFile.id))
    ).scalars()
    for file in rows:
        note = FileNote.model_construct(
            name=file.name,
            media_type=file.media_type,
            size=file.size,
            sha256=file.sha256,
            path=f"/knowledge/{file.article_id}/versions/{file.version}/files/{file.id}",
            content=None,
        )
        found.setdefault((file.article_id, file.version), []).append(note)
    return found
