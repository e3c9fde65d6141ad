"""The floor on which tickets live: some platforms' visits played in true order of time, in one session, up to any instant.

A floor runs in this process or in a worker of its own, which takes orders over a pipe; both give the same tickets.
"""

import heapq
import logging
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from random import Random
from typing import Any, Final

from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline import calendars, supervision
from hotline.case import Desk, Office
from hotline.demo import organisation, plan
from hotline.demo.arriving import arrive
from hotline.demo.contacts import CRISES
from hotline.demo.corpus import Corpus, load_corpus
from hotline.demo.life import Life, Story, places_of
from hotline.demo.organisation import Hotline
from hotline.demo.pace import Pace
from hotline.demo.plan import Declared, Visit
from hotline.demo.shelf import Shelf
from hotline.office import open_office
from hotline.orders import EmergencyOrder
from hotline.organisation import Area, Category, Emergency, OrgUnit, Person, Platform
from hotline.settings import Settings
from hotline.storage.store import make_engine
from workflow.errors import RuleBroken
from workflow.vocabulary import Role

WORKERS_LOCK: Final = 12345_101
_ACTS_A_COMMIT: Final = 60
# Rows that no act changes: kept in the session, so that they are read once.
_STANDING: Final = (Platform, OrgUnit, Area, Category)
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Floor:
    """The visits of some platforms and everything they have become so far.

    What a rule refuses is a fault of the simulation: it raises, or, where `forgiving`, ends that ticket's play with a warning.
    """

    session: Session
    office: Office
    corpus: Corpus
    hotlines: dict[str, Hotline]
    visits: list[Visit]
    declared: list[Declared]
    seed: int
    shelf: Shelf
    forgiving: bool = False
    logins: dict[int | None, str] = field(default_factory=dict)
    places: tuple[str, ...] = ()
    lives: dict[int, Life] = field(default_factory=dict)
    emergencies: dict[int, int] = field(default_factory=dict)
    clock: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    started: int = 0
    acts: int = 0
    standing: list[Any] = field(default_factory=list)
    _queue: list[tuple[datetime, int, int, Life, Story]] = field(default_factory=list)
    _serial: int = 0
    _uncommitted: int = 0

    @property
    def at(self) -> datetime:
        """The instant of the act being done."""
        return self.clock

    def begin(self, life: Life, story: Story) -> None:
        """Play another story of `life`; it belongs to the present chapter."""
        self._resume(life, life.chapter, story)

    def run_until(self, instant: datetime) -> None:
        """Do everything that happens up to `instant`, in order, and commit."""
        while True:
            arrives = self._next_arrival()
            turn = self._queue[0][0] if self._queue else None
            if arrives is not None and arrives <= instant and (turn is None or arrives <= turn):
                self._arrive()
            elif turn is not None and turn <= instant:
                self._turn()
            else:
                break
        self._commit()

    def _next_arrival(self) -> datetime | None:
        return self.visits[self.started].at if self.started < len(self.visits) else None

    def _arrive(self) -> None:
        visit = self.visits[self.started]
        self.started += 1
        self.clock = max(self.clock, visit.at)
        home = self.hotlines[visit.platform]
        dice = Random(f"{self.seed}/{visit.key}")  # noqa: S311  # a simulation, not a secret
        life = Life(self, visit, home, dice, Pace(self.office.calendars.of(home.id), dice))
        if visit.carries:
            self.lives[visit.key] = life
        self.begin(life, arrive(life))

    def _turn(self) -> None:
        at, _, chapter, life, story = heapq.heappop(self._queue)
        if life.over or life.chapter != chapter:
            return
        self.clock = at
        self.acts += 1
        self._uncommitted += 1
        contended = life.contended
        self._resume(life, chapter, story)
        if self._uncommitted >= _ACTS_A_COMMIT or life.contended != contended:
            self._commit()

    def _resume(self, life: Life, chapter: int, story: Story) -> None:
        try:
            with self.session.begin_nested() if self.forgiving else nullcontext():
                at = next(story, None)
        except RuleBroken as error:
            error.add_note(f"演示工单 {life.number}（{life.state}，{life.visit}），{self.clock.isoformat()}")
            if not self.forgiving:
                raise
            life.over = True
            self.session.expire_all()  # what an act wrote past the unit of work is not undone in memory
            _log.warning("演示工单 %s 的后续情节与规则不符，已略去：%s", life.number, error)
            return
        if at is None:
            return
        self._serial += 1
        heapq.heappush(self._queue, (max(at, self.clock), self._serial, chapter, life, story))

    def _commit(self) -> None:
        """End the transaction. What locks a unit's or an article's row is committed at once: two floors never wait in a circle."""
        self.session.commit()
        for row in self.session.identity_map.values():
            if not isinstance(row, _STANDING):
                self.session.expunge(row)
        self._uncommitted = 0


