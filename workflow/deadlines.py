"""Which clocks an act opens, meets and voids; due dates; deadline certificates. Pure arithmetic: time is a parameter.

Instants are aware. A working-day period opened on local day D ends at the day end (24:00 unless the pack says otherwise)
of its last counted day; `due_at` is that instant in UTC, and from `due_at` on the clock is late.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from calendar_cn.working_days import WorkCalendar
from workflow.errors import LimitExceeded, OrderInvalid, PackInvalid, TooLate
from workflow.statute import Limit, Statute
from workflow.vocabulary import Act, ClockKind, Matter

CHINA = ZoneInfo("Asia/Shanghai")
A, K = Act, ClockKind


def local_day(at: datetime) -> date:
    """The civil day in Asia/Shanghai of an aware instant. Raises ValueError for a naive one."""
    if at.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return at.astimezone(CHINA).date()


@dataclass(frozen=True, slots=True)
class Due:
    """When a period ends: its last civil day, the instant it is late from (UTC), and whether a year without notice is in it."""

    on: date
    at: datetime
    provisional: bool


def end_of(day: date, day_end: str) -> datetime:
    """The instant (UTC) at which civil day `day` ends: `24:00`, or a close of business such as `17:30`."""
    if day_end == "24:00":
        return datetime.combine(day + timedelta(days=1), time(), CHINA).astimezone(UTC)
    try:
        return datetime.combine(day, time.fromisoformat(day_end), CHINA).astimezone(UTC)
    except ValueError as error:
        raise PackInvalid(f"参数 day_end 应为 24:00 或 HH:MM：{day_end}", field="day_end") from error


def due_of(
    limit: Limit,
    opened_at: datetime,
    calendar: WorkCalendar,
    *,
    day_end: str = "24:00",
    length: int | None = None,
) -> Due:
    """When a period of `limit` opened at `opened_at` ends.

    `length` is what a person chose (working days) where the limit says `chosen`, at most the limit's own.
    Raises `LimitExceeded` if it is more, `OrderInvalid` if it is less than 1.
    """
    days = _chosen_length(limit, length)
    opened_on = local_day(opened_at)
    if limit.unit == "natural_hour":
        at = opened_at.astimezone(UTC) + timedelta(hours=days)
        return Due(local_day(at), at, provisional=False)
    if limit.unit == "working_day":
        last = calendar.add(opened_on, days)
        return Due(last, end_of(last, day_end), calendar.is_provisional(opened_on, last))
    if limit.unit == "nth_working_day":
        year, month = (
            (opened_on.year + 1, 1) if opened_on.month == 12 else (opened_on.year, opened_on.month + 1)
        )
        last = calendar.nth_working_day_of_month(year, month, days)
        return Due(
            last,
            end_of(last, "24:00"),
            calendar.is_provisional(date(year, month, 1) - timedelta(days=1), last),
        )
    if limit.unit == "fixed_date":
        last = date(opened_on.year + 1, days // 100, days % 100)
        return Due(last, end_of(last, "24:00"), provisional=False)
    last = _years_later(opened_on, days)
    return Due(last, end_of(last, "24:00"), provisional=False)


def _chosen_length(limit: Limit, length: int | None) -> int:
    if length is None:
        return limit.length
    if not limit.chosen:
        raise OrderInvalid(
            f"“{limit.kind.label}”的时限由办法规定，不能另行指定。", article=limit.article, field="days"
        )
    if length < 1:
        raise OrderInvalid("时限至少为 1 个工作日。", article=limit.article, field="days")
    if length > limit.length:
        raise LimitExceeded(
            f"“{limit.kind.label}”时限不得超过 {limit.length} 个工作日，给出的是 {length} 个。",
            article=limit.article,
            field="days",
        )
    return length


def _years_later(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # 29 February
        return date(day.year + years, 3, 1)


def citizen_due(statute: Statute, matter: Matter, received_at: datetime, calendar: WorkCalendar) -> Due:
    """The latest the law lets the citizen wait from receipt: the transfer limit, then the reply limit of the matter.

    With the parameter `citizen_clock` = `reply_limit` the reply limit alone, counted from receipt.
    It is the citizen's own ledger: no return, conversion or extension moves it.
    """
    limit = statute.limit(K.REPLY, local_day(received_at), matter)
    since = citizen_since(statute, received_at, calendar)
    return due_of(limit, since, calendar, day_end=statute.word("day_end"))


def citizen_since(statute: Statute, received_at: datetime, calendar: WorkCalendar) -> datetime:
    """The instant from which the citizen's reply limit counts: receipt, or the end of the transfer limit after it."""
    if statute.word("citizen_clock") == "reply_limit":
        return received_at
    return due_of(statute.limit(K.FORM_AND_TRANSFER, local_day(received_at)), received_at, calendar).at


