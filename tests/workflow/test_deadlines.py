"""Due dates over any calendar, certificates that count to the same date, and which clocks each act turns."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from calendar_cn.arrangements import ArrangedDay, Arrangement, shipped
from calendar_cn.working_days import WorkCalendar
from workflow.certificate import certify, recompute
from workflow.deadlines import (
    CHINA,
    INTAKE_CLOCKS,
    PLATFORM_TRANSFER,
    UNIT_CLOCKS,
    Turn,
    check_conversion,
    check_extension_asked,
    check_return,
    citizen_due,
    due_of,
    effect,
    end_of,
    extended,
    local_day,
)
from workflow.errors import LimitExceeded, OrderInvalid, PackInvalid, TooLate
from workflow.statute import Limit, load
from workflow.vocabulary import Act, ClockKind, Matter

A, K = Act, ClockKind
LAW = load()
DAY = timedelta(days=1)
SHIPPED = WorkCalendar()
ON = date(2026, 3, 2)
COMPLAINT = LAW.limit(K.REPLY, ON, Matter.COMPLAINT)
NIGHTS = st.times().map(lambda t: t.replace(microsecond=0, tzinfo=None))


def days_of(n: int) -> Limit:
    return COMPLAINT.model_copy(update={"length": n})


@st.composite
def calendars(draw: st.DrawFn) -> WorkCalendar:
    """Any: some years noticed with invented days, some not, and some local days off."""
    arrangements = {}
    for year in draw(st.sets(st.integers(2025, 2028))):
        inside = st.dates(date(year, 1, 1), date(year, 12, 31))
        flags = draw(st.dictionaries(inside, st.booleans(), max_size=25))
        days = tuple(ArrangedDay(d, "测试", off) for d, off in sorted(flags.items()))
        arrangements[year] = Arrangement(year, (f"https://example.test/{year}",), days)
    near = st.dates(date(2025, 1, 1), date(2028, 12, 31))
    return WorkCalendar(arrangements, draw(st.dictionaries(near, st.just("本地"), max_size=8)))


OPENINGS = st.builds(
    lambda day, clock: datetime.combine(day, clock, CHINA),
    st.dates(date(2025, 1, 1), date(2028, 6, 1)),
    NIGHTS,
)
LENGTHS = st.integers(1, 25)


@given(calendars(), OPENINGS, LENGTHS)
def test_a_due_day_is_a_working_day_after_the_opening(
    calendar: WorkCalendar, opened: datetime, n: int
) -> None:
    due = due_of(days_of(n), opened, calendar)
    assert due.at > opened
    assert due.on > local_day(opened)
    assert calendar.is_working_day(due.on)
    assert calendar.between(local_day(opened), due.on) == n
    assert due.at == end_of(due.on, "24:00")
    assert due.at.astimezone(CHINA) == datetime.combine(due.on + DAY, time(), CHINA)


@given(calendars(), OPENINGS, OPENINGS, LENGTHS, LENGTHS)
def test_a_due_date_is_monotone_in_opening_and_length(
    calendar: WorkCalendar, one: datetime, other: datetime, n: int, m: int
) -> None:
    first, second = sorted((one, other))
    few, many = sorted((n, m))
    assert due_of(days_of(few), first, calendar).at <= due_of(days_of(few), second, calendar).at
    assert due_of(days_of(few), first, calendar).at <= due_of(days_of(many), first, calendar).at
    if few < many:
        assert due_of(days_of(few), first, calendar).on < due_of(days_of(many), first, calendar).on


@given(calendars(), OPENINGS, NIGHTS, LENGTHS)
def test_the_hour_of_opening_makes_no_difference(
    calendar: WorkCalendar, opened: datetime, other: time, n: int
) -> None:
    moved = datetime.combine(opened.date(), other, CHINA)
    assert due_of(days_of(n), opened, calendar) == due_of(days_of(n), moved, calendar)
    assert due_of(days_of(n), opened.astimezone(UTC), calendar) == due_of(days_of(n), opened, calendar)


@given(calendars(), OPENINGS, LENGTHS, st.integers(1, 9), st.integers(1, 9))
def test_extensions_add_up_from_the_original_due_day(
    calendar: WorkCalendar, opened: datetime, n: int, a: int, b: int
) -> None:
    original = due_of(days_of(n), opened, calendar)
    assert extended(original.on, a + b, calendar).on == calendar.add(calendar.add(original.on, a), b)
    assert extended(original.on, a + b, calendar).on == due_of(days_of(n + a + b), opened, calendar).on


@given(calendars(), OPENINGS, LENGTHS)
def test_provisional_exactly_when_a_counted_span_touches_a_year_without_notice(
    calendar: WorkCalendar, opened: datetime, n: int
) -> None:
    due = due_of(days_of(n), opened, calendar)
    span = [local_day(opened) + k * DAY for k in range(1, (due.on - local_day(opened)).days + 1)]
    assert due.provisional == any(d.year not in calendar.noticed_years for d in span)


@settings(max_examples=60)
@given(calendars(), OPENINGS, LENGTHS, st.integers(0, 10))
def test_a_certificate_counts_to_the_same_date(
    calendar: WorkCalendar, opened: datetime, n: int, more: int
) -> None:
    limit = days_of(n)
    proof = certify(limit, LAW, calendar, opened_by="派单", opened_at=opened, extension_days=more)
    due = due_of(limit, opened, calendar)
    assert proof.original_due_on == due.on
    assert proof.due_on == calendar.add(due.on, more)
    assert recompute(proof, limit, LAW, calendar)
    assert sum(day.counted for day in proof.days) == n
    assert sum(day.counted for day in proof.extension) == more
    assert [d.index for d in proof.days if d.counted] == list(range(1, n + 1))
    assert all(d.counted == calendar.is_working_day(d.day) for d in (*proof.days, *proof.extension))
    text = proof.as_text()
    assert f"{proof.due_on:%Y-%m-%d}" in text
    assert ("暂定" in text) == proof.provisional or "暂定" in "".join(d.reason for d in proof.days)
    assert proof.as_data()["due_on"] == proof.due_on


def test_a_certificate_is_found_out_by_another_calendar() -> None:
    opened = datetime(2026, 2, 13, 10, tzinfo=CHINA)
    proof = certify(days_of(2), LAW, SHIPPED, opened_by="派单", opened_at=opened)
    bare = WorkCalendar({y: a for y, a in shipped().items() if y != 2026})
    assert not recompute(proof, days_of(2), LAW, bare)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (K.FORM_AND_TRANSFER, "期限：24 小时（自然时，夜间和节假日不停）"),
        (K.PERIOD_REPORT, "期限：次月第 5 个工作日"),
        (K.ANNUAL_REPORT, "期限：次年 1 月 15 日（不因节假日顺延）"),
        (K.RECORDING_RETENTION, "期限：1 年"),
        (K.RETURN, "期限：1 个工作日"),
    ],
)
def test_a_certificate_says_its_period_in_plain_words(kind: ClockKind, words: str) -> None:
    limit = LAW.limit(kind, ON)
    opened = datetime(2026, 3, 31, 10, tzinfo=CHINA)
    proof = certify(limit, LAW, SHIPPED, opened_by="测试", opened_at=opened)
    assert words in proof.as_text()
    assert ("当日不计入" in proof.as_text()) == (limit.unit == "working_day")
    assert recompute(proof, limit, LAW, SHIPPED)


@given(calendars(), OPENINGS)
def test_natural_hours_run_through_nights_and_holidays(calendar: WorkCalendar, opened: datetime) -> None:
    due = due_of(LAW.limit(K.FORM_AND_TRANSFER, ON), opened, calendar)
    assert due.at - opened == timedelta(hours=24)
    assert due.on == local_day(opened) + DAY
    assert not due.provisional


@given(calendars(), st.integers(2025, 2028), st.integers(1, 12))
def test_a_period_report_is_due_on_the_fifth_working_day_of_the_next_month(
    calendar: WorkCalendar, year: int, month: int
) -> None:
    opened = datetime(year, month, 15, 12, tzinfo=CHINA)
    following = date(year + month // 12, month % 12 + 1, 1)
    days = [following + k * DAY for k in range(28)]
    assume(sum(calendar.is_working_day(d) for d in days) >= 5)  # an invented month may have fewer
    due = due_of(LAW.limit(K.PERIOD_REPORT, ON), opened, calendar)
    assert (due.on.year, due.on.month) == ((year, month + 1) if month < 12 else (year + 1, 1))
    assert sum(calendar.is_working_day(due.on.replace(day=d)) for d in range(1, due.on.day + 1)) == 5


@pytest.mark.parametrize("year", range(2022, 2035))
def test_the_annual_report_is_due_on_15_january_whatever_the_day(year: int) -> None:
    due = due_of(LAW.limit(K.ANNUAL_REPORT, ON), datetime(year, 12, 31, 12, tzinfo=CHINA), SHIPPED)
    assert (due.on, due.provisional) == (date(year + 1, 1, 15), False)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        due_of(COMPLAINT, datetime(2026, 3, 2, 10), SHIPPED)  # noqa: DTZ001  # that is the point


def test_the_day_is_shanghai_s_and_not_utc_s() -> None:
    evening = datetime(2026, 3, 2, 16, tzinfo=UTC)  # 00:00 of 3 March in Shanghai
    assert local_day(evening) == date(2026, 3, 3)
    assert local_day(evening - timedelta(seconds=1)) == date(2026, 3, 2)
    assert due_of(days_of(2), evening, SHIPPED).on == date(2026, 3, 5)
    assert due_of(days_of(2), evening - timedelta(seconds=1), SHIPPED).on == date(2026, 3, 4)


def test_a_close_of_business_may_end_the_day() -> None:
    opened = datetime(2026, 3, 2, 18, tzinfo=CHINA)
    due = due_of(days_of(2), opened, SHIPPED, day_end="17:30")
    assert due.on == date(2026, 3, 4)
    assert due.at.astimezone(CHINA) == datetime(2026, 3, 4, 17, 30, tzinfo=CHINA)
    assert extended(due.on, 1, SHIPPED, day_end="17:30").at - due.at == DAY
    report = due_of(LAW.limit(K.ANNUAL_REPORT, ON), opened, SHIPPED, day_end="17:30")
    assert report.at == end_of(report.on, "24:00")
    with pytest.raises(PackInvalid):
        end_of(due.on, "noon")


def test_an_extension_may_be_asked_until_midnight_even_where_business_closes_earlier() -> None:
    check_extension_asked(date(2026, 3, 4), datetime(2026, 3, 4, 23, 59, 59, tzinfo=CHINA))
    check_extension_asked(date(2026, 3, 4), datetime(2026, 3, 5, tzinfo=CHINA))
    with pytest.raises(TooLate) as caught:
        check_extension_asked(date(2026, 3, 4), datetime(2026, 3, 5, 0, 0, 1, tzinfo=CHINA))
    assert caught.value.extra["due_at"] == "2026-03-04T16:00:00+00:00"


def test_a_return_or_conversion_ends_with_its_day() -> None:
    due = end_of(date(2026, 3, 3), "24:00")
    inquiry = LAW.limit(K.REPLY, ON, Matter.INQUIRY)
    check_return(due, due - timedelta(seconds=1))
    check_conversion(inquiry, due, due - timedelta(seconds=1))
    with pytest.raises(TooLate):
        check_return(due, due)
    with pytest.raises(TooLate):
        check_conversion(inquiry, due, due)
    with pytest.raises(OrderInvalid):
        check_conversion(COMPLAINT, due, due - DAY)
    with pytest.raises(OrderInvalid):
        check_conversion(LAW.limit(K.REPLY, ON, Matter.INQUIRY, complex_=True), due, due - DAY)


def test_a_chosen_length_keeps_to_its_ceiling() -> None:
    opened = datetime(2026, 3, 2, 10, tzinfo=CHINA)
    supplement = LAW.limit(K.SUPPLEMENT, ON)
    assert due_of(supplement, opened, SHIPPED).on == due_of(supplement, opened, SHIPPED, length=3).on
    for length, error in ((0, OrderInvalid), (-1, OrderInvalid), (4, LimitExceeded)):
        with pytest.raises(error):
            due_of(supplement, opened, SHIPPED, length=length)
    with pytest.raises(OrderInvalid):
        due_of(COMPLAINT, opened, SHIPPED, length=3)


@given(calendars(), OPENINGS, st.sampled_from(Matter))
def test_the_citizen_waits_for_the_transfer_and_then_the_reply(
    calendar: WorkCalendar, received: datetime, matter: Matter
) -> None:
    due = citizen_due(LAW, matter, received, calendar)
    limit = LAW.limit(K.REPLY, date(2026, 1, 1), matter)
    assert due.on == calendar.add(local_day(received) + DAY, limit.length)


# --- which clocks an act turns: rules.md section 2 -----------------------------------------------------------------------

NOTHING = (frozenset[ClockKind](), frozenset[ClockKind](), frozenset[ClockKind]())


def turned(act: Act, turn: Turn | None = None, *, newborn: bool = False) -> tuple[frozenset[ClockKind], ...]:
    found = effect(act, turn or Turn(), newborn=newborn)
    return found.opens, found.meets, found.voids


def kinds(*found: ClockKind) -> frozenset[ClockKind]:
    return frozenset(found)


DONE = Turn(part_done=True, episode_complete=True, answered=True)
PART = kinds(K.REPLY, K.SUPPLEMENT, K.REDO)
TABLE: list[tuple[Act, Turn, frozenset[ClockKind], frozenset[ClockKind], frozenset[ClockKind]]] = [
    (A.ANSWER_AT_ONCE, Turn(), kinds(), PLATFORM_TRANSFER | {K.CITIZEN}, kinds()),
    (A.TRANSFER, Turn(), kinds(), PLATFORM_TRANSFER | {K.CITIZEN}, kinds()),
    (A.REFUSE, Turn(), kinds(), PLATFORM_TRANSFER | {K.CITIZEN}, kinds()),
    (A.REPORT_UP, Turn(), kinds(), PLATFORM_TRANSFER, kinds()),
    (A.DECIDE, Turn(), kinds(), kinds(), kinds()),
    (A.DECIDE, Turn(ends=True), kinds(), PLATFORM_TRANSFER | {K.CITIZEN}, kinds()),
    (A.DISPATCH, Turn(), kinds(), PLATFORM_TRANSFER, kinds()),
    (A.COORDINATE, Turn(), kinds(), PLATFORM_TRANSFER, kinds()),
    (A.DESIGNATE, Turn(), kinds(), PLATFORM_TRANSFER, kinds()),
    (A.PROPOSE_RETURN, Turn(), kinds(), kinds(K.RETURN), kinds()),
    (A.UPHOLD_RETURN, Turn(), kinds(K.REPORT_UP), kinds(), UNIT_CLOCKS),
    (A.UPHOLD_RETURN, Turn(coordinated=True), kinds(), kinds(), UNIT_CLOCKS),
    (A.UPHOLD_RETURN, Turn(by_lead=False), kinds(), kinds(), UNIT_CLOCKS),
    (A.UPHOLD_RETURN, Turn(by_lead=False, episode_complete=True), kinds(K.CALLBACK), kinds(), UNIT_CLOCKS),
    (A.REPLY, Turn(), kinds(), kinds(), kinds()),
    (A.REPLY, Turn(answered=True), kinds(), kinds(K.CITIZEN), kinds()),
    (A.REPLY, Turn(by_lead=False, part_done=True), kinds(), PART, kinds(K.RETURN)),
    (A.REPLY, DONE, kinds(K.CALLBACK), PART | {K.CITIZEN}, kinds(K.RETURN)),
    (A.ANSWER_CITIZEN, Turn(answered=True), kinds(), kinds(K.CITIZEN), kinds()),
    (A.ANSWER_CITIZEN, DONE, kinds(K.CALLBACK), PART | {K.CITIZEN}, kinds(K.RETURN)),
    (A.RELEASE_UNIT, Turn(by_lead=False), kinds(), kinds(), UNIT_CLOCKS),
    (A.RELEASE_UNIT, Turn(by_lead=False, episode_complete=True), kinds(K.CALLBACK), kinds(), UNIT_CLOCKS),
    (A.REVIEW_PASS, Turn(), kinds(), kinds(), kinds()),
    (A.REVIEW_PASS, Turn(learns=True), kinds(K.KNOWLEDGE_UPDATE), kinds(), kinds()),
    (A.REVIEW_SEND_BACK, Turn(), kinds(K.SUPPLEMENT), kinds(), kinds(K.CALLBACK)),
    (A.RECORD_CALLBACK, Turn(), kinds(), kinds(), kinds()),
    (A.RECORD_CALLBACK, Turn(concluded=True), kinds(), kinds(K.CALLBACK), kinds()),
    (A.UPHOLD_DISSATISFACTION, Turn(), kinds(K.REDO), kinds(), kinds()),
    (A.UPDATE_KNOWLEDGE, Turn(), kinds(), kinds(K.KNOWLEDGE_UPDATE), kinds()),
    (A.MERGE, Turn(), kinds(), kinds(), UNIT_CLOCKS | PLATFORM_TRANSFER),
    (A.WITHDRAW, Turn(), kinds(), kinds(), kinds(*K) - {K.KNOWLEDGE_UPDATE, K.RECORDING_RETENTION}),
]


@pytest.mark.parametrize(("act", "turn", "opens", "meets", "voids"), TABLE)
def test_an_act_turns_the_clocks_of_the_table(
    act: Act,
    turn: Turn,
    opens: frozenset[ClockKind],
    meets: frozenset[ClockKind],
    voids: frozenset[ClockKind],
) -> None:
    assert turned(act, turn) == (opens, meets, voids)


@pytest.mark.parametrize("act", sorted(set(Act) - {row[0] for row in TABLE}))
def test_every_other_act_turns_no_clock(act: Act) -> None:
    assert turned(act) == NOTHING


@pytest.mark.parametrize("act", [A.REGISTER, A.ACCEPT, A.REFUSE, A.ANSWER_AT_ONCE, A.TRANSFER, A.REPORT_UP])
def test_the_act_that_brings_a_ticket_into_being_opens_receipt_s_clocks(act: Act) -> None:
    plain, born = turned(act), turned(act, newborn=True)
    assert born == (plain[0] | INTAKE_CLOCKS, *plain[1:])


@pytest.mark.parametrize("act", [A.REPORT_PROGRESS, A.SIGN, A.REJECT_RETURN, A.REMIND, A.REQUEST_EXTENSION])
def test_neither_a_sign_nor_a_reminder_nor_a_request_moves_a_clock(act: Act) -> None:
    assert turned(act) == NOTHING
