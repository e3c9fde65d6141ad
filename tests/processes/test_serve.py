"""`hotline serve` as a real process behind a real socket: the closed loop, many clients at once, SIGTERM and kill -9."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from sqlalchemy import Engine, select, text
from sqlmodel import Session, col

from api.turns import AT_ONCE
from hotline import ledger
from hotline.models import Ticket
from tests.api.refusals import new_ticket, problem
from tests.processes.hotlines import Served, free_port, serving
from tests.survival.log import Log
from tests.world import World

if TYPE_CHECKING:
    from tests.postgres_server import Server

pytestmark = pytest.mark.processes
CLIENTS = 50
ALL_OK = {"elements": {"quality": True, "process": True, "content": True, "completeness": True}}


@dataclass
class House(Served):
    """A server that answers, and the database behind it."""

    engine: Engine


@pytest.fixture(scope="module")
def house(postgres_server: "Server", tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all the tests that leave it running."""
    folder = tmp_path_factory.mktemp("house")
    with postgres_server.world(folder) as world:
        url = world.engine.url.render_as_string(hide_password=False)
        with serving(folder, url, world.tokens, "--no-tick") as server:
            yield House(server.process, server.address, server.tokens, world.engine)


def post(client: httpx2.Client, server: Served, path: str, login: str, order: Any, **headers: str) -> Any:
    return client.post(f"/api/v1{path}", headers=server.headers(login) | headers, json=order)


def done(client: httpx2.Client, server: Served, path: str, login: str, order: Any = None) -> Any:
    answer = post(client, server, path, login, order or {})
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """`work(0)`…`work(count - 1)`, each in a thread of its own, let go together."""
    gate = threading.Barrier(count)

    def wait_and_work(number: int) -> Any:
        gate.wait(30)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(wait_and_work, range(count)))


def chains_hold(engine: Engine) -> None:
    """Every ticket's ledger verifies."""
    with Session(engine) as session:
        tickets = session.execute(select(Ticket).order_by(col(Ticket.id))).scalars().all()
        assert tickets
        for ticket in tickets:
            entries = ledger.entries_of(session, ticket.id)
            assert ledger.verify(ticket.number, ticket.ledger_head, ticket.ledger_seq, entries) == []


def test_the_closed_loop_and_the_end(engine: Engine, database_url: str, world: World, tmp_path: Path) -> None:
    with serving(tmp_path, database_url, world.tokens) as house, house.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").json()["status"] == "ready"
        assert "12345" in client.get("/", follow_redirects=True).text
        number = done(client, house, "/tickets", "agent", new_ticket(matter="complaint"))["number"]
        for act, login, order, state in (
            ("dispatch", "dispatcher", {"lead": "ZJJ"}, "dispatched"),
            ("sign", "ZJJ", {}, "handling"),
            ("answer_citizen", "ZJJ", {}, "handling"),
            ("reply", "ZJJ", {"content": "已更换阀门。"}, "replied"),
            ("review_pass", "reviewer", ALL_OK, "verified"),
            ("record_callback", "callback", {"outcome": "satisfied", "solved": True}, "closed"),
            ("archive", "agent", {}, "archived"),
        ):
            assert done(client, house, f"/tickets/{number}/{act}", login, order)["state"] == state
        chains_hold(engine)
        # the client's connection is kept alive: it must not hold the end up
        assert house.process.terminate() < 10
        assert house.process.popen.returncode == 0
        assert "Traceback" not in house.process.log.read_text()


def test_of_fifty_clients_with_one_act_exactly_one_wins(house: House, survival_log: Log) -> None:
    clients = [house.client() for _ in range(CLIENTS)]
    number = done(clients[0], house, "/tickets", "agent", new_ticket())["number"]
    orders = [{"lead": unit} for unit in ("ZJJ", "JTJ", "CGJ", "HZQ")]

    def dispatch(k: int) -> Any:
        headers = {"If-Match": '"1"'} if k % 2 else {}
        order = orders[k % len(orders)]
        return post(clients[k], house, f"/tickets/{number}/dispatch", "dispatcher", order, **headers)

    answers = at_once(CLIENTS, dispatch)
    counted = Counter(a.status_code for a in answers)
    assert counted[200] == 1
    assert counted[409] + counted[412] == CLIENTS - 1
    for answer in answers:
        if answer.status_code == 409:
            body = problem(answer, 409, "illegal_move")
            assert (body["state"], body["act"]) == ("dispatched", "dispatch")
        elif answer.status_code == 412:
            body = problem(answer, 412, "version_conflict")
            assert [(c["act"], c["to"]) for c in body["changes"]] == [("dispatch", "dispatched")]
    with Session(house.engine) as session:
        ticket = session.execute(select(Ticket).where(col(Ticket.number) == number)).scalar_one()
        assert [e.act for e in ledger.entries_of(session, ticket.id)] == ["accept", "dispatch"]
    chains_hold(house.engine)
    survival_log(
        "fifty clients, one act", clients=CLIENTS, won=counted[200], refused=counted[409] + counted[412]
    )
    for client in clients:
        client.close()


def test_acts_that_all_may_happen_all_happen_one_after_another(house: House) -> None:
    with house.client() as client:
        number = done(client, house, "/tickets", "agent", new_ticket())["number"]
        done(client, house, f"/tickets/{number}/dispatch", "dispatcher", {"lead": "ZJJ"})
        order = {"content": "测试"}
        path = f"/tickets/{number}/report_progress"
        answers = at_once(20, lambda _: post(client, house, path, "ZJJ", order))
    assert Counter(a.status_code for a in answers) == {200: 20}
    assert sorted(a.json()["version"] for a in answers) == list(range(3, 23))
    chains_hold(house.engine)


