"""One process's deliverer: a thread that sorts, takes and settles, and senders with connections of their own.

Any number of processes may deliver: the database decides who does what. One thread alone speaks to the database, in batches, so
that a delivery costs it little; the senders only send.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from hotline.case import Office
from hotline.exchange import deliveries, feed
from hotline.exchange.deliveries import LONGEST_RETRY_AFTER, RENEW, Item, Outcome, Taken, Try, Verdict
from hotline.exchange.envelopes import MEDIA_TYPE, encoded, envelope, id_of
from hotline.exchange.outbox import TIMEOUT_SECONDS, signed_headers
from hotline.exchange.wire import Answer, Lines, SendFailed, TargetRefused
from hotline.storage.lookout import Lookout

log = logging.getLogger("hotline.deliverer")
IDLE_SECONDS: Final = 0.1
"""How long the deliverer looks away when there is nothing to do: the most a commit waits to be noticed."""
_BUSY_SECONDS: Final = 0.01
_BACK_OFF_SECONDS: Final = 1.0
_LANE_BUDGET: Final = timedelta(seconds=4)
"""No request is begun on a lane whose lease ends within this: two renewals have failed, and soon somebody else may send it."""
_MOST_AHEAD: Final = 128
_AHEAD_SECONDS: Final = 2.0
_FORGETFUL: Final = text("SET LOCAL synchronous_commit TO off")


class Deliverer:
    """Sends what is due until it is stopped. `threads` requests at once, of one subscription at most half of them."""

    def __init__(
        self,
        engine: Engine,
        office: Office,
        clock: Callable[[], datetime],
        *,
        public_url: str | None = None,
        threads: int = 16,
    ) -> None:
        self._engine, self._office, self._clock = engine, office, clock
        self._lookout = Lookout(engine)
        self._public_url = public_url
        self._threads = threads
        self._share = max(1, threads // 2)
        self._work = _Work(self._share)
        self._done: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._unsettled: list[Outcome] = []
        self._renewed_at = float("-inf")
        self._stopping = threading.Event()
        self._workers = [
            threading.Thread(target=self._send_until_stopped, name=f"sender-{n}", daemon=True)
            for n in range(threads)
        ]
        self._keeper = threading.Thread(target=self._keep_on, name="deliverer", daemon=True)
        self.delivered = 0

    def start(self) -> "Deliverer":
        """Begin; `stop` ends it."""
        for thread in (*self._workers, self._keeper):
            thread.start()
        return self

    def stop(self, seconds: float = 12.0) -> None:
        """Let what is under way end, give the rest back, and return within `seconds`."""
        end = time.monotonic() + seconds
        self._stopping.set()
        for thread in (*self._workers, self._keeper):
            thread.join(max(0.0, end - time.monotonic()))

    # --- the keeper --------------------------------------------------------------------------------------------------

    def _keep_on(self) -> None:
        while not self._stopping.is_set():
            self._guarded_round()
        for worker in self._workers:
            worker.join()
        self._unsettled += [Outcome(taken) for taken in self._work.empty()]
        self._gather(0)
        try:
            self._settle_and_take(taking=False)
        except DBAPIError as error:  # their leases run out by themselves
            log.warning("could not settle at the end: %s", type(error.orig).__name__)
        self._lookout.close()

    def _guarded_round(self) -> None:
        try:
            busy = self.round()
        except DBAPIError as error:
            log.warning("deliveries wait for the database: %s", type(error.orig).__name__)
            self._stopping.wait(_BACK_OFF_SECONDS)
        except Exception:
            log.exception("a round of deliveries failed")
            self._stopping.wait(_BACK_OFF_SECONDS)
        else:
            self._gather(_BUSY_SECONDS if busy else IDLE_SECONDS)

    def round(self) -> bool:
        """Sort what is new, settle what was sent, renew what is held, take what is due; whether there is more to do at once.

        Events nobody subscribed to are no such reason: under load a round for each would cost more than the acts themselves.
        """
        unsorted, due = self._look()
        placed = 0
        if unsorted:
            with Session(self._engine, expire_on_commit=False) as session:
                placed = feed.sort(session, self._clock())
                session.commit()
        done = self._settle_and_take() if due or placed or self._unsettled else 0
        self._renew()
        return bool(done) or placed >= feed.BATCH

    def _look(self) -> tuple[bool, bool]:
        """Whether there may be anything to sort, and to take: one statement without a transaction, ten times a second and process."""
        unsorted, due = self._lookout.look(deliveries.WAITING, {"at": self._clock()})
        return unsorted, due

    def _renew(self) -> None:
        """Every few seconds: whoever holds lanes says that it lives."""
        now = time.monotonic()
        if now - self._renewed_at < RENEW.total_seconds():
            return
        held = self._work.held()
        if held:
            with Session(self._engine, expire_on_commit=False) as session:
                session.execute(_FORGETFUL)
                deliveries.renew(session, self._clock(), held)
                session.commit()
        self._renewed_at = now

    def _settle_and_take(self, *, taking: bool = True) -> int:
        """One transaction that need not reach the disk at once: what a crash forgets is sent again, with the same ids."""
        outcomes = self._unsettled
        room = self._work.room(_MOST_AHEAD) if taking else 0
        at = self._clock()
        taken: list[Taken] = []
        with Session(self._engine, expire_on_commit=False) as session:
            if outcomes:
                session.execute(_FORGETFUL)
                deliveries.settle(session, self._office, at, outcomes)
            if room > 0:
                taken = deliveries.take(
                    session, self._office, at, room=room, share=self._share, shares=self._work.shares()
                )
            if taken and not outcomes:
                session.execute(_FORGETFUL)
            session.commit()
        self._unsettled = []
        self.delivered += sum(each.verdict is Verdict.DELIVERED for o in outcomes for each in o.tries)
        self._work.put(taken)
        return len(outcomes) + len(taken)

    def _gather(self, seconds: float) -> None:
        """What the senders have done: after a pause while there is much to do, else as soon as the first is done."""
        try:
            if seconds == IDLE_SECONDS:
                self._unsettled.append(self._done.get(timeout=seconds))
            elif seconds:
                self._stopping.wait(seconds)
            while True:
                self._unsettled.append(self._done.get_nowait())
        except queue.Empty:
            return

    # --- the senders -------------------------------------------------------------------------------------------------

    def _send_until_stopped(self) -> None:
        lines = Lines(allow_private=self._office.policy.allow_private_targets)
        while not self._stopping.is_set():
            taken = self._work.get(IDLE_SECONDS)
            if taken is None:
                continue
            began = time.monotonic()
            outcome = Outcome(taken)
            try:
                self._send_lane(lines, outcome)
            except Exception as error:
                log.exception("a delivery failed unexpectedly")
                self._unexpected(outcome, error)
            self._work.done(taken, time.monotonic() - began, len(outcome.tries))
            self._done.put(outcome)
        lines.close()

    def _send_lane(self, lines: Lines, outcome: Outcome) -> None:
        """One after the other, until one fails, the lease runs short, or the deliverer is to stop."""
        taken = outcome.taken
        for item in taken.items:
            if self._stopping.is_set() or self._clock() > taken.until - _LANE_BUDGET:
                return
            outcome.tries.append(self._try(lines, taken, item))
            if outcome.tries[-1].verdict is not Verdict.DELIVERED:
                return

    def _try(self, lines: Lines, taken: Taken, item: Item) -> Try:
        at = self._clock()
        if not taken.secrets:
            return Try(item, at, None, 0, "签名密钥无法打开，请更换密钥", refused=True)
        body = encoded(envelope(item.fact, self._public_url))
        headers = signed_headers(taken.secrets, id_of(item.fact.id), body, at)
        began = time.monotonic()
        try:
            answer = lines.send(
                "POST",
                taken.url,
                headers=headers | {"content-type": MEDIA_TYPE, "user-agent": "hotline12345"},
                body=body,
                seconds=TIMEOUT_SECONDS,
                whole=False,
            )
        except TargetRefused as refusal:
            return Try(item, at, None, _ms(began), refusal.message[:200], refused=True)
        except SendFailed as failure:
            return Try(item, at, None, _ms(began), str(failure)[:200])
        problem = None if 200 <= answer.status < 300 else f"对方返回 {answer.status}"
        return Try(item, at, answer.status, _ms(began), problem, _retry_after(answer))

    def _unexpected(self, outcome: Outcome, error: Exception) -> None:
        """Whatever went wrong on our side counts as a failed try, so that it is seen and does not come again at once."""
        left = outcome.taken.items[len(outcome.tries) :]
        if left:
            outcome.tries.append(Try(left[0], self._clock(), None, 0, f"系统错误：{type(error).__name__}"))


def _ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _retry_after(answer: Answer) -> float | None:
    """Seconds the receiver asks to be left alone for; a date is not obeyed but for the usual wait."""
    asked = answer.headers.get("retry-after", "").strip()
    if answer.status not in (429, 503) or not (asked.isascii() and asked.isdigit()):
        return None
    return min(float(asked[:9]), LONGEST_RETRY_AFTER)


class _Work:
    """What was taken and is not sent yet, by subscription, so that a slow one takes no more than its share of the senders."""

    def __init__(self, share: int) -> None:
        self._share = share
        self._ready = threading.Condition()
        self._queues: dict[int, deque[Taken]] = {}
        self._running: dict[int, int] = {}
        self._seconds: dict[int, float] = {}
        self._held: dict[int, Taken] = {}

    def held(self) -> list[Taken]:
        """The lanes that wait here or are being sent."""
        with self._ready:
            return list(self._held.values())

    def room(self, most: int) -> int:
        """How many more lanes may be taken."""
        with self._ready:
            return most - len(self._held)

    def shares(self) -> dict[int, int]:
        """How many lanes more each known subscription may have: what it will answer within two seconds, at the pace it showed."""
        with self._ready:
            known = set(self._queues) | set(self._running) | set(self._seconds)
            return {each: max(0, self._ahead(each) - self._count(each)) for each in known}

    def _ahead(self, subscription_id: int) -> int:
        pace = self._seconds.get(subscription_id)
        if pace is None:
            return self._share
        return max(self._share, min(_MOST_AHEAD, int(self._share * _AHEAD_SECONDS / max(pace, 0.001))))

    def _count(self, subscription_id: int) -> int:
        return len(self._queues.get(subscription_id, ())) + self._running.get(subscription_id, 0)

    def put(self, taken: list[Taken]) -> None:
        """Hand lanes to the senders."""
        if not taken:
            return
        with self._ready:
            for each in taken:
                self._queues.setdefault(each.subscription_id, deque()).append(each)
            self._held.update((id(each), each) for each in taken)
            self._ready.notify(len(taken))

    def get(self, seconds: float) -> Taken | None:
        """The next lane of a subscription that has a sender to spare, None if there is none within `seconds`."""
        with self._ready:
            found = self._next()
            if found is None:
                self._ready.wait(seconds)
                found = self._next()
            return found

    def _next(self) -> Taken | None:
        for subscription_id, waiting in self._queues.items():
            if self._running.get(subscription_id, 0) < self._share:
                taken = waiting.popleft()
                del self._queues[subscription_id]
                if waiting:
                    self._queues[subscription_id] = waiting  # to the back: everyone in turn
                self._running[subscription_id] = self._running.get(subscription_id, 0) + 1
                return taken
        return None

    def done(self, taken: Taken, seconds: float, tries: int) -> None:
        """A sender is free again; how long each request of the lane took."""
        with self._ready:
            running = self._running.pop(taken.subscription_id) - 1
            if running:
                self._running[taken.subscription_id] = running
            del self._held[id(taken)]
            if tries:
                pace = self._seconds.get(taken.subscription_id, seconds)
                self._seconds[taken.subscription_id] = 0.8 * pace + 0.2 * seconds
            self._ready.notify()

    def empty(self) -> list[Taken]:
        """Take back what nobody began."""
        with self._ready:
            left = [each for waiting in self._queues.values() for each in waiting]
            self._queues.clear()
            for each in left:
                del self._held[id(each)]
            return left
