"""密钥环: the keys of this installation's personal fields, in one JSON file its owner alone may read.

A key is made for one suite, AES-256-GCM with HMAC-SHA-256 or SM4-GCM with HMAC-SM3 (国密). New values are sealed with the current
key; every key not yet retired goes on opening what it sealed. The file is written whole (a new file, synced, renamed) under a lock,
and running processes notice a change within `NOTICED_WITHIN` seconds, an unknown key at once.
"""

import base64
import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from workflow.errors import RuleBroken

NOTICED_WITHIN: Final = 2.0
"""Seconds within which a running process looks at the file again."""

_FORMAT: Final = 1
_KEY_BYTES: Final = 32


class KeyRingBroken(RuleBroken):
    """The key ring cannot be read, or is not the one that sealed what is in the database."""

    code = "key_ring_broken"


class Suite(IntEnum):
    """What a key is made for; the number stands in every sealed value."""

    AES = 1
    SM = 2

    @property
    def label(self) -> str:
        """The suite as people know it."""
        return "AES-256-GCM、HMAC-SHA-256" if self is Suite.AES else "SM4-GCM、HMAC-SM3（国密）"

    def hash(self) -> hashes.HashAlgorithm:
        """The suite's hash."""
        return hashes.SHA256() if self is Suite.AES else hashes.SM3()


SUITES: Final[Mapping[str, Suite]] = {"aes": Suite.AES, "sm": Suite.SM}


@dataclass(frozen=True, slots=True)
class Key:
    """One master key. `legacy`: it was `field.key`, and opens the values sealed before there was a ring. The first is as old as the ring."""

    id: int
    suite: Suite
    made_at: datetime | None
    master: bytes
    legacy: bool = False
    retired_at: datetime | None = None

    def derive(self, purpose: bytes, length: int = 32) -> bytes:
        """A key for one purpose."""
        info = b"hotline12345/" + purpose
        return HKDFExpand(algorithm=self.suite.hash(), length=length, info=info).derive(self.master)


@dataclass(frozen=True, slots=True)
class Keys:
    """What the ring holds at one moment. `rotating_to` is the key an unfinished rotation leads to."""

    current: int
    keys: Mapping[int, Key]
    digests: bytes
    rotating_to: int | None = None

    @property
    def live(self) -> list[Key]:
        """The keys that are not retired."""
        return [key for key in self.keys.values() if key.retired_at is None]


class KeyRing:
    """The keys of one process, following the file they come from; without a file they stay as they are."""

    def __init__(self, keys: Keys, path: Path | None = None) -> None:
        self.path = path
        self._keys = keys
        self._stamp = _stamp(path)
        self._looked_at = time.monotonic()
        self._lock = threading.Lock()

    def now(self) -> Keys:
        """The keys as the file has them, at most `NOTICED_WITHIN` seconds old."""
        if self.path is not None and time.monotonic() - self._looked_at >= NOTICED_WITHIN:
            self._look()
        return self._keys

    def find(self, key_id: int) -> Key | None:
        """A live key by its id; an unknown one is looked for in the file at once."""
        key = self.now().keys.get(key_id)
        if key is None and self.path is not None:
            self._look()
            key = self._keys.keys.get(key_id)
        return key if key is not None and key.retired_at is None else None

    def _look(self) -> None:
        with self._lock:
            self._looked_at = time.monotonic()
            stamp = _stamp(self.path)
            if self.path is None or stamp is None or stamp == self._stamp:
                return  # gone for the moment: what is in memory goes on working
            self._keys, self._stamp = read(self.path), stamp


def in_memory(master: bytes, suite: Suite = Suite.AES) -> KeyRing:
    """A ring of one key and no file, for tests and benchmarks. The key also opens what was sealed before there was a ring."""
    key = Key(1, suite, None, _checked(master), legacy=suite is Suite.AES)
    return KeyRing(Keys(1, {1: key}, key.derive(b"digests")))


# --- the file ----------------------------------------------------------------------------------------------------------


def open_ring(path: Path, legacy: Path, suite: Suite) -> KeyRing:
    """The ring in `path`, made on first use; `legacy`, where there is one, becomes its key 1. Raises `KeyRingBroken`."""
    if not path.exists():
        _make(path, legacy, suite)
    return KeyRing(read(path), path)


