"""The installation's signing key: Ed25519, for the daily heads of the audit trail."""

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


class Signer:
    """Signs with the key in `path`, made on first use and readable by its owner only. Replicas on several machines share one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._key: Ed25519PrivateKey | None = None

    def sign(self, content: bytes) -> bytes:
        """The 64 bytes of an Ed25519 signature."""
        return self._loaded().sign(content)

    def public_key(self) -> bytes:
        """The 32 bytes that check what is signed here."""
        return self._loaded().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def _loaded(self) -> Ed25519PrivateKey:
        if self._key is None:
            self._key = Ed25519PrivateKey.from_private_bytes(_load_or_make(self.path))
        return self._key


def is_signed(public_key: bytes, content: bytes, signature: bytes) -> bool:
    """Whether `signature` is this key's over `content`."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _load_or_make(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        raw = Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)  # never overwrites a key another process made meanwhile
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_bytes()
