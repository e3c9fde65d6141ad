"""An article as people and programs are shown it: rendered, with where it stands, what lies beside it, and what may be done now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Select, select, tuple_
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.organisation import OrgUnit, Platform
from knowledge_base import lifecycle, rendering
from knowledge_base.articles import (
    is_synced,
    maintained_by,
    maintains,
    names_of,
    readable_versions,
    reference,
    version_of,
    visible_articles,
    why_not_told,
)
from knowledge_base.files import files_of
from knowledge_base.models import Article, ArticleFile, ArticleStep, ArticleVersion
from workflow.deadlines import local_day
from workflow.vocabulary import ArticleKind, KnowledgeStep, Relation, VersionState


class KnowledgeFileView(BaseModel):
    """A file of a version; its bytes are at `/knowledge/{article}/versions/{version}/files/{id}`."""

    id: int
    name: str
    media_type: str
    size: int
    sha256: str
    added_by: str
    added_at: datetime


class ArticleStepView(BaseModel):
    """One step of a version's life."""

    version: int
    step: KnowledgeStep
    label: str
    actor_name: str
    at: datetime
    note: str | None


class RelatedView(BaseModel):
    """The article above, or a local one beside it, with its platform's name and what it says."""

    name: str = Field(examples=["57@1"])
    question: str
    relation: Relation
    relation_label: str = Field(examples=["本地替代"])
    platform: str
    platform_name: str
    unit_name: str | None
    state: VersionState
    tellable: bool
    html: str
    text: str


class ArticleView(BaseModel):
    """One immutable wording of a knowledge article, rendered."""

    name: str = Field(examples=["12@3"])
    article: int
    version: int
    current_version: int | None = Field(description="最新版本号，供 based_on 和 If-Match；仅维护者可见")
    published_version: int | None
    state: VersionState
    state_label: str
    kind: ArticleKind
    platform: str
    platform_name: str
    unit: str | None
    unit_name: str | None
    question: str
    answer: str
    markdown: str
    html: str = Field(description="安全的 HTML，可直接显示")
    text: str = Field(description="纯文本，供电话中宣读；含办事指南各项")
    guide: dict[str, Any]
    legal_basis: str | None
    categories: list[str]
    areas: list[str]
    synonyms: list[str]
    source_url: str | None
    valid_from: date | None
    valid_until: date | None
    review_on: date | None
    tellable: bool = Field(description="此刻可否用于答复")
    why_not: str | None = Field(description="不能用于答复的原因")
    change_note: str | None
    corrects: bool
    synced: bool = Field(description="由其他平台维护，本平台只读")
    source: RelatedView | None = Field(description="所补充或替代的上级平台知识")
    local: list[RelatedView] = Field(description="下级平台对本条的补充或替代")
    tell_instead: str | None = Field(description="本地替代本条的知识，答复时应以其为准")
    files: list[KnowledgeFileView]
    steps: list[ArticleStepView]
    written_by: str
    written_at: datetime
    published_at: datetime | None
    ended_at: datetime | None
    acts: list[KnowledgeStep] = Field(description="此刻您可以进行的步骤")


class ArticleLine(BaseModel):
    """One line of a list."""

    name: str
    article: int
    version: int
    state: VersionState
    state_label: str
    kind: ArticleKind
    question: str
    platform: str
    platform_name: str
    unit: str | None
    unit_name: str | None
    categories: list[str]
    areas: list[str]
    valid_from: date | None
    valid_until: date | None
    review_on: date | None
    relation: Relation | None
    relation_label: str | None
    source: int | None
    local: list[str] = Field(description="下级平台的补充或替代，如 本地替代：测试市12345热线")
    published_at: datetime | None
    written_at: datetime


class VersionLine(BaseModel):
    """One version in an article's history."""

    name: str
    version: int
    state: VersionState
    state_label: str
    written_by: str
    written_at: datetime
    published_at: datetime | None
    ended_at: datetime | None
    change_note: str | None


