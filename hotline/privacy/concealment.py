"""隐名: what is kept in clear of an order is its masked copy; what was really typed is sealed beside the ledger entry it belongs to.

A command takes a ticket up and then its order through `conceal`; the ticket's next ledger entry of that act carries the sealed
original. What is read goes through `cleaner` once more: texts from before a caller asked for confidentiality are hidden there.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import Enum
from typing import Any, Final, TypeVar

from pydantic import BaseModel
from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline.access import Actor, caller_is_sealed
from hotline.auditing.trail import Original
from hotline.case import Case, Desk
from hotline.desks import text_search
from hotline.fields import Order
from hotline.models import Ticket
from hotline.orders import Caller, Demand
from hotline.privacy.masking import NOBODY, Known, Masker, mask_text
from hotline.privacy.sealing import SealBroken, Sealer, of_caller, of_original
from workflow.vocabulary import Matter

T = TypeVar("T", bound=BaseModel)

_NAMES: Final = frozenset(
    {
        "to",
        "category",
        "area",
        "call_id",
        "external_ref",
        "caller",
        "lead",
        "co_units",
        "suggested_unit",
        "unit",
    }
)
"""Fields that are no free text: a login, codes (of units too, which must exist), and numbers of other systems, which `concealed_reference` treats."""

_CODES: Final = frozenset(
    {"number", "spoken", "into", "main", "merged", "merged_into", "category", "area", "media_type", "sha256"}
    | {"content_sha256", "answer_sha256", "hash", "prev_hash"}
)
"""Keys of what is shown that hold no free text."""

# --- who the caller is -------------------------------------------------------------------------------------------------

CALLER_COLUMNS: Final = ("caller_name", "caller_phone", "caller_address", "caller_id_number")


def known_of(sealer: Sealer, ticket: Ticket) -> Known:
    """What is known of a ticket's caller, opened to be masked. A field that does not open is left out."""
    name, phone, address, id_number = (_opened(sealer, ticket, column) for column in CALLER_COLUMNS)
    return Known(name, phone, address, id_number)


def _opened(sealer: Sealer, ticket: Ticket, column: str) -> str | None:
    try:
        sealed: bytes | None = getattr(ticket, column)
        return sealer.open(sealed, of_caller(column, ticket.number))
    except SealBroken:
        return None


def known_by(caller: Caller) -> Known:
    """What a new demand says of its caller."""
    return Known(caller.name, caller.phone, caller.address, caller.id_number)


# --- what is written ---------------------------------------------------------------------------------------------------


def conceal(desk: Desk, case: Case, order: T, *, hide: bool = False) -> T:
    """The order with its texts masked (hidden on a tip-off or a confidential ticket, or with `hide`); the originals wait on the case
    for its entry."""
    texts = list(_texts(order, ""))
    if not texts:
        return order
    if case.known is None:
        case.known = known_of(desk.office.sealer, case.ticket)
    masked, originals = masked_copy(order, case.known, hide=hide or caller_is_sealed(case.ticket))
    case.originals |= originals
    return masked


def conceal_demand(demand: Demand, decision: Order, known: Known) -> tuple[Demand, Order, dict[str, str]]:
    """A new demand and the decision on it, masked, and the originals by their path."""
    hide = demand.matter is Matter.TIPOFF or demand.caller.confidential
    masked, originals = masked_copy(demand, known, hide=hide, path="demand.")
    decided, more = masked_copy(decision, known, hide=hide, path="decision.")
    return masked, decided, originals | more


def concealed_reference(sealer: Sealer, reference: str | None, known: Known) -> str | None:
    """Another system's number for the call or demand as it is kept.

    Where it holds personal data they are hidden, and it is told apart by a keyed digest: it goes on naming one call only.
    """
    if reference is None:
        return None
    hidden = mask_text(reference, known, hide=True, cards=False)
    return reference if hidden == reference else f"{hidden[:60]}#{sealer.digest(reference).hex()[:24]}"


