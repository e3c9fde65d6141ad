"""疑似重复: open tickets that may be about what is being typed, and why: the same caller, the same place and matter, like words.

Every new ticket's pairs of characters are kept beside it, in its own transaction: a second caller about the same burst pipe finds the
first one's ticket a moment later. Candidates come by the rarest pairs of what is typed, through an index; those few are weighed
exactly.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline.access import found_by_caller, visible_to
from hotline.case import Desk
from hotline.desks import calls
from hotline.desks.grams import SPANS, Sample, blocks, grams
from hotline.desks.tables import Likeness
from hotline.desks.text_search import by_index, note
from hotline.fields import KeyPath, Order, keepable
from hotline.models import Ticket
from hotline.queue_rows import Row, rows_of
from hotline.reference import area_prefix
from workflow.errors import AccessRefused, OrderInvalid
from workflow.lifecycle import OPEN_STATES
from workflow.vocabulary import Likely

MOST: Final = 5
RECENT: Final = timedelta(days=60)
"""How far back a ticket may have been received."""

_CANDIDATES: Final = 60
_ROWS: Final = 1500
_SAMPLE: Final = 2000
_HAN: Final = grams("一一") + grams("鿿鿿")
"""Between these two are the pairs that begin with a Han character."""
_ALIKE, _ALIKE_HERE = 0.30, 0.15
"""Of the weight of what is typed, how much a ticket must share: anywhere, and in the same place about the same matter."""

Typed = Annotated[str, StringConstraints(max_length=5000), AfterValidator(keepable)]


class SimilarOrder(Order):
    """What is typed so far; whatever is known helps."""

    title: Typed = Field(default="", examples=["暖气不热"])
    content: Typed = Field(default="", examples=["湟中区多巴镇示例小区3号楼整栋暖气不热"])
    category: Annotated[str, StringConstraints(pattern=r"^[0-9]{2,6}$")] | None = None
    area: Annotated[str, StringConstraints(pattern=r"^[0-9]{6,12}$")] | None = None
    call: KeyPath | None = Field(
        default=None, description="本人的来电（GET /calls/current 的 id）：同一来电人的工单"
    )


@dataclass(frozen=True, slots=True)
class Alike:
    """One ticket that may be about the same thing, why, and how much of what is typed it shares (0 to 1)."""

    row: Row
    reasons: tuple[Likely, ...]
    shared: float


# --- kept beside each ticket -----------------------------------------------------------------------------------------------


def catch_up(session: Session, as_of: datetime, *, batch: int = 500) -> int:
    """Keep the pairs of recent tickets that have none, and of those kept by a server of before; how many. The caller commits."""
    found = session.execute(
        text(
            "SELECT t.id FROM tickets t WHERE t.received_at > :since"
            " AND NOT EXISTS (SELECT 1 FROM likeness l WHERE l.ticket_id = t.id)"
            " UNION SELECT l.ticket_id FROM likeness l WHERE NOT l.whole ORDER BY 1 LIMIT :batch"
        ),
        {"since": as_of - RECENT, "batch": batch},
    ).scalars()
    tickets = list(session.execute(select(Ticket).where(col(Ticket.id).in_(list(found)))).scalars())
    for ticket in tickets:
        note(session, ticket)
    return len(tickets)


# --- found -----------------------------------------------------------------------------------------------------------------


def similar(desk: Desk, order: SimilarOrder) -> list[Alike]:
    """Up to five open tickets of the actor's platform that may be about the same thing, the likeliest first.

    Raises `OrderInvalid` (field `call`) for a call that is not the actor's own, `AccessRefused` for a unit.
    """
    platform_id = desk.actor.platform_id
    if desk.actor.is_unit or platform_id is None:
        raise AccessRefused("疑似重复由热线平台人员查看。")
    wanted = grams(order.title, order.content)
    by_caller = _of_caller(desk, order.call) if order.call is not None else set()
    by_place = _of_place(desk, platform_id, order)
    by_words = _by_words(desk, platform_id, wanted)
    found = _open(desk, by_caller | by_place | by_words)
    weights = desk.office.commonness.weights(platform_id, wanted)
    shares = _shares(desk.session, [ticket.id for ticket in found], weights)
    judged = [_judged(ticket, shares.get(ticket.id, 0.0), by_caller, order) for ticket in found]
    best = sorted((one for one in judged if one is not None), key=lambda one: (-one[0], -one[1].id))[:MOST]
    rows = rows_of(desk.session, desk.actor, [ticket for _, ticket, _, _ in best])
    return [Alike(row, reasons, share) for row, (_, _, reasons, share) in zip(rows, best, strict=True)]


def _judged(
    ticket: Ticket, share: float, by_caller: set[int], order: SimilarOrder
) -> tuple[float, Ticket, tuple[Likely, ...], float] | None:
    """How likely, with its reasons; None where there is none good enough."""
    here = _is_here(ticket, order)
    reasons = []
    if ticket.id in by_caller:
        reasons.append(Likely.SAME_CALLER)
    if here and (share >= _ALIKE_HERE or reasons):
        reasons.append(Likely.SAME_PLACE)
    if share >= _ALIKE or (here and share >= _ALIKE_HERE):
        reasons.append(Likely.SIMILAR_TEXT)
    if not reasons:
        return None
    rank = share + 0.3 * (Likely.SAME_CALLER in reasons) + 0.15 * here
    return rank, ticket, tuple(reasons), round(share, 3)


def _is_here(ticket: Ticket, order: SimilarOrder) -> bool:
    if order.category is None or order.area is None:
        return False
    return ticket.category_code.startswith(order.category) and ticket.area_code.startswith(
        area_prefix(order.area)
    )


def _of_caller(desk: Desk, call_id: int) -> set[int]:
    call = calls.own_call(desk, call_id)
    if call is None:
        raise OrderInvalid("这不是您的来电。", field="call")
    number = calls.number_of(desk, call)
    if number is None:
        return set()
    found = desk.session.execute(
        select(col(Ticket.id))
        .where(
            col(Ticket.phone_index).in_(desk.office.sealer.indexes(number)),
            visible_to(desk.actor),
            found_by_caller(desk.actor),
            col(Ticket.state).in_(sorted(OPEN_STATES)),
            col(Ticket.received_at) > desk.at - RECENT,
        )
        .order_by(col(Ticket.received_at).desc())
        .limit(_CANDIDATES)
    )
    return set(found.scalars())


def _of_place(desk: Desk, platform_id: int, order: SimilarOrder) -> set[int]:
    if order.category is None or order.area is None or len(order.category) < 6:
        return set()
    found = desk.session.execute(
        select(col(Ticket.id))
        .where(
            col(Ticket.platform_id) == platform_id,
            col(Ticket.category_code) == order.category,
            col(Ticket.received_at) > desk.at - RECENT,
            col(Ticket.area_code).startswith(area_prefix(order.area), autoescape=True),
            col(Ticket.state).in_(sorted(OPEN_STATES)),
        )
        .order_by(col(Ticket.received_at).desc())
        .limit(_CANDIDATES)
    )
    return set(found.scalars())


_BY_WORDS: Final = """
SELECT hit.ticket_id FROM (
    SELECT l.ticket_id, sum(q.weight) AS weight
    FROM unnest(CAST(:grams AS int[]), CAST(:weights AS float8[])) AS q(gram, weight),
        LATERAL (SELECT ticket_id FROM likeness
            WHERE grams @> ARRAY[q.gram] AND grams && CAST(:blocks AS int[])
                AND platform_id = :platform AND received_at > :since) l
    GROUP BY l.ticket_id
) hit ORDER BY hit.weight DESC, hit.ticket_id DESC LIMIT :most
"""
"""Each pair by a look of its own into the index: to take the found arrays apart and compare costs a hundred times as much."""


def _by_words(desk: Desk, platform_id: int, wanted: list[int]) -> set[int]:
    """The tickets that share the weightiest of the rarest pairs."""
    if len(wanted) < 2:
        return set()
    commonness = desk.office.commonness
    if commonness.is_old(platform_id, desk.at):
        commonness.learn(platform_id, _sampled(desk.session, platform_id, desk.at))
    rarest = commonness.rarest(platform_id, wanted, _ROWS)
    weights = commonness.weights(platform_id, rarest)
    values = {"grams": rarest, "weights": [weights[gram] for gram in rarest]}
    values |= {"platform": platform_id, "since": desk.at - RECENT, "most": _CANDIDATES}
    values["blocks"] = list(blocks(desk.at - RECENT, desk.at, SPANS[2]))
    with by_index(desk.session):
        return set(desk.session.execute(text(_BY_WORDS), values).scalars())


def _sampled(session: Session, platform_id: int, at: datetime) -> Sample:
    newest = "SELECT grams FROM likeness WHERE platform_id = :platform ORDER BY ticket_id DESC LIMIT :most"
    values = {"platform": platform_id, "most": _SAMPLE, "since": at - RECENT}
    counted = session.execute(
        text(
            f"SELECT gram, count(*) FROM ({newest}) newest, unnest(grams) AS gram"  # noqa: S608 - a constant
            " WHERE gram BETWEEN :first AND :last GROUP BY gram HAVING count(*) > 1"
        ),
        values | {"first": _HAN[0], "last": _HAN[1]},
    ).all()
    size = session.execute(text(f"SELECT count(*) FROM ({newest}) newest"), values).scalar_one()  # noqa: S608
    about = session.execute(
        text("SELECT count(*) FROM tickets WHERE platform_id = :platform AND received_at > :since"), values
    ).scalar_one()
    return Sample(at, int(size), max(int(size), int(about)), dict(map(tuple, counted)))


def _open(desk: Desk, ids: Iterable[int]) -> list[Ticket]:
    found = desk.session.execute(
        select(Ticket).where(
            col(Ticket.id).in_(sorted(ids)),
            col(Ticket.state).in_(sorted(OPEN_STATES)),
            visible_to(desk.actor),
        )
    )
    return list(found.scalars())


def _shares(session: Session, ids: list[int], weights: dict[int, float]) -> dict[int, float]:
    """Of each ticket, how much of the weight of what is typed it has, 0 to 1."""
    whole = sum(weights.values())
    if not ids or not whole:
        return {}
    rows: Any = session.execute(
        select(col(Likeness.ticket_id), col(Likeness.grams)).where(col(Likeness.ticket_id).in_(ids))
    )
    return {
        ticket_id: sum(weights[gram] for gram in kept if gram in weights) / whole for ticket_id, kept in rows
    }
