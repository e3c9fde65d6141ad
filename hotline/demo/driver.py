"""Fills a database with the invented hotline: half a year of tickets, each act really done at its own simulated instant.

A database being filled holds the person `demo-filling`; it goes when the filling is complete, so a filling that was killed
is noticed and begun anew.
"""

import logging
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, time
from multiprocessing.connection import Connection
from typing import Any, Final, Protocol

from sqlalchemy import Engine, String, column, select, table, text
from sqlmodel import Session, col

from hotline import reference, supervision
from hotline.case import Office
from hotline.demo import duties, notified, organisation, plan
from hotline.demo import floor as floors
from hotline.demo.pace import DAY, at_time
from hotline.demo.shelf import Bare, Shelf
from hotline.office import open_office
from hotline.organisation import Person, Platform
from hotline.people import accounts
from hotline.privacy.sealing import load_or_make_key
from hotline.recordings import NAMED_BY
from hotline.settings import Settings
from hotline.storage.blobs import BlobStore
from hotline.storage.store import make_engine
from workflow.deadlines import CHINA
from workflow.errors import RuleBroken
from workflow.vocabulary import Role

log = logging.getLogger(__name__)
TICKETS: Final = 5000
SEED: Final = 12345
_MARK: Final = "demo-filling"
_FILL_LOCK: Final = 12345_100
_FEW: Final = 150
_MORNING: Final = time(9, 5)

Logins = dict[str, Any]
_BARE: Final = Bare()


def ensure_demo(url: str, settings: Settings, *, now: datetime, shelf: Shelf = _BARE) -> Logins:
    """Fill an empty (or half-filled) database with the demo; leave any other as it is. Returns the demo's logins, if it is one.

    `url` is a migrated database; `now` (aware) is the end of the simulated half year. Safe to call again, and from two
    processes at once: the second waits and finds the work done.
    """
    with _engine(url) as engine, _alone(engine):
        with Session(engine) as session:
            state = _standing(session)
        if state == "empty":
            return _fill(
                engine, url, settings, now, TICKETS, SEED, progress=True, shelf=shelf, forgiving=True
            )
        with Session(engine) as session:
            return (
                _logins(session, settings, now) if organisation.has_demo_logins(session) else {"people": []}
            )


def reset_and_fill(
    url: str,
    settings: Settings,
    *,
    now: datetime,
    tickets: int = TICKETS,
    seed: int = SEED,
    progress: bool = True,
    shelf: Shelf = _BARE,
    forgiving: bool = False,
) -> Logins:
    """Drop everything in the migrated database at `url` and fill it with `tickets` tickets of the half year up to `now`.

    The same seed, `now` and number give the same tickets. An act a rule refuses raises, or, where `forgiving`, ends that
    ticket's play with a warning. Returns the logins.
    """
    with _engine(url) as engine, _alone(engine):
        return _fill(
            engine, url, settings, now, tickets, seed, progress=progress, shelf=shelf, forgiving=forgiving
        )


def logins_text(logins: Logins) -> str:
    """The logins as a table to print."""
    people = logins.get("people", [])
    if not people:
        return "数据库中已有数据，未填入演示数据。用 hotline token issue 登录名 可签发访问令牌。"
    width = max(_columns(row["name"]) for row in people)
    factor = "须绑定动态验证码" if logins["second_factor"] == "required" else "动态验证码可绑定，不强制"
    lines = [
        f"演示口令（下列人员登录名通用，接口除外）：{logins['password']}",
        f"第二因素：督办主管、管理员、审计员{factor}（HOTLINE_SECOND_FACTOR={logins['second_factor']}）",
        "演示令牌（请求头 Authorization: Bearer 令牌）：",
    ]
    lines += [
        f"  {_wide(row['role'], 14)}{_wide(row['name'], width + 2)}{row['login']:<20}{row['token']}"
        for row in people
    ]
    return "\n".join(lines)


def _columns(said: str) -> int:
    return sum(2 if ord(c) > 0x2E7F else 1 for c in said)


def _wide(said: str, columns: int) -> str:
    return said + " " * max(1, columns - _columns(said))


# --- the database ----------------------------------------------------------------------------------------------------


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    engine = make_engine(url, pool_size=3)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """One filling at a time: whoever comes second waits, for as long as it takes."""
    with engine.connect() as connection:
        connection.execute(text("SET lock_timeout = 0"))
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _FILL_LOCK})
        connection.commit()
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _FILL_LOCK})
            connection.commit()
            connection.invalidate()


def _standing(session: Session) -> str:
    marked = session.execute(select(col(Person.id)).where(col(Person.login) == _MARK)).first()
    empty = session.execute(select(col(Platform.id)).limit(1)).first() is None
    return "empty" if empty or marked is not None else "filled"


