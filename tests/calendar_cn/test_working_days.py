"""Which days count: against other sources, at the joints between notices, and under invented notices."""

import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from json import loads

import chinese_calendar
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workalendar.asia import China
from workalendar.precomputed_astronomy import solar_term

from calendar_cn.arrangements import ArrangedDay, Arrangement, parse_arrangement, shipped
from calendar_cn.working_days import (
    CalendarRange,
    ChinaWorkCalendar,
    WorkCalendar,
    clear_brightness,
    statutory_days,
)

DAY = timedelta(days=1)
CALENDAR = WorkCalendar()
REFERENCE = ChinaWorkCalendar()


def each_day(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += DAY


# Against other sources


def test_chinese_calendar_agrees_on_every_day() -> None:
    days = list(each_day(date(2007, 1, 1), date(2026, 12, 31)))
    assert len(days) == 7305
    assert [d for d in days if CALENDAR.is_working_day(d) != chinese_calendar.is_workday(d)] == []


def test_the_shipped_files_agree_on_every_day() -> None:
    named: dict[str, bool] = {}
    for file in resources.files("calendar_cn").joinpath("arrangements").iterdir():
        if file.name.endswith(".json"):
            named |= {row["date"]: not row["isOffDay"] for row in loads(file.read_text("utf-8"))["days"]}
    for d in each_day(date(2007, 1, 1), date(2026, 12, 31)):
        assert CALENDAR.is_working_day(d) == named.get(d.isoformat(), d.isoweekday() <= 5), d


def test_the_reference_agrees_on_every_day() -> None:
    for d in each_day(date(2007, 1, 1), date(2034, 12, 31)):
        assert CALENDAR.is_working_day(d) == REFERENCE.is_working_day(d) == REFERENCE.ruling(d).counted, d


def test_workalendar_differs_only_where_it_missed_the_correction_of_2020() -> None:
    base = China()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        days = each_day(date(2018, 1, 1), date(2023, 12, 31))
        differ = [d for d in days if base.is_working_day(d) != CALENDAR.is_working_day(d)]
    assert differ == [date(2020, 1, 31), date(2020, 2, 1)]


def test_the_reference_counts_as_workalendar_does() -> None:
    for opened in each_day(date(2025, 12, 20), date(2026, 1, 20)):
        for n in (1, 5, 15):
            assert REFERENCE.add_working_days(opened, n) == CALENDAR.add(opened, n)
    assert REFERENCE.get_working_days_delta(date(2026, 1, 1), date(2026, 3, 1)) == CALENDAR.between(
        date(2026, 1, 1), date(2026, 3, 1)
    )
    assert (date(2026, 2, 17), "春节") in REFERENCE.holidays(2026)


# Known days


@pytest.mark.parametrize(
    ("opened", "n", "due"),
    [
        ("2026-02-13", 1, "2026-02-14"),  # a make-up Saturday counts
        ("2026-02-13", 2, "2026-02-24"),  # over the Spring Festival
        ("2026-02-14", 1, "2026-02-24"),
        ("2026-02-16", 1, "2026-02-24"),  # opened on a day off
        ("2025-12-31", 1, "2026-01-04"),  # over New Year, onto a make-up Sunday
        ("2018-12-28", 1, "2018-12-29"),  # the notice of 2019 makes people work in December 2018
        ("2018-12-29", 1, "2019-01-02"),  # ... and gives them its last Monday off
        ("2011-12-30", 1, "2011-12-31"),  # the notice of 2012 likewise
        ("2007-12-28", 1, "2007-12-29"),  # the notice of 2008 likewise
        ("2007-12-29", 1, "2008-01-02"),
        ("2020-01-23", 1, "2020-02-03"),  # the correction of 2020-01-27
        ("2020-01-30", 1, "2020-02-03"),
        ("2019-04-30", 1, "2019-05-05"),  # the correction of 2019-03-22
        ("2015-09-02", 1, "2015-09-06"),  # the notice of 2015-05-13
    ],
)
def test_known_due_dates(opened: str, n: int, due: str) -> None:
    assert CALENDAR.add(date.fromisoformat(opened), n) == date.fromisoformat(due)


def test_nothing_is_day_zero_itself() -> None:
    holiday = date(2026, 2, 17)
    assert CALENDAR.add(holiday, 0) == holiday
    with pytest.raises(ValueError, match="负数"):
        CALENDAR.add(holiday, -1)


@pytest.mark.parametrize(
    ("year", "month", "n", "found"),
    [
        (2026, 1, 1, 4),
        (2026, 2, 5, 6),
        (2026, 10, 5, 13),
        (2026, 10, 1, 8),
        (2007, 1, 1, 4),
        (2031, 12, 1, 1),
    ],
)
def test_nth_working_day_of_a_month(year: int, month: int, n: int, found: int) -> None:
    assert CALENDAR.nth_working_day_of_month(year, month, n) == date(year, month, found)


@pytest.mark.parametrize(("month", "n"), [(2, 24), (12, 24), (2, 0), (2, -1)])
def test_a_month_has_no_such_working_day(month: int, n: int) -> None:
    with pytest.raises(ValueError, match="没有第"):
        CALENDAR.nth_working_day_of_month(2026, month, n)


# A year without a notice


def test_2027_is_provisional() -> None:
    assert 2026 in CALENDAR.noticed_years
    assert 2027 not in CALENDAR.noticed_years
    assert not CALENDAR.is_provisional(date(2026, 12, 1), date(2026, 12, 31))
    assert CALENDAR.is_provisional(date(2026, 12, 31), date(2027, 1, 1))
    assert CALENDAR.is_provisional(date(2020, 1, 1), date(2027, 1, 1))
    assert not CALENDAR.is_provisional(date(2027, 1, 1), date(2027, 1, 1))
    assert not CALENDAR.is_provisional(date(2027, 2, 1), date(2027, 1, 1))


def test_2027_counts_weekends_and_statutory_days_only() -> None:
    off = [d for d in each_day(date(2027, 1, 1), date(2027, 12, 31)) if not CALENDAR.is_working_day(d)]
    assert [d.strftime("%m-%d") for d in off if d.isoweekday() <= 5] == [
        "01-01", "02-05", "02-08", "04-05", "06-09", "09-15", "10-01",
    ]  # fmt: skip
    assert CALENDAR.add(date(2026, 12, 31), 1) == date(2027, 1, 4)


def test_statutory_days_are_those_that_past_notices_gave() -> None:
    since_2014 = {"元旦", "春节", "清明节", "端午节", "中秋节", "国庆节"}
    for year in range(2014, 2027):
        off = {day.date for day in shipped()[year].days if day.off}
        for when, name in statutory_days(year).items():
            if name in since_2014 or (year >= 2025):
                assert when in off, (when, name)


def test_clear_brightness_is_where_astronomers_put_it() -> None:
    for year in range(2000, 2052):
        assert clear_brightness(year) == solar_term(year, 15, "Asia/Hong_Kong")


def test_statutory_days_are_known_for_a_century() -> None:
    for year in range(2000, 2100):
        assert 11 <= len(statutory_days(year)) <= 13
        assert {d.year for d in statutory_days(year)} == {year}


def test_day_zero_in_a_year_without_a_notice_makes_nothing_provisional() -> None:
    only_2026 = WorkCalendar({2026: shipped()[2026]})
    assert not only_2026.is_provisional(date(2025, 12, 31), date(2026, 1, 4))
    assert only_2026.is_provisional(date(2025, 12, 30), date(2026, 1, 4))


def test_without_any_notice_everything_is_provisional() -> None:
    bare = WorkCalendar({})
    assert bare.noticed_years == frozenset()
    assert bare.is_provisional(date(2026, 1, 1), date(2026, 1, 2))
    assert bare.add(date(2026, 2, 13), 1) == date(2026, 2, 19 + 1)


def test_a_notice_loaded_later_moves_the_dates() -> None:
    loaded = parse_arrangement(
        {
            "year": 2027,
            "papers": ["https://www.gov.cn/x"],
            "days": [
                {"name": "元旦", "date": "2026-12-26", "isOffDay": False},
                {"name": "元旦", "date": "2026-12-31", "isOffDay": True},
                {"name": "元旦", "date": "2027-01-01", "isOffDay": True},
            ],
        }
    )
    later = WorkCalendar(shipped() | {2027: loaded})
    assert later.version != CALENDAR.version
    assert later.add(date(2026, 12, 25), 1) == date(2026, 12, 26)
    assert later.add(date(2026, 12, 30), 1) == date(2027, 1, 4)
    assert CALENDAR.add(date(2026, 12, 30), 1) == date(2026, 12, 31)
    assert later.is_working_day(date(2027, 2, 5))  # its notice, not the statute, now says
    assert not later.is_provisional(date(2026, 12, 30), date(2027, 1, 4))


def test_of_two_notices_that_name_a_day_the_later_prevails() -> None:
    day = date(2026, 12, 31)
    papers = ("https://www.gov.cn/x",)
    early = Arrangement(2026, papers, (ArrangedDay(day, "元旦", False),))
    late = Arrangement(2027, papers, (ArrangedDay(day, "元旦", True),))
    assert not WorkCalendar({2027: late, 2026: early}).is_working_day(day)
    assert not WorkCalendar({2026: early, 2027: late}).is_working_day(day)


# The range


def test_the_table_covers_the_noticed_years_and_five_more_and_grows() -> None:
    calendar = WorkCalendar()
    assert calendar.first_day == date(2007, 1, 1)
    assert calendar.last_day == date(2031, 12, 31)
    assert calendar.add(date(2031, 12, 31), 1) == date(2032, 1, 2)
    assert calendar.last_day == date(2032, 12, 31)
    assert calendar.is_working_day(date(2040, 3, 1))
    assert calendar.add(date(2026, 1, 1), 15_000) > date(2080, 1, 1)
    assert calendar.between(date(2007, 1, 1), date(2099, 12, 31)) > 22_000


@pytest.mark.parametrize("n", [1, 22, 300, 10**6, 10**30])
def test_beyond_2099_there_is_no_due_date(n: int) -> None:
    with pytest.raises(CalendarRange, match="2099-12-31"):
        WorkCalendar().add(date(2099, 12, 31), n)


def test_an_absurd_length_does_not_make_the_table_grow() -> None:
    calendar = WorkCalendar()
    with pytest.raises(CalendarRange):
        calendar.add(date(2026, 1, 1), 10**9)
    assert calendar.last_day == date(2031, 12, 31)


@pytest.mark.parametrize("day", [date(2006, 12, 31), date(2100, 1, 1), date.min, date.max])
def test_days_outside_are_refused(day: date) -> None:
    calendar = WorkCalendar()
    for ask in (
        lambda: calendar.is_working_day(day),
        lambda: calendar.add(day, 1),
        lambda: calendar.add(day, 0),
        lambda: calendar.between(day, date(2026, 1, 1)),
        lambda: calendar.day_reason(day),
        lambda: calendar.explain(day, 1),
        lambda: calendar.nth_working_day_of_month(day.year, day.month, 1),
        lambda: ChinaWorkCalendar().is_working_day(day),
        lambda: ChinaWorkCalendar().ruling(day),
    ):
        with pytest.raises(CalendarRange, match="工作日历只能推算"):
            ask()


@pytest.mark.parametrize("n", [0, 1])
def test_an_instant_is_not_a_day(n: int) -> None:
    instant = datetime(2026, 2, 13, 17, tzinfo=UTC)
    with pytest.raises(TypeError, match="Asia/Shanghai"):
        CALENDAR.add(instant, n)
    with pytest.raises(TypeError, match="Asia/Shanghai"):
        WorkCalendar(local_days={instant: "测试"})


def test_a_key_that_is_not_its_arrangements_year() -> None:
    with pytest.raises(ValueError, match="年份"):
        WorkCalendar({2027: shipped()[2026]})


def test_threads_that_make_it_grow_agree() -> None:
    calendar, expected = WorkCalendar(), WorkCalendar()
    asked = [date(2032 + k, 5, 20) for k in range(60)]
    due = [expected.add(d, 10) for d in asked]
    found: list[list[date]] = []
    threads = [
        threading.Thread(target=lambda: found.append([calendar.add(d, 10) for d in asked])) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [due] * 8


# A platform's own days


def test_a_local_day_off_does_not_count() -> None:
    local = WorkCalendar(local_days={date(2026, 7, 20): "自治州州庆"})
    assert CALENDAR.add(date(2026, 7, 17), 1) == date(2026, 7, 20)
    assert local.add(date(2026, 7, 17), 1) == date(2026, 7, 21)
    assert local.day_reason(date(2026, 7, 20)) == "本地放假：自治州州庆"
    assert (date(2026, 7, 20), "自治州州庆") in ChinaWorkCalendar(
        None, {date(2026, 7, 20): "自治州州庆"}
    ).holidays(2026)


def test_a_local_day_off_prevails_over_a_make_up_day_but_explains_no_weekend() -> None:
    saturday, sunday = date(2026, 2, 14), date(2026, 2, 15)
    local = WorkCalendar(local_days={saturday: "测试节", sunday: "测试节"})
    assert not local.is_working_day(saturday)
    assert local.day_reason(saturday) == "本地放假：测试节"
    assert local.day_reason(sunday) == "春节放假"


def test_version_is_of_the_notices_and_the_local_days() -> None:
    local = {date(2026, 7, 20): "自治州州庆", date(2026, 7, 21): "自治州州庆"}
    versions = {
        CALENDAR.version,
        WorkCalendar({}).version,
        WorkCalendar(local_days=local).version,
        WorkCalendar(local_days=local | {date(2026, 7, 21): "测试"}).version,
    }
    assert len(versions) == 4
    assert WorkCalendar(shipped()).version == CALENDAR.version
    assert WorkCalendar(local_days=dict(reversed(local.items()))).version in versions


# Whatever the notices say

FIRST, LAST = date(2007, 1, 1), date(2032, 12, 31)
days = st.dates(FIRST, LAST)


def invented(year: int) -> st.SearchStrategy[Arrangement]:
    named = st.dictionaries(
        st.dates(date(year - 1, 12, 1), date(year + 1, 1, 31)), st.booleans(), max_size=40
    )
    return named.map(
        lambda chosen: Arrangement(
            year,
            (f"https://www.gov.cn/{year}",),
            tuple(ArrangedDay(when, "测试节", off) for when, off in sorted(chosen.items())),
        )
    )


calendars = st.builds(
    lambda arrangements, local: (arrangements, local),
    st.lists(st.integers(2007, 2010), unique=True).flatmap(
        lambda years: st.fixed_dictionaries({year: invented(year) for year in years})
    ),
    st.dictionaries(
        st.dates(date(2007, 1, 1), date(2010, 12, 31)), st.sampled_from(["州庆", "古尔邦节", ""]), max_size=9
    ),
)


def obeys_the_laws_of_counting(calendar: WorkCalendar, a: date, b: date, n: int, m: int) -> None:
    due = calendar.add(a, n)
    assert calendar.between(a, due) == n
    assert calendar.add(due, m) == calendar.add(a, n + m)
    assert n == 0 or (due > a and calendar.is_working_day(due))
    assert n == 0 or calendar.add(due - DAY, 1) == due
    early, late = sorted((a, b))
    assert calendar.add(early, n) <= calendar.add(late, n)
    assert calendar.between(a, b) == -calendar.between(b, a)
    counted = sum(calendar.is_working_day(early + k * DAY) for k in range(1, (late - early).days + 1))
    assert calendar.between(early, late) == counted


@given(a=days, gap=st.integers(0, 500), n=st.integers(0, 60), m=st.integers(0, 60))
def test_the_laws_of_counting(a: date, gap: int, n: int, m: int) -> None:
    obeys_the_laws_of_counting(CALENDAR, a, a + gap * DAY, n, m)


@settings(max_examples=60, deadline=None)
@given(
    given_by=calendars,
    a=st.dates(date(2007, 1, 1), date(2012, 6, 1)),
    b=st.dates(date(2007, 1, 1), date(2012, 6, 1)),
    n=st.integers(0, 60),
    m=st.integers(0, 60),
)
def test_the_laws_of_counting_under_invented_notices(
    given_by: tuple[dict[int, Arrangement], dict[date, str]], a: date, b: date, n: int, m: int
) -> None:
    calendar = WorkCalendar(*given_by)
    obeys_the_laws_of_counting(calendar, a, b, n, m)
    reference = ChinaWorkCalendar(*given_by)
    assert n == 0 or reference.add_working_days(a, n) == calendar.add(a, n)
    for k in range(120):
        d = a + k * DAY
        assert calendar.is_working_day(d) == reference.is_working_day(d) == reference.ruling(d).counted
