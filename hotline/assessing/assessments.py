"""考核 from draft to final (art. 30-34): computed, published for appeals, settled, frozen with a hash like a filed report."""

import json
from datetime import UTC
from decimal import Decimal
from typing import Any, Final

from pydantic import Field
from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.assessing.computing import Result, computed, settled
from hotline.assessing.systems import System, check_over, in_force, own_platform
from hotline.assessing.tables import Assessment, AssessmentAppeal, FinalAssessment
from hotline.auditing import chain
from hotline.auditing.frozen import following
from hotline.calendars import newest_version
from hotline.case import Desk
from hotline.fields import Line, Order, Prose
from hotline.organisation import OrgUnit, Platform
from hotline.privacy.masking import mask_text
from hotline.reporting import refresh
from hotline.reporting.filing import IllegalStep
from hotline.reporting.periods import PATTERN, Period, parse
from workflow.deadlines import local_day
from workflow.errors import AccessRefused, NotFound, OrderInvalid, VersionConflict
from workflow.vocabulary import AssessmentState, Role

ARTICLE: Final = "30"
_FINALISING: Final = 12345_013


class DraftAssessmentOrder(Order):
    """考核 of a period that is over."""

    title: Line = Field(examples=["2026年第三季度12345热线考核"])
    period: str = Field(pattern=PATTERN, examples=["2026-Q3"])


class AppealOrder(Order):
    """异议: against which item, and why."""

    item: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", examples=["timely"], title="考核项")
    reason: Prose = Field(title="理由")


class AppealDecisionOrder(Order):
    """异议处理. Upheld without `points`, the unit is computed anew, which an exclusion approved meanwhile changes."""

    upheld: bool = Field(title="是否采纳")
    reason: Prose = Field(title="理由")
    points: Decimal | None = Field(
        default=None, ge=0, le=100, max_digits=5, decimal_places=2, title="改为几分"
    )


# --- steps -------------------------------------------------------------------------------------------------------------------


def draft(desk: Desk, order: DraftAssessmentOrder) -> Assessment:
    """起草: compute the actor's platform and those below it. The caller commits. Raises `OrderInvalid`, `StillCounting`, `AccessRefused`."""
    platform = own_platform(desk)
    period = parse(order.period)
    check_over(local_day(desk.at), period.last)
    refresh.settle(desk.session, desk.office, desk.at)
    version, system = in_force(desk.session, platform.id)
    row = Assessment(
        platform_id=platform.id,
        system_version=version,
        title=mask_text(order.title),
        starts=period.first,
        ends=period.last,
        state=AssessmentState.DRAFTED,
        content=computed(desk.session, platform, period, version, system, desk.at),
        drafted_by=desk.actor.name,
        drafted_at=desk.at,
        computed_at=desk.at,
    )
    desk.session.add(row)
    desk.session.flush()
    return row


def compute(desk: Desk, assessment_id: int) -> Assessment:
    """重新计算 a draft, by the system now in force. Raises `IllegalStep` once it is published."""
    row = _step(
        desk, assessment_id, AssessmentState.DRAFTED, "已公布的考核不再重新计算；有异议的按异议处理。"
    )
    refresh.settle(desk.session, desk.office, desk.at)
    version, system = in_force(desk.session, row.platform_id)
    platform = desk.session.get_one(Platform, row.platform_id)
    row.content = computed(desk.session, platform, _period(row), version, system, desk.at)
    row.system_version, row.computed_at = version, desk.at
    return _moved(desk, row)


def publish(desk: Desk, assessment_id: int) -> Assessment:
    """公布: units see their points and may appeal for the working days the system gives. Raises `IllegalStep`."""
    row = _step(desk, assessment_id, AssessmentState.DRAFTED, "该考核已公布。")
    desk.office.calendars.at(desk.session, newest_version(desk.session))
    days = int(row.content["system"]["appeal_days"])
    row.state = AssessmentState.PUBLISHED
    row.published_by, row.published_at = desk.actor.name, desk.at
    row.appeals_until = desk.office.calendars.of(row.platform_id).add(local_day(desk.at), days)
    return _moved(desk, row)


