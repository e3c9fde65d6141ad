"""办事指南 in: rows of a table become drafts, or published articles. Every row is checked before anything is written.

The same matter (its code) imported again changes only what the table says anew. Fields the table has no column for stay as they are,
and so does an answer that somebody wrote by hand.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel
from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.organisation import Platform
from knowledge_base import articles, exporting, lifecycle, tables
from knowledge_base.matters import ColumnProblem, Found, Known, known_on, order_of, read_row, unit_of
from knowledge_base.models import Article, ArticleVersion
from knowledge_base.orders import ArticleOrder, Guide
from knowledge_base.tables import HEADINGS, Row, Table
from workflow.errors import AccessRefused, OrderInvalid
from workflow.vocabulary import KnowledgeStep, Relation, VersionState

_IMPORT_LOCK: Final = 12345_231
_CHUNK: Final = 1000
Status = Literal["new", "changed", "unchanged", "skipped", "bad"]
STATUS_LABELS: Final[dict[Status, str]] = {
    "new": "新增",
    "changed": "更新",
    "unchanged": "未变",
    "skipped": "跳过",
    "bad": "有误",
}


class RowReport(BaseModel):
    """One row: what became, or would become, of it."""

    line: int
    code: str | None
    question: str | None
    status: Status
    name: str | None = None
    fields: list[str] = []
    problems: list[ColumnProblem] = []
    notes: list[str] = []


class Report(BaseModel):
    """What an import did, or would do (`imported` false). `notes` are counted over all rows."""

    imported: bool
    total: int
    new: int
    changed: int
    unchanged: int
    skipped: int
    bad: int
    published: int
    unknown_columns: list[str]
    notes: dict[str, int]
    rows: list[RowReport]


@dataclass(slots=True)
class _Plan:
    """One row's report, and what is to be written for it."""

    report: RowReport
    order: ArticleOrder | None = None
    unit_id: int | None = None
    source_id: int | None = None
    relation: Relation | None = None
    article: Article | None = None
    version: ArticleVersion | None = None
    words_stand: bool = False
    """Nothing is to be written anew, only published."""


def read_rows(content: bytes) -> Table:
    """The rows of a CSV, Excel or JSON Lines file. Raises `OrderInvalid`, `LimitExceeded` (field `file`)."""
    return tables.read(content)