def _make(path: Path, legacy: Path, suite: Suite) -> None:
    old = legacy.read_bytes() if legacy.exists() else None
    if old is not None and len(old) != _KEY_BYTES:
        raise KeyRingBroken(f"密钥文件 {legacy} 的长度不对（应为 {_KEY_BYTES} 字节），请从备份恢复。")
    key = (
        Key(1, suite, None, secrets.token_bytes(_KEY_BYTES))
        if old is None
        else Key(1, Suite.AES, None, old, legacy=True)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = _written_beside(path, Keys(1, {1: key}, key.derive(b"digests")))
    try:
        os.link(fresh, path)  # never overwrites a ring another process made meanwhile
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    _sync_folder(path.parent)


def read(path: Path) -> Keys:
    """The keys in `path`. Raises `KeyRingBroken`."""
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["format"] != _FORMAT:
            raise KeyRingBroken(f"密钥环 {path} 由更新的版本写成，本版本不能读取，请升级程序。")
        keys = {key.id: key for key in map(_key, content["keys"])}
        found = Keys(content["current"], keys, _bytes(content["digests"]), content["rotating_to"])
        if found.current not in keys or keys[found.current].retired_at is not None:
            raise ValueError  # noqa: TRY301 - told as any other damage
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise KeyRingBroken(f"密钥环 {path} 无法读取（{reason}），请检查文件和权限，或从备份恢复。") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KeyRingBroken(f"密钥环 {path} 的内容已损坏，请从备份恢复；不要删除或另建。") from None
    return found


def change(path: Path, how: Callable[[Keys], Keys]) -> Keys:
    """Change the ring in its file, one writer at a time; what was changed. Raises `KeyRingBroken`."""
    with _locked(path.with_name(path.name + ".lock"), wait=True):
        changed = how(read(path))
        _written_beside(path, changed).replace(path)
        _sync_folder(path.parent)
    return changed


def added(keys: Keys, suite: Suite, at: datetime) -> Keys:
    """The ring with one more key, to which a rotation leads; it is not current yet."""
    key = Key(max(keys.keys) + 1, suite, at, secrets.token_bytes(_KEY_BYTES))
    if key.id > 0xFFFF:
        raise KeyRingBroken("密钥编号已用完。")
    return replace(keys, keys={**keys.keys, key.id: key}, rotating_to=key.id)


def retired(keys: Keys, key_id: int, at: datetime) -> Keys:
    """The ring with one key's secret destroyed; its id is never used again."""
    gone = replace(keys.keys[key_id], master=b"", retired_at=at)
    return replace(keys, keys={**keys.keys, key_id: gone})


@contextmanager
def one_rotation(path: Path) -> Iterator[None]:
    """Held while keys are rotated or retired. Raises `KeyRingBroken` where somebody else does."""
    with _locked(path.with_name(path.name + ".rotation"), wait=False):
        yield


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise KeyRingBroken("另一个密钥轮换正在进行，请等它结束。") from None
        yield
    finally:
        os.close(handle)


def _written_beside(path: Path, keys: Keys) -> Path:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    content = {
        "format": _FORMAT,
        "current": keys.current,
        "rotating_to": keys.rotating_to,
        "digests": base64.b64encode(keys.digests).decode(),
        "keys": [_told(key) for key in keys.keys.values()],
    }
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return fresh


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _told(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "suite": key.suite.name.lower(),
        "made_at": key.made_at.isoformat() if key.made_at else None,
        "master": base64.b64encode(key.master).decode() or None,
        "legacy": key.legacy,
        "retired_at": key.retired_at.isoformat() if key.retired_at else None,
    }


def _key(told: Mapping[str, Any]) -> Key:
    retired_at = datetime.fromisoformat(told["retired_at"]) if told["retired_at"] else None
    master = b"" if retired_at else _checked(_bytes(told["master"]))
    made_at = datetime.fromisoformat(told["made_at"]) if told["made_at"] else None
    return Key(int(told["id"]), SUITES[told["suite"]], made_at, master, bool(told["legacy"]), retired_at)


def _bytes(told: str) -> bytes:
    return base64.b64decode(told, validate=True)


def _checked(master: bytes) -> bytes:
    if len(master) != _KEY_BYTES:
        raise ValueError("a master key has 32 bytes")
    return master


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
