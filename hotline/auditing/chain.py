"""Hash chains: canonical content, SHA-256 or SM3 (国密). Every hash says by itself which of the two made it."""

import hashlib
import json
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from cryptography.hazmat.primitives import hashes

_SHA256_SIZE: Final = 32


class Algorithm(IntEnum):
    """What chains are made with. A SHA-256 hash has its 32 bytes; any other begins with a byte that names its algorithm."""

    SHA256 = 0
    SM3 = 2


class Hasher:
    """A hash in the making, of either algorithm."""

    def __init__(self, algorithm: Algorithm) -> None:
        self._algorithm = algorithm
        self._sha256 = hashlib.sha256() if algorithm is Algorithm.SHA256 else None
        self._sm3 = hashes.Hash(hashes.SM3()) if algorithm is Algorithm.SM3 else None

    def update(self, content: bytes) -> None:
        """Take in more bytes."""
        if self._sha256 is not None:
            self._sha256.update(content)
        elif self._sm3 is not None:
            self._sm3.update(content)

    def finish(self) -> bytes:
        """The hash, once."""
        if self._sm3 is not None:
            return bytes([self._algorithm]) + self._sm3.finalize()
        assert self._sha256 is not None
        return self._sha256.digest()


def algorithm_of(made: bytes) -> Algorithm:
    """Which algorithm made a hash; SHA-256 for none yet, and for one that no algorithm makes: it then matches nothing."""
    if len(made) == _SHA256_SIZE + 1 and made[0] == Algorithm.SM3:
        return Algorithm.SM3
    return Algorithm.SHA256


def canonical(content: Mapping[str, Any]) -> bytes:
    """The one way to write `content`: JSON, keys sorted, no spaces, UTF-8."""
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def link(previous: bytes, content: Mapping[str, Any], algorithm: Algorithm) -> bytes:
    """The hash of an entry: over the hash before it and the entry's own content."""
    hasher = Hasher(algorithm)
    hasher.update(previous + canonical(content))
    return hasher.finish()
