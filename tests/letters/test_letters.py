"""Letters of supervision: one to each unit, listing what it owes; every ticket is reminded with it; printed the same for ever."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from tests.api.conftest import Api
from tests.api.conftest import api as api
from tests.api.test_lists import dispatched


@pytest.fixture
def owed(api: Api) -> list[str]:
    """Two tickets of ZJJ, one late; one of JTJ; one nobody has yet."""
    numbers = [
        dispatched(api, "2026-03-02 09:00", "inquiry", "ZJJ"),
        dispatched(api, "2026-03-04 09:00", "complaint", "ZJJ"),
        dispatched(api, "2026-03-04 10:00", "complaint", "JTJ"),
    ]
    numbers.append(api.at("2026-03-05 09:00").take("inquiry"))
    api.at("2026-03-06 09:00")
    return numbers


def _issue(api: Api, body: Any, login: str = "supervisor", status: int = 201) -> Any:
    answer = api.post("/letters", login, body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_each_unit_gets_one_letter_and_each_ticket_is_reminded(api: Api, owed: list[str]) -> None:
    before = api.get(f"/tickets/{owed[0]}", "supervisor").json()["clocks"]
    done = _issue(api, {"numbers": owed, "content": "请于两日内办结，联系人电话13900000055。"})
    assert done["left_out"] == [owed[3]]
    by_unit = {letter["unit"]: letter for letter in done["letters"]}
    assert set(by_unit) == {"ZJJ", "JTJ"}
    letter = by_unit["ZJJ"]
    assert [(item["number"], item["late"]) for item in letter["items"]] == [
        (owed[0], True),
        (owed[1], False),
    ]
    assert {item["article"] for item in letter["items"]} == {"14(4)"}
    assert sorted(each["written"] for each in done["letters"]) == [
        "督办函〔2026〕1号",
        "督办函〔2026〕2号",
    ]
    assert "13900000055" not in letter["words"]
    after = api.get(f"/tickets/{owed[0]}", "supervisor").json()["clocks"]
    assert [(clock["kind"], clock["due_at"]) for clock in after] == [
        (clock["kind"], clock["due_at"]) for clock in before
    ]
    for number in owed[:3]:
        entry = api.get(f"/tickets/{number}/timeline", "supervisor").json()["entries"][-1]
        assert (entry["act"], entry["article"]) == ("remind", "14(8)")
    (reminder,) = api.get("/reminders", "ZJJ").json()
    assert {clock["number"] for clock in reminder["clocks"]} == set(owed[:2])
    assert "第十四条第（八）项" in reminder["content"]
    with Session(api.world.engine) as session:
        told = session.execute(text("SELECT unit_id FROM outbox WHERE type = 'ticket.reminded'")).scalars()
        assert sorted(told) == sorted([api.world.units["ZJJ"]] * 2 + [api.world.units["JTJ"]])


def test_a_list_is_enough_and_a_unit_sees_its_own_letters_alone(api: Api, owed: list[str]) -> None:
    done = _issue(api, {"filter": {"overdue": True, "owed_by": "ZJJ"}})
    (letter,) = done["letters"]
    assert [item["number"] for item in letter["items"]] == [owed[0]]
    assert [each["id"] for each in api.get("/letters", "ZJJ").json()["items"]] == [letter["id"]]
    for login in ("JTJ", "b-supervisor"):
        assert api.get("/letters", login).json()["items"] == []
        assert api.get(f"/letters/{letter['id']}/pdf", login).status_code == 404
    printed = api.get(f"/letters/{letter['id']}/pdf", "ZJJ")
    assert printed.status_code == 200, printed.text
    assert printed.content.startswith(b"%PDF")
    api.at("2026-03-20 09:00")
    assert api.get(f"/letters/{letter['id']}/pdf", "supervisor").content == printed.content


def test_what_cannot_be_asked_for_is_said(api: Api, owed: list[str]) -> None:
    assert _issue(api, {}, status=422)["field"] == "numbers"
    assert _issue(api, {"numbers": owed, "filter": {}}, status=422)["field"] == "numbers"
    assert "无需" in _issue(api, {"numbers": owed[3:]}, status=422)["detail"]
    assert _issue(api, {"numbers": owed}, login="b-supervisor", status=404)["field"] == "numbers"
    refused = _issue(api, {"numbers": owed[:3]}, login="p-supervisor", status=422)
    assert "无需" in refused["detail"]  # the province sees them; the letter is the platform's own to write
    assert api.get("/reminders", "ZJJ").json() == []
