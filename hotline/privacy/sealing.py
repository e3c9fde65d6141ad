"""Personal fields at rest: sealed one by one with the ring's current key, and a keyed blind index to look a phone number up by.

A sealed value is `\\x02`, the suite, the key's id (2 bytes), a nonce (12) and the ciphertext with its tag. The context it was sealed
for, `tickets.caller_phone:012611210000425`, is authenticated with it: copied to another row or field it does not open. Values that
begin with `\\x01` are from before there was a ring: AES-256-GCM, no context.
"""

import hmac as standard_hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final, overload

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hotline.privacy.keyring import Key, KeyRing, Suite
from workflow.errors import RuleBroken

_LEGACY: Final = b"\x01"
_FORMAT: Final = b"\x02"
_HEADER: Final = 4
_NONCE: Final = 12
_TAG: Final = 16


class SealBroken(RuleBroken):
    """A sealed value that does not open: another key, another row's value, or altered bytes."""

    code = "seal_broken"

    def __init__(self) -> None:
        super().__init__("加密的信息无法打开：密钥不符，或数据已被改动。请联系系统管理员核查。")


class Sealer:
    """Seals with the ring's current key, opens with the key each value names."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring

    def pinned(self) -> "SealerOfKey":
        """The current key, for everything one act seals: its fields and its index then belong together."""
        keys = self.ring.now()
        return SealerOfKey(keys.keys[keys.current])

    @overload
    def seal(self, text: str, context: str) -> bytes: ...
    @overload
    def seal(self, text: str | None, context: str) -> bytes | None: ...
    def seal(self, text: str | None, context: str) -> bytes | None:
        """The sealed bytes of `text`, for this context only; None stays None."""
        return None if text is None else self.pinned().seal(text, context)

    @overload
    def open(self, sealed: bytes, context: str) -> str: ...
    @overload
    def open(self, sealed: bytes | None, context: str) -> str | None: ...
    def open(self, sealed: bytes | None, context: str) -> str | None:
        """The text again; None stays None. Raises `SealBroken`."""
        return None if sealed is None else self.open_bytes(sealed, context).decode()

    def seal_bytes(self, content: bytes, context: str) -> bytes:
        """Sealed bytes of any content, a file's."""
        return self.pinned().seal_bytes(content, context)

    def open_bytes(self, sealed: bytes, context: str) -> bytes:
        """The content again. Raises `SealBroken`."""
        if sealed[:1] == _LEGACY:
            key = next((k for k in self.ring.now().live if k.legacy), None)
            if key is None:
                raise SealBroken
            return _ciphers(key).open(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], _LEGACY)
        key = self.ring.find(key_of(sealed))
        if key is None or sealed[1] != key.suite:
            raise SealBroken
        body = _HEADER + _NONCE
        return _ciphers(key).open(sealed[_HEADER:body], sealed[body:], _bound(sealed[:_HEADER], context))

    def index(self, phone: str | None) -> bytes | None:
        """The blind index of a phone number under the current key, the same for the same digits however they are written."""
        return self.pinned().index(phone)

    def indexes(self, phone: str) -> list[bytes]:
        """The blind index under every key of the ring: what to look for while keys are being rotated."""
        found = (SealerOfKey(key).index(phone) for key in self.ring.now().live)
        return [index for index in found if index is not None]

    def digest(self, text: str) -> bytes:
        """A digest only this installation can compute, stable through rotations: it confirms nobody's guess."""
        return standard_hmac.new(
            self.ring.now().digests, text.encode("utf-8", "surrogatepass"), sha256
        ).digest()


@dataclass(frozen=True, slots=True)
class SealerOfKey:
    """One key, sealing."""

    key: Key

    @overload
    def seal(self, text: str, context: str) -> bytes: ...
    @overload
    def seal(self, text: str | None, context: str) -> bytes | None: ...
    def seal(self, text: str | None, context: str) -> bytes | None:
        """See `Sealer.seal`."""
        return None if text is None else self.seal_bytes(text.encode(), context)

    def seal_bytes(self, content: bytes, context: str) -> bytes:
        """See `Sealer.seal_bytes`."""
        header = prefix_of(self.key)
        nonce = os.urandom(_NONCE)
        return header + nonce + _ciphers(self.key).seal(nonce, content, _bound(header, context))

    def index(self, phone: str | None) -> bytes | None:
        """See `Sealer.index`."""
        digits = "".join(c for c in phone or "" if c.isdigit())
        if not digits:
            return None
        return _ciphers(self.key).index(digits[-11:].encode())


