"""Personal fields at rest: AES-256-GCM per field, and a keyed blind index to look a phone number up by."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

_FORMAT = b"\x01"
_NONCE = 12


class SealBroken(Exception):
    """A sealed field that this key does not open: another key, or altered bytes."""


class Sealer:
    """Seals and opens personal fields with keys derived from one 32-byte master key."""

    def __init__(self, master: bytes) -> None:
        if len(master) != 32:
            raise ValueError("the master key has 32 bytes")
        self._aead = AESGCM(_derive(master, b"fields"))
        self._index_key = _derive(master, b"blind-index")

    def seal(self, text: str | None) -> bytes | None:
        """The sealed bytes of `text`; None stays None."""
        if text is None:
            return None
        nonce = os.urandom(_NONCE)
        return _FORMAT + nonce + self._aead.encrypt(nonce, text.encode(), _FORMAT)

    def open(self, sealed: bytes | None) -> str | None:
        """The text again; None stays None. Raises `SealBroken`."""
        if sealed is None:
            return None
        if sealed[:1] != _FORMAT:
            raise SealBroken
        nonce, rest = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        try:
            return self._aead.decrypt(nonce, rest, _FORMAT).decode()
        except InvalidTag as error:
            raise SealBroken from error

    def index(self, phone: str | None) -> bytes | None:
        """The blind index of a phone number, the same for the same digits however they are written."""
        digits = "".join(c for c in phone or "" if c.isdigit())
        if not digits:
            return None
        return hmac.new(self._index_key, digits[-11:].encode(), hashlib.sha256).digest()


def _derive(master: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(algorithm=hashes.SHA256(), length=32, info=b"hotline12345/" + purpose).derive(master)


def load_or_make_key(data_dir: Path) -> bytes:
    """The master key of this installation, made on first use in `<data_dir>/field.key`, readable by its owner only."""
    path = data_dir / "field.key"
    data_dir.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".field.key.{secrets.token_hex(4)}")
    if not path.exists():
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)  # never overwrites a key another process made meanwhile
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_bytes()


def mask_phone(phone: str | None) -> str | None:
    """`139****1234`: the first three and last four digits of a number long enough, else stars only."""
    if phone is None:
        return None
    return f"{phone[:3]}****{phone[-4:]}" if len(phone) >= 8 else "****"


def mask_name(name: str | None) -> str | None:
    """The first character and stars."""
    return None if not name else name[0] + "*" * max(1, min(len(name) - 1, 2))
