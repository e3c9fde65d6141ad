"""Lists, and who sees what: filters, keyset pages, each unit its own part, no caller's data anywhere."""

from typing import Any

import pytest

from tests.api.conftest import Api
from tests.api.refusals import nothing_stored, problem
from tests.api.tables import dump

ALL_OK = {"elements": {"quality": True, "process": True, "content": True, "completeness": True}}


def numbers(api: Api, login: str, **query: Any) -> list[str]:
    """All the numbers of a list, walked in pages of seven."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.get("/tickets", login, params={"limit": 7} | query | cursor)
        assert page.status_code == 200, page.text
        found += [item["number"] for item in page.json()["items"]]
        if page.json()["next"] is None:
            return found
        cursor = {"cursor": page.json()["next"]}


def dispatched(api: Api, at: str, matter: str = "inquiry", lead: str = "ZJJ", **changes: Any) -> str:
    number = api.at(at).take(matter, **changes)
    api.act(number, "dispatch", "dispatcher", {"lead": lead})
    return number


# --- filters -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(api: Api) -> dict[str, str]:
    """Some tickets, each different from the others in one way."""
    return {
        "plain": api.at("2026-03-02 09:00").take("inquiry"),
        "zjj": dispatched(api, "2026-03-02 10:00", "inquiry"),
        "jtj": dispatched(api, "2026-03-02 11:00", "complaint", "JTJ"),
        "web": api.at("2026-03-02 12:00").take("help", channel="web"),
        "elsewhere": api.at("2026-03-02 13:00").take("inquiry", area="630102000000"),
        "category": api.at("2026-03-02 14:00").take("inquiry", category="010102"),
        "words": api.at("2026-03-02 15:00").take("inquiry", title="路灯100%_不亮", content="测试\\路"),
        "agent2": api.at("2026-03-02 16:00").take("suggestion", login="agent2"),
        "done": api.at("2026-03-02 17:00").take(decision={"act": "answer_at_once", "answer": "测试"}),
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "dispatched"}, {"zjj", "jtj"}),
        ({"state": ["dispatched", "answered"]}, {"zjj", "jtj", "done"}),
        ({"open": "true"}, {"plain", "zjj", "jtj", "web", "elsewhere", "category", "words", "agent2"}),
        ({"unit": "ZJJ"}, {"zjj"}),
        ({"unit": "CGJ"}, set()),
        ({"unit": "NOBODY"}, set()),
        ({"matter": "complaint"}, {"jtj"}),
        ({"channel": "web"}, {"web"}),
        ({"area": "630102"}, {"elsewhere"}),
        ({"area": "630102000000"}, {"elsewhere"}),
        ({"area": "64"}, set()),
        ({"category": "010102"}, {"category"}),
        ({"text": "100%_"}, {"words"}),
        ({"text": "%"}, {"words"}),
        ({"text": "\\"}, {"words"}),
        ({"mine": "true"}, {"plain", "zjj", "jtj", "web", "elsewhere", "category", "words", "done"}),
        ({"received_from": "2026-03-02T16:00:00+08:00"}, {"agent2", "done"}),
        ({"received_to": "2026-03-02T01:00:01Z"}, {"plain"}),
        ({"due_before": "2026-03-05T00:00:01+08:00", "unit": "ZJJ"}, {"zjj"}),
        ({"due_before": "2026-03-05T00:00:00+08:00", "unit": "ZJJ"}, set()),
        ({"due_before": "2026-03-03T00:00:00+08:00"}, set()),
        ({"state": "dispatched", "matter": "complaint", "unit": "JTJ", "area": "63", "open": "true"}, {"jtj"}),
    ],
    ids=lambda given: str(given) if isinstance(given, dict) else "",
)  # fmt: skip
def test_each_filter_and_several_together(
    api: Api, mixed: dict[str, str], query: dict[str, Any], expected: set[str]
) -> None:
    for sort in ("received", "due"):
        found = numbers(api, "agent", sort=sort, **query)
        assert len(found) == len(set(found))
        wanted = expected - ({"done"} if sort == "due" else set())  # nothing is due on it any more
        assert {name for name, number in mixed.items() if number in found} == wanted


def test_overdue_speaks_of_duties_that_lapsed_and_still_run(api: Api) -> None:
    late = dispatched(api, "2026-03-02 10:00", "inquiry")
    in_time = dispatched(api, "2026-03-02 10:00", "complaint")
    api.at("2026-03-09 10:00").act(late, "report_progress", "ZJJ", {"content": "测试"})  # stamps what lapsed
    assert numbers(api, "agent", overdue="true") == [late]
    assert numbers(api, "agent", overdue="false") == [in_time]
    lines = {i["number"]: i for i in api.get("/tickets", "agent").json()["items"]}
    assert (lines[late]["overdue"], lines[in_time]["overdue"]) == (True, False)


def test_a_list_says_overdue_before_any_sweep_has_come(api: Api) -> None:
    late = dispatched(api, "2026-03-02 10:00", "inquiry")
    api.at("2026-03-09 10:00")
    assert numbers(api, "agent", overdue="true") == [late]
    assert api.get("/tickets", "agent").json()["items"][0]["overdue"] is True


@pytest.mark.parametrize(
    "query",
    [{"stat": "open"}, {"limit": 0}, {"limit": 201}, {"sort": "name"}, {"state": "lost"}, {"cursor": "x"}, {"unit": "北京"}],
    ids=str,
)  # fmt: skip
def test_a_wrong_filter_is_named(api: Api, query: dict[str, Any]) -> None:
    body = problem(api.get("/tickets", "agent", params=query), 422)
    assert body["field"].split(".")[0] == next(iter(query))


@pytest.mark.parametrize(
    "content",
    [
        '["received", "2026-03-02T00:00:00", 1]',
        '["received", "2026-03-02T00:00:00+00:00", -1]',
        '["received", "2026-03-02T00:00:00+00:00", 1.5]',
        '["received", "2026-03-02T00:00:00+00:00", true]',
        '["received", "0001-01-01T00:00:00+14:00", 1]',
        '["received", "9999-12-31T23:59:59-12:00", 1]',
        '["due", "2026-03-02T00:00:00+00:00", 1]',
        '["received", null, 1]',
        "[" * 300,
        "{}",
        '"x"',
        "5",
    ],
)
def test_a_forged_cursor_is_refused(api: Api, content: str) -> None:
    import base64

    cursor = base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")
    assert problem(api.get("/tickets", "agent", params={"cursor": cursor}), 422)["field"] == "cursor"


# --- pages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sort", ["received", "due"])
def test_pages_walk_through_all_exactly_once_while_new_tickets_arrive(api: Api, sort: str) -> None:
    before = [dispatched(api, f"2026-03-02 09:{k:02d}", "inquiry") for k in range(12)]
    before += [dispatched(api, "2026-03-02 09:30", "inquiry") for _ in range(13)]  # all at one instant
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.get("/tickets", "agent", params={"limit": 4, "sort": sort} | cursor).json()
        found += [item["number"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
        dispatched(api, "2026-03-02 11:00", "complaint", "JTJ")
    assert len(found) == len(set(found))
    assert set(before) <= set(found)
    if sort == "received":
        assert found == before[::-1][: len(found)] or set(found) == set(before)


def test_by_due_the_most_urgent_comes_first_and_what_nobody_owes_is_left_out(api: Api) -> None:
    slow = dispatched(api, "2026-03-02 10:00", "complaint")
    quick = dispatched(api, "2026-03-02 11:00", "inquiry")
    middle = dispatched(api, "2026-03-02 09:00", "suggestion")
    ended = api.take(decision={"act": "answer_at_once", "answer": "测试"})
    for login in ("agent", "ZJJ"):
        page = api.get("/tickets", login, params={"sort": "due"}).json()
        assert [i["number"] for i in page["items"]] == [quick, middle, slow]
        due = [i["due_at"] for i in page["items"]]
        assert due == sorted(due)
    assert ended in numbers(api, "agent")


@pytest.mark.parametrize(
    ("steps", "narrowed"),
    [((1, 2, None), {}), ((2, 3, 5, 8, None), {"matter": "complaint"}), ((3, None), {"text": "一件也没有"})],
)
@pytest.mark.parametrize("asker", ["ZJJ", "dispatcher"])
def test_a_unit_s_page_by_due_is_the_same_however_far_it_looks_at_a_time(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    steps: tuple[int | None, ...],
    narrowed: dict[str, str],
    asker: str,
) -> None:
    for day in range(2, 7):
        for number in (
            dispatched(api, f"2026-03-0{day} 10:00", matter) for matter in ("inquiry", "complaint")
        ):
            if day == 4:
                api.at("2026-03-04 15:00").act(number, "sign", "ZJJ")
    if asker == "dispatcher":  # somebody else's tickets, and one where another unit's duty ends first
        dispatched(api, "2026-03-02 10:00", lead="JTJ")
        both = api.at("2026-03-02 09:00").take("complaint")
        api.act(both, "dispatch", "dispatcher", {"lead": "JTJ", "co_units": ["ZJJ"]})
        narrowed = narrowed | {"unit": "ZJJ"}
    asked = {"sort": "due", "limit": 3} | narrowed

    def pages() -> list[list[str]]:
        told: list[list[str]] = []
        cursor: dict[str, str] = {}
        while True:
            page = api.get("/tickets", asker, params=asked | cursor).json()
            told.append([item["number"] for item in page["items"]])
            due.extend(item["due_at"] for item in page["items"])
            if page["next"] is None:
                return told
            cursor = {"cursor": page["next"]}

    due: list[str] = []
    whole = pages()
    assert due == sorted(due)
    mine = {"matter": 5, "text": 0}.get(next(iter(narrowed), ""), 10)
    assert sum(map(len, whole)) == mine + (asker == "dispatcher" and mine > 0)
    assert all(len(page) == 3 for page in whole[:-1])
    monkeypatch.setattr("hotline.queues._STEPS", steps)
    assert pages() == whole


# --- who sees what -----------------------------------------------------------------------------------------------------


def test_everyone_sees_their_own(api: Api) -> None:
    zjj, jtj = dispatched(api, "2026-03-02 10:00"), dispatched(api, "2026-03-02 10:00", lead="JTJ")
    other = api.take(login="b-agent")
    assert set(numbers(api, "ZJJ")) == {zjj}
    assert set(numbers(api, "JTJ")) == {jtj}
    assert numbers(api, "CGJ") == []
    assert set(numbers(api, "agent")) == {zjj, jtj}
    assert set(numbers(api, "b-supervisor")) == {other}
    assert set(numbers(api, "p-supervisor")) == {zjj, jtj, other}
    assert set(numbers(api, "p-auditor")) == {zjj, jtj, other}
    assert numbers(api, "p-agent") == []
    assert numbers(api, "ZJJ", unit="JTJ") == []
    assert api.get(f"/tickets/{other}", "p-supervisor").status_code == 200


def test_a_co_unit_sees_its_own_part_and_no_other(api: Api) -> None:
    number = api.at("2026-03-02 09:00").take("complaint")
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "co_units": ["JTJ", "CGJ"]})
    for unit in ("ZJJ", "JTJ", "CGJ"):
        api.act(number, "sign", unit)
        api.act(number, "report_progress", unit, {"content": f"{unit}的进展"})
    asked = {"reason": "many_parties", "explanation": "CGJ的延期", "days": 2}
    api.act(number, "request_extension", "CGJ", asked)
    api.act(number, "approve_extension", "supervisor", {"unit": "CGJ"})
    for unit in ("CGJ", "ZJJ", "JTJ"):
        answered = {"citizen_answered_at": "2026-03-02T09:00:00+08:00"} if unit == "ZJJ" else {}
        api.act(number, "reply", unit, {"content": f"{unit}的答复"} | answered)
    api.act(number, "review_send_back", "reviewer", {"findings": {"content": "ZJJ的不足"}, "days": 2})
    api.at("2026-04-02 09:00").act(number, "flag", "reviewer", {"flag": "overdue", "explanation": "ZJJ的问题", "unit": "ZJJ"})  # fmt: skip
    from sqlmodel import Session

    from hotline import supervision

    with Session(api.world.engine) as session:
        supervision.lapse_due(session, api.world.office, api.now)
        supervision.remind_overdue(session, api.world.office, api.now)
        session.commit()

    def all_seen(login: str) -> str:
        view = api.get(f"/tickets/{number}", login).text
        return str(view + api.get(f"/tickets/{number}/timeline", login).text)

    co = all_seen("JTJ")
    assert "JTJ的进展" in co
    assert "JTJ的答复" in co
    for other in ("ZJJ的", "CGJ的", '"ZJJ"', '"CGJ"', "测试经办ZJJ", "测试经办CGJ"):
        assert other not in co, other
    ids = {api.world.units["ZJJ"], api.world.units["CGJ"]}
    entries = api.get(f"/tickets/{number}/timeline", "JTJ").json()["entries"]
    for entry in entries:
        payload = entry["payload"]
        assert payload.get("unit") not in ids, entry
        assert payload.get("clock", {}).get("unit") not in ids, entry
    lead = all_seen("ZJJ")
    assert "JTJ的答复" in lead
    clocks = api.get(f"/tickets/{number}", "supervisor").json()["clocks"]
    theirs = [c["id"] for c in clocks if c["unit"] in ("ZJJ", "CGJ")]
    assert theirs
    for clock in theirs:
        problem(api.get(f"/tickets/{number}/clocks/{clock}/certificate", "JTJ"), 404)
        assert api.get(f"/tickets/{number}/clocks/{clock}/certificate", "ZJJ").status_code == 200


def test_what_an_act_answers_shows_a_co_unit_no_other_units_clocks(api: Api) -> None:
    number = api.take("complaint")
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "co_units": ["JTJ"]})
    answer = api.act(number, "sign", "JTJ")
    assert {c["unit"] for c in answer["clocks"]} <= {"JTJ", None}


NAME, PHONE, ADDRESS = "欧阳测试丁", "13987654321", "测试大街88号3单元"


def test_the_callers_data_stands_nowhere_unmasked(api: Api) -> None:
    caller = {"name": NAME, "phone": PHONE, "address": ADDRESS}
    number = dispatched(api, "2026-03-02 09:00", "complaint", caller=caller)
    api.act(number, "sign", "ZJJ")
    api.act(number, "reply", "ZJJ", {"content": "已办", "citizen_answered_at": "2026-03-02T09:00:00+08:00"})
    key = {"Idempotency-Key": "personal-1"}
    api.take("help", caller=caller)
    api.post("/tickets", "agent", {"demand": {"matter": "help", "category": "010101", "area": "630104000000", "title": "x", "content": "y", "caller": caller}}, headers=key)  # fmt: skip
    shown = "".join(
        api.get(path, login).text
        for login in ("agent", "supervisor", "ZJJ", "p-supervisor", "auditor")
        for path in (f"/tickets/{number}", f"/tickets/{number}/timeline", "/tickets", "/tickets?sort=due")
    )
    stored = dump(api.world.engine)
    for secret in (NAME, PHONE, ADDRESS, NAME[:2], PHONE[3:], PHONE[:3] + "8765"):
        assert secret not in shown, secret
        assert secret not in stored, secret
        assert secret.encode().hex() not in stored, secret
        assert str(secret.encode())[2:-1] not in stored, secret
    masked = api.get(f"/tickets/{number}", "agent").json()["caller"]
    assert masked == {
        "name": "欧**",
        "phone": "139****4321",
        "has_address": True,
        "has_id_number": False,
        "confidential": False,
    }


def test_callers_data_is_read_for_a_purpose_that_is_recorded(api: Api) -> None:
    number = dispatched(api, "2026-03-02 09:00", caller={"name": NAME, "phone": PHONE})
    path = f"/tickets/{number}/unsealings"
    order = {"field": "phone", "purpose": "contact"}
    with nothing_stored(api):
        problem(api.post(path, "agent", {"field": "phone"}), 422)
        problem(api.post(path, "agent", order | {"purpose": "other"}), 422)
        problem(api.post(path, "agent", order | {"purpose": "other", "explanation": " "}), 422)
        problem(api.post(path, "CGJ", order), 404)
        for login in ("auditor", "editor", "reviewer", "admin"):
            problem(api.post(path, login, order), 403, "access_refused")
    assert api.post(path, "ZJJ", order | {"explanation": "答复来电人"}).json()["value"] == PHONE
    assert "答复来电人" in dump(api.world.engine, "unsealings")


@pytest.mark.parametrize(
    "changes", [{"matter": "tipoff"}, {"matter": "complaint", "caller": {"name": NAME, "phone": PHONE, "confidential": True}}], ids=["tipoff", "confidential"]
)  # fmt: skip
def test_a_tipoffs_caller_is_sealed_from_the_units(api: Api, changes: dict[str, Any]) -> None:
    caller = {"name": NAME, "phone": PHONE}
    number = dispatched(api, "2026-03-02 09:00", **({"caller": caller} | changes))
    order = {"field": "phone", "purpose": "call_back", "explanation": "答复"}
    with nothing_stored(api):
        for login in ("ZJJ", "ZJJ-lead"):
            body = problem(api.post(f"/tickets/{number}/unsealings", login, order), 403, "access_refused")
            assert body["article"] == "15"
    masked = api.get(f"/tickets/{number}", "ZJJ").json()["caller"]
    assert (masked["name"], masked["phone"], masked["has_address"]) == (None, None, False)
    assert api.post(f"/tickets/{number}/unsealings", "agent", order).json()["value"] == PHONE


def test_reference_lists(api: Api) -> None:
    me = api.get("/me", "ZJJ").json()
    may = set(me.pop("may"))
    assert {"sign", "reply", "propose_return"} <= may
    assert not may & {"take", "dispatch", "create_person"}
    assert me == {
        "kind": "person",
        "name": "测试经办ZJJ",
        "roles": ["handler"],
        "platform": None,
        "platform_name": None,
        "unit": "ZJJ",
        "unit_name": "测试市住建局",
    }
    for path in (
        "/vocabulary",
        "/statute",
        "/areas?parent=630100000000",
        "/categories",
        "/units",
        "/calendar",
    ):
        for login in ("agent", "ZJJ", "p-admin"):
            assert api.get(path, login).status_code == 200, path
    for path in ("/reminders", "/accountability", "/emergencies"):
        for login in ("agent", "ZJJ", "p-supervisor"):
            assert api.get(path, login).json() == []
