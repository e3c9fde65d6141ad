"""What counts, in SQL over the raw tables: one row for each clock, unit's part, callback, receipt, sampled ticket and call, with its marks.

A fact depends on the rows of its ticket (and of the one it was merged into) alone, never on what time it is: a clock not met before
its due instant is marked late from the start, and whoever reads figures leaves out what was not yet due. So the cube may be compared
with these queries at any moment.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from workflow.vocabulary import AssignmentRole, AssignmentStatus, CallbackOutcome, ClockKind, State

K = ClockKind

CLOCKS: Final = (
    K.FORM_AND_TRANSFER,
    K.REPORT_UP,
    K.REPLY,
    K.SUPPLEMENT,
    K.REDO,
    K.CALLBACK,
    K.KNOWLEDGE_UPDATE,
    K.CITIZEN,
)
"""The clocks that are counted; a right that expires (退单) is nobody's failing."""

RECEIVED: Final = "received"
DISPATCHED: Final = "dispatched"
ASSIGNED: Final = "assigned"
CALLED_BACK: Final = "called_back"
SAMPLED: Final = "sampled"
CALL: Final = "call"

MARKS: Final[dict[str, tuple[str, ...]]] = {
    **{kind.value: ("met", "late", "open") for kind in CLOCKS if kind is not K.REPLY},
    K.REPLY.value: ("met", "late", "open", "replied", "replied_lead"),
    RECEIVED: ("accepted", "direct", "refused", "transferred", "merged"),
    DISPATCHED: ("completed",),
    ASSIGNED: ("returned", "upheld", "rejected"),
    CALLED_BACK: ("answered", "satisfied", "asked", "solved", "unreachable", "refused"),
    SAMPLED: ("accurate",),
    CALL: ("connected",),
}
"""The marks of each kind of fact, in the order of the cube's columns m1, m2, …; of a clock: met in time, late, late and still open."""

DUE: Final = frozenset(kind.value for kind in CLOCKS)
"""The facts whose day is the one they are due: they count once that day is over."""

WORDS: Final[dict[str, str]] = {
    **{kind.value: f"“{kind.label}”时限" for kind in CLOCKS},
    RECEIVED: "受理的诉求",
    DISPATCHED: "派单办理的工单",
    ASSIGNED: "派给单位的任务",
    CALLED_BACK: "回访",
    SAMPLED: "抽查核对的工单",
    CALL: "来电",
}


def column(what: str, mark: str | None) -> int:
    """Where the cube counts facts of this kind with this mark: 0 is `n`, all of them; then m1, m2, …; then the sums."""
    return 0 if mark is None else MARKS[what].index(mark) + 1


def bit(what: str, mark: str) -> int:
    """The bit of a mark in a fact's `marks`."""
    return 1 << MARKS[what].index(mark)


# --- the arms: one SELECT over raw tables for each family of facts ------------------------------------------------------

Scope = Callable[[str], str]
"""Given the column with a ticket's key, the condition that says which tickets are counted."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One family of facts: its kinds, and its query, in which `@a.ticket_id@` stands for the scope's condition on that column.

    It stands with every table, so that of a range of tickets no table is read as a whole.
    """

    whats: frozenset[str]
    sql: str

    def within(self, scope: Scope) -> str:
        """The query for the tickets in this scope."""
        return re.sub(r"@([a-z]+\.[a-z_]+)@", lambda column: scope(column[1]), self.sql)


def _day(instant: str) -> str:
    return f"({instant} AT TIME ZONE 'Asia/Shanghai')::date"


