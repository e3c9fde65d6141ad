"""One process's notifier: a thread that turns events into notices, and for each means two that send them.

Any number of processes may notify: the database decides who does what.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from hotline.case import Office
from hotline.exchange import feed
from hotline.notifying import deriving, sending
from hotline.notifying.mail import SECONDS
from hotline.notifying.messages import Result, Sender, Verdict
from hotline.notifying.senders import Senders
from hotline.notifying.sending import Item, Outcome
from hotline.storage.lookout import Lookout
from workflow.vocabulary import Means

log = logging.getLogger("hotline.notifier")
THREADS: Final = 2
"""Threads a means has: one slow message holds up the others of one thread."""
_IDLE_SECONDS: Final = 0.5
_UNSORTED_SECONDS: Final = 1.0
"""After how long an event that nobody sorted is sorted here: usually a deliverer has."""
_BACK_OFF_SECONDS: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_BUDGET: Final = timedelta(seconds=SECONDS + 5)
"""No message is begun when the lease ends within this."""


class Notifier:
    """Derives and sends until it is stopped. `public_url` is the hotline's own address, for links in e-mails."""

    def __init__(
        self,
        engine: Engine,
        office: Office,
        clock: Callable[[], datetime],
        senders: Senders,
        *,
        public_url: str | None = None,
    ) -> None:
        self._engine, self._office, self._clock = engine, office, clock
        self._senders, self._public_url = senders, public_url
        self._stopping = threading.Event()
        self._pauses = {means: _Pause() for means in senders.makers}
        self._threads = [threading.Thread(target=self._derive_until_stopped, name="notifier", daemon=True)]
        self._threads += [
            threading.Thread(
                target=self._send_until_stopped, args=(means,), name=f"{means.value}-{n}", daemon=True
            )
            for means in senders.makers
            for n in range(THREADS)
        ]

    def start(self) -> "Notifier":
        """Begin; `stop` ends it."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self, seconds: float = 12.0) -> None:
        """Let what is under way end, and return within `seconds`; what was taken and not tried comes again after its lease."""
        end = time.monotonic() + seconds
        self._stopping.set()
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    # --- deriving ----------------------------------------------------------------------------------------------------

    def _derive_until_stopped(self) -> None:
        lookout = Lookout(self._engine)
        while not self._stopping.is_set():
            if self._guarded(lambda: self._derive_what_is_new(lookout)) < deriving.BATCH:
                self._stopping.wait(_IDLE_SECONDS)  # what comes meanwhile is told together
        lookout.close()

    def _derive_what_is_new(self, lookout: Lookout) -> int:
        since = self._clock() - timedelta(seconds=_UNSORTED_SECONDS)
        return self.derive() if lookout.look(deriving.NEWS, {"since": since}).there else 0

    def derive(self) -> int:
        """Sort what is new, and write notices for the next events; how many positions were looked at."""
        with Session(self._engine, expire_on_commit=False) as session:
            feed.sort(session, self._clock())
            session.commit()
            looked = deriving.derive(session, self._senders, self._clock(), public_url=self._public_url)
            session.commit()
        return looked

    # --- sending -----------------------------------------------------------------------------------------------------

    def _send_until_stopped(self, means: Means) -> None:
        sender = self._senders.makers[means]()
        pause = self._pauses[means]
        while not self._stopping.is_set():
            left = pause.left()
            if left:
                self._stopping.wait(min(left, _IDLE_SECONDS))
            elif not self._guarded(lambda: self.send(means, sender)):
                sender.close()
                self._stopping.wait(_IDLE_SECONDS)
        sender.close()

    def send(self, means: Means, sender: Sender) -> int:
        """Take what is due of one means, try it and settle it; how many were taken."""
        with Session(self._engine, expire_on_commit=False) as session:
            items = sending.take(session, self._office, self._senders, means, self._clock())
            session.commit()
        if items:
            outcomes = self._tried(items, sender, self._pauses[means])
            with Session(self._engine, expire_on_commit=False) as session:
                sending.settle(session, self._clock(), outcomes)
                session.commit()
        return len(items)

    def _tried(self, items: list[Item], sender: Sender, pause: "_Pause") -> list[Outcome]:
        """One after the other, until the server itself fails, the lease runs short, or the notifier is to stop."""
        outcomes: list[Outcome] = []
        for item in items:
            at = self._clock()
            if item.message is None or pause.left() or self._stopping.is_set() or at > item.until - _BUDGET:
                outcomes.append(Outcome(item, at))
                continue
            began = time.monotonic()
            try:
                result = sender.send(item.message, at)
            except Exception as error:
                # on our side; counted as a try, so that it is seen and does not come again at once. Its text may hold the address
                log.warning("a notice failed unexpectedly: %s", type(error).__name__)
                sender.close()
                result = Result(Verdict.RETRY, f"系统错误：{type(error).__name__}")
            pause.note(down=result.down)
            outcomes.append(Outcome(item, at, round((time.monotonic() - began) * 1000), result))
        return outcomes

    def _guarded(self, work: Callable[[], int]) -> int:
        try:
            return work()
        except DBAPIError as error:  # its text repeats row values: only its kind is logged
            log.warning("notices wait for the database: %s", type(error.orig).__name__)
        except Exception as error:
            log.exception("notifying failed: %s", type(error).__name__)
        self._stopping.wait(_BACK_OFF_SECONDS)
        return 0


class _Pause:
    """A server that could not be used is left alone by this process: a second, and twice as long at each failure that follows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = float("-inf")
        self._length = 0.0

    def left(self) -> float:
        """Seconds until it may be tried."""
        with self._lock:
            return max(0.0, self._until - time.monotonic())

    def note(self, *, down: bool) -> None:
        """How the last try went."""
        with self._lock:
            self._length = min(_LONGEST_PAUSE, max(1.0, 2 * self._length)) if down else 0.0
            self._until = time.monotonic() + self._length if down else float("-inf")
