"""实时更新 as Server-Sent Events: what happens to the tickets one sees, and who else has them open; resuming where one was."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from sqlmodel import Session
from starlette.types import Receive, Scope, Send

from api.acts import NumberPath
from api.problems import PROBLEMS, Unauthenticated, respond
from api.tailing import Stream, Tailer, event, facts_for, reset
from api.tickets import seen
from api.wiring import Edge, EdgeDep, ReadDep, Runtime, with_example
from hotline import numbers
from hotline.access import Actor
from hotline.case import Desk
from hotline.exchange import feed, live, presence
from hotline.people.standing import Shown, shown, standings
from workflow.vocabulary import Presence, State

router = APIRouter(prefix="/api/v1", tags=["实时更新"], responses=PROBLEMS)

HEARTBEAT_SECONDS: Final = 15.0
LONGEST_SECONDS: Final = 3600
"""Seconds after which a stream ends by itself: whoever watches comes again, at whichever replica, with the rights of then."""
MOST_CAUGHT_UP: Final = 2000
"""Rows of the feed that are told to who comes again; behind more of them they begin anew."""
_JOIN_SECONDS: Final = 10.0


class LiveTicket(BaseModel):
    """event: ticket. Something happened to a ticket one sees: the row on the screen is old."""

    seq: int = Field(description="事件流中的位置，与 id 相同")
    number: str
    kind: str = Field(
        description="事件类型；与本人无关的部分只说 ticket.changed", examples=["ticket.dispatched"]
    )
    state: State
    version: int = Field(description="事件发生后的工单版本；小于已显示的可忽略")
    units: list[str] = Field(description="所涉承办单位代码")
    at: datetime


class Onlooker(BaseModel):
    """Somebody who has a ticket open; units are told of platforms' people only that they are there."""

    person: int | None = Field(description="人员；不便告知的为空")
    name: str = Field(examples=["测试甲"])
    unit: str | None = Field(description="承办单位代码，平台人员为空")
    doing: Presence
    since: datetime


class LivePresence(BaseModel):
    """event: presence. Who has a ticket open now, all of them."""

    number: str
    people: list[Onlooker]


class LiveReset(BaseModel):
    """event: reset, and ready at the beginning. Read the lists anew; what happens from here on is told."""

    seq: int
    reason: Literal["too_slow", "too_old"] | None = None


