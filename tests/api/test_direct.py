"""The short way of a request that is in order answers as the ordinary way does."""

import json
from typing import Any

import pytest

from api.acts import router
from api.direct import DirectRoute, _values
from tests import world as w
from tests.api.conftest import Api

SHORT, ORDINARY = "application/json", "application/vnd.hotline+json"


def test_every_act_and_intake_may_go_the_short_way() -> None:
    assert len(router.routes) > 30
    assert all(isinstance(route, DirectRoute) for route in router.routes)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each request so far, whether it went the short way."""
    went: list[bool] = []

    async def noting(*arguments: Any, with_body: bool) -> Any:
        values = await _values(*arguments, with_body=with_body)
        went.append(values is not None)
        return values

    monkeypatch.setattr("api.direct._values", noting)
    return went


def sent(api: Api, path: str, body: bytes, kind: str, **headers: Any) -> tuple[int, Any, dict[str, str]]:
    answer = api.client.post(f"/api/v1{path}", content=body, headers={"Content-Type": kind, **headers})
    told = {
        name: value
        for name, value in answer.headers.items()
        if name in ("etag", "content-type", "retry-after")
    }
    said = answer.json()
    for clock in said.get("clocks", []):
        del clock["id"]
    return answer.status_code, {name: said[name] for name in said if name not in ("number", "spoken")}, told


DEMAND = {"demand": w.demand().model_dump(mode="json", exclude_none=True)}
BODIES: dict[str, bytes] = {
    "in order": json.dumps(DEMAND).encode(),
    "decided at once": json.dumps(DEMAND | {"decision": {"act": "register"}}).encode(),
    "an unknown field": json.dumps(DEMAND | {"x": 1}).encode(),
    "no demand": b"{}",
    "a list": b"[]",
    "null": b"null",
    "half": b'{"demand": ',
    "not a number": b'{"demand": NaN}',
    "not UTF-8": b'{"demand": "\xff"}',
    "a surrogate alone": json.dumps(DEMAND)
    .replace("title", "title")
    .encode()
    .replace(b'"matter"', b'"call_id": "\\ud800", "matter"'),
    "deep": b"[" * 60_000,
    "a number beyond all": b'{"demand": 1' + b"0" * 5000 + b"}",
    "a float beyond all": b'{"demand": 1e400}',
    "unknown category": json.dumps({"demand": DEMAND["demand"] | {"category": "999999"}}).encode(),
}


@pytest.mark.parametrize("name", BODIES)
def test_both_ways_say_the_same(api: Api, short: list[bool], name: str) -> None:
    in_order = ("in order", "decided at once", "unknown category")
    for login in ("agent", "ZJJ", "", "nobody"):
        del short[:]
        headers = (
            {"Authorization": f"Bearer {login}"} if login == "nobody" else api.headers(login) if login else {}
        )
        told = [sent(api, "/tickets", BODIES[name], kind, **headers) for kind in (SHORT, ORDINARY)]
        assert told[0] == told[1], login
        if not (name == "deep" and login == ""):  # more than a stranger may send
            assert short == [name in in_order, False], login
        assert (told[0][0] == 201) == (login == "agent" and name in in_order[:2]), login


@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": "7"},
        {"If-Match": '"7"'},
        {"If-Match": "*"},
        {"Idempotency-Key": "语".encode()},
        {"Idempotency-Key": "x" * 256},
        {"Idempotency-Key": ""},
    ],
)
def test_both_ways_read_the_same_headers(api: Api, short: list[bool], headers: dict[str, Any]) -> None:
    numbers = [api.take(), api.take()]
    del short[:]
    told = [
        sent(
            api,
            f"/tickets/{number}/dispatch",
            b'{"lead": "ZJJ"}',
            kind,
            **api.headers("dispatcher"),
            **headers,
        )
        for number, kind in zip(numbers, (SHORT, ORDINARY), strict=True)
    ]
    assert told[0][0] == told[1][0]
    assert told[0][1].get("code") == told[1][1].get("code")
    assert told[0][2] == told[1][2]
    assert short == [True, False]


@pytest.mark.parametrize("number", ["12", "0126 0302 1000 010", "x" * 15])
@pytest.mark.parametrize("query", ["", "?x=1"])
def test_both_ways_read_the_same_address(api: Api, number: str, query: str) -> None:
    told = [
        sent(api, f"/tickets/{number}/dispatch{query}", b'{"lead": "ZJJ"}', kind, **api.headers("dispatcher"))
        for kind in (SHORT, ORDINARY)
    ]
    assert told[0] == told[1]
    assert told[0][0] in (404, 422)


def test_a_body_of_no_length_or_a_long_one_goes_the_ordinary_way(api: Api, short: list[bool]) -> None:
    body = BODIES["in order"]
    chunked = api.client.post(
        "/api/v1/tickets",
        content=iter([body[:20], body[20:]]),
        headers=api.headers("agent") | {"Content-Type": SHORT},
    )
    assert chunked.status_code == 201
    long = json.dumps({"demand": DEMAND["demand"] | {"content": "长" * 30_000}}).encode()
    assert sent(api, "/tickets", long, SHORT, **api.headers("agent"))[0] == 201
    assert short == [False, False]


def test_an_act_that_may_be_repeated_is_done_once_a_key(api: Api) -> None:
    """Nothing refuses a second reminder: the key does, and the answer is the first one's, though the ticket has moved on since."""
    number = api.take()
    api.post(f"/tickets/{number}/dispatch", "dispatcher", {"lead": "ZJJ"})
    order, key = {"form": "network", "content": "请尽快办理。"}, {"Idempotency-Key": "again"}
    first = api.post(f"/tickets/{number}/remind", "dispatcher", order, headers=key)
    api.post(f"/tickets/{number}/sign", "ZJJ", {})
    again = api.post(f"/tickets/{number}/remind", "dispatcher", order, headers=key)
    assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    acts = [entry["act"] for entry in api.get(f"/tickets/{number}/timeline", "dispatcher").json()["entries"]]
    assert acts.count("remind") == 1
