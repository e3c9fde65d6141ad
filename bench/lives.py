"""A ticket's life as requests: the hotline's seven calls, django-helpdesk's seven, a row for the bare INSERT."""

import json
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

from bench.clients import Answer, Script, request
from bench.servers import AREA, CATEGORY, UNIT, Desk

TITLE = "暖气不热，室温只有14度"
CONTENT = (
    "来电人反映家中暖气自供暖以来一直不热，室温只有14度，家中有老人和孩子，已多次向物业和供热公司反映，"
    "均答复正在排查，至今没有人上门，请求尽快安排人员上门核实处理。"
)
REPLY = "经现场核实，系入户阀门损坏所致，已于当日更换，复测室温20度，已向来电人说明情况，来电人表示认可。"


def demand(**changes: Any) -> dict[str, Any]:
    """A new ticket as the agent's desk sends it."""
    caller = {"name": "测试甲", "phone": "13900000001", "address": "测试路1号"}
    said: dict[str, Any] = {"channel": "phone", "matter": "help", "category": CATEGORY, "area": AREA}
    said |= {"title": TITLE, "content": CONTENT, "caller": caller}
    return {"demand": said | changes, "decision": {"act": "accept"}}


STEPS: tuple[tuple[str, str, Callable[[], dict[str, Any]]], ...] = (
    ("dispatch", "dispatcher", lambda: {"lead": UNIT, "instruction": "请尽快核实处理。"}),
    ("sign", "handler", lambda: {"signed_by": "测试经办"}),
    ("reply", "handler", lambda: {"content": REPLY, "citizen_answered_at": datetime.now(UTC).isoformat()}),
    (
        "review_pass",
        "reviewer",
        lambda: {"elements": dict.fromkeys(("quality", "process", "content", "completeness"), True)},
    ),
    ("record_callback", "callback", lambda: {"outcome": "satisfied", "solved": True}),
    ("archive", "agent", dict),
)
"""The acts of a life after its ticket is there: route, who does it, what is sent."""

_keys = count(time.time_ns())


class Life:
    """The hotline's requests, with the header each role is known by."""

    def __init__(self, tokens: dict[str, str]) -> None:
        self._bearer = {role: f"Bearer {token}" for role, token in tokens.items()}
        self._demand = json.dumps(demand(), ensure_ascii=False).encode()

    def create(self, **changes: Any) -> bytes:
        """A new ticket, the usual one but for these."""
        headers = {"Authorization": self._bearer["agent"], "Idempotency-Key": str(next(_keys))}
        body = demand(**changes) if changes else self._demand
        return request("POST", "/api/v1/tickets", headers, body)

    def act(self, step: int, number: str, etag: str | None) -> bytes:
        """One of STEPS on this ticket."""
        name, role, order = STEPS[step]
        headers = {"Authorization": self._bearer[role], "Idempotency-Key": str(next(_keys))}
        if etag:
            headers["If-Match"] = etag
        return request("POST", f"/api/v1/tickets/{number}/{name}", headers, order())

    def creating(self, made: deque[tuple[str, str | None]]) -> Script:
        """Tickets without end, each left in `made`."""
        while True:
            answer = yield self.create()
            made.append((answer.json()["number"], answer.etag))

    def acting(self, made: deque[tuple[str, str | None]]) -> Script:
        """The acts of ticket after ticket, as long as there are any."""
        while made:
            number, etag = made.popleft()
            for step in range(len(STEPS)):
                answer = yield self.act(step, number, etag)
                etag = answer.etag

    def living(self, lives: int | None = None) -> Script:
        """So many whole lives, or without end."""
        for _ in range(lives) if lives is not None else count():
            answer: Answer = yield self.create()
            number, etag = answer.json()["number"], answer.etag
            for step in range(len(STEPS)):
                answer = yield self.act(step, number, etag)
                etag = answer.etag


class PeersLife:
    """The same of django-helpdesk: a ticket, follow-ups on it."""

    RESOLVED, CLOSED = 3, 4

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        said = {"queue": desk.queue, "title": TITLE, "description": CONTENT, "priority": 3}
        self._demand = json.dumps(said, ensure_ascii=False).encode()

    def create(self) -> bytes:
        """A new ticket."""
        return request("POST", "/api/tickets/", self._desk.headers, self._demand)

    def act(self, step: int, ticket: int) -> bytes:
        """A follow-up: what is sent to the hotline as words is its comment; the reply resolves, the last closes."""
        said: dict[str, Any] = {"ticket": ticket, "title": STEPS[step][0], "comment": REPLY, "public": False}
        if step in {2, len(STEPS) - 1}:
            said["new_status"] = self.RESOLVED if step == 2 else self.CLOSED
        return request("POST", "/api/followups/", self._desk.headers, said)

    def creating(self, made: deque[int]) -> Script:
        """Tickets without end, each left in `made`."""
        while True:
            answer = yield self.create()
            made.append(answer.json()["id"])

    def acting(self, made: deque[int]) -> Script:
        """The follow-ups of ticket after ticket, as long as there are any."""
        while made:
            ticket = made.popleft()
            for step in range(len(STEPS)):
                yield self.act(step, ticket)

    def living(self) -> Script:
        """Whole lives without end."""
        while True:
            answer = yield self.create()
            ticket = answer.json()["id"]
            for step in range(len(STEPS)):
                yield self.act(step, ticket)


def inserting() -> Script:
    """Rows without end."""
    body = {"title": TITLE, "content": CONTENT, "category": CATEGORY, "area": AREA}
    row = request("POST", "/demands", {}, body)
    while True:
        yield row
