"""Knowledge as rows: articles, their immutable versions and steps, what was told to whom, questions to units, what is missing.

A version, once written, is never changed but for its state: a ticket can always show what was told.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from hotline.storage.columns import json_object, key, long_text, ref, word
from workflow.vocabulary import (
    ArticleKind,
    KnowledgeStep,
    QuestionState,
    RecallReason,
    Relation,
    Upkeep,
    VersionState,
)


def _list() -> Any:
    return Field(default_factory=list, sa_column=Column(JSONB, nullable=False))


def _day() -> Any:
    return Field(default=None, sa_column=Column(Date, nullable=True))


class Article(SQLModel, table=True):
    """知识条目: one question and the unit answerable for its answer (art. 22, 28).

    `current_version` is the newest wording, `published_version` the one agents read. A prefecture's article may add to or override
    a province's (`source_id`, `relation`); one that came from another platform by synchronisation keeps its `origin`.
    `compared_version` is the published wording last compared with its neighbours for duplicates and contradictions.
    """

    __tablename__ = "knowledge_articles"
    id: int = key()
    platform_id: int = ref("platforms.id", index=True)
    unit_id: int | None = ref("units.id", nullable=True, index=True)
    kind: ArticleKind = word(ArticleKind)
    category_code: str | None = Field(default=None, max_length=12)
    area_code: str | None = Field(default=None, max_length=12)
    current_version: int = 0
    published_version: int | None = None
    source_id: int | None = ref("knowledge_articles.id", nullable=True, index=True)
    relation: Relation | None = word(Relation, nullable=True)
    origin: str | None = Field(default=None, max_length=100)
    review_on: date | None = _day()
    withdrawn_at: datetime | None = None
    compared_version: int | None = None

    __table_args__ = (
        UniqueConstraint("platform_id", "origin", name="ux_knowledge_articles_origin"),
        Index(
            "ix_knowledge_articles_review",
            "review_on",
            postgresql_where=text("review_on IS NOT NULL AND withdrawn_at IS NULL"),
        ),
    )


class ArticleVersion(SQLModel, table=True):
    """One immutable wording: question, standard answer (答复口径, Markdown), 办事指南 fields, and where it stands.

    `guide` holds conditions, materials, steps, limit, place, phone, fee (texts); `valid_until` is inclusive. `corrects`: what earlier
    versions said was wrong, so whoever was told one of them is to be called back.
    """

    __tablename__ = "knowledge_versions"
    id: int = key()
    article_id: int = ref("knowledge_articles.id")
    version: int
    state: VersionState = word(VersionState)
    question: str = long_text()
    answer: str = long_text()
    guide: dict[str, Any] = json_object()
    legal_basis: str | None = long_text(nullable=True)
    synonyms: list[str] = _list()
    categories: list[str] = _list()
    areas: list[str] = _list()
    source_url: str | None = long_text(nullable=True)
    valid_from: date | None = _day()
    valid_until: date | None = _day()
    review_on: date | None = _day()
    change_note: str | None = long_text(nullable=True)
    corrects: bool = False
    content_sha256: str = Field(max_length=64)
    ticket_id: int | None = ref("tickets.id", nullable=True, index=True)
    written_by: str = Field(max_length=100)
    written_at: datetime
    published_at: datetime | None = None
    ended_at: datetime | None = None

    __table_args__ = (
        UniqueConstraint("article_id", "version", name="ux_knowledge_versions"),
        Index("ix_knowledge_versions_state", "state", "article_id"),
        Index(
            "ix_knowledge_versions_expiry",
            "valid_until",
            postgresql_where=text("valid_until IS NOT NULL AND published_at IS NOT NULL"),
        ),
        Index("ix_knowledge_versions_corrects", "published_at", postgresql_where=text("corrects")),
        Index("ix_knowledge_versions_withdrawn", "ended_at", postgresql_where=text("state = 'withdrawn'")),
    )


class ArticleFile(SQLModel, table=True):
    """A file with a version; its bytes lie in the blob store under their SHA-256."""

    __tablename__ = "knowledge_files"
    id: int = key()
    article_id: int = ref("knowledge_articles.id", index=True)
    version: int
    name: str = long_text()
    media_type: str = Field(max_length=100)
    size: int
    sha256: str = Field(max_length=64, index=True)
    added_by: str = Field(max_length=100)
    added_at: datetime


class ArticleStep(SQLModel, table=True):
    """One step of a version's life: who did it and when (draft, unit review, platform check, publication, withdrawal)."""

    __tablename__ = "knowledge_steps"
    id: int = key()
    article_id: int = ref("knowledge_articles.id", index=True)
    version: int
    step: KnowledgeStep = word(KnowledgeStep)
    actor: str = Field(max_length=60)
    actor_name: str = Field(max_length=100)
    unit_id: int | None = ref("units.id", nullable=True)
    at: datetime
    note: str | None = long_text(nullable=True)


class KnowledgeChange(SQLModel, table=True):
    """变更流: what was published or withdrawn, in order; the cursor of indexes and of other platforms is its key."""

    __tablename__ = "knowledge_changes"
    id: int = key()
    platform_id: int = ref("platforms.id")
    article_id: int = ref("knowledge_articles.id", index=True)
    version: int
    what: VersionState = word(VersionState)
    at: datetime


