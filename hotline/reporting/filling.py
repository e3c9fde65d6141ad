"""Counting anew from the first ticket on: facts in batches, each its own transaction, then the cube in one go. Goes on after a crash."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session

from hotline.exchange import feed
from hotline.reporting import facts
from hotline.reporting.cube import COLUMNS, SPREAD_VALUES
from hotline.reporting.slices import COUNTY, DIMS
from hotline.reporting.tables import MARKS, SUMS, CountState

BATCH: Final = 20_000
"""Tickets' keys gone through in one transaction."""


def from_the_start(session: Session) -> dict[str, Any]:
    """The state of a count that begins now: what happens from here on is told by the feed, what was before is filled in."""
    position = feed.newest(session)  # first: a ticket that commits after it is told by the feed
    last = int(session.execute(text("SELECT coalesce(max(id), 0) FROM tickets")).scalar_one())
    calls = int(session.execute(text("SELECT coalesce(max(id), 0) FROM calls")).scalar_one())
    return {
        "position": position,
        "filled_to": 0,
        "fill_until": last,
        "built": not last and not calls,
    }


def start(session: Session, state: CountState) -> None:
    """Throw away what was counted and begin anew. The caller commits."""
    session.execute(text("TRUNCATE report_facts, report_cube, report_spread, report_waiting"))
    for name, value in from_the_start(session).items():
        setattr(state, name, value)
    session.add(state)
    session.flush()


def fill(session: Session, state: CountState, at: datetime, *, batch: int = BATCH) -> int:
    """One batch of tickets, or once they are through all calls and the cube; returns how many keys were gone through. The caller commits."""
    _at_leisure(session)
    if state.filled_to < state.fill_until:
        after, until = state.filled_to, min(state.filled_to + batch, state.fill_until)
        session.execute(text(_FILL), {"after": after, "until": until})
        state.filled_to = until
        session.add(state)
        return until - after
    session.execute(text(_FILL_CALLS))
    _sum_up(session, "")
    state.built, state.counted_at = True, at
    session.add(state)
    return 1


def _at_leisure(session: Session) -> None:
    """This transaction may take its time, and the memory to sum millions of rows up in."""
    session.execute(text("SET LOCAL statement_timeout = 0"))
    session.execute(text("SET LOCAL work_mem = '128MB'"))


_INSERT: Final = f"INSERT INTO report_facts ({', '.join(facts.COLUMNS)})"
_FILL: Final = f"{_INSERT} {facts.of_tickets(lambda ticket: f'{ticket} > :after AND {ticket} <= :until')} ON CONFLICT DO NOTHING"
_FILL_CALLS: Final = f"{_INSERT} {facts.of_calls('true')} ON CONFLICT DO NOTHING"

# --- the cube from the facts ---------------------------------------------------------------------------------------------

_KEYS: Final = {
    "": "''",
    "unit": "f.unit_id::text",
    "matter": "f.matter",
    "category": "f.category",
    "area": f"left(f.area, {COUNTY})",
    "channel": "f.channel",
    "agent": "f.agent_id::text",
}
_SUMMED: Final = ", ".join(
    (
        "count(*) AS n",
        *(f"sum(f.marks >> {bit} & 1) AS m{bit + 1}" for bit in range(MARKS)),
        *(f"coalesce(sum(f.{name}), 0) AS {name}" for name in SUMS),
    )
)
_CELL: Final = f"(grain, dim, platform_id, starts, key, what, {', '.join(COLUMNS)})"


def _sum_up(session: Session, prefix: str) -> None:
    """Sum the facts up into `{prefix}report_cube` and `{prefix}report_spread`, which are empty."""
    for dim in DIMS:
        session.execute(text(_by_day(dim, prefix)))
    session.execute(text(_by_month(prefix)))
    for dim in DIMS:
        if dim != "agent":
            session.execute(text(_spread(dim, prefix)))


def _by_day(dim: str, prefix: str) -> str:
    return f"""
INSERT INTO {prefix}report_cube {_CELL}
SELECT 'day', '{dim}', f.platform_id, f.day, {_KEYS[dim]}, f.what, {_SUMMED}
FROM report_facts f GROUP BY 3, 4, 5, 6
"""  # noqa: S608 - names of this module