def open_floor(
    session: Session,
    office: Office,
    seed: int,
    now: datetime,
    tickets: int,
    shelf: Shelf,
    platforms: Iterable[str] | None = None,
    *,
    forgiving: bool = False,
) -> Floor:
    """The floor of these platforms (None: all), nothing played yet; see `Floor.forgiving` for refused acts."""
    office.calendars.at(session, calendars.newest_version(session))
    visits, declared = plan.half_year(seed, now, tickets, office.calendars.of(None))
    wanted = frozenset(plan.SHARES if platforms is None else platforms)
    mine = [visit for visit in visits if visit.platform in wanted]
    floor = Floor(
        session,
        office,
        load_corpus(),
        organisation.roster(session, seed),
        mine,
        declared,
        seed,
        shelf,
        forgiving,
    )
    floor.places = places_of(floor)
    floor.logins = {p.id: p.login for p in session.execute(select(Person)).scalars()}
    for number, found in enumerate(
        session.execute(select(col(Emergency.id)).order_by(col(Emergency.id))).scalars()
    ):
        floor.emergencies[number] = found
    session.commit()
    session.expunge_all()
    floor.standing = [row for table in _STANDING for row in session.execute(select(table)).scalars()]
    session.commit()
    return floor


def declare(session: Session, office: Office, hotlines: dict[str, Hotline], declared: list[Declared]) -> None:
    """Declare the plan's emergencies, each by its platform's supervisor. The caller commits."""
    for emergency in declared:
        crisis = CRISES[emergency.kind]
        supervisor = hotlines[emergency.platform].staff[Role.SUPERVISOR][0]
        order = EmergencyOrder(
            title=crisis.title, basis=crisis.basis, area=emergency.area, until=emergency.until
        )
        supervision.declare_emergency(Desk(session, supervisor, emergency.at, office), order)


# --- a worker --------------------------------------------------------------------------------------------------------


def work(
    pipe: Connection,
    url: str,
    settings: Settings,
    seed: int,
    now: datetime,
    tickets: int,
    shelf: Shelf,
    platforms: tuple[str, ...],
    forgiving: bool,
) -> None:
    """A worker process: plays its floor up to each instant it receives, answers with how many tickets came and acts were done."""
    engine = make_engine(url, pool_size=1)
    try:
        with Session(engine, expire_on_commit=False) as session:
            enter(session)
            floor = open_floor(
                session, open_office(settings), seed, now, tickets, shelf, platforms, forgiving=forgiving
            )
            pipe.send((floor.started, floor.acts))
            while True:
                instant = pipe.recv()
                if instant is None:
                    break
                floor.run_until(instant)
                pipe.send((floor.started, floor.acts))
    except EOFError:  # the filling process is gone
        pass
    finally:
        engine.dispose()


def enter(session: Session) -> None:
    """Settings of a filling session: it need not wait for the disk, and whoever empties the database waits for it."""
    session.execute(text("SET synchronous_commit = off"))
    session.execute(text("SELECT pg_advisory_lock_shared(:key)"), {"key": WORKERS_LOCK})
    session.commit()