def import_rows(
    session: Session,
    actor: Actor,
    table: Table,
    *,
    at: datetime,
    preview: bool = True,
    skip_bad: bool = False,
    publisher: Actor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check every row, then write all of them, or with `skip_bad` the good ones; with a bad row otherwise none.

    They become drafts of the actor's platform; with `publisher`, an editor or supervisor, they are published by them. Raises
    `AccessRefused`. The caller commits.
    """
    platform_id = actor.home_id if actor.is_unit else actor.platform_id
    if platform_id is None or not actor.roles & articles.WRITERS:
        raise AccessRefused("请以承办单位或热线平台知识库管理员的身份导入。", article="22")
    if not preview:
        session.execute(
            text("SELECT pg_advisory_xact_lock(:key, :platform)"),
            {"key": _IMPORT_LOCK, "platform": platform_id % 2**31},
        )
        if publisher is not None:
            lifecycle.lock_feed(session)
    known = known_on(session, session.get_one(Platform, platform_id))
    plans = _plans(session, actor, table, known, publisher, lock=not preview)
    bad = sum(plan.report.status == "bad" for plan in plans)
    imported = not preview and (skip_bad or bad == 0)
    published = _write(session, actor, plans, publisher, at, progress) if imported else 0
    counts = Counter(plan.report.status for plan in plans)
    return Report(
        imported=imported,
        total=len(plans),
        published=published,
        unknown_columns=table.unknown,
        notes=dict(Counter(note for plan in plans for note in plan.report.notes).most_common(200)),
        rows=[plan.report for plan in plans],
        **{status: counts[status] for status in STATUS_LABELS},
    )


# --- planning ----------------------------------------------------------------------------------------------------------


def _plans(
    session: Session, actor: Actor, table: Table, known: Known, publisher: Actor | None, *, lock: bool
) -> list[_Plan]:
    standing = _standing(session, table, known.platform, lock=lock)
    lines: dict[str, int] = {}
    overridden: dict[int, int] = {}
    plans: list[_Plan] = []
    for row in table.rows:
        found = read_row(row, known)
        code = str(found.values.get("code") or "") or None
        if code is not None and code in lines:
            found.bad("code", f"与第 {lines[code]} 行重复")
        elif code is not None:
            lines[code] = row.line
        plans.append(_plan(session, actor, row, found, code, standing, known, publisher))
        _check_override(plans[-1], overridden)
    return plans


def _check_override(plan: _Plan, overridden: dict[int, int]) -> None:
    """Two rows of one table must not take the place of the same article."""
    if plan.article is not None or plan.source_id is None or plan.relation is not Relation.OVERRIDES:
        return
    line = overridden.setdefault(plan.source_id, plan.report.line)
    if line != plan.report.line:
        problem = ColumnProblem(column=HEADINGS["source"], reason=f"与第 {line} 行替代同一条上级知识")
        plan.report.status, plan.report.problems = "bad", [*plan.report.problems, problem]


def _standing(
    session: Session, table: Table, platform: Platform, *, lock: bool
) -> dict[str, tuple[Article, ArticleVersion]]:
    """The articles the table speaks of that are here already, with their newest version, by the matter's code."""
    codes = list({str(row.cells.get("code") or "").strip() for row in table.rows} - {""})
    found: dict[str, tuple[Article, ArticleVersion]] = {}
    native = {exporting.number_in(code): code for code in codes if exporting.number_in(code)}
    for start in range(0, len(codes), _CHUNK):
        part = codes[start : start + _CHUNK]
        numbers = [number for number, code in native.items() if code in part]
        statement = (
            select(Article, ArticleVersion)
            .join(
                ArticleVersion,
                (col(ArticleVersion.article_id) == col(Article.id))
                & (col(ArticleVersion.version) == col(Article.current_version)),
            )
            .where(
                col(Article.platform_id) == platform.id,
                col(Article.origin).in_(part)
                | (col(Article.origin).is_(None) & col(Article.id).in_(numbers)),
            )
            .order_by(col(Article.id))
        )
        if lock:
            statement = statement.with_for_update(of=Article)
        rows = session.execute(statement).all()
        begun = exporting.beginnings(session, [article for article, _ in rows])
        for article, version in rows:
            code = exporting.code_of(article, platform.code, begun)
            if code in part:
                found[code] = (article, version)
    return found


def _plan(
    session: Session,
    actor: Actor,
    row: Row,
    found: Found,
    code: str | None,
    standing: Mapping[str, tuple[Article, ArticleVersion]],
    known: Known,
    publisher: Actor | None,
) -> _Plan:
    question = str(row.cells.get("question") or "")[:100] or None
    report = RowReport(line=row.line, code=code, question=question, status="bad", notes=found.notes)
    plan = _Plan(report)
    platform = str(row.cells.get("platform") or "").strip()
    if platform and platform != known.platform.code:
        report.status = "skipped"
        report.notes = [f"由平台 {platform} 维护，不导入本平台"]
        return plan
    plan.article, plan.version = standing.get(code or "", (None, None))
    plan.unit_id = unit_of(actor, found, plan.article)
    plan.source_id = _source_of(session, actor, found, plan.article, known.platform)
    plan.relation = found.values.get("relation") if plan.source_id is not None else None
    plan.order = order_of(found, plan.article, plan.version) if not found.problems else None
    report.problems = found.problems
    if plan.order is None or found.problems:
        return plan
    _compare(plan, publisher)
    return plan


def _compare(plan: _Plan, publisher: Actor | None) -> None:
    """Whether the row brings something new, and what."""
    order, article, version, report = plan.order, plan.article, plan.version, plan.report
    assert order is not None
    if article is None or version is None:
        report.status = "new"
        return
    before = articles.content_of(article, version)
    report.name = articles.reference(version)
    same = articles.content_digest(order, article.kind) == articles.content_digest(before, article.kind)
    if same and plan.unit_id in (None, article.unit_id):
        awaited = publisher is not None and version.state is not VersionState.PUBLISHED
        report.status = "changed" if awaited else "unchanged"
        plan.words_stand = awaited
        return
    report.status = "changed"
    report.fields = [HEADINGS[name] for name in HEADINGS if _field_of(order, name) != _field_of(before, name)]
    if plan.unit_id not in (None, article.unit_id):
        report.fields.append(HEADINGS["unit"])


def _field_of(order: ArticleOrder, name: str) -> Any:
    if name in Guide.model_fields:
        return getattr(order.guide, name) if order.guide else None
    return getattr(order, name, None) if name in _COMPARED else None


_COMPARED: Final = frozenset(HEADINGS) & frozenset(ArticleOrder.model_fields) - {"unit", "source", "relation"}


def _source_of(
    session: Session, actor: Actor, found: Found, article: Article | None, platform: Platform
) -> int | None:
    code, relation = found.values.get("source"), found.values.get("relation")
    if (code is None) != (relation is None):
        found.bad("relation", "与上级知识的关系和上级知识编码须同时填写")
    if code is None or relation is None:
        return None
    if article is not None:
        return article.source_id
    source = exporting.by_code(session, actor, code)
    if source is None or session.get_one(Article, source).platform_id == platform.id:
        found.bad("source", f"没有编码为 {code[:60]} 的上级知识")
        return None
    if relation is Relation.OVERRIDES and articles.override_of(session, platform.id, source) is not None:
        found.bad("source", f"本平台已有知识替代 {code[:60]}")
    return source


# --- writing -----------------------------------------------------------------------------------------------------------

_BY_PLATFORM: Final = "批量导入，由平台核验"


def _write(
    session: Session,
    actor: Actor,
    plans: list[_Plan],
    publisher: Actor | None,
    at: datetime,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Write what is new or changed; how many were published."""
    todo = [plan for plan in plans if plan.report.status in ("new", "changed")]
    for plan in todo:
        if plan.article is None:
            plan.article = _article_of(actor, plan)
    session.add_all([plan.article for plan in todo])
    session.flush()
    turned: list[tuple[Article, ArticleVersion]] = []
    for done, plan in enumerate(todo, 1):
        article, version = _write_one(session, actor, plan, at)
        if publisher is not None:
            articles.record_step(session, version, KnowledgeStep.SUBMIT, actor, at, _BY_PLATFORM)
            try:
                lifecycle.put_in_force(session, publisher, article, version, at=at, note=_BY_PLATFORM)
            except OrderInvalid as refused:
                raise OrderInvalid(f"第 {plan.report.line} 行：{refused.message}", field="file") from None
            turned.append((article, version))
        if progress is not None and (done % 50 == 0 or done == len(todo)):
            progress(done, len(todo))
    lifecycle.announce(session, turned, at)
    session.flush()
    return len(turned)


def _article_of(actor: Actor, plan: _Plan) -> Article:
    order = plan.order
    assert order is not None
    assert order.kind is not None
    platform_id = actor.home_id if actor.is_unit else actor.platform_id
    assert platform_id is not None
    return Article(
        platform_id=platform_id,
        unit_id=plan.unit_id,
        kind=order.kind,
        category_code=order.categories[0] if order.categories else None,
        area_code=order.areas[0] if order.areas else None,
        origin=plan.report.code,
        source_id=plan.source_id,
        relation=plan.relation,
    )


def _write_one(session: Session, actor: Actor, plan: _Plan, at: datetime) -> tuple[Article, ArticleVersion]:
    article, order = plan.article, plan.order
    assert article is not None
    assert order is not None
    if plan.unit_id is not None:
        article.unit_id = plan.unit_id
    if plan.version is not None and plan.words_stand:
        return article, plan.version
    version = articles.add_version(session, article, order, actor, at=at, note="批量导入")
    plan.report.name = articles.reference(version)
    return article, version
