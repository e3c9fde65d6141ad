"""Words, law and calendar over HTTP: what a console needs to hold no statute and no state machine of its own."""

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response
from pydantic import BaseModel, Field, RootModel

from api import grants
from api.problems import PROBLEMS, Problem
from api.wiring import EdgeDep, ReadDep, with_example
from calendar_cn.arrangements import parse_arrangement
from hotline import fields, notices
from hotline.case import Desk
from hotline.exchange.envelopes import CATALOGUE, kinds_for
from hotline.notifying.wording import kinds_to_choose
from hotline.organisation import OrgUnit, Platform
from knowledge_base import questions
from workflow.certificate import certify
from workflow.deadlines import local_day
from workflow.errors import AccessRefused, OrderInvalid
from workflow.lifecycle import MOVES
from workflow.statute import as_rows, load
from workflow.vocabulary import VOCABULARY, Act, ClockKind, Matter, Role

router = APIRouter(prefix="/api/v1", tags=["词汇与日历"], responses=PROBLEMS)


class Me(BaseModel):
    """Who this token is."""

    kind: str
    name: str
    roles: list[Role]
    platform: str | None
    platform_name: str | None
    unit: str | None
    unit_name: str | None
    may: list[str] = Field(description="可调用的接口（operation_id）；能否对某件工单进行，看工单的 acts")


@router.get("/me", summary="当前身份", operation_id="me", response_model=Me)
def me(edge: ReadDep) -> Me:
    """The actor behind the token."""
    actor = edge.actor
    platform = edge.session.get(Platform, actor.platform_id) if actor.platform_id else None
    unit = edge.session.get(OrgUnit, actor.unit_id) if actor.unit_id else None
    return Me(
        kind=actor.kind,
        name=actor.name,
        roles=sorted(actor.roles),
        platform=platform.code if platform else None,
        platform_name=platform.name if platform else None,
        unit=unit.code if unit else None,
        unit_name=unit.name if unit else None,
        may=grants.open_to(actor),
    )


class Labelled(BaseModel):
    """A word and its Chinese label."""

    value: str
    label: str


class Ground(BaseModel):
    """A refusal ground of art. 11, or an extension reason of art. 14(5)."""

    key: str
    label: str
    article: str
    text: str


class MoveView(BaseModel):
    """One row of the lifecycle."""

    act: Act
    sources: list[str | None]
    to: str | None
    roles: list[Role]
    article: str


class Vocabulary(BaseModel):
    """Every word of the field with its label, the grounds and reasons of the law, and the lifecycle."""

    words: dict[str, list[Labelled]]
    refusal_grounds: list[Ground]
    extension_reasons: list[Ground]
    moves: list[MoveView]


@router.get("/vocabulary", summary="词汇表", operation_id="vocabulary", response_model=Vocabulary)
def vocabulary(edge: ReadDep) -> Vocabulary:
    """The console's words: labels, grounds, reasons, moves."""
    statute = load(_pack(edge))
    return Vocabulary(
        words={
            _snake(words.__name__): [Labelled(value=w.value, label=w.label) for w in words]
            for words in VOCABULARY
        }
        | _kinds(unit=edge.actor.is_unit),
        refusal_grounds=[
            Ground(**g.model_dump(exclude={"transfer_instead"})) for g in statute.refusal_grounds.values()
        ],
        extension_reasons=[Ground(**r.model_dump()) for r in statute.extension_reasons.values()],
        moves=[
            MoveView(
                act=m.act,
                sources=[s.value if s else None for s in m.sources],
                to=m.to.value if m.to else None,
                roles=sorted(m.roles),
                article=m.article,
            )
            for m in MOVES
        ],
    )


def _kinds(*, unit: bool) -> dict[str, list[Labelled]]:
    """What somebody may be told of: a system by events, a person by e-mail or text message."""
    chosen = {"event_kind": kinds_for(unit=unit), "notice_kind": kinds_to_choose(unit=unit)}
    return {
        name: [Labelled(value=kind, label=CATALOGUE[kind].label) for kind in kinds]
        for name, kinds in chosen.items()
    }


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def _pack(edge: Any) -> str:
    platform_id = edge.actor.platform_id
    if platform_id is None and edge.actor.unit_id is not None:
        platform_id = edge.session.get_one(OrgUnit, edge.actor.unit_id).platform_id
    platform = edge.session.get(Platform, platform_id) if platform_id else None
    return platform.pack if platform else "qinghai-2022"


class StatuteView(BaseModel):
    """The rule pack in force for the actor's platform."""

    id: str
    name: str
    document: str
    version: str
    limits: list[dict[str, Any]]
    parameters: list[dict[str, Any]]


@router.get("/statute", summary="规则包", operation_id="statute", response_model=StatuteView)
def statute(edge: ReadDep) -> StatuteView:
    """Every limit with its article and text, and the parameters in force."""
    pack = load(_pack(edge))
    return StatuteView(
        id=pack.head.id,
        name=pack.head.name,
        document=pack.head.document,
        version=pack.version,
        limits=as_rows(pack),
        parameters=[p.model_dump(mode="json") for p in pack.parameters.values()],
    )


