"""报送 (art. 27): a report is drafted, its figures are looked through by one person and filed by another, and then they stand for good.

A filed report is canonical JSON, chained by hash to the platform's one before, in a table the database lets nobody change. A correction is
another report that restates it, with a reason and its differences.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import func, insert, select, text
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.auditing import chain
from hotline.auditing.frozen import following
from hotline.case import Desk
from hotline.exchange import outbox
from hotline.fields import KeyPath, Line, Order, Prose, keepable, says_something
from hotline.models import OutboxEvent
from hotline.organisation import Person, Platform
from hotline.privacy.masking import mask_text
from hotline.reporting import cases, refresh, snapshots
from hotline.reporting.periods import PATTERN, parse
from hotline.reporting.snapshots import ViewWords
from hotline.reporting.tables import FiledReport, Report, ReportView
from hotline.reporting.wording import Printed
from workflow.deadlines import local_day
from workflow.errors import AccessRefused, LimitExceeded, NotFound, OrderInvalid, RuleBroken, VersionConflict
from workflow.vocabulary import ClockKind, ReportKind, ReportState, Role

ARTICLE: Final = "27"
MOST_VIEWS: Final = 100
MOST_STRUCK: Final = 20
MOST_COVERED: Final = 100
_FILING: Final = 12345_014


class IllegalStep(RuleBroken):
    """The report's state does not allow this step."""

    code = "illegal_step"


_Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=60),
    AfterValidator(keepable),
    AfterValidator(says_something),
]


class ViewOrder(Order):
    """保存统计视图."""

    name: _Name = Field(examples=["供热投诉（按区县）"])
    view: ViewWords


class DraftReportOrder(Order):
    """起草专题报告: a title, a period and a view: a saved one, or as given."""

    title: Line = Field(examples=["冬季供热诉求专题分析"])
    period: str = Field(pattern=PATTERN, examples=["2026-10"])
    saved_view: KeyPath | None = Field(default=None, description="已保存的统计视图；与 view 二选一")
    view: ViewWords | None = None


class RestateOrder(Order):
    """更正: why a filed report is restated."""

    reason: Prose = Field(examples=["3 个单位的回访结果补录，满意率有变化。"])


class CoverOrder(Order):
    """隐去他人信息: words of a typical case that tell of somebody, as they are written there."""

    number: str = Field(pattern=r"^[0-9]{15}$", description="工单编号", examples=["012604010000019"])
    words: list[Annotated[Line, StringConstraints(min_length=2, max_length=40)]] = Field(
        min_length=1, max_length=20, examples=[["李师傅"]]
    )


class StrikeOrder(Order):
    """撤换案例: which ticket is no longer told as a typical case, and why."""

    number: str = Field(pattern=r"^[0-9]{15}$", description="工单编号", examples=["012604010000019"])
    reason: Line = Field(examples=["涉及正在调查的事项，不宜刊载。"])


# --- views -----------------------------------------------------------------------------------------------------------------


def views(session: Session, actor: Actor) -> Sequence[ReportView]:
    """The saved views of the actor's platforms, by name."""
    found = select(ReportView).where(col(ReportView.platform_id).in_(sorted(actor.platform_ids)))
    return session.execute(found.order_by(col(ReportView.name), col(ReportView.id))).scalars().all()


def save_view(desk: Desk, order: ViewOrder) -> ReportView:
    """保存统计视图, for everybody of the platform. Raises `OrderInvalid`, `NotFound`, `LimitExceeded` beyond 100. The caller commits."""
    platform = _own_platform(desk)
    _check_view(desk.session, platform, order.view)
    _lock(desk.session, platform.id)
    count = select(func.count()).select_from(ReportView).where(col(ReportView.platform_id) == platform.id)
    if desk.session.execute(count).scalar_one() >= MOST_VIEWS:
        raise LimitExceeded(f"统计视图至多保存 {MOST_VIEWS} 个。", field="name")
    view = ReportView(
        platform_id=platform.id,
        name=mask_text(order.name),
        view=order.view.model_dump(mode="json", exclude_defaults=True),
        saved_by=desk.actor.name,
        saved_at=desk.at,
    )
    desk.session.add(view)
    desk.session.flush()
    return view


