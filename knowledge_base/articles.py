"""Articles and their immutable versions. `12@3` names the third wording of article 12, readable for ever once it was published.

Who sees which: `visible_articles` is the one scope. What happens to a version after it is written: `knowledge_base.lifecycle`.
"""

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, false, or_, select, true
from sqlmodel import Session, col

from hotline.access import Actor, visible_to
from hotline.ledger import text_digest
from hotline.models import Ticket
from hotline.organisation import Area, Category, OrgUnit, Platform
from knowledge_base.models import Article, ArticleFile, ArticleStep, ArticleVersion, Telling
from knowledge_base.orders import ArticleOrder, Guide
from workflow.errors import AccessRefused, NotFound, OrderInvalid, OutOfSight, VersionConflict
from workflow.vocabulary import UNIT_STAFF, ArticleKind, KnowledgeStep, Relation, Role, VersionState

CHECKERS = frozenset({Role.EDITOR, Role.SUPERVISOR})
"""The platform's people who check and publish, and write the platform's own articles."""

WRITERS = UNIT_STAFF | CHECKERS
SYNCED = "sync:"
"""How the `origin` of an article begins that another platform maintains and this one only shows."""

UNPUBLISHED = (
    VersionState.DRAFT,
    VersionState.SENT_BACK,
    VersionState.UNIT_REVIEW,
    VersionState.PLATFORM_CHECK,
)


def reference(version: ArticleVersion) -> str:
    """The name a ticket records: `<article>@<version>`."""
    return f"{version.article_id}@{version.version}"


# --- who sees what -----------------------------------------------------------------------------------------------------


def platforms_read(actor: Actor) -> Select[Any]:
    """The keys of the platforms whose published articles an actor reads: their own, all above, for a supervisor all below too."""
    homes = sorted(actor.platform_ids | ({actor.home_id} if actor.home_id is not None else set()))
    up = select(col(Platform.id), col(Platform.parent_id)).where(col(Platform.id).in_(homes))
    tree = up.cte(recursive=True)
    tree = tree.union(
        select(col(Platform.id), col(Platform.parent_id)).join(tree, col(Platform.id) == tree.c.parent_id)
    )
    return select(tree.c.id)


def visible_articles(actor: Actor) -> ColumnElement[bool]:
    """The SQL condition on `knowledge_articles`: a province's are seen by all platforms below it, a prefecture's by its own people."""
    if actor.kind == "system":
        return true()
    return col(Article.platform_id).in_(platforms_read(actor))


def maintained_by(actor: Actor) -> ColumnElement[bool]:
    """The SQL condition on `knowledge_articles`: those whose drafts the actor sees: their unit's, or their platform's for its checkers."""
    if actor.kind == "system":
        return true()
    if actor.is_unit:
        return and_(col(Article.unit_id) == actor.unit_id, col(Article.platform_id) == actor.home_id)
    if actor.roles & CHECKERS:
        return col(Article.platform_id).in_(sorted(actor.platform_ids))
    return false()


def maintains(actor: Actor, article: Article) -> bool:
    """The same rule as `maintained_by`, for an article at hand."""
    if actor.kind == "system":
        return True
    if actor.is_unit:
        return article.unit_id == actor.unit_id and article.platform_id == actor.home_id
    return bool(actor.roles & CHECKERS) and article.platform_id in actor.platform_ids


def is_synced(article: Article) -> bool:
    """Whether another platform's engine maintains this article, so that it is read-only here."""
    return article.origin is not None and article.origin.startswith(SYNCED)


def readable_versions(actor: Actor) -> ColumnElement[bool]:
    """The SQL condition on versions joined to their articles: what was ever published and is visible, and drafts one maintains."""
    return or_(
        and_(visible_articles(actor), col(ArticleVersion.published_at).is_not(None)), maintained_by(actor)
    )


_NAME = re.compile(r"([1-9]\d{0,17})(?:@([1-9]\d{0,8}))?")


def find(session: Session, actor: Actor, name: str) -> ArticleVersion:
    """The version called `12@3`; `12` alone is the published one, or the newest for who maintains the article.

    A version once told to a caller whose ticket the actor sees stays readable to them. Raises `NotFound`.
    """
    match = _NAME.fullmatch(name)
    told = f"没有知识条目 {name[:40]}，或不在您的权限范围内；写法如 12 或 12@3。"
    if match is None:
        raise NotFound(told, field="knowledge_version")
    article = session.get(Article, int(match[1]))
    number = int(match[2]) if match[2] else article and (article.published_version or article.current_version)
    found = version_of(session, article.id, number) if article is not None and number else None
    if found is None:
        raise NotFound(told, field="knowledge_version")
    seen = session.execute(
        select(col(ArticleVersion.id))
        .join(Article, col(Article.id) == col(ArticleVersion.article_id))
        .where(
            col(ArticleVersion.id) == found.id,
            or_(readable_versions(actor), _told_on_a_ticket_seen(actor, found)),
        )
    ).first()
    if seen is None:
        raise OutOfSight(told, field="knowledge_version")
    return found


