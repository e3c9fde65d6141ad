"""密钥轮换: a new key made current and everything sealed before sealed anew with it, while servers read and write.

A rotation may be ended by kill -9 at any point and run again: what it has done stands, and it goes on with the key it had made.
First the key is added, so that every process can open and look up with it; then, `NOTICED_WITHIN` seconds later, it becomes
current; then rows are sealed anew in small batches, tickets somebody acts on being skipped and taken in a later pass, until a pass
finds nothing.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, text
from sqlmodel import Session

from hotline.access import Actor
from hotline.auditing import audit
from hotline.auditing.chain import Algorithm
from hotline.privacy.concealment import CALLER_COLUMNS
from hotline.privacy.keyring import (
    NOTICED_WITHIN,
    Key,
    KeyRingBroken,
    Suite,
    added,
    change,
    one_rotation,
    retired,
)
from hotline.privacy.sealed_files import SealedFiles
from hotline.privacy.sealing import (
    SealBroken,
    Sealer,
    key_of,
    of_call,
    of_caller,
    of_contact,
    of_form_draft,
    of_original,
    of_peer,
    of_subscription,
    of_totp,
    prefix_of,
)
from workflow.vocabulary import AuditKind

BATCH: Final = 200
_MARGIN: Final = 0.5

Tell = Callable[[str, int, int], None]
"""What is told of the progress: what is being sealed anew, how many are done, how many there are."""


@dataclass(frozen=True, slots=True)
class Store:
    """One table whose sealed columns a rotation turns; `name` is what a row's context is told by."""

    label: str
    table: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    name: str
    context: Callable[[Any, str], str]
    indexed: bool = False


def _owner_and_form(name: str) -> tuple[int, str]:
    person_id, _, form = name.partition(":")
    return int(person_id), form


