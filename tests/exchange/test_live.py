"""Live updates: everybody is told of the tickets they see and of nothing else, on any process, resuming where they were."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlmodel import Session, col

from api.who import PLAIN_COOKIE
from hotline import aftercare, casework, supervision
from hotline.access import visible_to
from hotline.exchange import live, outbox
from hotline.models import OutboxEvent, Ticket
from hotline.orders import FlagOrder, ReasonOrder, ReplyOrder, ReturnDecision, ReturnOrder, SignOrder
from hotline.organisation import Person
from hotline.people import sessions
from hotline.settings import Settings
from tests.exchange.conftest import Exchange
from tests.exchange.watcher import Watcher
from tests.processes.hotlines import Served, free_port, serving
from workflow.vocabulary import Flag

LOGINS = (
    "agent", "dispatcher", "supervisor", "auditor", "b-agent", "b-supervisor", "p-agent", "p-supervisor",
    "ZJJ", "ZJJ-lead", "JTJ", "CGJ", "HDJ", "SJT",
)  # fmt: skip


# --- who is told what --------------------------------------------------------------------------------------------------


def all_told(exchange: Exchange, login: str) -> list[dict[str, Any]]:
    """What this person is told of the whole feed."""
    exchange.sort()
    with Session(exchange.engine) as session:
        actor = exchange.world.actor(session, login)
        batch = live.read(session, 0, 10_000)
        told = [
            live.told(session, exchange.office.directory, actor, each, batch.placed.get(each.ticket_id))
            for each in batch.facts
        ]
        return [each for each in told if each is not None]


def handled(exchange: Exchange, number: str, chance: random.Random) -> None:
    """Something happens to a ticket that ZJJ leads, JTJ perhaps beside it."""
    turn = chance.randrange(5)
    if turn == 0:
        exchange.sign(number)
        exchange.progress(number)
    elif turn == 1:
        order = ReturnOrder(grounds="不属我局。", suggestion="建议改派。", suggested_unit="CGJ")
        exchange.do("ZJJ", lambda desk: casework.propose_return(desk, number, order))
        exchange.do(
            "supervisor", lambda desk: casework.uphold_return(desk, number, ReturnDecision(reason="属实。"))
        )
    elif turn == 2:
        order_flag = FlagOrder(flag=next(iter(Flag)), explanation="测试。", unit="ZJJ")
        exchange.do("supervisor", lambda desk: supervision.flag(desk, number, order_flag))
    elif turn == 3:
        exchange.do(
            "agent", lambda desk: aftercare.withdraw(desk, number, ReasonOrder(reason="来电人撤回。"))
        )


def test_whoever_sees_a_ticket_is_told_of_it_and_nobody_else_is(exchange: Exchange) -> None:
    """Against `visible_to` itself, over every ticket and everybody; and no ticket's change is kept from who sees it."""
    chance = random.Random(7)
    for n in range(12):
        co_units = ("JTJ",) if n % 3 == 0 else ()
        handled(exchange, exchange.dispatched("ZJJ", co_units), chance)
    everywhere = {row.number: row.version for row in exchange.rows("SELECT number, version FROM tickets")}
    for login in LOGINS:
        with Session(exchange.engine) as session:
            actor = exchange.world.actor(session, login)
            seen = set(session.execute(select(col(Ticket.number)).where(visible_to(actor))).scalars())
        told = all_told(exchange, login)
        assert {each["number"] for each in told} == seen, login
        newest = {each["number"]: each["version"] for each in told}
        assert newest == {number: everywhere[number] for number in seen}, login
        positions = [each["seq"] for each in told]
        assert positions == sorted(positions)
    assert len(everywhere) == 12


def test_a_co_unit_learns_only_that_something_changed_where_it_is_not_its_part(exchange: Exchange) -> None:
    number = exchange.dispatched("ZJJ", ("JTJ",))
    exchange.sign(number)
    exchange.do("JTJ", lambda desk: casework.sign(desk, number, SignOrder()))
    exchange.do(
        "supervisor",
        lambda desk: supervision.flag(
            desk, number, FlagOrder(flag=next(iter(Flag)), explanation="测试。", unit="ZJJ")
        ),
    )
    assert [(e["kind"], e["units"]) for e in all_told(exchange, "supervisor")] == [
        ("ticket.accepted", []),
        ("ticket.dispatched", ["ZJJ", "JTJ"]),
        ("ticket.signed", ["ZJJ"]),
        ("ticket.signed", ["JTJ"]),
        ("unit.flagged", ["ZJJ"]),
    ]
    assert [(e["kind"], e["units"]) for e in all_told(exchange, "JTJ")] == [
        (live.CHANGED, []),
        ("ticket.dispatched", ["JTJ"]),
        (live.CHANGED, []),
        ("ticket.signed", ["JTJ"]),
        (live.CHANGED, []),
    ]
    assert [(e["kind"], e["units"]) for e in all_told(exchange, "ZJJ")][1:] == [
        ("ticket.dispatched", ["ZJJ", "JTJ"]),
        ("ticket.signed", ["ZJJ"]),
        ("ticket.signed", ["JTJ"]),
        ("unit.flagged", ["ZJJ"]),
    ], "the lead unit sees every part"