def _told_on_a_ticket_seen(actor: Actor, version: ArticleVersion) -> ColumnElement[bool]:
    return exists(
        select(col(Telling.id))
        .join(Ticket, col(Ticket.id) == col(Telling.ticket_id))
        .where(
            col(Telling.article_id) == version.article_id,
            col(Telling.version) == version.version,
            visible_to(actor),
        )
    )


def version_of(session: Session, article_id: int, number: int) -> ArticleVersion | None:
    """One version of an article, if there is one."""
    return session.execute(
        select(ArticleVersion).where(
            col(ArticleVersion.article_id) == article_id, col(ArticleVersion.version) == number
        )
    ).scalar_one_or_none()


def why_not_told(version: ArticleVersion, day: date) -> str | None:
    """Why a caller must not be told this version on this day, in Chinese; None if they may."""
    name = reference(version)
    if version.state is VersionState.SUPERSEDED and version.published_at is not None:
        return f"知识 {name} 已被新版替代，请改用现行版本答复。"
    if version.state is not VersionState.PUBLISHED:
        return f"知识 {name} 的状态为“{version.state.label}”，只有已发布的知识可以用于答复。"
    if version.valid_from is not None and day < version.valid_from:
        return f"知识 {name} 自 {version.valid_from} 起生效，现在还不能用于答复。"
    if version.valid_until is not None and day > version.valid_until:
        return f"知识 {name} 的有效期已于 {version.valid_until} 届满，不能再用于答复，请核实后转办。"
    return None


_REPORTED = frozenset(
    {VersionState.DRAFT, VersionState.UNIT_REVIEW, VersionState.PLATFORM_CHECK, VersionState.PUBLISHED}
)


def reportable(session: Session, actor: Actor, name: str) -> ArticleVersion:
    """The version `name` as what a unit hands in for art. 23: its own, drafted, submitted or published. Raises `NotFound`, `OrderInvalid`."""
    version = find(session, actor, name)
    article = session.get_one(Article, version.article_id)
    if actor.is_unit and article.unit_id != actor.unit_id:
        raise OrderInvalid(
            f"知识 {name} 不是本单位维护的条目，请填写本单位新增或更新的知识。", article="23", field="article"
        )
    if version.state not in _REPORTED:
        raise OrderInvalid(
            f"知识 {name} 的状态为“{version.state.label}”，请填写草稿、审核中或已发布的版本。",
            article="23",
            field="article",
        )
    return version


# --- writing -----------------------------------------------------------------------------------------------------------


def write(
    session: Session,
    actor: Actor,
    order: ArticleOrder,
    *,
    at: datetime,
    article_id: int | None = None,
    expected_version: int | None = None,
    ticket_id: int | None = None,
) -> ArticleVersion:
    """A draft: of a new article, or with `article_id` a new version of one. A unit writes its own, an editor the platform's.

    `expected_version` (or the order's `based_on`) is the newest version the writer had seen. `ticket_id`: the ticket it was drawn from.
    Raises `AccessRefused`, `NotFound`, `OrderInvalid`, `VersionConflict`. The caller commits.
    """
    if not actor.roles & WRITERS:
        raise AccessRefused("知识条目由承办单位或知识库管理员编写。", article="22")
    check_references(session, order)
    if article_id is None:
        article = _new_article(session, actor, order)
    else:
        article = own_article(session, actor, article_id)
        check_seen(session, article, order.based_on or expected_version)
        _move_article(session, actor, article, order)
    return add_version(session, article, order, actor, at=at, ticket_id=ticket_id)