def prefix_of(key: Key) -> bytes:
    """How every value sealed with this key begins."""
    return _FORMAT + bytes([key.suite]) + key.id.to_bytes(2, "big")


def key_of(sealed: bytes) -> int:
    """The id of the key a value was sealed with; 0 for one from before there was a ring. Raises `SealBroken`."""
    if sealed[:1] == _LEGACY:
        return 0
    if sealed[:1] != _FORMAT or len(sealed) < _HEADER + _NONCE + _TAG:
        raise SealBroken
    return int.from_bytes(sealed[2:_HEADER], "big")


def _bound(header: bytes, context: str) -> bytes:
    return header + context.encode()


@dataclass(frozen=True, slots=True)
class _Ciphers:
    """What one key does, by its suite."""

    seal: Callable[[bytes, bytes, bytes], bytes]
    open: Callable[[bytes, bytes, bytes], bytes]
    index: Callable[[bytes], bytes]


@lru_cache(maxsize=64)
def _ciphers(key: Key) -> _Ciphers:
    index_key = key.derive(b"blind-index")
    if key.suite is Suite.AES:
        aead = AESGCM(key.derive(b"fields"))
        return _Ciphers(
            aead.encrypt,
            lambda nonce, rest, bound: _or_broken(lambda: aead.decrypt(nonce, rest, bound)),
            lambda digits: standard_hmac.new(index_key, digits, sha256).digest(),
        )
    cipher = algorithms.SM4(key.derive(b"fields", 16))

    def sm_seal(nonce: bytes, content: bytes, bound: bytes) -> bytes:
        encryptor = Cipher(cipher, modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(bound)
        return encryptor.update(content) + encryptor.finalize() + encryptor.tag

    def sm_open(nonce: bytes, rest: bytes, bound: bytes) -> bytes:
        decryptor = Cipher(cipher, modes.GCM(nonce, rest[-_TAG:])).decryptor()
        decryptor.authenticate_additional_data(bound)
        return decryptor.update(rest[:-_TAG]) + decryptor.finalize()

    def sm_index(digits: bytes) -> bytes:
        keyed = hmac.HMAC(index_key, hashes.SM3())
        keyed.update(digits)
        return keyed.finalize()

    return _Ciphers(
        sm_seal, lambda nonce, rest, bound: _or_broken(lambda: sm_open(nonce, rest, bound)), sm_index
    )


def _or_broken(opening: Callable[[], bytes]) -> bytes:
    try:
        return opening()
    except (InvalidTag, ValueError) as error:
        raise SealBroken from error


# --- contexts ----------------------------------------------------------------------------------------------------------


def of_caller(column: str, number: str) -> str:
    """The context of one of a ticket's `caller_` columns."""
    return f"tickets.{column}:{number}"


def of_original(number: str, seq: int) -> str:
    """The context of what was really typed in one ledger entry's act."""
    return f"originals:{number}:{seq}"


def of_totp(person_id: int) -> str:
    """The context of a person's second factor."""
    return f"credentials.totp_secret:{person_id}"


def of_peer(peer_id: int) -> str:
    """The context of the secret shared with another platform's engine."""
    return f"knowledge_peers.secret:{peer_id}"


def of_subscription(column: str, subscription_id: int) -> str:
    """What a subscription's secret is sealed for; `column` is `secret` or `older_secret`."""
    return f"subscriptions.{column}:{subscription_id}"


def of_contact(contact_id: int) -> str:
    """What the address of somebody who is sent notices is sealed for."""
    return f"contacts.address:{contact_id}"


def of_call(call_key: bytes) -> str:
    """What the caller's number of one call is sealed for."""
    return f"calls.caller_phone:{call_key.hex()}"


def of_form_draft(person_id: int, form: str) -> str:
    """What a person's unfinished form is sealed for."""
    return f"form_drafts:{person_id}:{form}"


# --- the demo's logins ---------------------------------------------------------------------------------------------------


def load_or_make_key(data_dir: Path) -> bytes:
    """32 secret bytes of this installation, in `<data_dir>/field.key`, readable by its owner only: what demo tokens are derived from.

    Where it was there before the key ring, it is also the ring's key 1.
    """
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
