"""One ticket's life: what is known of it between acts, and the one way it acts. The stories themselves are told in
`arriving`, `handling` and `aftermath`: generators that yield the instant of their next act and, resumed then, do it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, Protocol

from sqlmodel import Session

from hotline import supervision
from hotline.access import Actor
from hotline.case import Case, Desk, Office
from hotline.demo import corpus
from hotline.demo.corpus import Corpus, Saying
from hotline.demo.organisation import PROVINCE, Hotline, Unit
from hotline.demo.pace import Pace
from hotline.demo.plan import Declared, Visit
from hotline.demo.shelf import Shelf
from hotline.fields import Order
from hotline.models import Clock
from hotline.orders import Caller, Demand, ReasonOrder
from workflow.vocabulary import Act, Channel, ClockKind, Matter, Role, State

Story = Iterator[datetime]


class Stage(Protocol):
    """Where lives are played: one session, one instant at a time."""

    session: Session
    office: Office
    corpus: Corpus
    hotlines: dict[str, Hotline]
    places: tuple[str, ...]
    lives: dict[int, "Life"]
    emergencies: dict[int, int]
    declared: list[Declared]
    logins: dict[int | None, str]
    shelf: Shelf

    @property
    def at(self) -> datetime:
        """The instant of the act being done."""

    def begin(self, life: "Life", story: Story) -> None:
        """Play another story of the same ticket beside its main one."""


@dataclass(slots=True, eq=False)
class Life:
    """A ticket between its acts. `chapter` goes up when everything planned for it is off; `over` when nothing more will happen."""

    stage: Stage
    visit: Visit
    home: Hotline
    dice: Random
    pace: Pace
    number: str = ""
    state: State | None = None
    said: Saying = field(init=False)
    channel: Channel = Channel.PHONE
    receiver: Actor | None = None
    lead: Unit | None = None
    case: Case | None = None
    chapter: int = 0
    over: bool = False
    children: "list[Life]" = field(default_factory=list)
    learned: bool = False
    contended: int = 0
    """How many of its acts locked rows that another floor may want: a unit's, an article's."""
    coordinated: bool = False
    helping: set[int] = field(default_factory=set)

    @property
    def at(self) -> datetime:
        """The instant of the act being done."""
        return self.stage.at

    @property
    def told_since(self) -> datetime:
        """The earliest instant at which the unit can have answered the citizen: soon after its part was dispatched."""
        assert self.case is not None
        parts = [a for a in self.case.assignments if self.lead is not None and a.unit_id == self.lead.id]
        return parts[-1].dispatched_at if parts else self.at

    @property
    def quick(self) -> bool:
        """Whether nobody dawdles over this ticket, so that it reaches the state it is to be found in."""
        return self.visit.halt is not None

    def is_now(self, *states: State) -> bool:
        """Whether the ticket stands in one of these states after the last act."""
        return self.state in states

    def owes(self, unit: Unit) -> bool:
        """Whether the unit's part was still open after the last act: it may have replied while a co-unit has not."""
        assert self.case is not None
        return any(part.unit_id == unit.id for part in self.case.open_parts())

    def meant(self, *states: State) -> bool:
        """Whether the ticket is to be found in one of these states at the end."""
        return self.visit.halt in states

    def chance(self, share: float) -> bool:
        """True in `share` of the cases; never for a ticket that is to be found in a certain state."""
        return not self.quick and self.dice.random() < share

    def someone(self, role: Role) -> Actor:
        """One of the platform's people with `role`."""
        return self.home.one(role, self.dice)

    def phrase(self, name: str, *path: str) -> str:
        """A phrase that fits what was said."""
        return self.stage.corpus.phrase(self.dice, name, self.said, *path)

    def begin(self, story: Story) -> None:
        """Play another story of this ticket beside the main one."""
        self.stage.begin(self, story)

    def take(self, actor: Actor, verb: Act, decision: Order) -> None:
        """Register the call, with `verb` as its first act."""
        shelf = self.stage.shelf
        self._know(shelf.take(self.desk(actor), self._demand(), verb, decision, self.home.id))
        assert self.case is not None
        self.number = self.case.ticket.number
        if actor.kind == "person":
            self.receiver = actor

    def act(self, actor: Actor, command: Callable[..., Any], *orders: Any) -> Any:
        """Do one act on the ticket as `actor`, now. What the command raises is a fault of the simulation."""
        done = command(self.desk(actor), self.number, *orders)
        if isinstance(done, Case):
            self._know(done)
        return done

    def answer_notice(self, actor: Actor, notice: int, order: ReasonOrder) -> None:
        """The unit's answer to an accountability notice: not an act on the ticket."""
        supervision.answer_notice(self.desk(actor), notice, order)

    def clock(self, kind: ClockKind, unit: Unit | None = None) -> Clock:
        """The running clock of a kind as the last act left it."""
        assert self.case is not None
        return next(c for c in reversed(self.case.running(kind)) if unit is None or c.unit_id == unit.id)

    def desk(self, actor: Actor) -> Desk:
        """The actor's desk, now."""
        return Desk(self.stage.session, actor, self.stage.at, self.stage.office)

    def _know(self, case: Case) -> None:
        self.case, self.state = case, case.ticket.state
        self.over = self.over or self.state is self.visit.halt

    def _demand(self) -> Demand:
        said, visit = self.said, self.visit
        spoken = self.stage.corpus.spoken(said.area)
        number = self.dice.randrange(10_000) if self.dice.random() < 0.72 else self.dice.randrange(160)
        name, phone, address = corpus.caller(number, spoken)
        tipoff = said.matter is Matter.TIPOFF
        anonymous = tipoff and self.dice.random() < 0.3
        return Demand(
            channel=self.channel,
            matter=said.matter,
            category=said.category,
            area=said.area,
            title=said.title,
            content=said.text,
            caller=Caller(
                name=None if anonymous else name,
                phone=None if anonymous and self.dice.random() < 0.5 else phone,
                address=address if self.dice.random() < 0.4 and not anonymous else None,
                confidential=anonymous or (tipoff and self.dice.random() < 0.5) or self.dice.random() < 0.01,
            ),
            received_at=visit.at,
            call_id=f"demo-{visit.platform}-{visit.key:07d}" if self.channel is Channel.PHONE else None,
            external_ref=f"GJ{visit.at:%Y%m%d}{visit.key:07d}" if self.channel is Channel.PLATFORM else None,
        )


def places_of(stage: Stage) -> tuple[str, ...]:
    """The prefectures, as demands name them."""
    return tuple(h.place for h in stage.hotlines.values() if h.code != PROVINCE)
