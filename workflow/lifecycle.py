"""MOVES: which act leads from which state to which, who may do it, and the article that says so.

The table is the whole lifecycle. It is driven by one shared `transitions` machine through a throw-away context per
act; nothing else in the house imports `transitions`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Final

from transitions import Machine, MachineError

from workflow.errors import ActNotGranted, IllegalMove
from workflow.vocabulary import PLATFORM_STAFF, UNIT_STAFF, Act, Role, State

A, R, S = Act, Role, State
_UNBORN: Final = "unborn"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the desk knows when an act is tried; each name can guard a move.

    `by_lead` and `signed` speak of the assignment the act is about. `episode_complete` means that with this act the lead has
    reported and answered the citizen and every co-unit has reported or been released (art. 14(3), 14(4)).
    """

    by_lead: bool = True
    signed: bool = False
    episode_complete: bool = False
    returns_exhausted: bool = False
    redo: bool = False
    dissatisfied: bool = False
    callback_concluded: bool = False
    decided_accept: bool = False
    decided_refuse: bool = False
    decided_transfer: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """One row: `act` leads from any of `sources` (None: not yet a ticket) to `to` (None: the state stays).

    `when` and `unless` name facts. Of several rows for one act and source the first whose guards hold is taken.
    """

    act: Act
    sources: tuple[State | None, ...]
    to: State | None
    roles: frozenset[Role]
    article: str
    when: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()


AGENTS = frozenset({R.AGENT, R.SUPERVISOR})
INTAKE = frozenset({R.AGENT, R.DISPATCHER, R.SUPERVISOR})
DISPATCHERS = frozenset({R.DISPATCHER, R.SUPERVISOR})
SUPERVISORS = frozenset({R.SUPERVISOR})
REVIEWERS = frozenset({R.REVIEWER, R.SUPERVISOR})
CALLERS_BACK = frozenset({R.CALLBACK, R.AGENT, R.SUPERVISOR})
ANSWERERS = CALLERS_BACK | {R.CITIZEN}  # the citizen may say on their own page that it is not solved

WITH_UNITS = (S.DISPATCHED, S.HANDLING)
EPISODE = (S.HANDLING, S.SUPPLEMENTING, S.REDOING)
OWED = (
    *EPISODE,
    S.COORDINATING,
)  # the unit's clock runs on while the platform coordinates (art. 18), so its reply is taken
ROUND_AGAIN = (S.SUPPLEMENTING, S.REDOING)
CO_UNIT_MAY_WORK = (S.ACCEPTED, S.COORDINATING, S.DISPATCHED, S.HANDLING, S.RETURN_PROPOSED)
AFTER_REPLY = (S.REPLIED, S.SUPPLEMENTING, S.VERIFIED, S.DISSATISFIED, S.REDOING, S.CLOSED)
SINCE_DISPATCH = (*WITH_UNITS, S.RETURN_PROPOSED, S.COORDINATING, S.ACCEPTED, *AFTER_REPLY)
ENDED = (S.CLOSED, S.ANSWERED, S.REFUSED, S.TRANSFERRED, S.WITHDRAWN)
TERMINAL: Final = frozenset({S.ARCHIVED})
OPEN_STATES: Final = frozenset(S) - frozenset(ENDED) - TERMINAL - {S.MERGED}
LIVE = tuple(state for state in S if state not in TERMINAL)

