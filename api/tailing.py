"""One process's tail of the event feed for all who watch: a thread reads, each viewer's stream is handed what it may know.

The thread alone speaks to the database, a few statements a look however many watch; streams live in the event loop and hold nothing.
What belongs to whom is decided once for all viewers that are alike.
"""

import asyncio
import json
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from api.wiring import Runtime
from hotline.access import Actor
from hotline.exchange import feed, live, presence
from hotline.exchange.live import Viewer
from hotline.people.standing import Shown, standings
from workflow.errors import RuleBroken

log = logging.getLogger("hotline.live")
LOOK_SECONDS: Final = 0.1
"""How often a process looks for what is new while somebody watches: the most a commit waits to be noticed."""
PRESENCE_SECONDS: Final = 0.5
CHECK_SECONDS: Final = 3.0
"""How often it is looked whether those who watch still may."""
MOST_A_LOOK: Final = 500
MOST_BEHIND: Final = 5000
"""Positions behind which all are told to begin anew, rather than being told everything late."""
MOST_WAITING: Final = 500
"""Events one slow stream may have waiting before it is told to begin anew."""
MOST_STREAMS, MOST_OF_ONE = 2000, 12
_BACK_OFF_SECONDS: Final = 1.0


class TooManyStreams(RuleBroken):
    """More streams than one process, or one person, may have open."""

    code = "too_many_streams"


class Stream:
    """One viewer's connection: what waits to be written to it. It belongs to the event loop."""

    def __init__(self, actor: Actor, shown: Shown, standing: str) -> None:
        self.actor = actor
        self.viewer: Viewer = live.viewer_of(actor)
        self.shown = shown
        self.standing = standing
        self.start = 0
        self.ended = False
        self._chunks: deque[bytes] = deque()
        self._count = 0
        self._ready = asyncio.Event()

    def put(self, chunk: bytes, count: int, position: int) -> None:
        """Hand over `count` events; where too many wait already, all of them make place for a `reset`."""
        self._count += count
        self._chunks.append(chunk)
        if self._count > MOST_WAITING:
            self._chunks.clear()
            self._chunks.append(reset(position, "too_slow"))
            self._count = 1
        self._ready.set()

    def end(self) -> None:
        """Nothing more comes, and what waits is not told: who watched may no longer, or the process ends."""
        self.ended = True
        self._ready.set()

    async def next(self, seconds: float) -> bytes | None:
        """What came, all at once; empty if nothing came within `seconds`, None at the end."""
        if not self._chunks and not self.ended:
            try:
                async with asyncio.timeout(seconds):
                    await self._ready.wait()
            except TimeoutError:
                return b""
        if self.ended:
            return None
        self._ready.clear()
        chunk = b"".join(self._chunks)
        self._chunks.clear()
        self._count = 0
        return chunk


def event(name: str, data: dict[str, Any], position: int | None = None) -> bytes:
    """One event of the stream, in UTF-8; `position` is where whoever was told it goes on."""
    number = f"id: {position}\n" if position is not None else ""
    told = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"{number}event: {name}\ndata: {told}\n\n".encode()


def reset(position: int, reason: str) -> bytes:
    """What has happened since is not told one by one: read the lists anew, and go on from here."""
    return event("reset", {"seq": position, "reason": reason}, position)