STORES: Final = (
    Store(
        "来电人信息",
        "tickets",
        ("id",),
        CALLER_COLUMNS,
        "t.number",
        lambda row, column: of_caller(column, row.name),
        indexed=True,
    ),
    Store(
        "原文",
        "originals",
        ("ticket_id", "seq"),
        ("sealed",),
        "(SELECT number FROM tickets WHERE tickets.id = t.ticket_id)",
        lambda row, _: of_original(row.name, row.seq),
    ),
    Store(
        "动态验证码密钥",
        "credentials",
        ("person_id",),
        ("totp_secret",),
        "t.person_id",
        lambda row, _: of_totp(row.name),
    ),
    Store(
        "同步平台密钥",
        "knowledge_peers",
        ("id",),
        ("secret",),
        "t.id",
        lambda row, _: of_peer(row.name),
    ),
    Store(
        "来电号码",
        "calls",
        ("id",),
        ("caller_phone",),
        "t.call_key",
        lambda row, _: of_call(bytes(row.name)),
        indexed=True,
    ),
    Store(
        "表单草稿",
        "form_drafts",
        ("id",),
        ("sealed",),
        "t.person_id || ':' || t.form",
        lambda row, _: of_form_draft(*_owner_and_form(row.name)),
    ),
    Store(
        "通知联系人",
        "contacts",
        ("id",),
        ("address",),
        "t.id",
        lambda row, _: of_contact(row.name),
    ),
    Store(
        "订阅密钥",
        "subscriptions",
        ("id",),
        ("secret", "older_secret"),
        "t.id",
        lambda row, column: of_subscription(column, row.name),
    ),
)


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did: to which key, whether it took up an unfinished one, how many rows it sealed anew, and which do not
    open (table and key): altered by hand, or copied from elsewhere."""

    key: int
    suite: Suite
    resumed: bool
    rows: int
    seconds: float
    broken: list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class KeyUse:
    """One key, and how many values need it."""

    key: Key
    current: bool
    rows: int


class Rotation:
    """Rotates the keys of one installation. `now` reads the time; `wait` sleeps."""

    def __init__(
        self,
        engine: Engine,
        sealer: Sealer,
        files: SealedFiles,
        *,
        by: Actor,
        now: Callable[[], datetime],
        algorithm: Algorithm = Algorithm.SHA256,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        if sealer.ring.path is None:
            raise KeyRingBroken("这个密钥环不在文件中，不能轮换。")
        self._engine, self._sealer, self._files = engine, sealer, files
        self._path: Path = sealer.ring.path
        self._by, self._now, self._wait, self._algorithm = by, now, wait, algorithm
        self._broken: set[tuple[Any, ...]] = set()

    # --- rotating ------------------------------------------------------------------------------------------------------

    def rotate(self, suite: Suite, tell: Tell, *, only_resume: bool = False) -> Rotated:
        """Add a key for `suite` and turn everything to it, or finish the rotation that was under way. Raises `KeyRingBroken`."""
        with one_rotation(self._path):
            began = time.monotonic()
            check_ring(self._engine, self._sealer)
            key, resumed = self._key(suite, only_resume=only_resume)
            rows = sum(self._turn(store, key, tell) for store in STORES) + self._turn_files(tell)
            change(self._path, lambda keys: replace(keys, rotating_to=None))
            self._record("finished", key, rows=rows, unopened=len(self._broken))
            seconds = time.monotonic() - began
            return Rotated(key.id, key.suite, resumed, rows, seconds, sorted(self._broken))

    def _key(self, suite: Suite, *, only_resume: bool) -> tuple[Key, bool]:
        keys = change(self._path, lambda found: found)
        resumed = keys.rotating_to is not None
        if not resumed:
            if only_resume:
                raise KeyRingBroken("没有未完成的密钥轮换。")
            keys = change(self._path, lambda found: added(found, suite, self._now()))
        assert keys.rotating_to is not None
        key = keys.keys[keys.rotating_to]
        self._record("resumed" if resumed else "added", key)
        if keys.current != key.id:
            self._wait(
                NOTICED_WITHIN + _MARGIN
            )  # from here on every process can open with it and look up by it
            change(self._path, lambda found: replace(found, current=key.id))
        self._wait(NOTICED_WITHIN + _MARGIN)  # from here on every process seals with it; this one too
        return key, resumed

    def _turn(self, store: Store, key: Key, tell: Tell) -> int:
        total, done = self._count(store, key), 0
        tell(store.label, 0, total)
        while True:
            found = 0
            for turned in self._batches(store, key):
                found += turned
                tell(store.label, done + found, max(total, done + found))
            done += found
            if self._count(store, key) <= sum(1 for each in self._broken if each[0] == store.table):
                return done
            if found == 0:
                self._wait(0.2)  # somebody holds what is left

    def _batches(self, store: Store, key: Key) -> Iterator[int]:
        after: tuple[int, ...] = (0,) * len(store.keys)
        while True:
            with Session(self._engine) as session:
                rows = self._locked(session, store, key, after)
                turned = self._reseal(session, store, rows)
                session.commit()
            if not rows:
                return
            after = _keys_of(store, rows[-1])
            yield turned

    def _locked(self, session: Session, store: Store, key: Key, after: tuple[int, ...]) -> Sequence[Any]:
        names = ", ".join(f"t.{name}" for name in store.keys)
        marks = ", ".join(f":a{n}" for n in range(len(after)))
        columns = ", ".join(f"t.{column}" for column in store.columns)
        statement = (
            f"SELECT {names}, {columns}, {store.name} AS name FROM {store.table} t "  # noqa: S608 - names of this module
            f"WHERE ({names}) > ({marks}) AND ({_elsewhere(store)}) ORDER BY {names} LIMIT {BATCH} FOR UPDATE OF t SKIP LOCKED"
        )
        values = {f"a{n}": value for n, value in enumerate(after)} | {"prefix": prefix_of(key)}
        return session.execute(text(statement), values).all()

    def _reseal(self, session: Session, store: Store, rows: Sequence[Any]) -> int:
        """Seal these rows anew; how many. One that does not open, altered by hand, stays as it is and is told of at the end."""
        pinned = self._sealer.pinned()
        changes: list[dict[str, Any]] = []
        for row in rows:
            try:
                opened = {
                    column: self._sealer.open(getattr(row, column), store.context(row, column))
                    for column in store.columns
                }
            except SealBroken:
                self._broken.add((store.table, *_keys_of(store, row)))
                continue
            change_of: dict[str, Any] = {f"k{n}": value for n, value in enumerate(_keys_of(store, row))}
            change_of |= {
                column: pinned.seal(value, store.context(row, column)) for column, value in opened.items()
            }
            if store.indexed:
                change_of["phone_index"] = pinned.index(opened["caller_phone"])
            changes.append(change_of)
        columns = (*store.columns, "phone_index") if store.indexed else store.columns
        sets = ", ".join(f"{column} = :{column}" for column in columns)
        where = " AND ".join(f"{name} = :k{n}" for n, name in enumerate(store.keys))
        if changes:
            session.execute(text(f"UPDATE {store.table} SET {sets} WHERE {where}"), changes)  # noqa: S608
        return len(changes)

    def _turn_files(self, tell: Tell) -> int:
        names = self._files.under_older_keys()
        for number, name in enumerate(names, 1):
            self._files.reseal(name)
            tell("导出文件", number, len(names))
        return len(names)

    def _count(self, store: Store, key: Key) -> int:
        statement = f"SELECT count(*) FROM {store.table} t WHERE {_elsewhere(store)}"  # noqa: S608 - names of this module
        with self._engine.connect() as connection:
            return int(connection.execute(text(statement), {"prefix": prefix_of(key)}).scalar_one())

    # --- keys ----------------------------------------------------------------------------------------------------------

    def uses(self) -> list[KeyUse]:
        """Every key of the ring, and how many values need it."""
        keys = self._sealer.ring.now()
        counted: dict[int, int] = {}
        with self._engine.connect() as connection:
            for store in STORES:
                for column in store.columns:
                    rows = connection.execute(
                        text(
                            f"SELECT substring({column} from 1 for 4) AS head, count(*) FROM {store.table} "  # noqa: S608
                            f"WHERE {column} IS NOT NULL GROUP BY 1"
                        )
                    )
                    for head, count in rows:
                        key_id = _key_named(bytes(head))
                        counted[key_id] = counted.get(key_id, 0) + count
        for head in filter(None, map(self._files.begins, self._files.names())):
            key_id = _key_named(head)
            counted[key_id] = counted.get(key_id, 0) + 1
        legacy = next((key.id for key in keys.keys.values() if key.legacy), 0)
        if legacy:
            counted[legacy] = counted.get(legacy, 0) + counted.pop(0, 0)
        return [
            KeyUse(key, key.id == keys.current, counted.get(key.id, 0))
            for key in sorted(keys.keys.values(), key=lambda key: key.id)
        ]

    def retire(self, key_id: int) -> None:
        """Destroy an old key's secret; what it sealed in backups is lost with it. Raises `KeyRingBroken` while anything needs it."""
        with one_rotation(self._path):
            found = next((use for use in self.uses() if use.key.id == key_id), None)
            if found is None or found.key.retired_at is not None:
                raise KeyRingBroken(f"没有编号为 {key_id} 的密钥，或已停用。")
            if found.current:
                raise KeyRingBroken("这是当前密钥，不能停用；请先轮换。")
            if self._sealer.ring.now().rotating_to is not None:
                raise KeyRingBroken("有未完成的密钥轮换，请先完成（hotline keys resume）。")
            if found.rows:
                raise KeyRingBroken(f"还有 {found.rows} 项数据用该密钥加密，不能停用；请先轮换。")
            at = self._now()
            change(self._path, lambda keys: retired(keys, key_id, at))
            self._record("retired", found.key)

    def _record(self, step: str, key: Key, **more: Any) -> None:
        with Session(self._engine) as session:
            what = {"step": step, "key": key.id, "suite": key.suite.name.lower()} | more
            audit.record(
                session,
                AuditKind.KEYS_CHANGED,
                at=self._now(),
                actor=self._by,
                what=what,
                algorithm=self._algorithm,
            )
            session.commit()