MOVES: Final[tuple[Move, ...]] = (
    # intake, art. 10-12, 14(1)(2)
    Move(A.REGISTER, (None,), S.PENDING_DECISION, INTAKE | {R.CITIZEN}, "10"),
    Move(A.ACCEPT, (None, S.PENDING_DECISION), S.ACCEPTED, INTAKE, "14(2)"),
    Move(A.REFUSE, (None, S.PENDING_DECISION), S.REFUSED, INTAKE, "12"),
    Move(A.ANSWER_AT_ONCE, (None, S.PENDING_DECISION, S.ACCEPTED), S.ANSWERED, INTAKE, "14(2)"),
    Move(A.TRANSFER, (None, S.PENDING_DECISION, S.ACCEPTED), S.TRANSFERRED, INTAKE, "12"),
    Move(A.REPORT_UP, (None, S.PENDING_DECISION), S.PENDING_DECISION, INTAKE, "12"),
    Move(A.REPORT_UP, (S.ACCEPTED,), S.COORDINATING, INTAKE, "14(3)"),
    Move(A.DECIDE, (S.PENDING_DECISION,), S.ACCEPTED, SUPERVISORS, "12", when=("decided_accept",)),
    Move(A.DECIDE, (S.PENDING_DECISION,), S.REFUSED, SUPERVISORS, "12", when=("decided_refuse",)),
    Move(A.DECIDE, (S.PENDING_DECISION,), S.TRANSFERRED, SUPERVISORS, "12", when=("decided_transfer",)),
    # dispatch and coordination, art. 14(3), 17, 18
    Move(A.DISPATCH, (S.ACCEPTED,), S.DISPATCHED, INTAKE, "14(3)"),
    Move(
        A.COORDINATE,
        (S.ACCEPTED, *WITH_UNITS, S.RETURN_PROPOSED, S.DISSATISFIED),
        S.COORDINATING,
        SUPERVISORS,
        "18",
    ),
    Move(A.DESIGNATE, (S.COORDINATING,), S.REDOING, SUPERVISORS, "18", when=("redo",)),
    Move(A.DESIGNATE, (S.COORDINATING,), S.HANDLING, SUPERVISORS, "18", when=("signed",)),
    Move(A.DESIGNATE, (S.COORDINATING,), S.DISPATCHED, SUPERVISORS, "18"),
    # the unit's work, art. 14(3)-(5)
    Move(A.SIGN, (S.DISPATCHED,), S.HANDLING, UNIT_STAFF, "14(3)", when=("by_lead",)),
    Move(A.SIGN, (S.REDOING,), None, UNIT_STAFF, "14(3)"),
    Move(A.SIGN, CO_UNIT_MAY_WORK, None, UNIT_STAFF, "14(3)", unless=("by_lead",)),
    Move(A.PROPOSE_RETURN, WITH_UNITS, S.RETURN_PROPOSED, UNIT_STAFF, "14(4)", when=("by_lead",)),
    Move(A.PROPOSE_RETURN, CO_UNIT_MAY_WORK, None, UNIT_STAFF, "14(4)", unless=("by_lead",)),
    Move(
        A.UPHOLD_RETURN,
        (S.RETURN_PROPOSED,),
        S.COORDINATING,
        DISPATCHERS,
        "18",
        when=("by_lead", "returns_exhausted"),
    ),
    Move(A.UPHOLD_RETURN, (S.RETURN_PROPOSED,), S.ACCEPTED, DISPATCHERS, "14(4)", when=("by_lead",)),
    Move(
        A.UPHOLD_RETURN,
        (S.HANDLING,),
        S.REPLIED,
        DISPATCHERS,
        "14(4)",
        when=("episode_complete",),
        unless=("by_lead",),
    ),
    Move(A.UPHOLD_RETURN, CO_UNIT_MAY_WORK, None, DISPATCHERS, "14(4)", unless=("by_lead",)),
    Move(A.REJECT_RETURN, (S.RETURN_PROPOSED,), S.HANDLING, DISPATCHERS, "14(4)", when=("by_lead", "signed")),
    Move(A.REJECT_RETURN, (S.RETURN_PROPOSED,), S.DISPATCHED, DISPATCHERS, "14(4)", when=("by_lead",)),
    Move(A.REJECT_RETURN, CO_UNIT_MAY_WORK, None, DISPATCHERS, "14(4)", unless=("by_lead",)),
    Move(A.CONVERT_TO_COMPLEX, WITH_UNITS, None, UNIT_STAFF, "14(4)"),
    Move(A.REQUEST_EXTENSION, CO_UNIT_MAY_WORK, None, UNIT_STAFF, "14(5)"),
    Move(A.APPROVE_EXTENSION, SINCE_DISPATCH, None, SUPERVISORS, "14(5)"),
    Move(A.REFUSE_EXTENSION, SINCE_DISPATCH, None, SUPERVISORS, "14(5)"),
    Move(A.NOTIFY_EXTENSION, SINCE_DISPATCH, None, CALLERS_BACK | {R.DISPATCHER}, "14(5)"),
    Move(A.REPORT_PROGRESS, (*WITH_UNITS, *ROUND_AGAIN), None, UNIT_STAFF, "9(3)"),
    Move(A.ANSWER_CITIZEN, OWED, S.REPLIED, UNIT_STAFF, "14(4)", when=("episode_complete",)),
    Move(A.ANSWER_CITIZEN, OWED, None, UNIT_STAFF, "14(4)"),
    Move(A.ANSWER_CITIZEN, (S.MERGED,), None, UNIT_STAFF | CALLERS_BACK, "14(4)"),
    Move(A.REPLY, OWED, S.REPLIED, UNIT_STAFF, "14(4)", when=("episode_complete",)),
    Move(A.REPLY, OWED, None, UNIT_STAFF, "14(4)"),
    Move(A.REPLY, CO_UNIT_MAY_WORK, None, UNIT_STAFF, "14(4)", unless=("by_lead",)),
    Move(A.RELEASE_UNIT, EPISODE, S.REPLIED, DISPATCHERS, "14(3)", when=("episode_complete",)),
    Move(A.RELEASE_UNIT, (*CO_UNIT_MAY_WORK, *ROUND_AGAIN), None, DISPATCHERS, "14(3)", unless=("by_lead",)),
    # review, callback, redo, art. 14(6)(7)
    Move(A.REVIEW_PASS, (S.REPLIED,), S.VERIFIED, REVIEWERS, "14(6)"),
    Move(A.REVIEW_SEND_BACK, (S.REPLIED, S.VERIFIED), S.SUPPLEMENTING, REVIEWERS, "14(6)"),
    Move(
        A.RECORD_CALLBACK,
        (S.VERIFIED, S.MERGED),
        S.DISSATISFIED,
        ANSWERERS,
        "14(7)",
        when=("dissatisfied",),
    ),
    Move(
        A.RECORD_CALLBACK,
        (S.VERIFIED, S.MERGED),
        S.CLOSED,
        ANSWERERS,
        "14(7)",
        when=("callback_concluded",),
    ),
    Move(A.RECORD_CALLBACK, (S.VERIFIED, S.MERGED), None, ANSWERERS, "14(7)"),
    Move(A.UPHOLD_DISSATISFACTION, (S.DISSATISFIED,), S.REDOING, REVIEWERS, "14(7)"),
    Move(A.DISMISS_DISSATISFACTION, (S.DISSATISFIED,), S.CLOSED, REVIEWERS, "14(7)"),
    Move(A.UPDATE_KNOWLEDGE, (*AFTER_REPLY, S.ARCHIVED), None, UNIT_STAFF, "23"),
    # ends, art. 14(9)
    Move(A.ARCHIVE, ENDED, S.ARCHIVED, AGENTS, "14(9)"),
    Move(A.MERGE, (S.PENDING_DECISION, S.ACCEPTED, *WITH_UNITS), S.MERGED, INTAKE, "14(3)"),
    Move(
        A.WITHDRAW,
        tuple(s for s in LIVE if s not in ENDED),
        S.WITHDRAWN,
        AGENTS | {R.CITIZEN},
        "14(9)",
    ),
    # at any time, art. 14(1)(8)(9), 34
    Move(A.HAND_OVER, LIVE, None, AGENTS, "14(1)"),
    Move(A.REMIND, (*SINCE_DISPATCH,), None, INTAKE | {R.SYSTEM}, "14(8)"),
    Move(A.FLAG, (*SINCE_DISPATCH, S.ARCHIVED), None, REVIEWERS | {R.CALLBACK, R.DISPATCHER}, "14(8)"),
    Move(A.ATTACH, LIVE, None, PLATFORM_STAFF | UNIT_STAFF, "14(9)"),
    Move(A.HOLD_RECORDING, tuple(S), None, frozenset({R.SUPERVISOR, R.AUDITOR}), "14(9)"),
    Move(A.KEEP_CONFIDENTIAL, tuple(S), None, CALLERS_BACK | DISPATCHERS, "15"),
)

