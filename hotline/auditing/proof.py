"""Proving the chains: every platform's audit trail, every ticket's ledger and the signed daily heads, in one snapshot of the database
and in bounded memory. What was changed, removed or inserted is named."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, Engine, String, case, func, literal, select, tuple_, type_coerce
from sqlmodel import col

from hotline import ledger
from hotline.auditing import audit
from hotline.auditing.chain import algorithm_of
from hotline.auditing.daily_heads import Head, LedgerDigest, stored
from hotline.auditing.trail import AuditEntry, AuditHead
from hotline.ledger import Fault, Walk
from hotline.models import LedgerEntry, Ticket
from hotline.organisation import Platform
from workflow.deadlines import local_day

_PAGE: Final = 5_000
_TICKETS: Final = 500
_ENTRY: Any = AuditEntry.__table__  # type: ignore[attr-defined]
_LEDGER: Any = LedgerEntry.__table__  # type: ignore[attr-defined]
_FIRST, _LAST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)

Tell = Callable[[int, int], None]
"""Told how many entries were checked, of how many."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """A place where a chain or a signed head does not hold. `platform` is its code, None for what belongs to none."""

    chain: str
    fault: Fault
    what: str
    platform: str | None = None
    day: date | None = None
    number: str | None = None
    seq: int | None = None

    def __str__(self) -> str:
        place = f"工单 {self.number}" if self.number else f"平台 {self.platform or '（无）'}"
        day = f" {self.day}" if self.day else ""
        seq = f" 第 {self.seq} 条" if self.seq is not None else ""
        return f"{_CHAINS[self.chain]} {place}{day}{seq}：{self.what}"


_CHAINS: Final = {"audit": "审计", "ledger": "台账", "head": "日头"}


@dataclass(slots=True)
class Report:
    """What was checked, and every flaw."""

    flaws: list[Flaw] = field(default_factory=list)
    audit_entries: int = 0
    ledger_entries: int = 0
    tickets: int = 0
    heads: int = 0


@dataclass(slots=True)
class _End:
    """Where a platform's chain stood at the end of a day."""

    day: date
    seq: int
    head: bytes


@dataclass(slots=True)
class _Proof:
    connection: Connection
    report: Report
    tell: Tell
    total: int
    heads: list[Head]
    codes: dict[int, str]
    ends: dict[int, list[_End]] = field(default_factory=dict)
    digests: dict[tuple[int, date], LedgerDigest] = field(default_factory=dict)

    def flaw(self, chain: str, fault: Fault, what: str, **where: Any) -> None:
        platform_id = where.pop("platform_id", None)
        self.report.flaws.append(Flaw(chain, fault, what, platform=self.codes.get(platform_id), **where))


def prove(
    engine: Engine,
    *,
    kept: Iterable[Head] = (),
    keys: Iterable[bytes] = (),
    audits: bool = True,
    tell: Tell = lambda _done, _total: None,
) -> Report:
    """Check every ticket's ledger and, with `audits`, every platform's audit chain and the signed heads: those in the database
    and those `kept` elsewhere. `keys` are the public keys heads may be signed with; none: any that fits.

    The whole is one snapshot: a server may go on writing.
    """
    with engine.connect().execution_options(
        isolation_level="REPEATABLE READ", postgresql_readonly=True
    ) as connection:
        codes = {row.id: row.code for row in connection.execute(select(col(Platform.id), col(Platform.code)))}
        heads = [*stored(connection), *kept] if audits else []
        total = connection.execute(select(func.count()).select_from(_LEDGER)).scalar_one()
        if audits:
            total += connection.execute(select(func.count()).select_from(_ENTRY)).scalar_one()
        proof = _Proof(connection, Report(heads=len(heads)), tell, total, heads, codes)
        if audits:
            _check_signatures(proof, frozenset(keys))
            _walk_audit(proof)
        _walk_ledgers(proof)
        _compare_heads(proof)
    return proof.report


def _check_signatures(proof: _Proof, keys: frozenset[bytes]) -> None:
    sound: list[Head] = []
    for head in proof.heads:
        where = {"platform_id": head.platform_id, "day": head.day}
        if not head.holds():
            proof.flaw("head", Fault.UNSIGNED, "日头的内容与其签名不符，已被改动", **where)
        elif keys and head.public_key not in keys:
            proof.flaw("head", Fault.UNSIGNED, "日头不是用本系统的密钥签名的", **where)
        else:
            sound.append(head)
    proof.heads = sound
    proof.digests = {
        (head.platform_id, head.day): LedgerDigest(algorithm_of(head.ledger_digest)) for head in sound
    }