def _keys_of(store: Store, row: Any) -> tuple[int, ...]:
    return tuple(getattr(row, name) for name in store.keys)


def _elsewhere(store: Store) -> str:
    return " OR ".join(f"substring(t.{column} from 1 for 4) <> :prefix" for column in store.columns)


def _key_named(head: bytes) -> int:
    return key_of(head.ljust(64, b"\0"))


def check_ring(engine: Engine, sealer: Sealer) -> None:
    """Raise `KeyRingBroken` where what is sealed in the database was sealed with another ring: its newest caller is tried."""
    newest = text(
        "SELECT number, caller_name, caller_phone, caller_address, caller_id_number FROM tickets "
        "WHERE phone_index IS NOT NULL OR caller_name IS NOT NULL ORDER BY id DESC LIMIT 1"
    )
    with engine.connect() as connection:
        row = connection.execute(newest).first()
    if row is None:
        return
    try:
        for column in CALLER_COLUMNS:
            sealer.open(getattr(row, column), of_caller(column, row.number))
    except SealBroken:
        raise KeyRingBroken(
            "数据库中的来电人信息是用另一个密钥环加密的。请把原来的密钥环（HOTLINE_KEYRING_FILE 或数据目录中的 keyring.json、"
            "field.key）放回原处；不要另建。"
        ) from None