def masked_copy(order: T, known: Known, *, hide: bool = False, path: str = "") -> tuple[T, dict[str, str]]:
    """A copy with every text masked, and what the changed texts were, by their path (`refuse.guidance`)."""
    originals: dict[str, str] = {}

    def masker(text: str, at: str) -> str:
        masked = mask_text(text, known, hide=hide)
        if masked != text:
            originals[at] = text
        return masked

    copy = _walked(order, path, masker, _NAMES)
    return (copy, originals) if originals else (order, originals)


def _texts(value: Any, name: str) -> Iterator[str]:
    """Every free text of an order."""
    if isinstance(value, str) and not isinstance(value, Enum):
        yield value
    elif isinstance(value, BaseModel):
        for key in type(value).model_fields:
            if key not in _NAMES:
                yield from _texts(getattr(value, key), key)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner, name)


def _walked(value: Any, path: str, mask: Callable[[str, str], str], skipped: Collection[str]) -> Any:
    """The value with `mask(text, path)` in place of each text; what holds none is handed back as it is."""
    if isinstance(value, str):
        return value if isinstance(value, Enum) else mask(value, path.rstrip("."))
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        changed = {}
        for key in fields:
            if key not in skipped:
                before = getattr(value, key)
                after = _walked(before, f"{path}{key}.", mask, skipped)
                if after is not before:
                    changed[key] = after
        return value.model_copy(update=changed) if changed else value
    if isinstance(value, Mapping):
        return {
            key: inner if key in skipped else _walked(inner, f"{path}{key}.", mask, skipped)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(_walked(inner, f"{path}{n}.", mask, skipped) for n, inner in enumerate(value))
    return value


# --- what is opened again ----------------------------------------------------------------------------------------------


def original_of(session: Session, sealer: Sealer, ticket: Ticket, seq: int) -> dict[str, str] | None:
    """What was really typed in one entry's act, by path; None where nothing was masked. Raises `SealBroken`."""
    row = session.get(Original, (ticket.id, seq))
    return None if row is None else _read(sealer, ticket.number, row)


def originals_of(session: Session, sealer: Sealer, ticket: Ticket) -> dict[int, dict[str, str]]:
    """All originals of a ticket, by their entry. Raises `SealBroken`."""
    rows = session.execute(
        select(Original).where(col(Original.ticket_id) == ticket.id).order_by(col(Original.seq))
    ).scalars()
    return {row.seq: _read(sealer, ticket.number, row) for row in rows}


def _read(sealer: Sealer, number: str, row: Original) -> dict[str, str]:
    found: dict[str, str] = json.loads(sealer.open(row.sealed, of_original(number, row.seq)))
    return found


def hide_ticket(desk: Desk, case: Case) -> None:
    """The caller asked for confidentiality: title, content and outcome are hidden anew, from what was really typed."""
    sealer, ticket = desk.office.sealer, case.ticket
    case.known = known = known_of(sealer, ticket)
    typed = [text for each in originals_of(desk.session, sealer, ticket).values() for text in each.values()]
    before = {mask_text(text, known): text for text in typed}
    ticket.title = mask_text(before.get(ticket.title, ticket.title), known, hide=True)
    ticket.content = mask_text(before.get(ticket.content, ticket.content), known, hide=True)
    if ticket.outcome is not None:
        ticket.outcome = mask_text(before.get(ticket.outcome, ticket.outcome), known, hide=True)


# --- what is read ------------------------------------------------------------------------------------------------------


def is_hidden_from(actor: Actor, ticket: Ticket) -> bool:
    """Whether this actor must not learn who the caller is: a unit, on a tip-off or a confidential ticket."""
    return actor.is_unit and caller_is_sealed(ticket)


def cleaner(sealer: Sealer, actor: Actor, ticket: Ticket) -> Masker:
    """What every text of a ticket goes through before this actor reads it."""
    if is_hidden_from(actor, ticket):
        known = known_of(sealer, ticket)
        return lambda text: mask_text(text, known, hide=True)
    return lambda text: mask_text(text, NOBODY)


def cleaned(shown: T, clean: Masker) -> T:
    """A shape with every text of it cleaned; numbers, codes and digests stay."""
    return _walked(shown, "", lambda text, _: clean(text), _CODES)  # type: ignore[no-any-return]


# --- what was stored before --------------------------------------------------------------------------------------------

_STORED: Final[Mapping[str, tuple[str, ...]]] = {
    "assignments": ("instruction", "legal_basis"),
    "return_proposals": ("grounds", "suggestion", "decision_reason"),
    "extensions": ("explanation", "decision_reason"),
    "replies": ("content",),
    "reviews": ("elements", "note"),
    "callback_attempts": ("remark",),
    "knowledge_updates": ("reason",),
    "attachments": ("name",),
    "flags": ("explanation",),
    "reminders": ("content",),
}
"""Where a ticket's texts stand beside the ticket itself. The ledger is not rewritten: its payloads are masked as they are read."""


def conceal_stored(
    session: Session, sealer: Sealer, after: int, *, batch: int = 200
) -> tuple[int, int | None]:
    """Mask what the next tickets behind key `after` hold in clear from before texts were masked; their originals are sealed at entry 1.

    Returns how many tickets changed and the key to go on from, None at the end. Finds nothing a second time. The caller commits.
    """
    tickets = (
        session.execute(
            select(Ticket)
            .where(col(Ticket.id) > after)
            .order_by(col(Ticket.id))
            .limit(batch)
            .with_for_update()
        )
        .scalars()
        .all()
    )
    if not tickets:
        return 0, None
    ids = [ticket.id for ticket in tickets]
    beside: dict[int, list[tuple[str, Any]]] = {}
    for table in _STORED:
        rows = session.execute(text(f"SELECT * FROM {table} WHERE ticket_id = ANY(:ids)"), {"ids": ids})  # noqa: S608
        for row in rows:
            beside.setdefault(row.ticket_id, []).append((table, row))
    changed = sum(_conceal_one(session, sealer, ticket, beside.get(ticket.id, [])) for ticket in tickets)
    session.flush()
    return changed, ids[-1]


def _conceal_one(session: Session, sealer: Sealer, ticket: Ticket, beside: list[tuple[str, Any]]) -> bool:
    known, hide = known_of(sealer, ticket), caller_is_sealed(ticket)
    originals: dict[str, str] = {}

    def mask(typed: str, path: str) -> str:
        masked = mask_text(typed, known, hide=hide)
        if masked != typed:
            originals[path] = typed
        return masked

    for name, path in (("title", "demand.title"), ("content", "demand.content"), ("outcome", "outcome")):
        before = getattr(ticket, name)
        if before is not None and (after := mask(before, path)) != before:
            setattr(ticket, name, after)
    for name in ("call_id", "external_ref"):
        before = getattr(ticket, name)
        if (reference := concealed_reference(sealer, before, known)) != before:
            originals[f"demand.{name}"] = before
            setattr(ticket, name, reference)
    for table, row in beside:
        _conceal_beside(session, table, row, mask)
    if originals:
        _keep_originals(session, sealer, ticket, originals)
        text_search.note(session, ticket)
    return bool(originals)


def _conceal_beside(session: Session, table: str, row: Any, mask: Callable[[str, str], str]) -> None:
    for column in _STORED[table]:
        before = getattr(row, column)
        after = _walked(before, f"{table}.{row.id}.{column}.", mask, ())
        if after != before:
            kind, value = "text", after
            if not isinstance(after, str):
                kind, value = "jsonb", json.dumps(after, ensure_ascii=False)
            statement = text(f"UPDATE {table} SET {column} = CAST(:value AS {kind}) WHERE id = :id")  # noqa: S608 - names of this module
            session.execute(statement, {"value": value, "id": row.id})


def _keep_originals(session: Session, sealer: Sealer, ticket: Ticket, originals: dict[str, str]) -> None:
    row = session.get(Original, (ticket.id, 1)) or Original(ticket_id=ticket.id, seq=1, sealed=b"")
    kept = _read(sealer, ticket.number, row) if row.sealed else {}
    row.sealed = sealer.seal(json.dumps(originals | kept, ensure_ascii=False), of_original(ticket.number, 1))
    session.add(row)