# --- the audit trail ---------------------------------------------------------------------------------------------------


def _walk_audit(proof: _Proof) -> None:
    heads = {
        row.platform_id: row
        for row in proof.connection.execute(select(AuditHead.__table__))  # type: ignore[attr-defined]
    }
    for platform_id, rows in groupby(_audit_rows(proof.connection), key=lambda row: row["platform_id"]):
        _walk_platform(proof, platform_id, rows, heads.pop(platform_id, None))
    for platform_id, head in heads.items():
        if head.seq > 0:
            words = f"整日 {head.seq} 条记录已被删除"
            proof.flaw("audit", Fault.DAY_REMOVED, words, platform_id=platform_id, day=head.day, seq=1)
        elif head.head:
            proof.flaw("audit", Fault.REMOVED, "全部记录已被删除", platform_id=platform_id, day=head.day)


def _audit_rows(connection: Connection) -> Iterator[Any]:
    columns = [c for c in _ENTRY.c if c.name not in ("kind", "at")]
    key = (_ENTRY.c.platform_id, _ENTRY.c.day, _ENTRY.c.seq)
    page = (
        select(*columns, type_coerce(_ENTRY.c.kind, String()).label("kind"), _told(_ENTRY.c.at))
        .order_by(*key)
        .limit(_PAGE)
    )
    statement = page
    while rows := connection.execute(statement).mappings().all():
        yield from rows
        last = rows[-1]
        after = tuple_(*(literal(last[c.name], c.type) for c in key))
        statement = page.where(tuple_(*key) > after)


def _told(column: Any) -> Any:
    """An instant, or None for one that a calendar does not have (`infinity`): only SQL by hand can have put it there."""
    told = case((column.between(_FIRST, _LAST), column), else_=None)
    return type_coerce(told, column.type).label(column.name)


def _walk_platform(proof: _Proof, platform_id: int, rows: Iterable[Any], head: Any) -> None:
    walk = Walk()
    ends = proof.ends.setdefault(platform_id, [])
    for row in rows:
        if not ends or row["day"] != ends[-1].day:
            ends.append(_End(row["day"], 0, b""))
            walk.seq = 0
        earned = None
        if row["at"] is not None:
            earned = audit.digest(row["prev_hash"], row, algorithm_of(row["hash"]))
        for seq, fault, what in walk.step(row["seq"], row["prev_hash"], row["hash"], earned):
            _tell_flaw(proof, platform_id, ends, seq, fault, what)
        ends[-1].seq, ends[-1].head = row["seq"], row["hash"]
        proof.report.audit_entries += 1
        _tick(proof)
    _end_platform(proof, platform_id, walk, ends, head)


def _tell_flaw(proof: _Proof, platform_id: int, ends: list[_End], seq: int, fault: Fault, what: str) -> None:
    day = ends[-1].day
    if fault is Fault.UNLINKED and seq == 1:
        fault = Fault.DAY_REMOVED
        what = (
            f"与上一有记录日（{ends[-2].day}）的末条不衔接：其间整日的记录或该日末尾的记录已被删除，或该日末条被改动"
            if len(ends) > 1
            else "其前整日的记录已被删除"
        )
    if seq == 0:  # the last entry of the day before
        day, seq = ends[-2].day, ends[-2].seq
    proof.flaw("audit", fault, what, platform_id=platform_id, day=day, seq=seq)


def _end_platform(proof: _Proof, platform_id: int, walk: Walk, ends: list[_End], head: Any) -> None:
    last = ends[-1]
    where: dict[str, Any] = {"platform_id": platform_id}
    if head is None:
        proof.flaw("audit", Fault.HEAD_ALTERED, "链尾登记已被删除", day=last.day, seq=last.seq, **where)
        return
    if head.day < last.day:
        words = f"链尾登记为 {head.day} 第 {head.seq} 条，该日的记录非系统写入，或链尾登记被改动"
        proof.flaw("audit", Fault.INSERTED, words, day=last.day, seq=1, **where)
        return
    if head.day > last.day:
        if head.seq > 0:
            words = f"整日 {head.seq} 条记录已被删除"
            proof.flaw("audit", Fault.DAY_REMOVED, words, day=head.day, seq=1, **where)
        elif head.head != walk.last:
            words = "链尾登记的哈希与末条记录不符：该条之后的记录已被删除，或链尾登记被改动"
            proof.flaw("audit", Fault.HEAD_ALTERED, words, day=last.day, seq=last.seq, **where)
        return
    for seq, fault, what in walk.end(head.seq, head.head):
        proof.flaw("audit", fault, what, day=last.day, seq=seq, **where)