def _empty(engine: Engine, office: Office) -> None:
    """Remove every row, the tickets' number sequences, and the files that attachments of this database name."""
    with Session(engine) as session:
        session.execute(text("SET LOCAL lock_timeout = 0"))
        session.execute(text("SET LOCAL statement_timeout = 0"))
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": floors.WORKERS_LOCK})
        _forget_files(session, office.blobs)
        listed = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = current_schema() AND tablename <> 'alembic_version'"
        tables = list(session.execute(text(listed)).scalars())
        session.execute(text("SET LOCAL hotline.rewriting = 'meant'"))  # ledger and audit are append-only
        session.execute(text(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE"))
        listed = "SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'S' AND relname LIKE 'ticket\\_seq\\_%' AND relnamespace = current_schema()::regnamespace"
        for sequence in session.execute(text(listed)).scalars().all():
            session.execute(text(f"DROP SEQUENCE {sequence}"))
        session.commit()


def _forget_files(session: Session, blobs: BlobStore) -> None:
    for name in NAMED_BY:
        named = select(column("sha256", String)).select_from(table(name)).distinct()
        for sha256 in session.execute(named).scalars():
            blobs.destroy(sha256)
    shutil.rmtree(blobs.folder / "exports", ignore_errors=True)


def _logins(session: Session, settings: Settings, now: datetime) -> Logins:
    key = load_or_make_key(settings.data_dir)
    people = organisation.issue_logins(session, key, now)
    organisation.give_password(session, key)
    session.commit()
    return {
        "people": people,
        "password": organisation.password_of(key),
        "second_factor": settings.second_factor,
    }


# --- filling ---------------------------------------------------------------------------------------------------------


class _Crew(Protocol):
    """Whoever plays the platforms: in this process or in workers."""

    def run_until(self, instant: datetime) -> tuple[int, int]:
        """Play up to `instant`; how many tickets came and acts were done in all."""


def _fill(
    engine: Engine,
    url: str,
    settings: Settings,
    now: datetime,
    tickets: int,
    seed: int,
    *,
    progress: bool,
    shelf: Shelf,
    forgiving: bool,
) -> Logins:
    office = open_office(settings)
    _empty(engine, office)
    with Session(engine) as session:
        session.execute(text("SET synchronous_commit = off"))
        _found(session, office, settings, now, tickets, seed, shelf)
        hotlines = organisation.roster(session, seed)
    with (
        _crew(engine, url, settings, office, seed, now, tickets, shelf, forgiving=forgiving) as crew,
        _telling(tickets, shown=progress) as tell,
    ):
        slept = now - plan.SPAN
        for instant in _ticks(office, now):
            tell(*crew.run_until(instant))
            _sweep(engine, office, instant)
            if (
                instant == now or instant.astimezone(CHINA).time() >= _MORNING
            ):  # what a night brings waits for the morning
                try:
                    with _hurried(engine) as session:
                        shelf.pass_time(session, office, hotlines, slept, instant, now)
                except RuleBroken as error:  # a fault of the simulation; that night's play is undone
                    if not forgiving:
                        raise
                    log.warning("演示知识库在 %s 的情节与规则不符，已略去：%s", instant.date(), error)
                slept = instant
    with Session(engine) as session:
        notified.tell(session, office, settings, now)
        logins = _logins(session, settings, now)
        session.execute(text("DELETE FROM people WHERE login = :login"), {"login": _MARK})
        session.execute(text("SET LOCAL hotline.rewriting = 'meant'"))
        session.execute(
            text("TRUNCATE audit_days")
        )  # signed meanwhile by a server left running: the days were not over
        session.commit()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    return logins


def _found(
    session: Session,
    office: Office,
    settings: Settings,
    now: datetime,
    tickets: int,
    seed: int,
    shelf: Shelf,
) -> None:
    """Reference data, platforms, units, people, emergencies; in one transaction with the mark of an unfinished filling."""
    opened = now - plan.SPAN
    reference.load_shipped(session)
    organisation.create(session)
    organisation.issue_logins(session, load_or_make_key(settings.data_dir), opened)
    session.flush()
    first = session.execute(select(Platform).order_by(col(Platform.id)).limit(1)).scalar_one()
    mark = accounts.add_person(
        session, login=_MARK, name="演示数据填充中", roles=[Role.ADMIN], platform=first
    )
    mark.active = False
    _, declared = plan.half_year(seed, now, tickets, office.calendars.of(None))
    hotlines = organisation.roster(session, seed)
    floors.declare(session, office, hotlines, declared)
    duties.lay(session, hotlines, opened)
    shelf.stock(session, hotlines, opened, now)
    session.commit()


def _ticks(office: Office, now: datetime) -> Iterator[datetime]:
    """When the ticker looks: past midnight and past nine of working days, the hours of lapses and reminders; and at `now`."""
    calendar = office.calendars.of(None)
    day = (now - plan.SPAN).astimezone(CHINA).date()
    while True:
        for moment in (time(0, 1), _MORNING):
            instant = at_time(day, moment)
            if instant >= now:
                yield now
                return
            if calendar.is_working_day(day) or (moment.hour == 0 and calendar.is_working_day(day - DAY)):
                yield instant
        day += DAY


def _sweep(engine: Engine, office: Office, instant: datetime) -> None:
    """The ticker's work of a day: lapses stamped, reminders sent."""
    for job in (supervision.lapse_due, supervision.remind_overdue):
        done = 1
        while done:
            with _hurried(engine) as session:
                done = job(session, office, instant)


@contextmanager
def _hurried(engine: Engine) -> Iterator[Session]:
    """A transaction that need not wait for the disk."""
    with Session(engine, expire_on_commit=False) as session:
        session.execute(text("SET LOCAL synchronous_commit = off"))
        yield session
        session.commit()


# --- who plays -------------------------------------------------------------------------------------------------------


@contextmanager
def _crew(
    engine: Engine,
    url: str,
    settings: Settings,
    office: Office,
    seed: int,
    now: datetime,
    tickets: int,
    shelf: Shelf,
    *,
    forgiving: bool,
) -> Iterator[_Crew]:
    workers = min(2, os.cpu_count() or 1)
    if tickets < _FEW or workers < 2:
        with Session(engine, expire_on_commit=False) as session:
            floors.enter(session)
            yield _Alone(floors.open_floor(session, office, seed, now, tickets, shelf, forgiving=forgiving))
            session.execute(text("SELECT pg_advisory_unlock_shared(:key)"), {"key": floors.WORKERS_LOCK})
            session.commit()
        return
    crew = _Workers(url, settings, seed, now, tickets, shelf, _shared_out(workers), forgiving=forgiving)
    try:
        yield crew
    finally:
        crew.dismiss()


def _shared_out(workers: int) -> list[tuple[str, ...]]:
    """The platforms in as many parts as there are workers, about as busy as one another."""
    parts: list[list[str]] = [[] for _ in range(workers)]
    for code in sorted(plan.SHARES, key=lambda code: -plan.SHARES[code]):
        min(parts, key=lambda part: sum(plan.SHARES[c] for c in part)).append(code)
    return [tuple(part) for part in parts]


class _Alone:
    """This process plays every platform."""

    def __init__(self, floor: floors.Floor) -> None:
        self.floor = floor

    def run_until(self, instant: datetime) -> tuple[int, int]:
        self.floor.run_until(instant)
        return self.floor.started, self.floor.acts


class _Workers:
    """Worker processes, each with its part of the platforms, a day at a time."""

    def __init__(
        self,
        url: str,
        settings: Settings,
        seed: int,
        now: datetime,
        tickets: int,
        shelf: Shelf,
        parts: list[tuple[str, ...]],
        *,
        forgiving: bool,
    ) -> None:
        spawning = multiprocessing.get_context("spawn")
        self.pipes: list[Connection] = []
        self.processes = []
        for part in parts:
            here, there = spawning.Pipe()
            process = spawning.Process(
                target=floors.work,
                args=(there, url, settings, seed, now, tickets, shelf, part, forgiving),
                daemon=True,
            )
            process.start()
            there.close()
            self.pipes.append(here)
            self.processes.append(process)
        self._heard()

    def run_until(self, instant: datetime) -> tuple[int, int]:
        for pipe in self.pipes:
            pipe.send(instant)
        return self._heard()

    def _heard(self) -> tuple[int, int]:
        try:
            heard = [pipe.recv() for pipe in self.pipes]
        except EOFError:
            raise RuntimeError("填充演示数据的进程意外退出，原因见上方输出。") from None
        return sum(started for started, _ in heard), sum(acts for _, acts in heard)

    def dismiss(self) -> None:
        for pipe in self.pipes:
            pipe.close()
        for process in self.processes:
            process.join(timeout=20)
            if process.is_alive():
                process.terminate()


# --- progress --------------------------------------------------------------------------------------------------------


@contextmanager
def _telling(tickets: int, *, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Tells on stderr how far the filling is: a bar on a terminal, else a line at each tenth."""
    if not shown:
        yield lambda _started, _acts: None
    elif sys.stderr.isatty():
        yield from _bar(tickets)
    else:
        yield _tenths(tickets)


def _bar(tickets: int) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("填充演示数据"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} 件，{task.fields[acts]} 个动作"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=tickets, acts=0)
        yield lambda started, acts: bar.update(task, completed=started, acts=acts)


def _tenths(tickets: int) -> Callable[[int, int], None]:
    told = -1

    def tell(started: int, acts: int) -> None:
        nonlocal told
        tenth = started * 10 // max(1, tickets)
        if tenth > told:
            told = tenth
            print(f"填充演示数据 {tenth * 10}%（{started} 件，{acts} 个动作）", file=sys.stderr, flush=True)  # noqa: T201

    return tell
