"""The route of live updates: what begins a stream, what was missed, how much may wait; whom it refuses."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from api import live as routes
from api import tailing
from hotline.access import Actor
from hotline.people.standing import Shown
from tests import world as w
from tests.api.conftest import Api
from workflow.vocabulary import Role


async def _slow() -> list[bytes]:
    actor = Actor("person", 1, "测试", frozenset({Role.AGENT}), platform_ids=frozenset({1}))
    stream = tailing.Stream(actor, Shown(cookie=False, digest=b""), "")
    chunks = []
    for position in range(1, tailing.MOST_WAITING + 1):
        stream.put(b"x", 1, position)
    chunks.append(await stream.next(1) or b"")
    for position in range(1, tailing.MOST_WAITING + 20):
        stream.put(b"x", 1, position)
    chunks.append(await stream.next(1) or b"")
    chunks.append(await stream.next(0.01) or b"")
    stream.put(b"y", 1, 9)
    stream.end()
    assert await stream.next(1) is None, "whoever may no longer watch is not told what still waits"
    return chunks


def test_what_waits_for_a_slow_viewer_has_an_end() -> None:
    everything, cut, nothing = asyncio.run(_slow())
    assert everything == b"x" * tailing.MOST_WAITING
    assert cut.startswith(f"id: {tailing.MOST_WAITING + 1}\nevent: reset\n".encode())
    assert b'"reason":"too_slow"' in cut
    assert cut.endswith(b"x" * 18)
    assert nothing == b""


def test_what_is_documented_is_what_comes(api: Api) -> None:
    """In this process, with an end: `seconds=0` tells what was missed."""
    number = api.take()
    first = api.get("/live?seconds=0", "agent")
    assert first.status_code == 200
    assert first.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert first.headers["x-accel-buffering"] == "no"
    assert first.headers["cache-control"] == "no-store"
    start = int(first.text.split("id: ")[1].split("\n")[0])
    assert first.text.startswith("retry: ")
    assert "event: ready" in first.text
    assert number not in first.text, "what one did not miss is not told"
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    for how in ({"headers": {"Last-Event-ID": str(start)}}, {"params": {"after": str(start)}}):
        again = api.get("/live?seconds=0" if "headers" in how else "/live", "agent", **_with_seconds(how))
        assert '"kind":"ticket.dispatched"' in again.text
        assert number in again.text
    assert number not in api.get(f"/live?seconds=0&after={start}", "b-agent").text
    assert number not in api.get(f"/live?seconds=0&after={start}", "JTJ").text
    for strange in ("999999999", "x", "-1", "１２"):
        assert "event: reset" in api.get("/live", "agent", params={"after": strange, "seconds": 0}).text
    assert api.get("/live?seconds=3601", "agent").status_code == 422
    assert api.get("/live?seconds=0", "admin").status_code == 403
    assert api.client.get("/api/v1/live").status_code == 401
    operation = api.client.get("/api/v1/openapi.json").json()["paths"]["/api/v1/live"]["get"]
    content = operation["responses"]["200"]["content"]
    assert set(content) == {"text/event-stream"}
    assert {"401", "403", "422", "429", "503"} <= set(operation["responses"])


def _with_seconds(how: dict[str, Any]) -> dict[str, Any]:
    return {**how, "params": {**how["params"], "seconds": 0}} if "params" in how else how


def test_opening_a_stream_is_no_reading_of_personal_data(api: Api, world: w.World) -> None:
    with world.engine.connect() as connection:
        before = connection.execute(text("SELECT count(*) FROM audit")).scalar_one()
    assert api.get("/live?seconds=0", "agent").status_code == 200
    with world.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM audit")).scalar_one() == before


def test_who_comes_back_too_late_begins_anew(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    start = api.get("/live?seconds=0", "agent").text.split("id: ")[1].split("\n")[0]
    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    for _ in range(3):
        api.act(number, "report_progress", "ZJJ", {"content": "进展。"})
    monkeypatch.setattr(routes, "MOST_CAUGHT_UP", 5)
    told = api.get(f"/live?seconds=0&after={start}", "agent").text
    assert "event: reset" in told
    assert "too_old" in told
    assert number not in told
    monkeypatch.setattr(routes, "MOST_CAUGHT_UP", 6)
    assert number in api.get(f"/live?seconds=0&after={start}", "agent").text


def test_nobody_opens_streams_without_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailing, "MOST_OF_ONE", 0)
    refused = api.get("/live?seconds=0", "agent")
    assert refused.status_code == 429
    assert "打开的实时更新过多" in refused.json()["title"]
    monkeypatch.setattr(tailing, "MOST_OF_ONE", 1)
    for _ in range(3):
        assert api.get("/live?seconds=0", "agent").status_code == 200, "one that was closed still counted"