def _in(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


_NO_TIMES: Final = (
    "NULL::bigint AS seconds, NULL::int AS workdays, NULL::bigint AS wait_seconds, NULL::int AS wait_workdays"
)


IN_FORCE: Final = "x.approved AND x.revoked_at IS NULL"
"""Which exclusions `x` count."""


def _not_excluded(ticket: str, clock: str | None = None) -> str:
    """The condition that leaves out what was excluded with approval (art. 35): the ticket whole, or this clock of it."""
    whole = f"NOT EXISTS (SELECT 1 FROM exclusions x WHERE {IN_FORCE} AND x.ticket_id = {ticket} AND x.clock_id IS NULL)"  # noqa: S608 - words of this module
    if clock is None:
        return whole
    return f"{whole} AND NOT EXISTS (SELECT 1 FROM exclusions x WHERE {IN_FORCE} AND x.ticket_id = {ticket} AND x.clock_id = {clock})"  # noqa: S608 - words of this module


def _workdays(first: str, last: str) -> str:
    """The working days counted from one instant to another, where `u` is the unit that answered.

    Two looks at the key, whatever the planner knows of the table: joined, a table written a minute ago was read whole for each clock.
    """
    rank = "(SELECT g.rank FROM report_days g WHERE g.platform_id = u.platform_id AND g.day = {day})"
    return f"{rank.format(day=_day(last))} - {rank.format(day=_day(first))}"


_CLOCKS: Final = f"""
SELECT c.ticket_id, c.kind AS what, c.id AS ref_id, c.due_on AS day, coalesce(c.unit_id, 0) AS unit_id,
    CASE WHEN c.met_at < c.due_at THEN 1 WHEN c.met_at IS NULL THEN 6 ELSE 2 END
        + CASE WHEN c.kind <> 'reply' OR c.met_at IS NULL THEN 0 WHEN a.role = 'lead' THEN 24 ELSE 8 END AS marks,
    CASE WHEN c.kind = 'reply' THEN extract(epoch FROM c.met_at - c.opened_at)::bigint END AS seconds,
    CASE WHEN u.id IS NOT NULL THEN {_workdays("c.opened_at", "c.met_at")} END AS workdays,
    CASE WHEN a.role = 'lead' THEN extract(epoch FROM c.met_at - r.received_at)::bigint END AS wait_seconds,
    CASE WHEN a.role = 'lead' THEN {_workdays("r.received_at", "c.met_at")} END AS wait_workdays
FROM clocks c
LEFT JOIN assignments a ON c.kind = 'reply' AND c.met_at IS NOT NULL AND a.id = c.assignment_id AND @a.ticket_id@
LEFT JOIN tickets r ON c.kind = 'reply' AND c.met_at IS NOT NULL AND r.id = c.ticket_id AND @r.id@
LEFT JOIN units u ON c.kind = 'reply' AND c.met_at IS NOT NULL AND u.id = c.unit_id
WHERE c.kind IN ({_in(DUE)}) AND c.voided_at IS NULL AND @c.ticket_id@ AND {_not_excluded("c.ticket_id", "c.id")}
"""  # noqa: S608 - words of this module
_ACCEPTING: Final = (State.ACCEPTED.value, State.COORDINATING.value, State.DISPATCHED.value)
_RECEIVED: Final = f"""
SELECT r.id AS ticket_id, '{RECEIVED}' AS what, 0::bigint AS ref_id, {_day("r.received_at")} AS day, 0::bigint AS unit_id,
    coalesce(h.accepted, 0) + coalesce(h.direct, 0) + coalesce(h.refused, 0) + coalesce(h.transferred, 0)
        + CASE WHEN r.merged_into_id IS NULL THEN 0 ELSE 16 END AS marks,
    {_NO_TIMES}
FROM tickets r CROSS JOIN LATERAL (
    SELECT max(CASE WHEN l.act = 'answer_at_once' OR l.to_state IN ({_in(_ACCEPTING)}) THEN 1 END) AS accepted,
        max(CASE WHEN l.act = 'answer_at_once' THEN 2 END) AS direct,
        max(CASE WHEN l.to_state = 'refused' THEN 4 END) AS refused,
        max(CASE WHEN l.to_state = 'transferred' THEN 8 END) AS transferred
    FROM ledger l WHERE l.ticket_id = r.id
) h
WHERE @r.id@
"""  # noqa: S608 - words of this module
_COMPLETED: Final = _in((State.VERIFIED, State.DISSATISFIED, State.CLOSED, State.WITHDRAWN, State.ARCHIVED))
_LEFT: Final = _in((State.WITHDRAWN, State.ANSWERED, State.TRANSFERRED, State.REFUSED, State.ARCHIVED))
_GONE: Final = _in((AssignmentStatus.RETURNED, AssignmentStatus.RELEASED))
_DISPATCHED: Final = f"""
SELECT r.id AS ticket_id, '{DISPATCHED}' AS what, 0::bigint AS ref_id, {_day("parts.first_at")} AS day,
    coalesce(parts.lead, 0) AS unit_id,
    CASE WHEN verified.passed AND r.state IN ({_COMPLETED}) THEN 1 ELSE 0 END AS marks, {_NO_TIMES}
FROM tickets r CROSS JOIN LATERAL (
    SELECT min(a.dispatched_at) AS first_at,
        (array_agg(a.unit_id ORDER BY a.status IN ({_GONE}), a.id DESC) FILTER (WHERE a.role = '{AssignmentRole.LEAD}'))[1] AS lead
    FROM assignments a WHERE a.ticket_id = r.id
) parts LEFT JOIN LATERAL (
    SELECT v.passed FROM reviews v WHERE v.ticket_id = r.id ORDER BY v.id DESC LIMIT 1
) verified ON true
WHERE parts.first_at IS NOT NULL AND r.merged_into_id IS NULL
    AND NOT (r.state IN ({_LEFT}) AND verified.passed IS NOT TRUE) AND @r.id@ AND {_not_excluded("r.id")}
"""  # noqa: S608 - words of this module
_ASSIGNED: Final = f"""
SELECT a.ticket_id, '{ASSIGNED}' AS what, a.id AS ref_id, {_day("a.dispatched_at")} AS day, a.unit_id,
    coalesce(asked.marks, 0) AS marks, {_NO_TIMES}
FROM assignments a LEFT JOIN LATERAL (
    SELECT bit_or(CASE p.upheld WHEN true THEN 3 WHEN false THEN 5 ELSE 1 END) AS marks
    FROM return_proposals p WHERE p.ticket_id = a.ticket_id AND p.assignment_id = a.id
) asked ON true
WHERE @a.ticket_id@ AND {_not_excluded("a.ticket_id")}
"""  # noqa: S608 - words of this module
_SAID: Final = (
    CallbackOutcome.SATISFIED,
    CallbackOutcome.BASICALLY_SATISFIED,
    CallbackOutcome.DISSATISFIED,
)
_LEAD_THEN: Final = (
    "SELECT a.unit_id FROM assignments a WHERE a.ticket_id = {of} AND a.role = 'lead'"
    " AND a.dispatched_at <= b.attempted_at ORDER BY a.id DESC LIMIT 1"
)
_CALLED_BACK: Final = f"""
SELECT b.ticket_id, '{CALLED_BACK}' AS what, b.id AS ref_id, {_day("b.attempted_at")} AS day,
    coalesce(({_LEAD_THEN.format(of="b.ticket_id")}), ({_LEAD_THEN.format(of="r.merged_into_id")}), 0) AS unit_id,
    CASE WHEN b.outcome IN ({_in(_SAID)}) THEN 1 ELSE 0 END
        + CASE WHEN b.outcome IN ({_in(_SAID[:2])}) THEN 2 ELSE 0 END
        + CASE WHEN b.outcome IN ({_in(_SAID)}) AND b.solved IS NOT NULL THEN 4 ELSE 0 END
        + CASE WHEN b.outcome IN ({_in(_SAID)}) AND b.solved THEN 8 ELSE 0 END
        + CASE b.outcome WHEN '{CallbackOutcome.UNREACHABLE}' THEN 16 WHEN '{CallbackOutcome.REFUSED_TO_SAY}' THEN 32 ELSE 0 END AS marks,
    {_NO_TIMES}
FROM callback_attempts b JOIN tickets r ON r.id = b.ticket_id AND @r.id@
WHERE b.conclusive AND @b.ticket_id@ AND {_not_excluded("b.ticket_id")}
"""  # noqa: S608 - words of this module

_SAMPLED: Final = f"""
SELECT s.ticket_id, '{SAMPLED}' AS what, s.id AS ref_id, {_day("r.received_at")} AS day, coalesce(s.unit_id, 0) AS unit_id,
    CASE WHEN s.accurate THEN 1 ELSE 0 END AS marks, {_NO_TIMES}
FROM sampled_tickets s JOIN tickets r ON r.id = s.ticket_id AND @r.id@
WHERE s.accurate IS NOT NULL AND @s.ticket_id@ AND {_not_excluded("s.ticket_id")}
"""  # noqa: S608 - words of this module

ARMS: Final = (
    Arm(DUE, _CLOCKS),
    Arm(frozenset({RECEIVED}), _RECEIVED),
    Arm(frozenset({DISPATCHED}), _DISPATCHED),
    Arm(frozenset({ASSIGNED}), _ASSIGNED),
    Arm(frozenset({CALLED_BACK}), _CALLED_BACK),
    Arm(frozenset({SAMPLED}), _SAMPLED),
)

COLUMNS: Final = (
    *(
        "ticket_id",
        "what",
        "ref_id",
        "day",
        "platform_id",
        "unit_id",
        "matter",
        "category",
        "area",
        "channel",
    ),
    *("agent_id", "marks", "seconds", "workdays", "wait_seconds", "wait_workdays"),
)
"""The columns of `report_facts`, in the order these queries give them."""


def of_tickets(scope: Scope, whats: Iterable[str] | None = None) -> str:
    """The query for the facts of the tickets in `scope`; `whats` leaves out the arms of others."""
    wanted = None if whats is None else frozenset(whats)
    arms = " UNION ALL ".join(
        f"({arm.within(scope)})" for arm in ARMS if wanted is None or arm.whats & wanted
    )
    return f"""
SELECT f.ticket_id, f.what, f.ref_id, f.day, t.platform_id, f.unit_id, t.matter, t.category_code AS category, t.area_code AS area,
    t.channel, coalesce(t.first_receiver_id, 0) AS agent_id, f.marks::smallint AS marks, f.seconds, f.workdays, f.wait_seconds, f.wait_workdays
FROM ({arms}) f JOIN tickets t ON t.id = f.ticket_id AND {scope("t.id")}
"""  # noqa: S608 - words of this module


def of_calls(condition: str) -> str:
    """The query for the facts of calls; `condition` speaks of `k`."""
    return f"""
SELECT 0::bigint AS ticket_id, '{CALL}' AS what, k.id AS ref_id, {_day("k.ringing_at")} AS day, k.platform_id, 0::bigint AS unit_id,
    '' AS matter, '' AS category, '' AS area, 'phone' AS channel, coalesce(k.agent_id, 0) AS agent_id,
    (k.answered_at IS NOT NULL)::int::smallint AS marks, {_NO_TIMES}
FROM calls k WHERE {condition}
"""  # noqa: S608 - words of this module


def everything() -> str:
    """The query for every fact there is, of tickets and calls."""
    return f"({of_tickets(lambda _: 'true')}) UNION ALL ({of_calls('true')})"