GUARDS: Final = frozenset(field.name for field in fields(Facts))


class _Context:
    """The throw-away model `transitions` reads facts from and writes the new state to."""

    def __init__(self, state: State | None, facts: Facts) -> None:
        self.state = state.value if state is not None else _UNBORN
        self.facts = facts

    def __getattr__(self, name: str) -> bool:
        if name in GUARDS:
            return bool(getattr(self.facts, name))
        raise AttributeError(name)


def _build(moves: Iterable[Move]) -> Machine:
    machine = Machine(
        model=None,
        states=[_UNBORN, *(state.value for state in State)],
        initial=_UNBORN,
        auto_transitions=False,
        queued=False,
    )
    for move in moves:
        machine.add_transition(
            move.act.value,
            [source.value if source is not None else _UNBORN for source in move.sources],
            move.to.value if move.to is not None else None,
            conditions=list(move.when),
            unless=list(move.unless),
        )
    return machine


_MACHINE: Final = _build(MOVES)
_ROLES: Final[dict[tuple[Act, State | None], frozenset[Role]]] = {}
_ARTICLES: Final[dict[tuple[Act, State | None], str]] = {}
_OPEN: Final[dict[State | None, tuple[Act, ...]]] = {}
for _move in MOVES:
    for _source in _move.sources:
        _key = (_move.act, _source)
        _ROLES[_key] = _ROLES.get(_key, frozenset()) | _move.roles
        _ARTICLES.setdefault(_key, _move.article)
        if _move.act not in _OPEN.get(_source, ()):
            _OPEN[_source] = (*_OPEN.get(_source, ()), _move.act)


