"""The templates: one for each kind that concerns units, short enough, filled with nothing but what the event says."""

import pytest

from hotline.exchange.envelopes import CATALOGUE, TESTED, kinds_for
from hotline.notifying import wording
from hotline.notifying.wording import (
    FIELDS,
    fields_of,
    kinds_to_choose,
    say,
    segments,
    templates,
    with_signature,
)

DATA = {
    "number": "012603020000019",
    "clocks": [
        {"kind": "return", "due_on": "2026-03-03", "due_at": "2026-03-03T16:00:00+00:00"},
        {"kind": "reply", "due_on": "2026-03-04", "due_at": "2026-03-04T16:00:00+00:00"},
    ],
    "question": 1024,
    "name": "1024@12",
    "notice": 1024,
}
LONG_NAME = "海西蒙古族藏族自治州住房和城乡建设局"


def test_every_kind_that_concerns_units_has_a_template_and_no_other_kind_has() -> None:
    assert set(templates()) - {wording.TESTED} == set(kinds_for(unit=True))
    assert TESTED not in templates()
    assert set(kinds_to_choose(unit=False)) < set(CATALOGUE)


def test_a_template_names_no_field_but_those_of_the_event() -> None:
    for kind, template in templates().items():
        assert fields_of(template) <= set(FIELDS), kind


@pytest.mark.parametrize("kind", list(templates()))
def test_a_text_is_whole_and_costs_two_messages_at_most_under_the_longest_name(kind: str) -> None:
    data = DATA | ({"clock": DATA["clocks"][1]} if kind.startswith("clock.") else {})  # type: ignore[index]
    said = say(kind, data, whose=LONG_NAME)
    for text in (said.subject, said.text, said.sms):
        assert "{" not in text
        assert "（）" not in text
        assert "（编号 ）" not in text
    assert segments(with_signature(said.sms, "海西州12345热线")) <= 2
    assert set(said.params) <= set(FIELDS)
    assert all(value for value in said.params.values()), "a gateway refuses an empty parameter"
    assert len(said.subject) <= 70


def test_the_day_is_that_of_the_duty_not_of_a_right() -> None:
    assert "3月4日24时前办结" in say("ticket.dispatched", DATA, whose="测试市住建局").sms
    assert say("ticket.dispatched", DATA, whose="测试市住建局").params["due"] == "3月4日24时"


@pytest.mark.parametrize(
    ("on", "at", "said"),
    [
        ("2026-03-04", "2026-03-04T16:00:00+00:00", "3月4日24时"),
        ("2026-12-31", "2026-12-31T16:00:00+00:00", "12月31日24时"),
        ("2026-03-04", "2026-03-04T09:30:00+00:00", "3月4日17时30分"),
        ("2026-03-04", "2026-03-04T10:00:00+00:00", "3月4日18时"),
    ],
)
def test_a_day_is_written_as_people_say_it(on: str, at: str, said: str) -> None:
    clock = {"kind": "reply", "due_on": on, "due_at": at}
    assert say("clock.lapsed", {"number": "1", "clock": clock}, whose="测试").params["due"] == said


def test_without_a_running_period_the_system_is_referred_to() -> None:
    said = say("ticket.reminded", {"number": "012603020000019", "clocks": []}, whose="测试市住建局")
    assert "系统所示期限" in said.text


def test_what_somebody_typed_is_in_no_text() -> None:
    data = DATA | {"reason": "来电人测试甲13900000001说的话", "explanation": "测试路1号", "form": "sms"}
    for kind in templates():
        said = say(kind, data, whose="测试市住建局")
        assert "测试甲" not in f"{said}"
        assert "13900000001" not in f"{said}"
        assert "测试路" not in f"{said}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1),
        ("热" * 70, 1),
        ("热" * 71, 2),
        ("热" * 134, 2),
        ("热" * 135, 3),
        ("a" * 70, 1),
        ("𠮷" * 35, 1),
        ("𠮷" * 36, 2),
    ],
)
def test_a_chinese_text_is_counted_in_messages_of_70_and_67(text: str, expected: int) -> None:
    assert segments(text) == expected