def extended(original_due_on: date, days: int, calendar: WorkCalendar, *, day_end: str = "24:00") -> Due:
    """The due date `days` working days (all extensions of the episode together) after the *original* due date, art. 14(5)."""
    last = calendar.add(original_due_on, days)
    return Due(last, end_of(last, day_end), calendar.is_provisional(original_due_on, last))


def check_extension_asked(due_on: date, asked_at: datetime) -> None:
    """An extension is asked no later than 24:00 of the due day, whatever `day_end` says. Raises `TooLate` one second later."""
    due_at = end_of(due_on, "24:00")
    if asked_at > due_at:
        raise TooLate(
            "延期申请应在时限届满当日24时前提出，现已超过；请尽快办结并反馈，逾期情况将如实记录。",
            article="14(5)",
            due_at=due_at,
        )


def check_extension_days(statute: Statute, on: date, days: int, already: int) -> None:
    """At most ten working days in all per episode. Raises `LimitExceeded` (field `days`), `OrderInvalid` below 1."""
    if days < 1:
        raise OrderInvalid("延期至少为 1 个工作日。", article="14(5)", field="days")
    ceiling = statute.ceiling("extension", on)
    if already + days > ceiling.length:
        raise LimitExceeded(
            f"延期时间累计不得超过 {ceiling.length} 个工作日：本轮已批准 {already} 个，还可申请 {ceiling.length - already} 个。",
            article=ceiling.article,
            field="days",
        )


def check_conversion(limit: Limit, due_at: datetime, at: datetime) -> None:
    """Only inquiry and help tickets convert, once, before their 2 working days are over (`due_at`, not extended).

    Raises `OrderInvalid` or `TooLate`.
    """
    if limit.matter not in (Matter.INQUIRY, Matter.HELP):
        raise OrderInvalid(
            "只有咨询、求助类工单可以转为复杂事项（5个工作日）。", article="14(4)", field="matter"
        )
    if limit.complex:
        raise OrderInvalid(
            "该工单已按复杂事项（5个工作日）计时，不能再次转换；确需更长时间请申请延期。", article="14(4)"
        )
    if at >= due_at:
        raise TooLate(
            f"转为复杂事项须在 {limit.length} 个工作日届满前说明理由提出，现已超过。",
            article="14(4)",
            due_at=due_at,
        )


def check_return(due_at: datetime, at: datetime) -> None:
    """A unit returns a ticket within 1 working day of its dispatch. Raises `TooLate` afterwards."""
    if at >= due_at:
        raise TooLate(
            "退单须在派单后 1 个工作日内提出，现已超过；请继续办理，或联系热线平台协调。",
            article="14(4)",
            due_at=due_at,
        )