def _by_month(prefix: str) -> str:
    return f"""
INSERT INTO {prefix}report_cube {_CELL}
SELECT 'month', dim, platform_id, date_trunc('month', starts)::date, key, what, {", ".join(f"sum({name})" for name in COLUMNS)}
FROM {prefix}report_cube WHERE grain = 'day' GROUP BY 2, 3, 4, 5, 6
"""  # noqa: S608 - names of this module


def _spread(dim: str, prefix: str) -> str:
    return f"""
INSERT INTO {prefix}report_spread (dim, platform_id, starts, key, measure, bucket, n)
SELECT '{dim}', f.platform_id, date_trunc('month', f.day)::date, {_KEYS[dim]}, v.measure, v.bucket, count(*)
FROM report_facts f CROSS JOIN LATERAL (VALUES {SPREAD_VALUES}) v (measure, bucket)
WHERE f.what = 'reply' AND v.bucket IS NOT NULL GROUP BY 2, 3, 4, 5, 6
"""  # noqa: S608 - names of this module


# --- checking ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found wrong: facts that the raw tables do not give, or that are lacking; cells that are not their sum."""

    tickets: int
    wrong_facts: int
    wrong_cells: int

    @property
    def sound(self) -> bool:
        """Whether nothing was wrong."""
        return not self.wrong_facts and not self.wrong_cells


def check(session: Session, *, batch: int = BATCH) -> Iterator[tuple[int, int, Found | None]]:
    """Compare the facts with the raw tables and the cube with the facts, yielding how far it is; the last with what was found.

    Run it in one snapshot (REPEATABLE READ) of a database whose counting is current.
    """
    _at_leisure(session)
    last = int(session.execute(text("SELECT coalesce(max(id), 0) FROM tickets")).scalar_one())
    wrong = 0
    for after in range(0, last, batch):
        wrong += session.execute(text(_UNLIKE), {"after": after, "until": after + batch}).scalar_one()
        yield min(after + batch, last), last, None
    wrong += session.execute(text(_UNLIKE_CALLS)).scalar_one()
    session.execute(text("CREATE TEMP TABLE checked_report_cube (LIKE report_cube) ON COMMIT DROP"))
    session.execute(text("CREATE TEMP TABLE checked_report_spread (LIKE report_spread) ON COMMIT DROP"))
    _sum_up(session, "checked_")
    cells = (
        session.execute(text(_UNLIKE_CUBE)).scalar_one() + session.execute(text(_UNLIKE_SPREAD)).scalar_one()
    )
    tickets = session.execute(text("SELECT count(*) FROM tickets")).scalar_one()
    yield last, last, Found(tickets, wrong, cells)


_LISTED: Final = ", ".join(facts.COLUMNS)
_COMPARED: Final = (
    "SELECT count(*) FROM ((({a}) EXCEPT ({b})) UNION ALL (({b}) EXCEPT ({a}))) unlike_each_other"
)
_UNLIKE: Final = _COMPARED.format(
    a=facts.of_tickets(lambda ticket: f"{ticket} > :after AND {ticket} <= :until"),
    b=f"SELECT {_LISTED} FROM report_facts WHERE ticket_id > :after AND ticket_id <= :until AND ticket_id <> 0",  # noqa: S608 - words of this module
)
_UNLIKE_CALLS: Final = _COMPARED.format(
    a=facts.of_calls("true"),
    b=f"SELECT {_LISTED} FROM report_facts WHERE ticket_id = 0",  # noqa: S608 - words of this module
)
_CELLS: Final = (
    f"SELECT grain, dim, platform_id, starts, key, what, {', '.join(COLUMNS)} FROM {{}} WHERE n <> 0"  # noqa: S608 - words of this module
)
_UNLIKE_CUBE: Final = _COMPARED.format(a=_CELLS.format("report_cube"), b=_CELLS.format("checked_report_cube"))
_BUCKETS: Final = "SELECT dim, platform_id, starts, key, measure, bucket, n FROM {} WHERE n <> 0"
_UNLIKE_SPREAD: Final = _COMPARED.format(
    a=_BUCKETS.format("report_spread"), b=_BUCKETS.format("checked_report_spread")
)