class ArticleUse(SQLModel, table=True):
    """How often an article was opened and told on one day, for popularity and for «opened but never used»."""

    __tablename__ = "knowledge_uses"
    article_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("knowledge_articles.id"), primary_key=True)
    )
    day: date = Field(sa_column=Column(Date, primary_key=True))
    opened: int = 0
    told: int = 0


class Telling(SQLModel, table=True):
    """告知: one ticket's caller was told one version; a correction or expiry can list it for a call-back."""

    __tablename__ = "knowledge_tellings"
    id: int = key()
    article_id: int = ref("knowledge_articles.id")
    version: int
    ticket_id: int = ref("tickets.id", index=True)
    platform_id: int = ref("platforms.id")
    told_by: str = Field(max_length=100)
    told_at: datetime

    __table_args__ = (Index("ix_knowledge_tellings_article", "article_id", "told_at"),)


class Recall(SQLModel, table=True):
    """更正回访: a caller who was told an answer that has since been corrected, expired or withdrawn, to be called back.

    `by_version` is the version whose publication, expiry or withdrawal is the reason.
    """

    __tablename__ = "knowledge_recalls"
    id: int = key()
    telling_id: int = ref("knowledge_tellings.id")
    platform_id: int = ref("platforms.id", index=True)
    reason: RecallReason = word(RecallReason)
    by_version: int
    listed_at: datetime
    settled_by: str | None = Field(default=None, max_length=100)
    settled_at: datetime | None = None
    reached: bool | None = None
    remark: str | None = long_text(nullable=True)

    __table_args__ = (UniqueConstraint("telling_id", "reason", name="ux_knowledge_recalls"),)


class UnitQuestion(SQLModel, table=True):
    """知识提问: an agent asks a unit, which answers within a set limit; the answer becomes a draft (art. 23)."""

    __tablename__ = "knowledge_questions"
    id: int = key()
    platform_id: int = ref("platforms.id", index=True)
    unit_id: int = ref("units.id", index=True)
    ticket_id: int | None = ref("tickets.id", nullable=True)
    state: QuestionState = word(QuestionState)
    question: str = long_text()
    background: str | None = long_text(nullable=True)
    asked_by: str = Field(max_length=60)
    asked_by_name: str = Field(max_length=100)
    asked_at: datetime
    due_on: date = Field(sa_column=Column(Date, nullable=False))
    due_at: datetime
    lapsed_at: datetime | None = None
    answer: str | None = long_text(nullable=True)
    answered_by: str | None = Field(default=None, max_length=100)
    answered_at: datetime | None = None
    article_id: int | None = ref("knowledge_articles.id", nullable=True)
    version: int | None = None

    __table_args__ = (
        Index(
            "ix_knowledge_questions_due",
            "due_at",
            postgresql_where=text("state = 'asked' AND lapsed_at IS NULL"),
        ),
    )


class MissedSearch(SQLModel, table=True):
    """采集需求: what was searched without a result, masked and counted per platform and day (art. 20)."""

    __tablename__ = "knowledge_misses"
    platform_id: int = Field(sa_column=Column(BigInteger, ForeignKey("platforms.id"), primary_key=True))
    day: date = Field(sa_column=Column(Date, primary_key=True))
    query: str = Field(primary_key=True, max_length=100)
    times: int = 1
    settled_at: datetime | None = None
    settled_by: str | None = Field(default=None, max_length=100)
    article_id: int | None = ref("knowledge_articles.id", nullable=True)


class SourceLink(SQLModel, table=True):
    """来源链接: whether the page an article rests on could still be read, looked at at most once a day however many cite it."""

    __tablename__ = "knowledge_links"
    url: str = Field(sa_column=Column(Text, primary_key=True))
    checked_at: datetime
    status: int | None = None
    problem: str | None = Field(default=None, max_length=200)
    failing_since: datetime | None = None


class ArticlePair(SQLModel, table=True):
    """疑似重复或矛盾: two published articles on one matter in one area; `detail` says what is alike and what differs.

    `article_id` is the smaller key. A pair somebody settled comes back only when one of the two is worded anew.
    """

    __tablename__ = "knowledge_pairs"
    article_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("knowledge_articles.id"), primary_key=True)
    )
    other_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("knowledge_articles.id"), primary_key=True, index=True)
    )
    kind: Upkeep = word(Upkeep)
    version: int
    other_version: int
    detail: dict[str, Any] = json_object()
    found_at: datetime
    settled_at: datetime | None = None
    settled_by: str | None = Field(default=None, max_length=100)
    remark: str | None = long_text(nullable=True)


class Peer(SQLModel, table=True):
    """同步平台: another platform's engine that follows our feed by push, or whose feed we follow by pull (art. 21).

    `secret` is sealed; `cursor` is the last change sent or taken.
    """

    __tablename__ = "knowledge_peers"
    id: int = key()
    platform_id: int = ref("platforms.id", index=True)
    name: str = Field(max_length=100)
    url: str = Field(sa_column=Column(Text, nullable=False))
    pulls: bool = False
    secret: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    cursor: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    active: bool = True
    failures: int = 0
    next_at: datetime | None = None
    last_ok_at: datetime | None = None
    last_problem: str | None = long_text(nullable=True)
