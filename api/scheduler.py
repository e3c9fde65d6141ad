"""The JOBS table and its ticker. Every replica ticks; the database decides who does what. A job runs until it finds nothing.

APScheduler is a ticker, nothing more: a memory job store, coalesced, one instance of a job at a time.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from api.wiring import Runtime
from hotline import notices, requests, supervision
from hotline.case import Office

log = logging.getLogger("hotline.ticker")
_MOST_BATCHES = 200


@dataclass(frozen=True, slots=True)
class Job:
    """One periodic duty: its name, its period in seconds (None: the sweep's), and one batch of it, returning how much it did."""

    name: str
    seconds: float | None
    batch: Callable[[Session, Office, datetime], int]


JOBS: Final[tuple[Job, ...]] = (
    Job("lapse_due", None, supervision.lapse_due),
    Job("remind_overdue", None, supervision.remind_overdue),
    Job("settle_calendar", 60, notices.settle),
    Job("destroy_expired_recordings", 3600, supervision.destroy_expired_recordings),
    Job("forget_old_requests", 3600, lambda session, _office, at: requests.forget_old(session, at)),
)


def run(runtime: Runtime, job: Job) -> int:
    """Run `job` until a batch finds nothing, one commit a batch; returns how much was done."""
    done = 0
    for _ in range(_MOST_BATCHES):
        with Session(runtime.engine, expire_on_commit=False) as session:
            count = job.batch(session, runtime.office, runtime.clock())
            session.commit()
        done += count
        if count == 0:
            break
    return done


def start(runtime: Runtime) -> BackgroundScheduler:
    """Start ticking in the background; call `shutdown()` on what is returned."""
    scheduler = BackgroundScheduler(timezone="UTC")
    for job in JOBS:
        scheduler.add_job(
            _guarded,
            "interval",
            seconds=job.seconds or runtime.settings.sweep_seconds,
            args=(runtime, job),
            id=job.name,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
            next_run_time=runtime.clock(),
        )
    scheduler.start()
    return scheduler


def _guarded(runtime: Runtime, job: Job) -> None:
    """A job that fails is tried again at its next tick; what it had not committed is undone."""
    try:
        done = run(runtime, job)
    except DBAPIError as error:  # its text repeats row values: only its kind is logged
        log.warning("%s failed: %s", job.name, type(error.orig).__name__)
    except Exception:
        log.exception("%s failed", job.name)
    else:
        if done:
            log.info("%s: %d", job.name, done)
