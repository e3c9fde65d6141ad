"""Every due date explains itself: a reason for each day on the way, and the date that `add` gives."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendar_cn.arrangements import shipped
from calendar_cn.working_days import Explanation, WorkCalendar

CALENDAR = WorkCalendar()
LOCAL = WorkCalendar(local_days={date(2026, 2, 24): "藏历新年", date(2027, 7, 20): ""})
UNNOTICED = "该年放假通知尚未发布，暂按周末和法定节假日推算"


def agrees(calendar: WorkCalendar, explained: Explanation, day: date, n: int) -> None:
    assert (explained.opened_on, explained.length, explained.due_on) == (day, n, calendar.add(day, n))
    assert [d.date.toordinal() for d in explained.days] == list(
        range(day.toordinal() + 1, explained.due_on.toordinal() + 1)
    )
    assert [d.index for d in explained.days if d.counted] == list(range(1, n + 1))
    assert all(d.index is None for d in explained.days if not d.counted)
    assert all(d.counted == d.reason.startswith(("工作日", "调休上班")) for d in explained.days)
    assert all(d.reason == calendar.day_reason(d.date) for d in explained.days)
    assert explained.provisional == calendar.is_provisional(day, explained.due_on)
    assert explained.provisional == any(d.date.year not in calendar.noticed_years for d in explained.days)
    assert {d.notice for d in explained.days} - {None} <= set(explained.notices)


@given(day=st.dates(date(2007, 1, 1), date(2032, 12, 31)), n=st.integers(0, 60))
def test_an_explanation_agrees_with_the_due_date(day: date, n: int) -> None:
    agrees(CALENDAR, CALENDAR.explain(day, n), day, n)
    agrees(LOCAL, LOCAL.explain(day, n), day, n)


def test_over_the_spring_festival() -> None:
    explained = CALENDAR.explain(date(2026, 2, 13), 2)
    (url,) = shipped()[2026].notices
    told = [(d.date.day, d.weekday_cn, d.index, d.reason, d.notice) for d in explained.days]
    festival = zip(range(15, 24), "日一二三四五六日一", strict=True)
    assert told == [
        (14, "星期六", 1, "调休上班（春节，国务院办公厅通知）", url),
        *[(day, f"星期{weekday}", None, "春节放假", url) for day, weekday in festival],
        (24, "星期二", 2, "工作日", None),
    ]
    assert explained.notices == (url,)
    assert not explained.provisional


def test_into_a_year_without_a_notice() -> None:
    explained = CALENDAR.explain(date(2026, 12, 31), 1)
    assert [(d.date.day, d.counted, d.reason) for d in explained.days] == [
        (1, False, "元旦（法定节假日，暂定）"),
        (2, False, f"周末（{UNNOTICED}）"),
        (3, False, f"周末（{UNNOTICED}）"),
        (4, True, f"工作日（{UNNOTICED}）"),
    ]
    assert explained.provisional
    assert explained.notices == ()


def test_an_empty_period_has_no_days() -> None:
    assert CALENDAR.explain(date(2027, 2, 6), 0) == Explanation(
        date(2027, 2, 6), 0, date(2027, 2, 6), (), False, ()
    )


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("2026-03-02", "工作日"),
        ("2026-03-01", "周末"),
        ("2020-02-03", "工作日（春节，国务院办公厅通知列明上班）"),
        ("2020-10-01", "国庆节、中秋节放假"),
        ("2027-02-05", "除夕（法定节假日，暂定）"),
        ("2027-02-06", "春节（法定节假日，暂定）"),
        ("2027-10-01", "国庆节（法定节假日，暂定）"),
    ],
)
def test_reasons(day: str, reason: str) -> None:
    assert CALENDAR.day_reason(date.fromisoformat(day)) == reason


def test_local_days_say_so() -> None:
    assert LOCAL.day_reason(date(2026, 2, 24)) == "本地放假：藏历新年"
    assert LOCAL.day_reason(date(2027, 7, 20)) == "本地放假"


def test_a_corrected_year_cites_the_notice_of_each_day() -> None:
    first, correction = shipped()[2020].notices
    explained = CALENDAR.explain(date(2020, 1, 29), 1)
    assert [(d.date.isoformat(), d.notice) for d in explained.days] == [
        ("2020-01-30", first),
        ("2020-01-31", correction),
        ("2020-02-01", correction),
        ("2020-02-02", correction),
        ("2020-02-03", correction),
    ]
    assert explained.notices == (first, correction)


def test_december_cites_the_next_years_notice_where_it_says_something() -> None:
    explained = CALENDAR.explain(date(2018, 12, 28), 1)
    assert [d.notice for d in explained.days] == [shipped()[2019].notices[0]]
    assert explained.notices == (*shipped()[2018].notices, *shipped()[2019].notices)
    assert CALENDAR.explain(date(2018, 12, 3), 1).notices == shipped()[2018].notices