def add_version(
    session: Session,
    article: Article,
    order: ArticleOrder,
    actor: Actor,
    *,
    at: datetime,
    ticket_id: int | None = None,
    note: str | None = None,
) -> ArticleVersion:
    """The next version of an article, as a draft; what was unpublished before gives way to it. References are taken as checked."""
    if article.id is None:
        session.add(article)
        session.flush()
    if article.current_version > (article.published_version or 0):
        _retire_unpublished(session, article, at)
    article.current_version += 1
    if article.current_version > 1:
        _carry_files(session, article, order.keep_files)
    version = ArticleVersion(
        article_id=article.id,
        version=article.current_version,
        state=VersionState.DRAFT,
        guide=order.guide.as_data() if order.guide else {},
        content_sha256=content_digest(order, article.kind),
        ticket_id=ticket_id,
        written_by=actor.name,
        written_at=at,
        **{name: getattr(order, name) for name in _KEPT},
    )
    session.add_all((article, version))
    record_step(session, version, KnowledgeStep.WRITE, actor, at, note or order.change_note)
    return version


_KEPT = (
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
)


def content_of(article: Article, version: ArticleVersion) -> ArticleOrder:
    """A version's content as the order that would write it again (without unit, source and relation)."""
    return ArticleOrder(
        kind=article.kind,
        guide=Guide.of(version.guide),
        **{name: getattr(version, name) for name in _KEPT},
    )


def content_digest(order: ArticleOrder, kind: ArticleKind) -> str:
    """SHA-256 over what the article says and where and when it holds: the same for the same content, whoever wrote it."""
    said = order.model_dump(
        mode="json",
        exclude={
            "kind",
            "unit",
            "review_on",
            "change_note",
            "corrects",
            "source",
            "relation",
            "based_on",
            "keep_files",
        },
    )
    said |= {"kind": kind.value, "guide": order.guide.as_data() if order.guide else {}}
    return text_digest(json.dumps(said, ensure_ascii=False, sort_keys=True))


def record_step(
    session: Session,
    version: ArticleVersion,
    step: KnowledgeStep,
    actor: Actor,
    at: datetime,
    note: str | None = None,
) -> None:
    """One row of a version's life: who did what, for which unit, when."""
    session.add(
        ArticleStep(
            article_id=version.article_id,
            version=version.version,
            step=step,
            actor=actor.key[:60],
            actor_name=actor.name[:100],
            unit_id=actor.unit_id,
            at=at,
            note=note,
        )
    )


def _retire_unpublished(session: Session, article: Article, at: datetime) -> None:
    open_ones = select(ArticleVersion).where(
        col(ArticleVersion.article_id) == article.id, col(ArticleVersion.state).in_(UNPUBLISHED)
    )
    for older in session.execute(open_ones).scalars():
        older.state, older.ended_at = VersionState.SUPERSEDED, at
        session.add(older)


def _carry_files(session: Session, article: Article, kept: list[int] | None) -> None:
    """The files of the version before belong to the new one too, all of them or those named. Raises `OrderInvalid`."""
    before = session.execute(
        select(ArticleFile)
        .where(
            col(ArticleFile.article_id) == article.id, col(ArticleFile.version) == article.current_version - 1
        )
        .order_by(col(ArticleFile.id))
    ).scalars()
    files = {file.id: file for file in before}
    strange = set(kept or ()) - set(files)
    if strange:
        raise OrderInvalid(f"上一版没有编号为 {min(strange)} 的附件。", field="keep_files")
    for file in files.values() if kept is None else (files[each] for each in kept):
        content = file.model_dump(exclude={"id", "version"})
        session.add(ArticleFile(version=article.current_version, **content))


def _new_article(session: Session, actor: Actor, order: ArticleOrder) -> Article:
    platform_id = actor.home_id if actor.is_unit else actor.platform_id
    if platform_id is None:
        raise AccessRefused("请以承办单位或热线平台的身份编写知识。", article="22")
    article = Article(
        platform_id=platform_id,
        unit_id=_unit_of(session, actor, order, platform_id),
        kind=order.kind or (ArticleKind.GUIDE if order.guide else ArticleKind.QA),
        category_code=order.categories[0] if order.categories else None,
        area_code=order.areas[0] if order.areas else None,
    )
    if order.source is not None and order.relation is not None:
        article.source_id = _source(session, actor, platform_id, order.source, order.relation)
        article.relation = order.relation
    return article


def _move_article(session: Session, actor: Actor, article: Article, order: ArticleOrder) -> None:
    """What a revision may change of the article itself: the unit answerable. Its kind and its source stay."""
    if order.kind is not None and order.kind is not article.kind:
        raise OrderInvalid(f"该条目的类型为“{article.kind.label}”，不能更改；请另行新增。", field="kind")
    if order.source is not None and (order.source, order.relation) != (article.source_id, article.relation):
        raise OrderInvalid("补充或替代关系在新增时确定，不能更改。", field="source")
    if order.unit is not None:
        article.unit_id = _unit_of(session, actor, order, article.platform_id)


