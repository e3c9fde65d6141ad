"""What stands in an export: one row a ticket, callers masked, opened fields only where both the approval and the law allow it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import insert, select
from sqlmodel import Session, col

from hotline.access import Actor, caller_is_sealed, may_open, sees_every_part
from hotline.auditing.trail import ExportRequest, Unsealing
from hotline.case import Office
from hotline.models import Assignment, CallbackAttempt, Clock, Ticket
from hotline.organisation import Area, Category
from hotline.privacy.concealment import cleaner
from hotline.privacy.masking import mask_address, mask_id_number, mask_name, mask_phone
from hotline.privacy.sealing import SealBroken, of_caller
from hotline.queue_rows import leads
from hotline.queues import Filters, matching
from workflow.vocabulary import AssignmentRole, ClockKind, PersonalField

_PAGE: Final = 500
SEALED: Final = "（保密）"
UNREADABLE: Final = "（无法打开）"

Cell = str | int | datetime | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title and its width in characters."""

    title: str
    width: int


COLUMNS: Final = (
    Column("工单编号", 18),
    Column("状态", 14),
    Column("诉求性质", 10),
    Column("渠道", 10),
    Column("诉求分类", 18),
    Column("行政区划", 16),
    Column("标题", 30),
    Column("内容", 60),
    Column("牵头单位", 24),
    Column("受理时间", 18),
    Column("答复期限", 18),
    Column("反馈时间", 18),
    Column("时效", 12),
    Column("延期（工作日）", 14),
    Column("办理结果", 40),
    Column("回访结果", 12),
    Column("是否解决", 10),
    Column("来电人", 12),
    Column("来电人电话", 16),
    Column("来电人地址", 26),
    Column("来电人身份证号", 22),
)

_FIELDS: Final[dict[PersonalField, tuple[str, Callable[[str | None], str | None]]]] = {
    PersonalField.NAME: ("caller_name", mask_name),
    PersonalField.PHONE: ("caller_phone", mask_phone),
    PersonalField.ADDRESS: ("caller_address", mask_address),
    PersonalField.ID_NUMBER: ("caller_id_number", mask_id_number),
}