class Tailer:
    """The process's thread, and its streams. All but `_tail` and what it calls run in the event loop."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._loop = asyncio.get_running_loop()
        self.position = 0
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._joining: list[tuple[Stream, asyncio.Event]] = []
        self._leaving: list[Stream] = []
        self._wake = threading.Event()
        self._stopping = False
        self._streams: dict[Viewer, dict[Stream, None]] = {}
        self._cursor = 0
        self._present: list[presence.Person] = []
        self._looked_at = self._checked_at = float("-inf")
        self._thread = threading.Thread(target=self._tail, name="live", daemon=True)
        self._thread.start()

    async def join(self, stream: Stream) -> None:
        """From now on the stream is handed what happens behind `stream.start`. Raises `TooManyStreams`; `leave` ends it."""
        key = stream.actor.key
        if self._open.total() >= MOST_STREAMS:
            raise TooManyStreams("打开的实时更新过多，请稍后重试。", extra={"retry_after": 30})
        if self._open[key] >= MOST_OF_ONE:
            raise TooManyStreams(
                f"您已打开 {MOST_OF_ONE} 个实时更新，请先关闭不用的页面。", extra={"retry_after": 30}
            )
        self._open[key] += 1
        joined = asyncio.Event()
        with self._lock:
            self._joining.append((stream, joined))
        self._wake.set()
        try:
            await joined.wait()
        except BaseException:
            self.leave(stream)
            raise

    def leave(self, stream: Stream) -> None:
        """The stream is closed."""
        self._open -= Counter({stream.actor.key: 1})
        with self._lock:
            self._leaving.append(stream)

    def stop(self) -> None:
        """End every stream and the thread."""
        self._stopping = True
        self._wake.set()
        self._thread.join(5)
        for streams in self._streams.values():
            for stream in streams:
                stream.end()

    # --- in the event loop, called by the thread ------------------------------------------------------------------------

    def _begin(self, joined: Sequence[tuple[Stream, asyncio.Event]], position: int) -> None:
        self.position = max(self.position, position)
        for stream, ready in joined:
            stream.start = position
            ready.set()

    def _hand(self, portions: Sequence[tuple[Sequence[Stream], bytes, int]], position: int) -> None:
        self.position = position
        for streams, chunk, count in portions:
            for stream in streams:
                stream.put(chunk, count, position)

    def _call(self, what: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(what, *arguments)
        except RuntimeError:  # the loop is closed: the process ends
            self._stopping = True

    # --- the thread ----------------------------------------------------------------------------------------------------

    def _tail(self) -> None:
        while not self._stopping:
            if not self._streams and not self._joining:
                self._wake.wait()
            self._wake.clear()
            began = time.monotonic()
            try:
                more = self._look()
            except DBAPIError as error:
                log.warning("live updates wait for the database: %s", type(error.orig).__name__)
                self._wake.wait(_BACK_OFF_SECONDS)
            except Exception:
                log.exception("a look at the feed failed")
                self._wake.wait(_BACK_OFF_SECONDS)
            else:
                if not more:
                    self._wake.wait(max(0.0, LOOK_SECONDS - (time.monotonic() - began)))

    def _look(self) -> bool:
        """Read what is new and hand it out; whether there is more at once."""
        self._forget_left()
        with Session(self._runtime.engine) as session:
            while feed.sort(session, self._runtime.clock()):
                session.commit()
            session.commit()
            if not self._streams:
                if not self._joining:
                    return False
                self._cursor = feed.newest(session)
                self._present, self._looked_at = [], float("-inf")
            joined = self._take_joining()
            self._call(self._begin, joined, self._cursor)
            full = self._tell_facts(session)
            self._tell_presence(session, [stream for stream, _ in joined])
            self._check(session)
        return full

    def _take_joining(self) -> list[tuple[Stream, asyncio.Event]]:
        with self._lock:
            joined, self._joining = self._joining, []
        for stream, _ in joined:
            self._streams.setdefault(stream.viewer, {})[stream] = None
        return joined

    def _forget_left(self) -> None:
        with self._lock:
            left, self._leaving = self._leaving, []
            if left:
                self._joining = [pair for pair in self._joining if pair[0] not in left]
        for stream in left:
            alike = self._streams.get(stream.viewer, {})
            alike.pop(stream, None)
            if not alike:
                self._streams.pop(stream.viewer, None)

    def _tell_facts(self, session: Session) -> bool:
        batch = live.read(session, self._cursor, MOST_A_LOOK)
        if batch.next == self._cursor:
            return False
        if batch.full and (newest := feed.newest(session)) - self._cursor > MOST_BEHIND:
            self._cursor = newest
            everybody = tuple(stream for alike in self._streams.values() for stream in alike)
            self._call(self._hand, [(everybody, reset(newest, "too_old"), 1)], newest)
            return False
        portions: list[tuple[Sequence[Stream], bytes, int]] = []
        for alike in self._streams.values():
            chunk, count = facts_for(session, self._runtime, next(iter(alike)).actor, batch)
            if count:
                portions.append((tuple(alike), chunk, count))
        self._cursor = batch.next
        portions += self._calls_of(batch)
        self._call(self._hand, portions, batch.next)
        return batch.full

    def _calls_of(self, batch: live.Batch) -> list[tuple[Sequence[Stream], bytes, int]]:
        """Calls, each to the screens of the person whose seat it is; whoever was away asks `GET /calls/current`."""
        if not batch.calls:
            return []
        seats: dict[str, list[Stream]] = {}
        for alike in self._streams.values():
            for stream in alike:
                seats.setdefault(stream.actor.key, []).append(stream)
        return [
            (streams, event("call", {"kind": each.kind, "call": each.call, "state": each.state}), 1)
            for each in batch.calls
            if (streams := seats.get(f"person:{each.person_id}"))
        ]

    def _tell_presence(self, session: Session, joined: Sequence[Stream]) -> None:
        """Who came and left, to all; who is there, to those who just joined."""
        now = time.monotonic()
        if now - self._looked_at < PRESENCE_SECONDS and not joined:
            return
        self._looked_at = now
        people = presence.everybody(session, self._runtime.clock())
        changed = presence.changed(self._present, people)
        everywhere = presence.changed((), people) if joined else {}
        self._present = people
        if not everywhere and not changed:
            return
        placed = live.place(session, {*changed, *everywhere})
        new = set(joined)
        portions: list[tuple[Sequence[Stream], bytes, int]] = []
        for alike in self._streams.values():
            actor = next(iter(alike)).actor
            for tickets, streams in (
                (changed, tuple(stream for stream in alike if stream not in new)),
                (everywhere, tuple(stream for stream in alike if stream in new)),
            ):
                chunk, count = self._presence_for(session, actor, tickets, placed) if streams else (b"", 0)
                if count:
                    portions.append((streams, chunk, count))
        self._call(self._hand, portions, self._cursor)

    def _presence_for(
        self,
        session: Session,
        actor: Actor,
        tickets: dict[int, list[presence.Person]],
        placed: dict[int, live.Placed],
    ) -> tuple[bytes, int]:
        codes = self._runtime.office.directory
        chunks = []
        for ticket_id, people in tickets.items():
            where = placed.get(ticket_id)
            if where is not None and live.sees(actor, where):
                told = presence.as_seen_by(actor, people, lambda unit: codes.code(session, unit))
                chunks.append(event("presence", {"number": where.number, "people": told}))
        return b"".join(chunks), len(chunks)

    def _check(self, session: Session) -> None:
        """End the streams of those whose session or token is over, or whose roles, unit or platform are others now."""
        if time.monotonic() - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = time.monotonic()
        every = [stream for alike in self._streams.values() for stream in alike]
        good = standings(
            session, {stream.shown for stream in every}, self._runtime.clock(), self._runtime.settings
        )
        for stream in every:
            if good.get(stream.shown) != stream.standing:
                self._call(stream.end)


def facts_for(session: Session, runtime: Runtime, actor: Actor, batch: live.Batch) -> tuple[bytes, int]:
    """What this actor may know of a batch, as it is written, and how many events that is."""
    chunks = []
    for each in batch.facts:
        told = live.told(session, runtime.office.directory, actor, each, batch.placed.get(each.ticket_id))
        if told is not None:
            chunks.append(event("ticket", told, each.position))
    return b"".join(chunks), len(chunks)