def _check_view(session: Session, platform: Platform, view: ViewWords) -> None:
    snapshots.wanted(view.indicators)
    snapshots.resolved(session, platform, view)


def _own_platform(desk: Desk) -> Platform:
    if desk.actor.platform_id is None:
        raise AccessRefused("报告由热线平台办理。", article=ARTICLE)
    return desk.session.get_one(Platform, desk.actor.platform_id)


def _lock(session: Session, platform_id: int) -> None:
    session.execute(text("SELECT pg_advisory_xact_lock(:key, :of)"), {"key": _FILING, "of": platform_id})


# --- drafts ----------------------------------------------------------------------------------------------------------------


def draft_special(desk: Desk, order: DraftReportOrder) -> Report:
    """起草专题报告 (art. 27: at any time). Raises `OrderInvalid`, `NotFound`. The caller commits."""
    platform = _own_platform(desk)
    period = parse(order.period)
    if (order.saved_view is None) == (order.view is None):
        raise OrderInvalid("请给出已保存的视图（saved_view）或视图内容（view）之一。", field="view")
    view = order.view
    if order.saved_view is not None:
        saved = desk.session.get(ReportView, order.saved_view)
        if saved is None or saved.platform_id not in desk.actor.platform_ids:
            raise NotFound("没有这个统计视图。", field="saved_view")
        view = ViewWords.model_validate(saved.view)
    assert view is not None
    _check_view(desk.session, platform, view)
    report = Report(
        platform_id=platform.id,
        kind=ReportKind.SPECIAL,
        title=mask_text(order.title),
        starts=period.first,
        ends=period.last,
        view=view.model_dump(mode="json"),
        state=ReportState.DRAFTED,
        drafted_by=desk.actor.name,
        drafted_at=desk.at,
        article=ARTICLE,
    )
    desk.session.add(report)
    desk.session.flush()
    return report


def restate(desk: Desk, report_id: int, order: RestateOrder) -> Report:
    """更正: another draft of a filed report's period and view, with the reason; it is reviewed and filed like the first.

    Raises `IllegalStep` for one that is not filed, or whose correction is under way or filed. The caller commits.
    """
    filed = _step(desk, report_id)
    if filed.state is not ReportState.FILED:
        raise IllegalStep("尚未报送的报告可直接重新审核，不必更正。", article=ARTICLE)
    later = select(col(Report.id)).where(col(Report.restates_id) == filed.id)
    if desk.session.execute(later).first() is not None:
        raise IllegalStep("该报告已有更正，请在最新一份上更正。", article=ARTICLE)
    report = Report(
        platform_id=filed.platform_id,
        kind=filed.kind,
        title=filed.title,
        starts=filed.starts,
        ends=filed.ends,
        view=dict(filed.view),
        state=ReportState.DRAFTED,
        restates_id=filed.id,
        reason=mask_text(order.reason),
        drafted_by=desk.actor.name,
        drafted_at=desk.at,
        article=ARTICLE,
    )
    desk.session.add(report)
    desk.session.flush()
    return report


# --- review and filing -----------------------------------------------------------------------------------------------------


def find(session: Session, actor: Actor, report_id: int, *, locked: bool = False) -> Report:
    """A report of a platform the actor sees. Raises `NotFound`."""
    report = session.get(Report, report_id, with_for_update=locked, populate_existing=locked)
    if report is None or report.platform_id not in actor.platform_ids:
        raise NotFound("没有这份报告，或不在您的权限范围内。", field="report")
    return report