@dataclass(slots=True)
class Rows:
    """The rows of one approved export, in order of receipt, as its asker may see them. Records each caller's field it opens."""

    session: Session
    office: Office
    asker: Actor
    export: ExportRequest
    filters: Filters
    at: datetime
    count: int = 0
    opened: int = 0

    def __iter__(self) -> Iterator[list[Cell]]:
        after: tuple[datetime, int] | None = None
        while tickets := self._page(after):
            yield from self._lines(tickets)
            after = (tickets[-1].received_at, tickets[-1].id)

    def _page(self, after: tuple[datetime, int] | None) -> list[Ticket]:
        at, key = col(Ticket.received_at), col(Ticket.id)
        statement = (
            select(Ticket)
            .where(*matching(self.asker, self.filters), col(Ticket.created_at) <= self.export.decided_at)
            .order_by(at, key)
            .limit(_PAGE)
        )
        if after is not None:
            statement = statement.where((at > after[0]) | ((at == after[0]) & (key > after[1])))
        return list(self.session.execute(statement).scalars())

    def _lines(self, tickets: Sequence[Ticket]) -> Iterator[list[Cell]]:
        ids = [ticket.id for ticket in tickets]
        parts = self._grouped(Assignment, ids)
        callbacks = self._grouped(CallbackAttempt, ids)
        clocks = self._clocks(ids, parts)
        names = leads(self.session, ids)
        areas = self._named(Area, {ticket.area_code for ticket in tickets})
        categories = self._named(Category, {ticket.category_code for ticket in tickets})
        opened: list[dict[str, Any]] = []
        for ticket in tickets:
            whole = sees_every_part(self.asker, parts.get(ticket.id, []))
            called = [c for c in callbacks.get(ticket.id, []) if c.conclusive] if whole else []
            clock = clocks.get(ticket.id)
            clean = cleaner(self.office.sealer, self.asker, ticket)
            self.count += 1
            yield [
                ticket.number,
                ticket.state.label,
                ticket.matter.label,
                ticket.channel.label,
                categories.get(ticket.category_code, ticket.category_code),
                areas.get(ticket.area_code, ticket.area_code),
                clean(ticket.title),
                clean(ticket.content),
                names.get(ticket.id),
                ticket.received_at,
                clock.due_at if clock else None,
                clock.met_at if clock else None,
                _timeliness(clock, self.at),
                clock.extension_days if clock else None,
                clean(ticket.outcome) if ticket.outcome is not None else None,
                called[-1].outcome.label if called else None,
                _solved(called[-1].solved if called else None),
                *self._caller(ticket, parts.get(ticket.id, []), opened),
            ]
        if opened:
            self.session.execute(insert(Unsealing.__table__), opened)  # type: ignore[attr-defined]

    def _grouped(self, table: Any, ids: Iterable[int]) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        rows = self.session.execute(
            select(table).where(col(table.ticket_id).in_(list(ids))).order_by(col(table.id))
        ).scalars()
        for row in rows:
            found.setdefault(row.ticket_id, []).append(row)
        return found

    def _clocks(self, ids: Iterable[int], parts: dict[int, list[Assignment]]) -> dict[int, Clock]:
        """Each ticket's reply clock: a unit's own, for the platform the lead unit's newest."""
        rows = self.session.execute(
            select(Clock)
            .where(
                col(Clock.ticket_id).in_(list(ids)),
                col(Clock.kind) == ClockKind.REPLY,
                col(Clock.voided_at).is_(None),
            )
            .order_by(col(Clock.id))
        ).scalars()
        wanted = {
            part.id
            for each in parts.values()
            for part in each
            if (
                part.unit_id == self.asker.unit_id if self.asker.is_unit else part.role is AssignmentRole.LEAD
            )
        }
        return {clock.ticket_id: clock for clock in rows if clock.assignment_id in wanted}

    def _named(self, table: Any, codes: set[str]) -> dict[str, str]:
        rows = self.session.execute(
            select(col(table.code), col(table.name)).where(col(table.code).in_(sorted(codes)))
        )
        return dict(rows.all())

    def _caller(
        self, ticket: Ticket, parts: Sequence[Assignment], opened: list[dict[str, Any]]
    ) -> list[str | None]:
        """The caller's columns. A sealed caller (举报, 保密) is in no export, nor is one whose data the asker's unit may not read."""
        if caller_is_sealed(ticket) or (
            self.asker.is_unit and not may_open(self.asker, ticket, parts, PersonalField.PHONE)
        ):
            return [SEALED] * len(_FIELDS)
        told: list[str | None] = []
        for field, (column, mask) in _FIELDS.items():
            clear, broken = self._clear(ticket, column)
            if broken:
                told.append(UNREADABLE)
                continue
            opens = not self.asker.is_unit and may_open(self.asker, ticket, parts, field)
            if clear is None or not opens or field.value not in self.export.unmasked:
                told.append(mask(clear))
                continue
            told.append(clear)
            opened.append(self._opening(ticket, field))
        self.opened += bool(opened and opened[-1]["ticket_id"] == ticket.id)
        return told

    def _clear(self, ticket: Ticket, column: str) -> tuple[str | None, bool]:
        """A field in clear, and whether it would not open: one broken value keeps no export back."""
        try:
            sealed = getattr(ticket, column)
            return self.office.sealer.open(sealed, of_caller(column, ticket.number)), False
        except SealBroken:
            return None, True

    def _opening(self, ticket: Ticket, field: PersonalField) -> dict[str, Any]:
        """The record of one opened field; it opens nothing on the screen, so it ends as it begins."""
        return {
            "ticket_id": ticket.id,
            "field": field,
            "actor": self.export.asked_by,
            "actor_name": self.export.asked_by_name,
            "purpose": self.export.purpose,
            "explanation": self.export.explanation,
            "opened_at": self.at,
            "expires_at": self.at,
            "export_id": self.export.id,
        }


def _timeliness(clock: Clock | None, at: datetime) -> str | None:
    if clock is None:
        return None
    late = clock.lapsed_at is not None or (clock.met_at or at) >= clock.due_at
    if clock.met_at is not None:
        return "逾期反馈" if late else "按时反馈"
    return "逾期未反馈" if late else "办理中"


def _solved(solved: bool | None) -> str | None:
    return None if solved is None else "是" if solved else "否"