class EventStream(StreamingResponse):
    """A stream of events that leaves the tail when the connection ends, however it ends."""

    media_type = "text/event-stream"
    leave: Callable[[], None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self.leave is not None:
                self.leave()


class LiveQuery(BaseModel):
    """Where to go on, and for how long."""

    model_config = {"extra": "forbid"}

    after: str | None = Field(
        default=None, max_length=20, description="同 Last-Event-ID，供不能设置请求头的客户端"
    )
    seconds: int = Field(
        default=LONGEST_SECONDS, ge=0, le=LONGEST_SECONDS, description="至多保持的秒数；0 为只取错过的"
    )


_DESCRIPTION = f"""Server-Sent Events，供页面即时刷新；不含来电人信息，事件只说哪件工单变了，内容按本人权限另取。

| event | data | 含义 |
|---|---|---|
| `ready` | LiveReset | 已接通：此后的变化都会告知，此时取一次列表即不会漏 |
| `ticket` | LiveTicket | 本人可见的一件工单有变化 |
| `presence` | LivePresence | 一件工单此刻有谁在看、在填（`POST /tickets/{{number}}/presence`）；没有 id |
| `reset` | LiveReset | 中断过久或接收太慢，不再逐条补发：请重新取列表 |

断开后带 `Last-Event-ID`（浏览器 EventSource 自动带上）重连，补发错过的；任何一个服务进程都可以接续。每 {HEARTBEAT_SECONDS:.0f} 秒有一次心跳，
每 {LONGEST_SECONDS // 60} 分钟断开重连一次；退出登录、令牌撤销、停用、角色变动后几秒内断开。同一事件可能重复，`version` 不变的可忽略。"""

_EXAMPLE = (
    'retry: 2000\n\nid: 1023\nevent: ready\ndata: {"seq":1023}\n\n'
    'id: 1024\nevent: ticket\ndata: {"seq":1024,"number":"012603020000019","kind":"ticket.dispatched",'
    '"state":"dispatched","version":2,"units":["XN-ZJJ"],"at":"2026-03-02T01:30:00+00:00"}\n\n'
)


@router.get(
    "/live",
    summary="实时更新",
    description=_DESCRIPTION,
    operation_id="live",
    response_class=EventStream,
    response_model=LiveTicket | LivePresence | LiveReset,
    responses={200: {"content": {"text/event-stream": {"example": _EXAMPLE}}}},
)
async def watch(
    query: Annotated[LiveQuery, Query()],
    edge: ReadDep,
    request: Request,
    last_event_id: Annotated[str | None, Header(max_length=20, description="上次收到的 id")] = None,
) -> Response:
    """The stream of one viewer. Nothing of the database is held while it is open."""
    runtime, actor, at = edge.runtime, edge.actor, edge.at
    credential = _credential(edge, request)
    standing = await run_in_threadpool(_standing, edge, credential, at)
    request.scope["endless"] = True
    tailer = _tailer_of(request)
    stream = Stream(actor, credential, standing)
    try:
        async with asyncio.timeout(_JOIN_SECONDS):
            await tailer.join(stream)
    except TimeoutError:
        return respond(
            503, "暂时不可用", "数据库暂时不可用，实时更新未能接通，请稍后重试。", "store_unavailable"
        )
    try:
        missed = await run_in_threadpool(_missed, runtime, actor, last_event_id or query.after, stream.start)
    except BaseException:
        tailer.leave(stream)
        raise
    opening = f"retry: {random.randint(1000, 3000)}\n\n".encode() + missed  # noqa: S311 - not all at once
    answer = EventStream(
        _told(tailer, stream, opening, query.seconds),
        headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
    )
    answer.leave = lambda: tailer.leave(stream)
    return answer


def _credential(edge: Edge, request: Request) -> Shown:
    if edge.who.cookie is not None:
        return shown(edge.who.cookie, cookie=True)
    return shown(request.headers["authorization"].partition(" ")[2].strip(), cookie=False)


def _standing(edge: Edge, credential: Shown, at: datetime) -> str:
    found = standings(edge.session, [credential], at, edge.runtime.settings).get(credential)
    edge.session.close()  # nothing is held while it streams
    if found is None:
        raise Unauthenticated("请重新登录。")
    return found


def _missed(runtime: Runtime, actor: Actor, last: str | None, start: int) -> bytes:
    """What to begin with: what was missed since `last`, or that it cannot be told; and that from `start` on everything is."""
    ready = event("ready", {"seq": start}, start)
    if not last:
        return ready
    if not (last.isascii() and last.isdigit()):
        return reset(start, "too_old") + ready
    after = int(last)
    with Session(runtime.engine) as session:
        if after > max(start, feed.last_given(session)):
            return reset(start, "too_old") + ready
        batch = live.read(session, after, MOST_CAUGHT_UP, until=start)
        if batch.full or after < feed.horizon(session):
            return reset(start, "too_old") + ready
        return facts_for(session, runtime, actor, batch)[0] + ready


async def _told(tailer: Tailer, stream: Stream, opening: bytes, seconds: float) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    yield opening
    while (left := end - loop.time()) > 0:
        chunk = await stream.next(min(left, HEARTBEAT_SECONDS))
        if chunk is None:
            return
        # without data it is no event, but it moves on the id one would come again with
        yield chunk or f": \nid: {tailer.position}\n\n".encode()


def _tailer_of(request: Request) -> Tailer:
    state: Any = request.app.state
    if getattr(state, "tailer", None) is None:
        state.tailer = Tailer(state.runtime)
    tailer: Tailer = state.tailer
    return tailer


def stop(state: Any) -> None:
    """End the process's streams, at its end."""
    if getattr(state, "tailer", None) is not None:
        state.tailer.stop()
        state.tailer = None


# --- who has it open -----------------------------------------------------------------------------------------------------


class PresenceOrder(BaseModel):
    """What somebody does with a ticket they have open."""

    model_config = {"extra": "forbid"}

    doing: Presence


class PresenceAnswer(LivePresence):
    """Who has the ticket open, oneself included."""

    me: int | None = Field(description="本人在 people 中的 person")
    again: int = Field(description="仍打开时，多少秒后再报一次", examples=[presence.AGAIN_SECONDS])


@router.post(
    "/tickets/{number}/presence",
    summary="报送在场",
    operation_id="say_presence",
    response_model=PresenceAnswer,
    openapi_extra=with_example({"doing": "viewing"}),
)
def say_presence(number: NumberPath, order: PresenceOrder, edge: EdgeDep) -> Response:
    """That one has the ticket open, writes in it, or has left; whoever else has it open learns of it. No act, no record."""

    def command(desk: Desk) -> list[dict[str, Any]]:
        ticket = seen(edge, number)
        presence.say(desk.session, desk.actor, ticket, order.doing, desk.at)
        people = presence.everybody(desk.session, desk.at, ticket.id)
        directory = desk.office.directory
        return presence.as_seen_by(desk.actor, people, lambda unit: directory.code(desk.session, unit))

    def render(people: list[dict[str, Any]]) -> PresenceAnswer:
        return PresenceAnswer.model_validate(
            {
                "number": numbers.parse(number),
                "people": people,
                "me": edge.actor.id,
                "again": presence.AGAIN_SECONDS,
            }
        )

    return edge.perform(order, command, render)