@dataclass(slots=True)
class Shelf:
    """The articles as one actor sees them at one instant (`at`, aware)."""

    session: Session
    actor: Actor
    at: datetime

    def whole(self, version: ArticleVersion) -> ArticleView:
        """One version with all that belongs to it."""
        article = self.session.get_one(Article, version.article_id)
        platforms, units = names_of(self.session, {article.id: article})
        platform = platforms[article.platform_id]
        unit = units.get(article.unit_id) if article.unit_id is not None else None
        mine = maintains(self.actor, article)
        local = self._local(article)
        instead = [each for each in local if each.relation is Relation.OVERRIDES and each.tellable]
        problem = why_not_told(version, local_day(self.at))
        own = {name: getattr(version, name) for name in _SAME}
        return ArticleView(
            name=reference(version),
            article=article.id,
            current_version=article.current_version if mine else None,
            published_version=article.published_version,
            state_label=version.state.label,
            kind=article.kind,
            platform=platform.code,
            platform_name=platform.short_name,
            unit=unit.code if unit else None,
            unit_name=unit.name if unit else None,
            markdown=version.answer,
            html=rendering.as_html(version.answer),
            text=rendering.told_text(version.answer, version.guide),
            review_on=article.review_on or version.review_on,
            tellable=problem is None,
            why_not=problem,
            synced=is_synced(article),
            source=self._source(article),
            local=local,
            tell_instead=instead[0].name if instead else None,
            files=[file_view(file) for file in files_of(self.session, article.id, version.version)],
            steps=self._steps(article) if mine else [],
            acts=lifecycle.open_steps(self.session, self.actor, article, version),
            **own,
        )

    def lines(self, rows: Sequence[tuple[Article, ArticleVersion]]) -> list[ArticleLine]:
        """Lines of a list, each saying where it stands among province and local articles."""
        articles = {article.id: article for article, _ in rows}
        platforms, units = names_of(self.session, articles)
        local = self._local_labels(list(articles))
        return [
            self._line(article, version, platforms, units, local.get(article.id, []))
            for article, version in rows
        ]

    def _line(
        self,
        article: Article,
        version: ArticleVersion,
        platforms: dict[int, Platform],
        units: dict[int, OrgUnit],
        local: list[str],
    ) -> ArticleLine:
        unit = units.get(article.unit_id) if article.unit_id is not None else None
        return ArticleLine(
            name=reference(version),
            article=article.id,
            version=version.version,
            state=version.state,
            state_label=version.state.label,
            kind=article.kind,
            question=version.question,
            platform=platforms[article.platform_id].code,
            platform_name=platforms[article.platform_id].short_name,
            unit=unit.code if unit else None,
            unit_name=unit.name if unit else None,
            categories=version.categories,
            areas=version.areas,
            valid_from=version.valid_from,
            valid_until=version.valid_until,
            review_on=article.review_on,
            relation=article.relation,
            relation_label=article.relation.label if article.relation else None,
            source=article.source_id,
            local=local,
            published_at=version.published_at,
            written_at=version.written_at,
        )

    def history(self, article_id: int) -> list[VersionLine]:
        """The versions of an article this actor may read, newest first."""
        rows = self.session.execute(
            select(ArticleVersion)
            .join(Article, col(Article.id) == col(ArticleVersion.article_id))
            .where(col(Article.id) == article_id, readable_versions(self.actor))
            .order_by(col(ArticleVersion.version).desc())
        ).scalars()
        return [
            VersionLine(
                name=reference(version),
                state_label=version.state.label,
                **{n: getattr(version, n) for n in _HISTORY},
            )
            for version in rows
        ]

    def _source(self, article: Article) -> RelatedView | None:
        if article.source_id is None or article.relation is None:
            return None
        source = self.session.get_one(Article, article.source_id)
        number = source.published_version or source.current_version
        version = version_of(self.session, source.id, number)
        if version is None or version.published_at is None:
            return None
        return self._related([(source, version)], article.relation)[0]

    def _local(self, article: Article) -> list[RelatedView]:
        rows = self.session.execute(_beside(self.actor, [article.id])).all()
        return [self._related([(a, v)], a.relation)[0] for a, v in rows if a.relation is not None]

    def _related(
        self, rows: Sequence[tuple[Article, ArticleVersion]], relation: Relation
    ) -> list[RelatedView]:
        platforms, units = names_of(self.session, {article.id: article for article, _ in rows})
        return [
            RelatedView(
                name=reference(version),
                question=version.question,
                relation=relation,
                relation_label=relation.label,
                platform=platforms[article.platform_id].code,
                platform_name=platforms[article.platform_id].short_name,
                unit_name=units[article.unit_id].name if article.unit_id is not None else None,
                state=version.state,
                tellable=why_not_told(version, local_day(self.at)) is None,
                html=rendering.as_html(version.answer),
                text=rendering.told_text(version.answer, version.guide),
            )
            for article, version in rows
        ]

    def _local_labels(self, article_ids: list[int]) -> dict[int, list[str]]:
        rows = self.session.execute(_beside(self.actor, article_ids)).all()
        platforms, _ = names_of(self.session, {article.id: article for article, _ in rows})
        found: dict[int, list[str]] = {}
        for article, _ in rows:
            if article.source_id is not None and article.relation is not None:
                said = f"{article.relation.label}：{platforms[article.platform_id].short_name}"
                found.setdefault(article.source_id, []).append(said)
        return found

    def _steps(self, article: Article) -> list[ArticleStepView]:
        rows = self.session.execute(
            select(ArticleStep)
            .where(col(ArticleStep.article_id) == article.id)
            .order_by(col(ArticleStep.id).desc())
            .limit(200)
        ).scalars()
        shown = [
            ArticleStepView(
                version=row.version,
                step=row.step,
                label=row.step.label,
                actor_name=row.actor_name,
                at=row.at,
                note=row.note,
            )
            for row in rows
        ]
        return shown[::-1]