def test_acts_that_wait_for_a_lock_do_not_hold_up_the_others(house: House) -> None:
    with house.client() as client:
        held = [done(client, house, "/tickets", "agent", new_ticket())["number"] for _ in range(2 * AT_ONCE)]
        free = done(client, house, "/tickets", "agent", new_ticket())["number"]
    order = {"lead": "ZJJ"}
    clients = [house.client() for _ in held]
    looking = house.engine.execution_options(isolation_level="AUTOCOMMIT").connect()
    with looking, house.engine.connect() as locking, ThreadPoolExecutor(len(held)) as pool:
        locking.execute(text("SELECT 1 FROM tickets WHERE number = ANY(:held) FOR UPDATE"), {"held": held})
        waiting = [
            pool.submit(post, each, house, f"/tickets/{number}/dispatch", "dispatcher", order)
            for each, number in zip(clients, held, strict=True)
        ]
        waits = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        while looking.execute(waits).scalar_one() < len(held):
            assert not any(each.done() for each in waiting)
        with house.client() as client:
            began = time.monotonic()
            assert (
                done(client, house, f"/tickets/{free}/dispatch", "dispatcher", order)["state"] == "dispatched"
            )
            assert time.monotonic() - began < 3
        assert not any(each.done() for each in waiting)
        locking.rollback()
        assert [each.result().status_code for each in waiting] == [200] * len(held)
    for each in clients:
        each.close()


def test_merges_crosswise_and_in_a_ring_end_without_a_server_error(house: House) -> None:
    with house.client() as client:
        for size in (2, 2, 2, 3, 5, 8):
            numbers = [done(client, house, "/tickets", "agent", new_ticket())["number"] for _ in range(size)]

            def merge(k: int, ring: list[str] = numbers) -> Any:
                order = {"into": ring[(k + 1) % len(ring)], "reason": "测试"}
                return post(client, house, f"/tickets/{ring[k]}/merge", "dispatcher", order)

            answers = at_once(size, merge)
            statuses = Counter(a.status_code for a in answers)
            assert set(statuses) <= {200, 409, 422}, [a.text for a in answers]
            assert 1 <= statuses[200] < size
            views = [
                client.get(f"/api/v1/tickets/{n}", headers=house.headers("supervisor")).json()
                for n in numbers
            ]
            mains = {v["number"] for v in views if v["state"] != "merged"}
            assert {v["merged_into"] for v in views if v["state"] == "merged"} <= mains
    chains_hold(house.engine)


def test_a_main_ticket_that_replies_while_others_merge_into_it_forgets_none(house: House) -> None:
    with house.client() as client:
        main = done(client, house, "/tickets", "agent", new_ticket())["number"]
        done(client, house, f"/tickets/{main}/dispatch", "dispatcher", {"lead": "ZJJ"})
        done(client, house, f"/tickets/{main}/sign", "ZJJ")
        done(client, house, f"/tickets/{main}/answer_citizen", "ZJJ")
        others = [done(client, house, "/tickets", "agent", new_ticket())["number"] for _ in range(11)]

        def turn(k: int) -> Any:
            if k == 5:
                return post(client, house, f"/tickets/{main}/reply", "ZJJ", {"content": "已办。"})
            order = {"into": main, "reason": "测试"}
            return post(client, house, f"/tickets/{others[k - (k > 5)]}/merge", "dispatcher", order)

        answers = at_once(12, turn)
        assert {a.status_code for a in answers} <= {200, 422}, [a.text for a in answers]
        assert answers[5].status_code == 200
        for number in others:
            view = client.get(f"/api/v1/tickets/{number}", headers=house.headers("agent")).json()
            waiting = [c for c in view["clocks"] if c["kind"] == "callback" and c["met_at"] is None]
            assert len(waiting) == (1 if view["state"] == "merged" else 0)
    chains_hold(house.engine)


def test_kill_9_loses_no_acknowledged_act_and_leaves_none_half_done(
    engine: Engine, database_url: str, world: World, tmp_path: Path
) -> None:
    port = free_port()
    acknowledged: list[tuple[str, int]] = []
    for round_ in range(3):
        with serving(tmp_path, database_url, world.tokens, "--no-tick", port=port) as server:
            _load_until_killed(server, acknowledged, after=40 + 20 * round_)
    assert len(acknowledged) >= 100
    _all_there(engine, acknowledged, world)


def _load_until_killed(server: Served, acknowledged: list[tuple[str, int]], *, after: int) -> None:
    counter = itertools.count()

    def work(_: int) -> None:
        with server.client() as client:
            try:
                while True:
                    taken = done(client, server, "/tickets", "agent", new_ticket())
                    acknowledged.append((taken["number"], 1))
                    path = f"/tickets/{taken['number']}"
                    done(client, server, f"{path}/dispatch", "dispatcher", {"lead": "ZJJ"})
                    acknowledged.append((taken["number"], 2))
                    if next(counter) == after:
                        server.process.kill()
            except httpx2.TransportError:
                return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


def _all_there(engine: Engine, acknowledged: list[tuple[str, int]], world: World) -> None:
    with Session(engine) as session:
        tickets = {t.number: t for t in session.execute(select(Ticket)).scalars()}
        for number, version in acknowledged:
            assert tickets[number].version >= version
        for ticket in tickets.values():
            entries = ledger.entries_of(session, ticket.id)
            assert [e.act for e in entries] == ["accept", "dispatch"][: ticket.version]
            assert ticket.state.value == ["accepted", "dispatched"][ticket.version - 1]
    chains_hold(engine)
