"""Versions (ETag, If-Match) and Idempotency-Key: nobody overwrites what they have not seen, no retry acts twice."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from tests.api.conftest import Api
from tests.api.refusals import new_ticket, nothing_stored, problem
from tests.api.tables import fingerprint, rows

KEY = {"Idempotency-Key": "retry-1"}


def entries(api: Api, number: str) -> list[Any]:
    found: list[Any] = api.get(f"/tickets/{number}/timeline", "supervisor").json()["entries"]
    return found


# --- versions ----------------------------------------------------------------------------------------------------------


def test_every_answer_names_the_version_and_the_etag_says_the_same(api: Api) -> None:
    taken = api.post("/tickets", "agent", new_ticket())
    number = taken.json()["number"]
    assert (taken.headers["etag"], taken.json()["version"]) == ('"1"', 1)
    acted = api.post(f"/tickets/{number}/dispatch", "dispatcher", {"lead": "ZJJ"})
    assert (acted.headers["etag"], acted.json()["version"]) == ('"2"', 2)
    seen = api.get(f"/tickets/{number}", "agent")
    assert (seen.headers["etag"], seen.json()["version"]) == ('"2"', 2)


def test_a_current_version_lets_the_act_through(api: Api) -> None:
    number = api.take()
    for etag in ('"1"', 'W/"2"', "*"):
        order = {"to": "agent2" if etag != '"1"' else "agent", "reason": "测试"}
        api.act(number, "hand_over", "supervisor", order, headers={"If-Match": etag})
    assert api.get(f"/tickets/{number}", "agent").json()["version"] == 4


def test_a_stale_version_is_refused_with_what_changed_since(api: Api) -> None:
    number = api.at("2026-03-02 09:00").take()
    api.at("2026-03-02 10:00").act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    api.at("2026-03-02 11:00").act(number, "sign", "ZJJ")
    with nothing_stored(api):
        body = problem(
            api.post(f"/tickets/{number}/withdraw", "agent", {"reason": "测试"}, headers={"If-Match": '"1"'}),
            412,
            "version_conflict",
        )
    assert (body["version"], body["state"]) == (3, "handling")
    assert [(c["act"], c["from"], c["to"]) for c in body["changes"]] == [
        ("dispatch", "accepted", "dispatched"),
        ("sign", "dispatched", "handling"),
    ]
    assert body["changes"][0]["by"] == "测试派单员dispatcher"
    assert body["changes"][0]["at"] == "2026-03-02T02:00:00+00:00"


@pytest.mark.parametrize("version", [0, 2, 999_999_999])
def test_a_version_that_never_was_is_refused_too(api: Api, version: int) -> None:
    number = api.take()
    with nothing_stored(api):
        order = {"reason": "测试"}
        headers = {"If-Match": f'"{version}"'}
        problem(api.post(f"/tickets/{number}/withdraw", "agent", order, headers=headers), 412)


def test_what_changed_shows_a_co_unit_no_more_than_its_timeline(api: Api) -> None:
    number = api.take("complaint")
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "co_units": ["JTJ", "CGJ"]})
    version = api.get(f"/tickets/{number}", "JTJ").json()["version"]
    api.act(number, "sign", "ZJJ")
    api.act(number, "sign", "CGJ", {"signed_by": "测试乙"})
    response = api.post(f"/tickets/{number}/sign", "JTJ", {}, headers={"If-Match": f'"{version}"'})
    told = problem(response, 412)["changes"]
    assert [c["act"] for c in told] == ["sign"] * len(told)
    assert not {c["by"] for c in told} & {"测试经办CGJ"}


def test_a_ticket_read_again_shows_what_time_alone_changed(api: Api) -> None:
    number = api.at("2026-03-02 09:00").take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    api.act(number, "sign", "ZJJ")
    first = api.get(f"/tickets/{number}", "ZJJ")
    later = api.at("2026-03-05 00:00").get(
        f"/tickets/{number}", "ZJJ", headers={"If-None-Match": first.headers["etag"]}
    )
    assert (later.status_code, later.headers["etag"]) == (200, first.headers["etag"])
    assert "request_extension" in first.json()["acts"]
    assert later.json()["clocks"] != first.json()["clocks"]


# --- repeated requests -------------------------------------------------------------------------------------------------


def test_the_same_request_twice_is_one_act_with_one_answer(api: Api) -> None:
    number = api.take()
    sent = (f"/tickets/{number}/dispatch", "dispatcher", {"lead": "ZJJ"})
    first = api.at("2026-03-02 10:00").post(*sent, headers=KEY)
    before = fingerprint(api.world.engine)
    again = api.at("2026-03-05 10:00").post(*sent, headers=KEY)
    assert fingerprint(api.world.engine) == before
    assert (first.status_code, first.text, first.headers["etag"]) == (
        again.status_code,
        again.text,
        again.headers["etag"],
    )
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert [e["act"] for e in entries(api, number)] == ["accept", "dispatch"]


def test_a_demand_sent_twice_is_one_ticket(api: Api) -> None:
    first = api.post("/tickets", "agent", new_ticket(), headers=KEY)
    again = api.post("/tickets", "agent", new_ticket(), headers=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert rows(api.world.engine)["tickets"] == 1


def test_a_replay_beats_a_stale_version(api: Api) -> None:
    number = api.take()
    sent = (f"/tickets/{number}/dispatch", "dispatcher", {"lead": "ZJJ"})
    headers = KEY | {"If-Match": '"1"'}
    assert api.post(*sent, headers=headers).status_code == 200
    assert api.post(*sent, headers=headers).status_code == 200


def test_a_key_with_another_request_is_refused(api: Api) -> None:
    number, other = api.take(), api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"}, headers=KEY)
    with nothing_stored(api):
        for path, order in (
            (f"/tickets/{number}/dispatch", {"lead": "JTJ"}),
            (f"/tickets/{other}/dispatch", {"lead": "ZJJ"}),
            (f"/tickets/{number}/merge", {"into": other, "reason": "测试"}),
        ):
            body = problem(api.post(path, "dispatcher", order, headers=KEY), 422, "idempotency_key_reused")
            assert body["field"] == "Idempotency-Key"
    preview = "/calendar/notices?preview={}"
    notice = {
        "year": 2027,
        "papers": ["https://www.gov.cn/zhengce/x.htm"],
        "days": [{"name": "元旦", "date": "2027-01-01", "isOffDay": True}],
    }
    assert api.post(preview.format("true"), "admin", notice, headers=KEY).status_code == 200
    problem(api.post(preview.format("false"), "admin", notice, headers=KEY), 422, "idempotency_key_reused")


def test_a_key_is_each_actors_own(api: Api) -> None:
    for login in ("agent", "agent2"):
        assert api.post("/tickets", login, new_ticket(), headers=KEY).status_code == 201
    assert rows(api.world.engine)["tickets"] == 2


def test_a_refused_request_leaves_its_key_free(api: Api) -> None:
    number = api.take()
    sent: tuple[str, str, dict[str, str]] = (f"/tickets/{number}/sign", "ZJJ", {})
    with nothing_stored(api):
        problem(api.post(*sent, headers=KEY), 404)
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    done = api.post(*sent, headers=KEY)
    assert (done.status_code, "idempotency-replayed" in done.headers) == (200, False)


def test_a_key_never_reveals_what_its_actor_may_no_longer_see(api: Api) -> None:
    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"}, headers=KEY)
    problem(api.post(f"/tickets/{number}/dispatch", "b-dispatcher", {"lead": "ZJJ"}, headers=KEY), 404)


def test_requests_with_one_key_at_once_are_one_act(api: Api) -> None:
    number = api.take()
    order = {"flag": "overdue", "explanation": "测试"}
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda _: api.post(f"/tickets/{number}/flag", "reviewer", order, headers=KEY), range(16))
        )
    assert {(a.status_code, a.text) for a in answers} == {(200, answers[0].text)}
    assert sum("idempotency-replayed" not in a.headers for a in answers) == 1
    assert [e["act"] for e in entries(api, number)].count("flag") == 1
    assert rows(api.world.engine)["flags"] == 1


def test_demands_with_one_key_at_once_are_one_ticket(api: Api) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda _: api.post("/tickets", "agent", new_ticket(), headers=KEY), range(16))
        )
    assert {(a.status_code, a.text) for a in answers} == {(201, answers[0].text)}
    assert rows(api.world.engine)["tickets"] == 1


def test_one_call_registered_at_once_is_one_ticket_and_the_others_learn_its_number(api: Api) -> None:
    order = new_ticket(call_id="call-1")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: api.post("/tickets", "agent", order), range(16)))
    taken = [a for a in answers if a.status_code == 201]
    assert len(taken) == 1
    for refused in answers:
        if refused is not taken[0]:
            body = problem(refused, 409, "already_registered")
            assert (body["number"], body["field"]) == (taken[0].json()["number"], "call_id")
    assert rows(api.world.engine)["tickets"] == 1


def test_keys_are_kept_a_week(api: Api) -> None:
    from api import scheduler

    api.post("/tickets", "agent", new_ticket(), headers=KEY)
    runtime = api.client.app.state.runtime  # type: ignore[attr-defined]
    job = next(j for j in scheduler.JOBS if j.name == "forget_old_requests")
    api.at("2026-03-09 08:59")
    assert scheduler.run(runtime, job) == 0
    api.at("2026-03-09 09:01")
    assert scheduler.run(runtime, job) == 1
    with api.world.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM request_keys")).scalar_one() == 0