_HISTORY = tuple(name for name in VersionLine.model_fields if name not in ("name", "state_label"))
_SAME = tuple(
    name
    for name in ArticleView.model_fields
    if name in ArticleVersion.model_fields and name not in ("id", "review_on")
)


def file_view(file: ArticleFile) -> KnowledgeFileView:
    """A file as it is shown."""
    return KnowledgeFileView(**{name: getattr(file, name) for name in KnowledgeFileView.model_fields})


def _beside(actor: Actor, article_ids: list[int]) -> Select[Article, ArticleVersion]:
    """The published articles that add to or override these ones, as far as the actor sees them; overriding ones first."""
    return (
        select(Article, ArticleVersion)
        .join(
            ArticleVersion,
            (col(ArticleVersion.article_id) == col(Article.id))
            & (col(ArticleVersion.version) == col(Article.published_version)),
        )
        .where(col(Article.source_id).in_(article_ids), visible_articles(actor))
        .order_by((col(Article.relation) == Relation.OVERRIDES).desc(), col(Article.id))
    )


# --- lists -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filters of a list; `after` is the article and version of the last line of the page before."""

    states: tuple[VersionState, ...] = (VersionState.PUBLISHED,)
    kind: ArticleKind | None = None
    unit: str | None = None
    platform: str | None = None
    category: str | None = None
    area: str | None = None
    relation: Relation | None = None
    source: int | None = None
    due_for_review: date | None = None
    mine: bool = False
    after: tuple[int, int] | None = None
    limit: int = 50


def listed(session: Session, actor: Actor, wanted: Wanted) -> list[tuple[Article, ArticleVersion]]:
    """Versions in these states of the articles an actor sees (drafts: of those they maintain), newest article first."""
    statement = (
        select(Article, ArticleVersion)
        .join(ArticleVersion, col(ArticleVersion.article_id) == col(Article.id))
        .where(readable_versions(actor), col(ArticleVersion.state).in_(wanted.states))
    )
    for condition in _conditions(actor, wanted):
        statement = statement.where(condition)
    statement = statement.order_by(col(Article.id).desc(), col(ArticleVersion.version).desc())
    rows = session.execute(statement.limit(wanted.limit))
    return list(rows)


def _conditions(actor: Actor, wanted: Wanted) -> list[Any]:
    found: list[Any] = []
    if wanted.unit is not None:
        found.append(
            col(Article.unit_id).in_(select(col(OrgUnit.id)).where(col(OrgUnit.code) == wanted.unit))
        )
    if wanted.platform is not None:
        code = select(col(Platform.id)).where(col(Platform.code) == wanted.platform)
        found.append(col(Article.platform_id).in_(code))
    if wanted.category is not None:
        found.append(col(Article.category_code).startswith(wanted.category))
    if wanted.area is not None:
        found.append(col(Article.area_code).startswith(wanted.area))
    if wanted.due_for_review is not None:
        found.append(col(Article.review_on) <= wanted.due_for_review)
    if wanted.mine:
        found.append(maintained_by(actor))
    if wanted.after is not None:
        found.append(tuple_(col(Article.id), col(ArticleVersion.version)) < tuple_(*wanted.after))
    for name, column in (
        ("kind", Article.kind),
        ("relation", Article.relation),
        ("source", Article.source_id),
    ):
        if getattr(wanted, name) is not None:
            found.append(col(column) == getattr(wanted, name))
    return found