def finalise(desk: Desk, assessment_id: int) -> Assessment:
    """定稿: after the days of appeal, with none undecided: frozen, hashed, chained. Raises `IllegalStep`. The caller commits."""
    row = _step(desk, assessment_id, AssessmentState.PUBLISHED, "只有公示中的考核可以定稿。")
    assert row.appeals_until is not None
    if local_day(desk.at) <= row.appeals_until:
        raise IllegalStep(f"异议期到 {row.appeals_until} 为止，其后方可定稿。", article=ARTICLE)
    if any(appeal.upheld is None for appeal in appeals_of(desk.session, row.id)):
        raise IllegalStep("还有未处理的异议。", article=ARTICLE)
    row.state = AssessmentState.FINAL
    row.finalised_by, row.finalised_at = desk.actor.name, desk.at
    desk.session.add(_frozen(desk, row))
    return _moved(desk, row)


def _frozen(desk: Desk, row: Assessment) -> FinalAssessment:
    lock = "SELECT pg_advisory_xact_lock(:key, :of)"
    desk.session.execute(text(lock), {"key": _FINALISING, "of": row.platform_id})
    number, previous = following(desk.session, FinalAssessment, row.platform_id)
    content = {
        "assessment": row.id,
        "number": number,
        "title": row.title,
        "result": row.content,
        "appeals": [_of_appeal(appeal) for appeal in appeals_of(desk.session, row.id)],
        "drafted": {"by": row.drafted_by, "at": row.drafted_at.astimezone(UTC).isoformat()},
        "published": {
            "by": row.published_by,
            "at": row.published_at.astimezone(UTC).isoformat() if row.published_at else None,
        },
        "finalised": {"by": row.finalised_by, "at": desk.at.astimezone(UTC).isoformat()},
    }
    return FinalAssessment(
        assessment_id=row.id,
        platform_id=row.platform_id,
        number=number,
        content=chain.canonical(content).decode(),
        finalised_at=desk.at,
        prev_hash=previous,
        hash=chain.link(previous, content, desk.office.policy.algorithm),
    )


def _of_appeal(appeal: AssessmentAppeal) -> dict[str, Any]:
    return {
        "id": appeal.id,
        "unit": appeal.unit_id,
        "item": appeal.item,
        "reason": appeal.reason,
        "upheld": appeal.upheld,
        "decision": appeal.decision,
        "changed": appeal.changed,
    }


def _step(desk: Desk, assessment_id: int, state: AssessmentState, otherwise: str) -> Assessment:
    row = desk.session.get(Assessment, assessment_id, with_for_update=True, populate_existing=True)
    if row is None or row.platform_id not in desk.actor.platform_ids or desk.actor.is_unit:
        raise NotFound("没有这份考核，或不在您的权限范围内。", field="assessment")
    if (
        desk.actor.kind != "person"
        or Role.SUPERVISOR not in desk.actor.roles
        or row.platform_id != desk.actor.platform_id
    ):
        raise AccessRefused("考核由组织考核的热线平台的督办主管本人办理。", article=ARTICLE)
    if desk.expected_version is not None and desk.expected_version != row.version:
        raise VersionConflict(
            "该考核已被他人更新，请查看变化后重试。",
            extra={"version": row.version, "state": row.state.value},
        )
    if row.state is not state:
        raise IllegalStep(otherwise, article=ARTICLE)
    return row


def _moved(desk: Desk, row: Assessment) -> Assessment:
    row.version += 1
    desk.session.add(row)
    desk.session.flush()
    return row


def _period(row: Assessment) -> Period:
    return Period(row.starts, row.ends, f"{row.starts.isoformat()}..{row.ends.isoformat()}")


# --- appeals -----------------------------------------------------------------------------------------------------------------


