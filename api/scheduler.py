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

from api import metrics
from api.wiring import Runtime
from hotline import notices, recordings, requests, supervision
from hotline.auditing import daily_heads
from hotline.case import Office
from hotline.desks import calls, keeping, likeness
from hotline.exchange import due_soon, presence, retention
from hotline.exporting import exports
from hotline.hotspots import runs as hotspot_runs
from hotline.notifying import sending as notice_sending
from hotline.people import clients, lockout, oidc, sessions
from hotline.reporting import duties, refresh
from hotline.storage import partitions
from knowledge_base import neighbours, questions, recalls, sending, sources

log = logging.getLogger("hotline.ticker")
_MOST_BATCHES = 200
_STOOD_IN_THE_WAY: Final = frozenset({"40P01", "40001"})
"""Deadlock and serialization failure."""


@dataclass(frozen=True, slots=True)
class Job:
    """One periodic duty: its name, its period in seconds (None: the sweep's), and one batch of it, returning how much it did.

    `drained` tells by that number whether there is nothing left that cannot wait for the next tick.
    """

    name: str
    seconds: float | None
    batch: Callable[[Session, Office, datetime], int]
    drained: Callable[[Session, int], bool] = lambda _session, done: done == 0


@dataclass(frozen=True, slots=True)
class ProcessJob:
    """A duty that needs more of the process than its office: the knowledge index of this machine, or its settings."""

    name: str
    seconds: float | None
    batch: Callable[[Session, Runtime, datetime], int]
    most: int = _MOST_BATCHES


def _check_source(session: Session, runtime: Runtime, at: datetime) -> int:
    return sources.check_link(session, at, allow_private=runtime.settings.allow_private_targets)


JOBS: Final[tuple[Job | ProcessJob, ...]] = (
    Job("lapse_due", None, supervision.lapse_due),
    Job("remind_overdue", None, supervision.remind_overdue),
    Job("warn_due_soon", 30, due_soon.warn),
    Job("give_up_deliveries", 600, retention.give_up),
    Job("give_up_notices", 600, lambda session, _office, at: notice_sending.give_up(session, at)),
    Job("forget_deliveries", 3600, retention.forget_deliveries),
    Job("forget_events", 3600, retention.forget_events),
    Job("forget_presence", 60, lambda session, _office, at: presence.forget_old(session, at)),
    Job("settle_calendar", 60, notices.settle),
    Job("destroy_expired_recordings", 3600, recordings.destroy_expired_recordings),
    Job("make_partitions", 3600, lambda session, _office, at: partitions.make(session, at)),
    Job("sign_daily_heads", 600, daily_heads.sign_days),
    Job("count_refusals", 60, lambda session, office, at: office.unknown.record(session, at)),
    Job("make_exports", 5, exports.make_due),
    Job("destroy_expired_exports", 60, exports.destroy_expired),
    Job("forget_sign_ins", 600, lambda session, _office, at: oidc.forget_old(session, at)),
    Job("forget_failures", 3600, lambda session, _office, at: lockout.forget_old(session, at)),
    Job("forget_sessions", 3600, lambda session, _office, at: sessions.forget_old(session, at)),
    Job("forget_machine_tokens", 3600, lambda session, _office, at: clients.forget_old(session, at)),
    Job("forget_old_requests", 3600, lambda session, _office, at: requests.forget_old(session, at)),
    Job("forget_call_numbers", 3600, lambda session, _office, at: calls.forget_numbers(session, at)),
    Job("forget_drafts", 3600, lambda session, _office, at: keeping.forget_drafts(session, at)),
    Job("note_likeness", 600, lambda session, _office, at: likeness.catch_up(session, at)),
    Job("count_figures", 3, refresh.count, refresh.drained),
    Job("draft_reports", 600, duties.draft_due),
    Job("remind_reports", 60, duties.remind),
    Job("find_hotspots", 1800, hotspot_runs.make_due),
    Job("push_knowledge", 5, sending.push_due),
    ProcessJob("follow_knowledge", 1, lambda session, runtime, at: runtime.library.follow(session, at)),
    ProcessJob(
        "count_popularity", 900, lambda session, runtime, at: runtime.library.refresh_popularity(session, at)
    ),
    ProcessJob(
        "compare_articles", 10, lambda session, runtime, at: neighbours.compare(session, runtime.library, at)
    ),
    ProcessJob("check_sources", 60, _check_source, most=20),
    Job("list_recalls", None, recalls.list_due),
    Job("lapse_questions", None, questions.lapse_due),
    Job("move_questions", 60, questions.move_due),
)


def run(runtime: Runtime, job: Job | ProcessJob) -> int:
    """Run `job` until nothing is left for now, one commit a batch; returns how much was done."""
    done = 0
    for _ in range(job.most if isinstance(job, ProcessJob) else _MOST_BATCHES):
        count, drained = _batch(runtime, job)
        done += count
        if drained:
            break
    return done


def _batch(runtime: Runtime, job: Job | ProcessJob, tries: int = 3) -> tuple[int, bool]:
    """One batch in a transaction of its own, how much it did and whether nothing is left.

    Begun anew where it stood in another replica's way and was the one to give up.
    """
    try:
        with Session(runtime.engine, expire_on_commit=False) as session:
            if isinstance(job, ProcessJob):
                count = job.batch(session, runtime, runtime.clock())
                drained = count == 0
            else:
                count = job.batch(session, runtime.office, runtime.clock())
                drained = job.drained(session, count)
            session.commit()
            return count, drained
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _STOOD_IN_THE_WAY or tries <= 1:
            raise
        return _batch(runtime, job, tries - 1)


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


def count_refusals(runtime: Runtime) -> None:
    """Record what was counted of refusals and not yet recorded; at the end of a process."""
    try:
        with Session(runtime.engine) as session:
            runtime.office.unknown.record(session, runtime.clock(), all_of_them=True)
            session.commit()
    except DBAPIError as error:
        log.warning("refusals were not counted: %s", type(error.orig).__name__)


def _guarded(runtime: Runtime, job: Job | ProcessJob) -> None:
    """A job that fails is tried again at its next tick; what it had not committed is undone."""
    try:
        with metrics.timed(job.name):
            done = run(runtime, job)
    except DBAPIError as error:  # its text repeats row values: only its kind is logged
        log.warning("%s failed: %s", job.name, type(error.orig).__name__)
    except Exception:
        log.exception("%s failed", job.name)
    else:
        if done:
            log.info("%s: %d", job.name, done)