def open_acts(state: State | None, roles: frozenset[Role]) -> tuple[Act, ...]:
    """The acts some move allows from `state` to somebody holding `roles`, in the table's order.

    Guards are not consulted: the desk knows the facts and narrows the answer.
    """
    return tuple(act for act in _OPEN.get(state, ()) if _ROLES[act, state] & roles)


def article_of(act: Act, state: State | None) -> str:
    """The article behind `act` from `state`. Raises `IllegalMove` where the act is not open there."""
    if (act, state) not in _ARTICLES:
        raise IllegalMove(act, state, _OPEN.get(state, ()))
    return _ARTICLES[act, state]


@lru_cache(maxsize=4096)
def fire(state: State | None, act: Act, facts: Facts, roles: frozenset[Role]) -> State:
    """The state after `act`. Raises `IllegalMove` if no move allows it, `ActNotGranted` if none of `roles` may do it."""
    mine = tuple(a for a in open_acts(state, roles) if a is not act)
    if (act, state) not in _ROLES:
        raise IllegalMove(act, state, mine)
    if not _ROLES[act, state] & roles:
        raise ActNotGranted(act, _ROLES[act, state])
    context = _Context(state, facts)
    try:
        moved = _MACHINE.events[act.value].trigger(context)
    except MachineError as error:
        raise IllegalMove(act, state, mine) from error
    if not moved:  # every guard failed: `transitions` says so by returning False
        raise IllegalMove(act, state, mine)
    return State(context.state)