def appeal(desk: Desk, assessment_id: int, order: AppealOrder) -> AssessmentAppeal:
    """提出异议, by a unit against one of its items, within the days given. Raises `NotFound`, `IllegalStep`, `OrderInvalid`, `AccessRefused`."""
    row = found(desk.session, desk.actor, assessment_id)
    if desk.actor.unit_id is None:
        raise AccessRefused("异议由被考核的承办单位提出。", article=ARTICLE)
    unit = desk.session.get_one(OrgUnit, desk.actor.unit_id)
    if row.state is not AssessmentState.PUBLISHED or row.appeals_until is None:
        raise IllegalStep("该考核不在公示期。", article=ARTICLE)
    if local_day(desk.at) > row.appeals_until:
        raise IllegalStep(f"异议期到 {row.appeals_until} 为止，现已截止。", article=ARTICLE)
    subject = subject_of(row.content, unit.code)
    if subject is None or order.item not in {item["key"] for item in subject["items"]}:
        raise OrderInvalid("没有这个考核项。", article=ARTICLE, field="item")
    desk.session.execute(select(col(Assessment.id)).where(col(Assessment.id) == row.id).with_for_update())
    before = [
        each
        for each in appeals_of(desk.session, row.id)
        if (each.unit_id, each.item) == (unit.id, order.item)
    ]
    if before:
        raise IllegalStep("对该考核项已提出过异议。", article=ARTICLE)
    made = AssessmentAppeal(
        assessment_id=row.id,
        unit_id=unit.id,
        item=order.item,
        reason=mask_text(order.reason),
        filed_by=desk.actor.name,
        filed_at=desk.at,
    )
    desk.session.add(made)
    desk.session.flush()
    return made


def decide(desk: Desk, appeal_id: int, order: AppealDecisionOrder) -> AssessmentAppeal:
    """处理异议: what changes is computed anew, ranks and lists with it, and recorded. Raises as a step of the assessment does."""
    made = desk.session.get(AssessmentAppeal, appeal_id)
    if made is None:
        raise NotFound("没有这份异议，或不在您的权限范围内。", field="appeal")
    row = _step(desk, made.assessment_id, AssessmentState.PUBLISHED, "只有公示中的考核可以处理异议。")
    desk.session.refresh(made)
    if made.upheld is not None:
        raise IllegalStep("该异议已处理。", article=ARTICLE)
    made.upheld, made.decision = order.upheld, mask_text(order.reason)
    made.decided_by, made.decided_at = desk.actor.name, desk.at
    if order.upheld:
        code = desk.session.get_one(OrgUnit, made.unit_id).code
        before = subject_of(row.content, code)
        row.content = _corrected(desk, row, made, code, order.points)
        made.points = str(order.points) if order.points is not None else None
        made.changed = {
            "before": _told(before, made.item),
            "after": _told(subject_of(row.content, code), made.item),
        }
    elif order.points is not None:
        raise OrderInvalid("不采纳的异议不改分。", article=ARTICLE, field="points")
    desk.session.add(made)
    _moved(desk, row)
    return made


def _corrected(
    desk: Desk, row: Assessment, made: AssessmentAppeal, code: str, points: Decimal | None
) -> Result:
    """The result with this unit's line changed: to `points`, or with all its figures computed anew, what was set before standing."""
    subjects = [dict(each) for each in row.content["subjects"]]
    subject = next(each for each in subjects if (each["kind"], each["code"]) == ("unit", code))
    if points is None:
        refresh.settle(desk.session, desk.office, desk.at)
        anew = computed(
            desk.session,
            desk.session.get_one(Platform, row.platform_id),
            _period(row),
            row.system_version,
            _system_of(row),
            desk.at,
        )
        fresh = subject_of(anew, code)
        kept = {item["key"]: item for item in subject["items"] if "appeal" in item}
        if fresh is not None:
            subject |= fresh | {"items": [kept.get(item["key"], item) for item in fresh["items"]]}
    else:
        items = []
        for item in subject["items"]:
            if item["key"] == made.item:
                if points > Decimal(item["weight"]):
                    raise OrderInvalid(f"该项满分 {item['weight']} 分。", article=ARTICLE, field="points")
                given = str(points.quantize(Decimal("0.01")))
                why = f"异议采纳，由 {item['points'] or '不计'} 分改为 {given} 分"
                items.append(item | {"points": given, "appeal": made.id, "why": why})
            else:
                items.append(item)
        subject["items"] = items
    subjects = [subject if (each["kind"], each["code"]) == ("unit", code) else each for each in subjects]
    return settled(row.content | {"subjects": subjects})


def _system_of(row: Assessment) -> System:
    return System.model_validate(row.content["system"])