def _step(desk: Desk, report_id: int) -> Report:
    report = find(desk.session, desk.actor, report_id, locked=True)
    if desk.actor.kind != "person" or Role.SUPERVISOR not in desk.actor.roles:
        raise AccessRefused("报告由督办主管本人办理。", article=ARTICLE)
    if report.platform_id != desk.actor.platform_id:
        raise AccessRefused("报告由其所属热线平台的督办主管办理。", article=ARTICLE)
    if desk.expected_version is not None and desk.expected_version != report.version:
        raise VersionConflict(
            "该报告已被他人更新，请查看变化后重试。",
            extra={"version": report.version, "state": report.state.value},
        )
    return report


def review(desk: Desk, report_id: int) -> Report:
    """审核: the figures as of now are what may be filed. Again until it is filed: the newest counts. The caller commits.

    Raises `IllegalStep`, `AccessRefused`, `VersionConflict`, `StillCounting`; `OrderInvalid` before the period is over.
    """
    report = _step(desk, report_id)
    if report.state is ReportState.FILED:
        raise IllegalStep("该报告已报送，不能改动；如数据有变，请提出更正。", article=ARTICLE)
    if local_day(desk.at) <= report.ends:
        raise OrderInvalid(f"统计期到 {report.ends} 才结束，届时再审核。", article=ARTICLE, field="period")
    refresh.settle(desk.session, desk.office, desk.at)
    before = report.content or {}
    report.content = cases.without_words(
        snapshots.content(desk.session, desk.office, report, desk.at, before.get("cases_struck", [])),
        before.get("cases_covered", []),
    )
    report.state = ReportState.REVIEWED
    report.reviewed_by, report.reviewed_key, report.reviewed_at = desk.actor.name, desk.actor.key, desk.at
    report.version += 1
    desk.session.add(report)
    desk.session.flush()
    return report


def strike(desk: Desk, report_id: int, order: StrikeOrder) -> Report:
    """撤换案例: leave a typical case out of a reviewed report; the next by the rule takes its place. Who does it has reviewed it anew.

    Raises `IllegalStep`, `AccessRefused`, `VersionConflict`; `OrderInvalid` for a case that is not in it. The caller commits.
    """
    report = _step(desk, report_id)
    if report.state is not ReportState.REVIEWED or report.content is None:
        raise IllegalStep("案例在审核之后、报送之前撤换；请先审核。", article=ARTICLE)
    content = report.content
    if order.number not in {each["number"] for each in content.get("cases", [])}:
        raise OrderInvalid("报告中没有这个案例。", article=ARTICLE, field="number")
    left_out = {"number": order.number, "reason": mask_text(order.reason), "by": desk.actor.name}
    struck = [*content["cases_struck"], left_out]
    if len(struck) > MOST_STRUCK:
        raise LimitExceeded(f"一份报告至多撤换 {MOST_STRUCK} 个案例。", article=ARTICLE, field="number")
    others = snapshots.other_cases(desk.session, desk.office, report, {one["number"] for one in struck})
    changed = content | {"cases": others, "cases_struck": struck}
    return _changed(desk, report, cases.without_words(changed, content.get("cases_covered", [])))


def cover(desk: Desk, report_id: int, order: CoverOrder) -> Report:
    """隐去他人信息: words of a case a reviewer found to tell of somebody, wherever they stand in it; for good, also when it is reviewed anew.

    Who does it has reviewed it anew. What is filed says how many, and not which. Raises `IllegalStep`, `AccessRefused`, `VersionConflict`;
    `OrderInvalid` for a case or words that are not in it; `LimitExceeded`. The caller commits.
    """
    report = _step(desk, report_id)
    if report.state is not ReportState.REVIEWED or report.content is None:
        raise IllegalStep("案例的文字在审核之后、报送之前隐去；请先审核。", article=ARTICLE)
    content = report.content
    case = next((each for each in content.get("cases", []) if each["number"] == order.number), None)
    if case is None:
        raise OrderInvalid("报告中没有这个案例。", article=ARTICLE, field="number")
    if not all(any(word in case[part] for part in cases.TEXTS) for word in order.words):
        raise OrderInvalid("案例中没有这些文字。", article=ARTICLE, field="words")
    covered = [
        *content.get("cases_covered", []),
        *({"number": order.number, "words": word, "by": desk.actor.name} for word in order.words),
    ]
    if len(covered) > MOST_COVERED:
        raise LimitExceeded(f"一份报告至多隐去 {MOST_COVERED} 处。", article=ARTICLE, field="words")
    return _changed(desk, report, cases.without_words(content, covered))