class DueView(BaseModel):
    """When a reply would be due, and why."""

    due_on: date
    due_at: datetime
    provisional: bool
    text: str


@router.get("/due", summary="推算答复期限", operation_id="due", response_model=DueView)
def due(
    edge: ReadDep,
    matter: Matter,
    dispatched: fields.Instant,
    complex: Annotated[bool, Query(description="按复杂事项")] = False,  # noqa: A002 - the order's own word
) -> DueView:
    """The reply limit of a matter dispatched at an instant, each day explained (art. 14(4))."""
    pack = load(_pack(edge))
    day = _checked_day(dispatched)
    limit = pack.limit(ClockKind.REPLY, day, matter, complex_=complex)
    calendar = edge.calendars().of(edge.actor.platform_id)
    proof = certify(limit, pack, calendar, opened_by=Act.DISPATCH.label, opened_at=dispatched)
    return DueView(
        due_on=proof.due_on, due_at=proof.due_at, provisional=proof.provisional, text=proof.as_text()
    )


def _checked_day(at: datetime) -> date:
    try:
        return local_day(at)
    except OverflowError:
        raise OrderInvalid("时间超出可推算的范围。", field="dispatched") from None


# --- calendar --------------------------------------------------------------------------------------------------------


class MovedView(BaseModel):
    """One open clock that a notice moves."""

    clock_id: int
    kind: str
    from_due_on: date
    to_due_on: date
    was_provisional: bool
    provisional: bool


class CalendarChange(BaseModel):
    """What loading a notice moves, or would move."""

    year: int
    loaded: bool
    moved: list[MovedView]


class CalendarStatus(BaseModel):
    """Which years have a notice."""

    version: str
    noticed_years: list[int]


NOTICE_EXAMPLE = {
    "year": 2027,
    "papers": ["https://www.gov.cn/zhengce/example.htm"],
    "days": [{"name": "元旦", "date": "2027-01-01", "isOffDay": True}],
}


@router.get("/calendar", summary="日历", operation_id="calendar", response_model=CalendarStatus)
def calendar_status(edge: ReadDep) -> CalendarStatus:
    """The years whose notice is known; dates in other years are provisional."""
    calendar = edge.calendars().of(edge.actor.platform_id)
    return CalendarStatus(version=calendar.version, noticed_years=sorted(calendar.noticed_years))


@router.post(
    "/calendar/notices",
    summary="加载放假安排",
    operation_id="load_notice",
    openapi_extra=with_example(NOTICE_EXAMPLE),
    response_model=CalendarChange,
    responses={422: {"model": Problem}},
)
def load_notice(
    notice: Annotated[dict[str, Any], Body(examples=[NOTICE_EXAMPLE])],
    edge: EdgeDep,
    preview: Annotated[bool, Query(description="只预览将变动的期限，不加载")] = True,
) -> Response:
    """Preview which open clocks a year's notice moves, then load it with `preview=false`. Nothing met or lapsed is re-judged."""
    if not edge.actor.roles & {Role.ADMIN, Role.SUPERVISOR}:
        raise AccessRefused("放假安排由管理员或督办主管加载。")
    arrangement = parse_arrangement(notice)

    def moves(desk: Desk) -> list[notices.MovedDue]:
        if preview:
            return notices.preview(desk.session, arrangement, desk.at)
        moved = notices.load_notice(desk.session, desk.office, arrangement, notice, by=desk.actor, at=desk.at)
        questions.move_due(desk.session, desk.office, desk.at)
        return moved

    return edge.perform(
        _Notice(content=notice, preview=preview),
        moves,
        lambda moved: CalendarChange(
            year=arrangement.year,
            loaded=not preview,
            moved=[_moved_view(m) for m in moved],
        ),
    )


class LocalDays(fields.Order):
    """A platform's own days off: each day with its reason; they replace those set before."""

    days: dict[date, fields.Line] = Field(max_length=100, examples=[{"2026-07-06": "自治州成立纪念日"}])


@router.post(
    "/calendar/local-days",
    summary="设置本地放假",
    operation_id="set_local_days",
    openapi_extra=with_example({"days": {"2026-07-06": "自治州成立纪念日"}}),
    response_model=list[MovedView],
)
def set_local_days(order: LocalDays, edge: EdgeDep) -> Response:
    """Set the actor's platform's local days off (放假办法 art. 4) and move the open clocks they change."""
    platform_id = edge.actor.platform_id
    if not edge.actor.roles & {Role.ADMIN, Role.SUPERVISOR} or platform_id is None:
        raise AccessRefused("本地放假由本平台管理员或督办主管设置。")

    def moves(desk: Desk) -> list[notices.MovedDue]:
        moved = notices.set_local_days(
            desk.session, desk.office, platform_id, order.days, by=desk.actor, at=desk.at
        )
        questions.move_due(desk.session, desk.office, desk.at)
        return moved

    return edge.perform(
        order,
        moves,
        lambda moved: RootModel[list[MovedView]]([_moved_view(m) for m in moved]),
    )


def _moved_view(moved: notices.MovedDue) -> MovedView:
    return MovedView(**{name: getattr(moved, name) for name in MovedView.model_fields})


class _Notice(BaseModel):
    content: dict[str, Any]
    preview: bool