def _tick(proof: _Proof) -> None:
    done = proof.report.audit_entries + proof.report.ledger_entries
    if done % 1000 == 0 or done == proof.total:
        proof.tell(done, proof.total)


# --- the ledgers -------------------------------------------------------------------------------------------------------


def _walk_ledgers(proof: _Proof) -> None:
    statement = (
        select(
            col(Ticket.id),
            col(Ticket.platform_id),
            col(Ticket.number),
            col(Ticket.ledger_head),
            col(Ticket.ledger_seq),
        )
        .order_by(col(Ticket.id))
        .limit(_TICKETS)
    )
    page = proof.connection.execute(statement).all()
    while page:
        by_ticket = groupby(_ledger_rows(proof.connection, page[0].id, page[-1].id), lambda r: r["ticket_id"])
        entries = next(by_ticket, None)
        for ticket in page:
            own: list[Any] = []
            if entries is not None and entries[0] == ticket.id:
                own, entries = list(entries[1]), None
                entries = next(by_ticket, None)
            _check_ticket(proof, ticket, own)
        page = proof.connection.execute(statement.where(col(Ticket.id) > page[-1].id)).all()


def _ledger_rows(connection: Connection, first: int, last: int) -> Iterator[Any]:
    instants = ("effective_at", "recorded_at")
    columns = [c for c in _LEDGER.c if c.name not in instants]
    statement = (
        select(*columns, *(_told(_LEDGER.c[name]) for name in instants))
        .where(_LEDGER.c.ticket_id.between(first, last))
        .order_by(_LEDGER.c.ticket_id, _LEDGER.c.seq)
        .execution_options(yield_per=_PAGE)
    )
    with connection.execute(statement) as result:
        yield from result.mappings()


def _check_ticket(proof: _Proof, ticket: Any, entries: list[Any]) -> None:
    for broken in ledger.verify(ticket.number, ticket.ledger_head, ticket.ledger_seq, entries):
        where = {"platform_id": ticket.platform_id, "number": broken.number, "seq": broken.seq}
        proof.flaw("ledger", broken.fault, broken.what, **where)
    for entry in entries:
        at = entry["recorded_at"]
        digest = proof.digests.get((ticket.platform_id, local_day(at))) if at is not None else None
        if digest is not None:
            digest.take(ticket.number, entry["seq"], entry["hash"])
        proof.report.ledger_entries += 1
        _tick(proof)
    proof.report.tickets += 1


# --- the signed heads --------------------------------------------------------------------------------------------------


def _compare_heads(proof: _Proof) -> None:
    """Each head against the chain and the ledgers as they now are. Of a rewritten chain the first differing day is named."""
    found = {key: digest.finish() for key, digest in proof.digests.items()}
    rewritten: set[int] = set()
    told: set[tuple[int, date, str]] = set()
    for head in sorted(proof.heads, key=lambda head: (head.platform_id, head.day)):
        where: dict[str, Any] = {"platform_id": head.platform_id, "day": head.day}
        differs = _differs(proof, head)
        if differs is not None and head.platform_id not in rewritten:
            rewritten.add(head.platform_id)
            proof.flaw("head", *differs, **where)
        entries, digest = found[head.platform_id, head.day]
        if digest != head.ledger_digest and (head.platform_id, head.day, "ledger") not in told:
            told.add((head.platform_id, head.day, "ledger"))
            words = (
                f"该日台账与签名的日头不符（签名时 {head.ledger_entries} 条，现有 {entries} 条），已被改写"
            )
            proof.flaw("head", Fault.REWRITTEN, words, **where)


def _differs(proof: _Proof, head: Head) -> tuple[Fault, str] | None:
    ends = [end for end in proof.ends.get(head.platform_id, []) if end.day <= head.day]
    last = ends[-1] if ends else None
    seq = last.seq if last is not None and last.day == head.day else 0
    if head.seq > 0 and seq == 0:
        return Fault.DAY_REMOVED, f"整日 {head.seq} 条审计记录已被删除"
    if seq < head.seq:
        return Fault.TAIL_REMOVED, f"签名时该日有 {head.seq} 条审计记录，现只有 {seq} 条"
    if seq > head.seq:
        return Fault.INSERTED, f"签名时该日有 {head.seq} 条审计记录，现有 {seq} 条"
    if (last.head if last is not None else b"") != head.head:
        return Fault.REWRITTEN, "该日审计记录与签名的日头不符：该日或此前的记录已被改写"
    return None