def _changed(desk: Desk, report: Report, content: dict[str, Any]) -> Report:
    """The report with this content, which whoever changed it has thereby reviewed."""
    report.content = content
    report.reviewed_by, report.reviewed_key, report.reviewed_at = desk.actor.name, desk.actor.key, desk.at
    report.version += 1
    desk.session.add(report)
    desk.session.flush()
    return report


def file(desk: Desk, report_id: int) -> Report:
    """报送: what was reviewed is frozen, hashed and chained; the report's clock is met. Not by whoever reviewed it, unless the platform
    has but one supervisor, which the report then says. The caller commits.

    Raises `IllegalStep`, `AccessRefused`, `VersionConflict`.
    """
    report = _step(desk, report_id)
    if report.state is not ReportState.REVIEWED or report.content is None:
        what = "已报送" if report.state is ReportState.FILED else "尚未审核"
        raise IllegalStep(f"该报告{what}。", article=ARTICLE)
    alone = report.reviewed_key == desk.actor.key
    if alone and _supervisors(desk.session, report.platform_id) > 1:
        raise AccessRefused("审核和报送须由两名督办主管分别办理。", article=ARTICLE)
    _lock(desk.session, report.platform_id)
    report.state, report.filed_by, report.filed_at = ReportState.FILED, desk.actor.name, desk.at
    report.next_rung_at = None
    report.content = cases.without_what_was_covered(report.content)
    if report.due_at is not None and desk.at >= report.due_at:
        report.lapsed_at = report.due_at
    report.version += 1
    desk.session.add(report)
    desk.session.add(_frozen(desk, report, alone=alone))
    tell(desk.session, outbox.REPORT_FILED, report, desk.at)
    desk.session.flush()
    return report


def _supervisors(session: Session, platform_id: int) -> int:
    people = select(func.count()).select_from(Person).where(col(Person.platform_id) == platform_id)
    active = people.where(col(Person.active), col(Person.roles).contains([Role.SUPERVISOR.value]))
    return int(session.execute(active).scalar_one())


def _frozen(desk: Desk, report: Report, *, alone: bool) -> FiledReport:
    number, previous = following(desk.session, FiledReport, report.platform_id)
    content = dict(report.content or {}) | _signed(report)
    content |= {"number": number, "reviewed_and_filed_by_one": alone}
    written = chain.canonical(content).decode()
    return FiledReport(
        report_id=report.id,
        platform_id=report.platform_id,
        number=number,
        content=written,
        filed_at=desk.at,
        prev_hash=previous,
        hash=chain.link(previous, content, desk.office.policy.algorithm),
    )


def _signed(report: Report) -> dict[str, Any]:
    """Who made a report, for when, and what it corrects."""
    return {
        "report": report.id,
        "restates": report.restates_id,
        "reason": report.reason,
        "due_on": report.due_on.isoformat() if report.due_on else None,
        "drafted": _by(report.drafted_by, report.drafted_at),
        "reviewed": _by(report.reviewed_by, report.reviewed_at),
        "filed": _by(report.filed_by, report.filed_at),
    }


def _by(who: str | None, at: datetime | None) -> dict[str, Any] | None:
    return {"by": who, "at": at.astimezone(UTC).isoformat()} if at is not None else None


def clock_kind(kind: ReportKind) -> ClockKind:
    """Which period of the law a regular report runs under."""
    return ClockKind.ANNUAL_REPORT if kind is ReportKind.ANNUAL else ClockKind.PERIOD_REPORT


