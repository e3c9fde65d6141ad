"""Lives of tickets as hypothesis makes them up: real acts by real people on a real database, in any order the law allows."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import select
from sqlmodel import Session, col

from hotline import intake, supervision
from hotline.access import Actor
from hotline.case import Desk
from hotline.desks import calls
from hotline.models import Assignment, Ticket
from hotline.orders import AcceptOrder
from hotline.reporting import refresh
from tests import world as w
from tests.statute.course import COMMANDS, DEFAULTS
from workflow.errors import RuleBroken
from workflow.lifecycle import MOVES, open_acts
from workflow.vocabulary import STAFF, UNIT_STAFF, Act, CallbackOutcome, Channel, Matter, Role, State

A = Act
NEVER = {A.ATTACH, A.HOLD_RECORDING, A.REGISTER, A.KEEP_CONFIDENTIAL, A.FLAG, A.REMIND, A.REPORT_PROGRESS}
"""Acts that count in no figure, or need a file."""
USUAL = {
    State.PENDING_DECISION: (A.ACCEPT, A.DECIDE),
    State.ACCEPTED: (A.DISPATCH, A.DISPATCH, A.DISPATCH, A.MERGE),
    State.COORDINATING: (A.DESIGNATE, A.REPLY),
    State.DISPATCHED: (A.SIGN, A.SIGN, A.PROPOSE_RETURN),
    State.RETURN_PROPOSED: (A.UPHOLD_RETURN, A.REJECT_RETURN),
    State.HANDLING: (A.REPLY, A.REPLY, A.ANSWER_CITIZEN, A.SIGN, A.REQUEST_EXTENSION, A.APPROVE_EXTENSION),
    State.REPLIED: (A.REVIEW_PASS, A.REVIEW_PASS, A.REVIEW_SEND_BACK),
    State.SUPPLEMENTING: (A.REPLY, A.ANSWER_CITIZEN),
    State.VERIFIED: (A.RECORD_CALLBACK, A.RECORD_CALLBACK, A.UPDATE_KNOWLEDGE),
    State.DISSATISFIED: (A.UPHOLD_DISSATISFACTION, A.DISMISS_DISSATISFACTION, A.COORDINATE),
    State.REDOING: (A.REPLY, A.ANSWER_CITIZEN, A.SIGN),
    State.MERGED: (A.RECORD_CALLBACK,),
}
UNITS = ("ZJJ", "JTJ", "CGJ", "HEAT", "HZQ")
AREAS = ("630104000000", "630102000000", "630105000000")
CATEGORIES = ("010101", "010102", "020101")
_PEOPLE = {
    Role.AGENT: "agent",
    Role.DISPATCHER: "dispatcher",
    Role.REVIEWER: "reviewer",
    Role.CALLBACK: "callback",
    Role.SUPERVISOR: "supervisor",
}


@dataclass(frozen=True)
class Step:
    """One thing that happens: `what` (a birth, an act, a call, a sweep, a count), to which ticket, choices made by numbers, hours later."""

    what: str
    ticket: int
    choice: int
    hours: int


STEPS = st.lists(
    st.builds(
        Step,
        what=st.sampled_from(["born", "act", "act", "act", "act", "act", "act", "call", "sweep", "count"]),
        ticket=st.integers(0, 5),
        choice=st.integers(0, 10_000),
        hours=st.sampled_from([0, 1, 5, 20, 30, 80]),
    ),
    min_size=5,
    max_size=40,
)


@dataclass
class Lives:
    """Tickets under way in one database, and what time it is there."""

    world: w.World
    at: datetime = field(default_factory=lambda: w.china("2026-03-02 09:00"))
    numbers: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)

    def live(self, step: Step) -> None:
        """Let this step happen; what the law does not allow does not."""
        self.at += timedelta(hours=step.hours)
        with Session(self.world.engine, expire_on_commit=False) as session:
            try:
                name = getattr(self, f"_{step.what}")(session, step)
            except RuleBroken:
                session.rollback()
                return
            session.commit()
        self.done[name] = self.done.get(name, 0) + 1

    def count(self) -> None:
        """Count until nothing is left."""
        with Session(self.world.engine, expire_on_commit=False) as session:
            refresh.count_all(session, self.world.office, self.at)
            session.commit()

    def _born(self, session: Session, step: Step) -> str:
        matter = list(Matter)[step.choice % len(Matter)]
        changes = {
            "area": AREAS[step.choice % len(AREAS)],
            "category": CATEGORIES[step.choice // 3 % len(CATEGORIES)],
            "channel": list(Channel)[step.choice // 7 % len(Channel)],
            "received_at": self.at - timedelta(minutes=step.choice % 90),
        }
        verb = (A.ACCEPT, A.ACCEPT, A.ACCEPT, A.ANSWER_AT_ONCE, A.REFUSE, A.TRANSFER, A.REPORT_UP)[
            step.choice % 7
        ]
        login = ("agent", "agent2", "p-agent")[step.choice // 11 % 3]
        desk = self.world.desk(session, login, self.at)
        order: Any = AcceptOrder()
        if verb is not A.ACCEPT:
            more = {A.REFUSE: {"ground": "3"}, A.TRANSFER: {"target": "120"}}.get(verb, {})
            order = COMMANDS[verb][1].model_validate(DEFAULTS[verb] | more)
        case = intake.take(desk, w.demand(matter, **changes), verb, order)
        self.numbers.append(case.ticket.number)
        return f"born:{verb.value}"

    def _call(self, session: Session, step: Step) -> str:
        home = self.world.platforms["01"]
        machine = Actor(
            "platform_machine", 1, "话务平台", frozenset({Role.AGENT}), home, None, frozenset({home}), home
        )
        told: dict[str, Any] = {"call_id": f"call-{step.choice % 20}", "ringing_at": self.at}
        if step.choice % 3:
            told["answered_at"] = self.at
        if step.choice % 5:
            told["agent"] = "agent"
        calls.report(Desk(session, machine, self.at, self.world.office), calls.CallReport(**told))
        return "call"

    def _sweep(self, session: Session, _step: Step) -> str:
        supervision.lapse_due(session, self.world.office, self.at)
        return "sweep"

    def _count(self, session: Session, _step: Step) -> str:
        refresh.count(session, self.world.office, self.at, batch=3)
        return "count"

    def _act(self, session: Session, step: Step) -> str:
        if not self.numbers:
            return "nothing"
        number = self.numbers[-1 - step.ticket % len(self.numbers)]
        ticket = session.execute(select(Ticket).where(col(Ticket.number) == number)).scalar_one()
        open_ = [act for act in open_acts(ticket.state, STAFF) if act not in NEVER]
        if step.choice % 5:  # what comes next in most lives, more often than what may be done at any time
            open_ = list(USUAL.get(ticket.state, open_))
        if not open_:
            return "nothing"
        act = open_[step.choice % len(open_)]
        login = self._login(session, ticket, act, step)
        command, order = COMMANDS[act]
        content = DEFAULTS.get(act, {}) | self._more(act, step)
        command(self.world.desk(session, login, self.at), number, order.model_validate(content))
        return act.value

    def _login(self, session: Session, ticket: Ticket, act: Act, step: Step) -> str:
        roles = frozenset[Role]().union(
            *(move.roles for move in MOVES if move.act is act and ticket.state in move.sources)
        )
        prefix = "p-" if ticket.platform_id == self.world.platforms["00"] else ""
        if roles & UNIT_STAFF and not (roles & set(_PEOPLE) and step.choice % 2):
            statement = select(col(Assignment.unit_id)).where(col(Assignment.ticket_id) == ticket.id)
            units = list(session.execute(statement.order_by(col(Assignment.id))).scalars())
            names = {key: code for code, key in self.world.units.items()}
            return names[units[-1 - step.choice // 13 % len(units)]] if units else "ZJJ"
        suited = [role for role in _PEOPLE if role in roles]
        return prefix + _PEOPLE[suited[step.choice % len(suited)]]

    def _more(self, act: Act, step: Step) -> dict[str, Any]:
        """What an act must be told beside the usual words."""
        pick = step.choice // 17
        lead = UNITS[pick % 3]
        dispatch: dict[str, Any] = {
            "lead": lead,
            "co_units": [UNITS[(pick + 1) % 3]] if pick % 4 == 0 else [],
        }
        outcome = list(CallbackOutcome)[pick % len(CallbackOutcome)]
        said = outcome not in (CallbackOutcome.UNREACHABLE, CallbackOutcome.REFUSED_TO_SAY)
        solved = pick // 5 % 2 == 0 if said else None
        told: dict[Act, dict[str, Any]] = {
            A.DISPATCH: dispatch,
            A.DESIGNATE: dispatch | ({"days": 5} if pick % 2 else {}),
            A.REQUEST_EXTENSION: {"days": 1 + pick % 6},
            A.REVIEW_SEND_BACK: {"days": 1 + pick % 3},
            A.UPHOLD_DISSATISFACTION: {"days": 1 + pick % 9},
            A.RECORD_CALLBACK: {"outcome": outcome, "solved": solved, "remark": "测试"},
            A.REPLY: {"citizen_answered_at": self.at} if pick % 3 else {},
            A.RELEASE_UNIT: {"unit": UNITS[pick % 3]},
            A.DECIDE: {"outcome": "accept"},
            A.REFUSE: {"ground": "3"},
            A.TRANSFER: {"target": "120"},
            A.UPDATE_KNOWLEDGE: {"outcome": "no_change", "reason": "测试：无需更新"},
            A.MERGE: {"into": self.numbers[-1 - pick % len(self.numbers)]},
            A.HAND_OVER: {"to": "agent2" if pick % 2 else "agent"},
            A.ARCHIVE: {"no_material_reason": "没有此类材料"},
        }
        return told.get(act, {})