# --- which clocks an act opens, meets and voids ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Turn:
    """What the desk knows about one act when it asks which clocks turn.

    `coordinated`: the act itself takes the ticket into coordination, so nothing is left to report up; `part_done`: the acting unit's part is finished by this act; `episode_complete`: the last part was;
    `answered`: the citizen has been answered; `ends`: the act itself ends the demand (a decision to refuse or transfer);
    `concluded`: the callback has an outcome; `learns`: the matter is one whose knowledge must be updated.
    """

    by_lead: bool = True
    coordinated: bool = False
    part_done: bool = False
    episode_complete: bool = False
    answered: bool = False
    ends: bool = False
    concluded: bool = False
    learns: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """Clock kinds an act opens, meets and voids. Unit clocks are those of the assignment the act is about."""

    opens: frozenset[ClockKind] = frozenset()
    meets: frozenset[ClockKind] = frozenset()
    voids: frozenset[ClockKind] = frozenset()


INTAKE_CLOCKS = frozenset({K.FORM_AND_TRANSFER, K.CITIZEN})
UNIT_CLOCKS = frozenset({K.REPLY, K.SUPPLEMENT, K.REDO, K.RETURN})
DISPATCH_CLOCKS = frozenset({K.REPLY, K.RETURN})
PLATFORM_TRANSFER = frozenset({K.FORM_AND_TRANSFER, K.REPORT_UP})

_MEETS: dict[Act, frozenset[ClockKind]] = {
    A.ANSWER_AT_ONCE: PLATFORM_TRANSFER | {K.CITIZEN},
    A.TRANSFER: PLATFORM_TRANSFER | {K.CITIZEN},
    A.REFUSE: PLATFORM_TRANSFER | {K.CITIZEN},
    A.REPORT_UP: PLATFORM_TRANSFER,
    A.DISPATCH: PLATFORM_TRANSFER,
    A.COORDINATE: PLATFORM_TRANSFER,
    A.DESIGNATE: PLATFORM_TRANSFER,
    A.PROPOSE_RETURN: frozenset({K.RETURN}),
    A.UPDATE_KNOWLEDGE: frozenset({K.KNOWLEDGE_UPDATE}),
}
_VOIDS: dict[Act, frozenset[ClockKind]] = {
    A.UPHOLD_RETURN: UNIT_CLOCKS,
    A.RELEASE_UNIT: UNIT_CLOCKS,
    A.REVIEW_SEND_BACK: frozenset({K.CALLBACK}),
    A.MERGE: UNIT_CLOCKS | PLATFORM_TRANSFER,
    A.WITHDRAW: frozenset(K) - {K.KNOWLEDGE_UPDATE, K.RECORDING_RETENTION},
}


def effect(act: Act, turn: Turn, *, newborn: bool = False) -> Effect:
    """The clocks `act` turns. `newborn`: the act brings the ticket into being, so receipt's clocks open with it."""
    opens: set[ClockKind] = set(INTAKE_CLOCKS) if newborn else set()
    meets = set(_MEETS.get(act, ()))
    voids = set(_VOIDS.get(act, ()))
    if act is A.DECIDE and turn.ends:
        meets |= PLATFORM_TRANSFER | {K.CITIZEN}
    if act is A.UPHOLD_RETURN and turn.by_lead and not turn.coordinated:
        opens.add(K.REPORT_UP)
    if act in (A.REPLY, A.ANSWER_CITIZEN):
        meets |= {K.CITIZEN} if turn.answered else set()
        meets |= {K.REPLY, K.SUPPLEMENT, K.REDO} if turn.part_done else set()
        voids |= {K.RETURN} if turn.part_done else set()
    if turn.episode_complete:
        opens.add(K.CALLBACK)
    if act is A.REVIEW_SEND_BACK:
        opens.add(K.SUPPLEMENT)
    if act is A.UPHOLD_DISSATISFACTION:
        opens.add(K.REDO)
    if act is A.REVIEW_PASS and turn.learns:
        opens.add(K.KNOWLEDGE_UPDATE)
    if act is A.RECORD_CALLBACK and turn.concluded:
        meets.add(K.CALLBACK)
    return Effect(frozenset(opens), frozenset(meets), frozenset(voids))