def tell(session: Session, kind: str, report: Report, at: datetime) -> None:
    """Queue an event about a report, for its platform."""
    data: dict[str, Any] = {
        "report": report.id,
        "period": f"{report.starts.isoformat()}..{report.ends.isoformat()}",
    }
    if report.due_at is not None and report.due_on is not None:
        clock = {
            "kind": clock_kind(report.kind).value,
            "unit": None,
            "due_on": report.due_on.isoformat(),
            "due_at": report.due_at.isoformat(),
            "lapsed": report.lapsed_at is not None,
        }
        data |= {"clock": clock, "due_on": clock["due_on"], "due_at": clock["due_at"]}
    row = outbox.row(
        kind,
        ticket_id=None,
        seq=None,
        platform_id=report.platform_id,
        unit_id=None,
        data=data,
        at=at,
    )
    session.execute(insert(OutboxEvent.__table__), [row])  # type: ignore[attr-defined]


# --- reading ---------------------------------------------------------------------------------------------------------------


def filed_of(session: Session, report_id: int) -> FiledReport | None:
    """What was filed of a report."""
    return session.get(FiledReport, report_id)


def content_of(desk: Desk, report: Report) -> dict[str, Any]:
    """A report's content: as filed, as reviewed, or of a draft as the figures stand now. Raises `StillCounting`."""
    filed = filed_of(desk.session, report.id)
    if filed is not None:
        told: dict[str, Any] = json.loads(filed.content)
        return told
    if report.content is not None:
        return report.content
    refresh.check_current(desk.session)
    return snapshots.content(desk.session, desk.office, report, desk.at)


def printable(desk: Desk, report: Report) -> Printed:
    """What is printed of a report: as filed with its hash, as reviewed, or of a draft as the figures stand now. Raises `StillCounting`."""
    filed = filed_of(desk.session, report.id)
    content = content_of(desk, report)
    if filed is not None:
        return Printed(content, report.state, filed.hash.hex())
    return Printed(content | _signed(report), report.state, None)


def diff(desk: Desk, report: Report) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """What a report changes: a restatement against what it restates; any other filed one against the figures of now. Before, after, and each
    figure that differs. Raises `IllegalStep` for a first draft."""
    if report.restates_id is not None:
        restated = filed_of(desk.session, report.restates_id)
        assert restated is not None
        before, after = json.loads(restated.content), content_of(desk, report)
    elif report.state is ReportState.FILED:
        refresh.check_current(desk.session)
        before = content_of(desk, report)
        after = snapshots.content(desk.session, desk.office, report, desk.at)
    else:
        raise IllegalStep("尚未报送的报告没有可比较的前一份。", article=ARTICLE)
    return before, after, snapshots.differences(before, after)


def verify(session: Session) -> list[str]:
    """What is wrong with the chains of filed reports, in Chinese; nothing where all hold."""
    wrong: list[str] = []
    previous: dict[int, tuple[int, bytes]] = {}
    rows = select(FiledReport).order_by(col(FiledReport.platform_id), col(FiledReport.number))
    for row in session.execute(rows).scalars():
        number, head = previous.get(row.platform_id, (0, b""))
        name = f"平台 {row.platform_id} 第 {row.number} 份报告"
        if row.number != number + 1 or row.prev_hash != head:
            wrong.append(f"{name}与前一份不相连")
        algorithm = chain.algorithm_of(row.hash)
        content = _loaded(row.content)
        if content is None or chain.link(row.prev_hash, content, algorithm) != row.hash:
            wrong.append(f"{name}内容与哈希不符")
        previous[row.platform_id] = (row.number, row.hash)
    missing = select(col(Report.id)).where(
        col(Report.state) == ReportState.FILED, col(Report.id).not_in(select(col(FiledReport.report_id)))
    )
    wrong += [f"报告 {key} 已报送而没有报送件" for key in session.execute(missing).scalars()]
    return wrong


def _loaded(content: str) -> dict[str, Any] | None:
    try:
        loaded = json.loads(content)
    except ValueError:
        return None
    return loaded if isinstance(loaded, dict) and chain.canonical(loaded).decode() == content else None
