"""事件 by pull: the same envelopes a subscriber is sent, for whoever has no server; and waiting for them without holding anything."""

import asyncio
import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from sqlmodel import Session

from api.problems import PROBLEMS, Problem
from api.subscriptions import Kinds
from api.wiring import ReadDep, Runtime
from hotline.access import Actor
from hotline.exchange import feed
from hotline.exchange.envelopes import Envelope, encoded, envelope

router = APIRouter(prefix="/api/v1", tags=["事件订阅"], responses=PROBLEMS)

LONGEST_WAIT: Final = 25
_LOOK_SECONDS: Final = 0.2
"""How often a process looks for new events while somebody waits, however many wait."""


class EventPage(BaseModel):
    """Events in order, and the cursor to ask with next time."""

    items: list[Envelope]
    next: str = Field(description="下次作为 after 送回；没有新事件时也会前移或保持不变", examples=["1024"])


class EventQuery(BaseModel):
    """From where, how many, how long to wait."""

    model_config = {"extra": "forbid"}

    after: str | None = Field(
        default=None,
        pattern=r"^[0-9]{1,18}$",
        description="上次返回的 next；缺省从最早保留的事件开始；早于保留期限的得到 410",
    )
    limit: int = Field(default=100, ge=1, le=feed.MOST)
    wait: int = Field(default=0, ge=0, le=LONGEST_WAIT, description="没有新事件时至多等待的秒数")
    types: Kinds = []


@router.get(
    "/events",
    summary="拉取事件",
    operation_id="pull_events",
    response_model=EventPage,
    responses={410: {"model": Problem, "description": "游标之后的部分事件已超过保留期限"}},
)
async def pull_events(query: Annotated[EventQuery, Query()], edge: ReadDep, request: Request) -> Response:
    """What happened behind the cursor, for a unit its own, for a platform all of its tickets. No event is ever skipped."""
    runtime, actor = edge.runtime, edge.actor
    await run_in_threadpool(edge.session.close)  # who asks is settled; nothing is held while waiting
    end = time.monotonic() + query.wait
    watch = _watch_of(request)
    after = None if query.after is None else int(query.after)
    await watch.newest()
    while True:
        page = await run_in_threadpool(_page, runtime, actor, after, query)
        if page.facts or time.monotonic() >= end or await request.is_disconnected():
            return _told(page, runtime.settings.public_url)
        after = page.next
        while await watch.newest(old=_LOOK_SECONDS / 2) <= after and time.monotonic() < end:
            await asyncio.sleep(_LOOK_SECONDS)


def _page(runtime: Runtime, actor: Actor, after: int | None, query: EventQuery) -> feed.Page:
    with Session(runtime.engine) as session:
        return feed.page(session, actor, after, query.limit, query.types)


def _told(page: feed.Page, public_url: str | None) -> Response:
    items = b",".join(encoded(envelope(fact, public_url)) for fact in page.facts)
    body = b'{"items":[' + items + b'],"next":"' + str(page.next).encode() + b'"}'
    return Response(body, media_type="application/json", headers={"Cache-Control": "private, no-store"})


class _Watch:
    """One process's look at the end of the feed, shared by all who wait. It also sorts, so that nobody depends on a deliverer."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self._newest = 0

    async def newest(self, *, old: float = 0.0) -> int:
        """The newest position, looked up not longer than `old` seconds ago."""
        asked = time.monotonic()
        async with self._looking:
            if self._looked_at < asked - old:
                self._looked_at = time.monotonic()
                self._newest = await run_in_threadpool(self._look)
        return self._newest

    def _look(self) -> int:
        with Session(self._runtime.engine) as session:
            while feed.sort(session, self._runtime.clock()):
                session.commit()
            session.commit()
            return feed.newest(session)


def _watch_of(request: Request) -> _Watch:
    state: Any = request.app.state
    if not hasattr(state, "event_watch"):
        state.event_watch = _Watch(state.runtime)
    watch: _Watch = state.event_watch
    return watch