def test_nothing_of_the_caller_is_told(exchange: Exchange) -> None:
    number = exchange.dispatched()
    exchange.do("ZJJ", lambda desk: casework.sign(desk, number, SignOrder()))
    reply = ReplyOrder.model_validate({"content": "已更换阀门，测试甲 13900000001 表示满意。"})
    exchange.do("ZJJ", lambda desk: casework.reply(desk, number, reply))
    for login in LOGINS:
        for each in all_told(exchange, login):
            assert set(each) == {"seq", "number", "kind", "state", "version", "units", "at"}
            assert "13900000001" not in str(each)
            assert "测试" not in str(each)


# --- real processes ------------------------------------------------------------------------------------------------------


@pytest.fixture
def served(exchange: Exchange, tmp_path: Path) -> Iterator[Served]:
    url = exchange.engine.url.render_as_string(hide_password=False)
    with serving(tmp_path / "data", url, exchange.world.tokens) as server:
        yield server


def watch(server: Served, login: str, query: str = "") -> Watcher:
    return Watcher(server.address, server.headers(login), query)


@pytest.mark.processes
def test_screens_on_two_processes_show_what_a_third_did(
    exchange: Exchange, served: Served, tmp_path: Path
) -> None:
    """And whoever was cut off goes on, at the other process, missing nothing and in order."""
    url = exchange.engine.url.render_as_string(hide_password=False)
    with serving(tmp_path / "data", url, exchange.world.tokens, "--no-tick", port=free_port()) as other:
        here, there = watch(served, "agent").open(), watch(other, "ZJJ").open()
        stranger = watch(other, "b-agent").open()
        number = exchange.dispatched()
        here.until(lambda: len(here.of("ticket")) == 2)
        there.until(lambda: len(there.of("ticket")) == 2)
        assert [each["kind"] for each in here.of("ticket")] == ["ticket.accepted", "ticket.dispatched"]
        assert there.of("ticket")[1] == here.of("ticket")[1] | {}
        here.close()
        exchange.sign(number)
        exchange.progress(number, 3)
        again = Watcher(other.address, here.headers).open(here.last_id)
        exchange.progress(number, 2)
        again.until(lambda: len(again.of("ticket")) >= 6)
        assert [each["version"] for each in again.of("ticket")] == [3, 4, 5, 6, 7, 8]
        assert again.of("reset") == []
        assert stranger.of("ticket") == []
        for each in (there, again, stranger):
            each.close()


@pytest.mark.processes
def test_a_server_with_streams_open_stops_at_once(exchange: Exchange, served: Served) -> None:
    watchers = [watch(served, login).open() for login in ("agent", "ZJJ", "supervisor")]
    assert served.process.terminate() < 15
    assert served.process.popen.returncode == 0
    for each in watchers:
        assert each.ended.wait(5)
    said = served.process.log.read_text()
    assert "Traceback" not in said
    assert "Shutting down" in said
    assert "timeout graceful shutdown exceeded" not in said
    assert "without completing" not in said


@pytest.mark.processes
def test_the_stream_of_who_may_no_longer_watch_ends(exchange: Exchange, served: Served) -> None:
    """A revoked token, a disabled person, one whose roles changed, an ended session; and nobody else's."""
    with served.client() as client:
        own = {"Authorization": f"Bearer {exchange.world.tokens['agent2']}"}
        issued = client.post(
            "/api/v1/tokens", headers=own, json={"label": "测试", "scopes": ["tickets:read"], "days": 1}
        )
        assert issued.status_code == 201, issued.text
        revoked = Watcher(served.address, {"Authorization": f"Bearer {issued.json()['token']}"}).open()
        disabled, changed = watch(served, "callback").open(), watch(served, "reviewer").open()
        stays = watch(served, "agent2").open()
        with exchange.operator() as desk:
            person = desk.session.get_one(Person, exchange.world.people["dispatcher"])
            settings = Settings(data_dir=Path("unused"))
            cookie = sessions.open_session(desk.session, person, method="oidc", at=desk.at, settings=settings)
        browser = {"Cookie": f"{PLAIN_COOKIE}={cookie}"}
        signed_out = Watcher(served.address, browser).open()
        admin = served.headers("admin")
        csrf = {"X-CSRF-Token": sessions.csrf_of(cookie)}
        answer = client.delete("/api/v1/session", headers=browser | csrf)
        assert answer.status_code == 204, answer.text
        answer = client.post(f"/api/v1/tokens/{issued.json()['id']}/revoke", headers=own, json={})
        assert answer.status_code == 200, answer.text
        answer = client.post("/api/v1/people/callback/disable", headers=admin, json={"reason": "离职。"})
        assert answer.status_code == 200, answer.text
        answer = client.post("/api/v1/people/reviewer/roles", headers=admin, json={"roles": ["editor"]})
        assert answer.status_code == 200, answer.text
    for each in (revoked, disabled, changed, signed_out):
        assert each.ended.wait(15), "still open"
    assert Watcher(served.address, revoked.headers).open().status == 401
    assert Watcher(served.address, changed.headers).open().status == 200
    number = exchange.dispatched()
    stays.until(lambda: any(each["number"] == number for each in stays.of("ticket")))
    stays.close()