def _unit_of(session: Session, actor: Actor, order: ArticleOrder, platform_id: int) -> int | None:
    if order.unit is None:
        return actor.unit_id
    unit = session.execute(select(OrgUnit).where(col(OrgUnit.code) == order.unit)).scalar_one_or_none()
    if unit is None or not unit.active or unit.platform_id != platform_id:
        raise OrderInvalid(f"本平台没有代码为 {order.unit} 的承办单位。", field="unit")
    if actor.is_unit and unit.id != actor.unit_id:
        raise OrderInvalid("承办单位只能编写本单位负责的知识。", article="22", field="unit")
    return int(unit.id)


def _source(session: Session, actor: Actor, platform_id: int, source_id: int, relation: Relation) -> int:
    """The article above that is added to or overridden: published, of a platform above. One override a platform."""
    source = session.execute(
        select(Article).where(col(Article.id) == source_id, visible_articles(actor)).with_for_update()
    ).scalar_one_or_none()
    if source is None or source.published_version is None:
        raise OrderInvalid(f"没有编号为 {source_id} 的已发布知识可供补充或替代。", field="source")
    if source.platform_id == platform_id:
        raise OrderInvalid(
            "只能补充或替代上级平台的知识；本平台的知识请直接修改。", article="21", field="source"
        )
    if relation is Relation.OVERRIDES:
        already = override_of(session, platform_id, source.id)
        if already is not None:
            raise OrderInvalid(
                f"本平台已有知识 {already} 替代该条目，请修改那一条。", article="21", field="source"
            )
    return int(source.id)


def override_of(session: Session, platform_id: int, source_id: int) -> int | None:
    """The article with which a platform takes the place of one above, withdrawn ones left out."""
    found = session.execute(
        select(col(Article.id)).where(
            col(Article.source_id) == source_id,
            col(Article.platform_id) == platform_id,
            col(Article.relation) == Relation.OVERRIDES,
            col(Article.withdrawn_at).is_(None),
        )
    ).first()
    return int(found[0]) if found is not None else None


def own_article(session: Session, actor: Actor, article_id: int) -> Article:
    """An article the actor maintains, locked. Raises `NotFound`; `AccessRefused` for one that another platform maintains."""
    article = session.get(Article, article_id, with_for_update=True, populate_existing=True)
    if article is None or not maintains(actor, article):
        told = f"没有编号为 {article_id} 的知识，或不归您维护。"
        raise (NotFound if article is None else OutOfSight)(told, field="article")
    if is_synced(article):
        raise AccessRefused(
            "该知识由其来源平台维护，本平台只能查阅；可新增本地补充或本地替代。", article="21"
        )
    return article


def check_seen(session: Session, article: Article, seen: int | None) -> None:
    """Refuse an order based on an older version than the newest, telling who wrote what since. Raises `VersionConflict`."""
    if seen is None or seen == article.current_version:
        return
    newer = session.execute(
        select(ArticleVersion)
        .where(col(ArticleVersion.article_id) == article.id, col(ArticleVersion.version) > seen)
        .order_by(col(ArticleVersion.version))
        .limit(50)
    ).scalars()
    changes = [{"version": v.version, "by": v.written_by, "at": v.written_at.isoformat()} for v in newer]
    raise VersionConflict(
        f"该知识已有第 {article.current_version} 版，您依据的是第 {seen} 版；请查看差异后在新版上修改。",
        field="based_on",
        extra={"version": article.current_version, "changes": changes},
    )


def check_references(session: Session, order: ArticleOrder) -> None:
    """That each category and area exists. Raises `OrderInvalid` naming the field."""
    for field, given, table, label in (
        ("categories", order.categories, Category, "诉求分类"),
        ("areas", order.areas, Area, "行政区划"),
    ):
        code = col(table.code)
        known = set(session.execute(select(code).where(code.in_(given))).scalars()) if given else set()
        missing = [each for each in given if each not in known]
        if missing:
            raise OrderInvalid(f"{label} {missing[0]} 不存在。", field=field)


def names_of(
    session: Session, articles: Mapping[int, Article]
) -> tuple[dict[int, Platform], dict[int, OrgUnit]]:
    """The platforms and units of these articles, by their keys."""
    platform_ids = {article.platform_id for article in articles.values()}
    unit_ids = {article.unit_id for article in articles.values()} - {None}
    platforms = session.execute(select(Platform).where(col(Platform.id).in_(platform_ids))).scalars()
    units = session.execute(select(OrgUnit).where(col(OrgUnit.id).in_(unit_ids))).scalars()
    return {p.id: p for p in platforms}, {u.id: u for u in units}