def _told(subject: dict[str, Any] | None, item: str) -> dict[str, Any] | None:
    if subject is None:
        return None
    points = next((each["points"] for each in subject["items"] if each["key"] == item), None)
    return {"points": points, "total": subject["total"], "rank": subject["rank"]}


# --- reading -----------------------------------------------------------------------------------------------------------------


def subject_of(result: Result, code: str) -> dict[str, Any] | None:
    """A unit's own part of a result."""
    found_: dict[str, Any] | None = next(
        (each for each in result["subjects"] if (each["kind"], each["code"]) == ("unit", code)), None
    )
    return found_


def found(session: Session, actor: Actor, assessment_id: int) -> Assessment:
    """One assessment: a platform's own and those below; of those it is in, a unit sees what was published. Raises `NotFound`."""
    row = session.get(Assessment, assessment_id)
    if row is None or not _sees(session, actor, row):
        raise NotFound("没有这份考核，或不在您的权限范围内。", field="assessment")
    return row


def _sees(session: Session, actor: Actor, row: Assessment) -> bool:
    if not actor.is_unit:
        return row.platform_id in actor.platform_ids
    code = session.get_one(OrgUnit, actor.unit_id).code
    return row.state is not AssessmentState.DRAFTED and subject_of(row.content, code) is not None


def listed(
    session: Session, actor: Actor, *, limit: int, before: int | None
) -> tuple[list[Assessment], int | None]:
    """The newest assessments the actor sees, and the key the next page is asked with."""
    found_ = select(Assessment)
    if actor.is_unit:
        code = session.get_one(OrgUnit, actor.unit_id).code
        found_ = found_.where(
            col(Assessment.state) != AssessmentState.DRAFTED,
            col(Assessment.content).contains({"subjects": [{"kind": "unit", "code": code}]}),
        )
    else:
        found_ = found_.where(col(Assessment.platform_id).in_(sorted(actor.platform_ids)))
    if before is not None:
        found_ = found_.where(col(Assessment.id) < before)
    rows = list(session.execute(found_.order_by(col(Assessment.id).desc()).limit(limit + 1)).scalars())
    page = rows[:limit]
    return page, page[-1].id if len(rows) > limit else None


def shown_to(session: Session, actor: Actor, row: Assessment) -> Result:
    """The result as far as the actor may read it: a unit its own lines, of the others total and rank (art. 30: they are announced)."""
    if not actor.is_unit:
        return row.content
    code = session.get_one(OrgUnit, actor.unit_id).code
    subjects = [
        each
        if (each["kind"], each["code"]) == ("unit", code)
        else {name: each[name] for name in ("kind", "code", "name", "tier", "total", "rank", "of")}
        for each in row.content["subjects"]
    ]
    return row.content | {"subjects": subjects, "accountable": []}


def appeals_of(session: Session, assessment_id: int, actor: Actor | None = None) -> list[AssessmentAppeal]:
    """The appeals against an assessment, in order; a unit's own alone."""
    rows = select(AssessmentAppeal).where(col(AssessmentAppeal.assessment_id) == assessment_id)
    if actor is not None and actor.is_unit:
        rows = rows.where(col(AssessmentAppeal.unit_id) == actor.unit_id)
    return list(session.execute(rows.order_by(col(AssessmentAppeal.id))).scalars())


def final_of(session: Session, assessment_id: int) -> FinalAssessment | None:
    """What became final."""
    return session.get(FinalAssessment, assessment_id)


def verify(session: Session) -> list[str]:
    """What is wrong with the chains of final assessments, in Chinese; nothing where all hold."""
    wrong: list[str] = []
    heads: dict[int, tuple[int, bytes]] = {}
    rows = select(FinalAssessment).order_by(col(FinalAssessment.platform_id), col(FinalAssessment.number))
    for row in session.execute(rows).scalars():
        number, head = heads.get(row.platform_id, (0, b""))
        name = f"平台 {row.platform_id} 第 {row.number} 份考核"
        if row.number != number + 1 or row.prev_hash != head:
            wrong.append(f"{name}与前一份不相连")
        if chain.link(row.prev_hash, json.loads(row.content), chain.algorithm_of(row.hash)) != row.hash:
            wrong.append(f"{name}内容与哈希不符")
        heads[row.platform_id] = (row.number, row.hash)
    return wrong