@pytest.mark.processes
def test_two_people_on_one_ticket_see_each_other(exchange: Exchange, served: Served) -> None:
    number, elsewhere = exchange.dispatched("ZJJ", ("JTJ",)), exchange.dispatched("CGJ")
    assert elsewhere

    def say(login: str, doing: str, status: int = 200) -> Any:
        with served.client() as client:
            answer = client.post(
                f"/api/v1/tickets/{number}/presence", headers=served.headers(login), json={"doing": doing}
            )
        assert answer.status_code == status, answer.text
        return answer.json()

    agent, unit, co_unit = (watch(served, login).open() for login in ("agent", "ZJJ", "JTJ"))
    stranger = watch(served, "CGJ").open()
    first = say("agent", "viewing")
    assert (first["number"], [p["person"] for p in first["people"]]) == (number, [first["me"]])
    second = say("ZJJ", "editing")
    assert [(p["name"], p["unit"], p["person"]) for p in second["people"]] == [
        ("平台人员", None, None),
        ("测试经办ZJJ", "ZJJ", second["me"]),
    ]
    assert [p["name"] for p in say("JTJ", "viewing")["people"]] == ["平台人员", "测试经办JTJ"]
    agent.until(lambda: bool(agent.of("presence")) and len(agent.of("presence")[-1]["people"]) == 3)
    assert {(p["name"], p["doing"]) for p in agent.of("presence")[-1]["people"]} == {
        ("测试话务员agent", "viewing"),
        ("测试经办ZJJ", "editing"),
        ("测试经办JTJ", "viewing"),
    }
    for watcher in (unit, co_unit):
        watcher.until(lambda w=watcher: bool(w.of("presence")) and len(w.of("presence")[-1]["people"]) == 2)  # type: ignore[misc]
        assert "测试话务员" not in str(watcher.told)
    assert "测试经办JTJ" not in str(unit.told)
    assert "测试经办ZJJ" not in str(co_unit.told)
    late = watch(served, "dispatcher").open()
    late.until(lambda: bool(late.of("presence")))
    assert len(late.of("presence")[0]["people"]) == 3, "whoever comes later learns who is there"
    say("ZJJ", "left")
    agent.until(lambda: len(agent.of("presence")[-1]["people"]) == 2)
    exchange.rows_written("UPDATE presence SET until = now()")  # nobody says anything more
    agent.until(lambda: agent.of("presence")[-1]["people"] == [])
    assert stranger.of("presence") == []
    say("CGJ", "viewing", status=404)
    for each in (agent, unit, co_unit, stranger, late):
        each.close()
    assert exchange.rows("SELECT 1 FROM outbox WHERE type LIKE '%presence%'") == []


@pytest.mark.processes
def test_a_call_is_told_to_the_screens_of_its_agent_alone(exchange: Exchange, served: Served) -> None:
    own, others = (
        watch(served, "agent").open(),
        [watch(served, login).open() for login in ("b-agent", "supervisor")],
    )
    with Session(exchange.engine) as session:
        actor = exchange.world.actor(session, "agent")
        row = outbox.row(
            outbox.CALL_RINGING,
            ticket_id=None,
            seq=None,
            platform_id=exchange.world.platforms["01"],
            unit_id=None,
            data={"call": 7, "person": actor.id, "state": "ringing"},
            at=exchange.clock(),
        )
        session.execute(insert(OutboxEvent).values(row))
        session.commit()
    own.until(lambda: bool(own.of("call")))
    assert own.of("call") == [{"kind": "call.ringing", "call": 7, "state": "ringing"}]
    exchange.dispatched()
    others[1].until(lambda: len(others[1].of("ticket")) == 2)
    assert [each.of("call") for each in others] == [[], []]
    for each in (own, *others):
        each.close()
