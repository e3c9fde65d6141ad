"""口令: Argon2id hashes and the rules a new password obeys (等级保护: complexity, age, no reuse of the last)."""

import re
import secrets
import string
import threading
import unicodedata
from functools import cache
from importlib.resources import files
from typing import Final

from pwdlib import PasswordHash

from workflow.errors import OrderInvalid

LEAST: Final = 10
MOST: Final = 200
CLASSES: Final = 3
_UNSHIFTED: Final = str.maketrans("!@#$%^&*()", "1234567890")
_SPELT: Final = str.maketrans("@401!3$57", "aaoliesst")
_SIGN: Final = re.compile(r"[\x00-/:-`{-\x7f]")
_NO_LETTER: Final = re.compile(r"[\x00-`{-\x7f]")
_ENDS: Final = re.compile(r"^[\x00-`{-\x7f]+|[\x00-`{-\x7f]+$")
_SIGNS: Final = "!@#$%-+=?"
_hasher = PasswordHash.recommended()
_turns = threading.BoundedSemaphore(4)
"""A hash takes 64 MiB and a core: a flood of sign-ins waits instead of filling the memory."""


def hashed(password: str) -> str:
    """The Argon2id hash of a password, by the parameters of today."""
    with _turns:
        return _hasher.hash(_bytes(password))


def verify(password: str, known: str | None) -> tuple[bool, str | None]:
    """Whether `password` is the one behind `known`, and its new hash if the parameters have changed since.

    With no hash known it takes as long as with a wrong password, and is not.
    """
    behind = known or _nobodys()
    with _turns:
        fits, fresh = _hasher.verify_and_update(_bytes(password), behind)
    return (fits, fresh) if known else (False, None)


@cache
def _nobodys() -> str:
    return hashed(secrets.token_urlsafe(32))


def _bytes(password: str) -> bytes:
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def check(password: str, *, login: str, name: str, field: str = "new") -> None:
    """Refuse a new password that is short, uniform, tells of its owner, or is one of the commonest. Raises `OrderInvalid`."""
    if not LEAST <= len(password) <= MOST:
        raise OrderInvalid(f"口令须为 {LEAST}—{MOST} 个字符。", field=field)
    if _classes(password) < CLASSES:
        raise OrderInvalid(f"口令须包含大写字母、小写字母、数字、符号中的至少 {CLASSES} 类。", field=field)
    folded = password.casefold()
    if any(len(told) > 1 and told.casefold() in folded for told in (login, name)):
        raise OrderInvalid("口令不能包含登录名或姓名。", field=field)
    if len(set(folded)) < 5 or not _cores(folded).isdisjoint(_commonest()):
        raise OrderInvalid("该口令过于常见，容易被猜中，请换一个。", field=field)


def _classes(password: str) -> int:
    kinds = (str.isupper, str.islower, str.isdigit, lambda c: not c.isalnum() or ord(c) > 0x7F)
    return sum(any(kind(c) for c in password) for kind in kinds)


def _cores(folded: str) -> set[str]:
    """What is left of a password without what people add to satisfy a rule."""
    read = {folded, folded.translate(_UNSHIFTED), folded.translate(_SPELT)}
    read |= {_ENDS.sub("", folded).translate(_SPELT)}
    bare = {_SIGN.sub("", each) for each in read}
    ends = {_ENDS.sub("", each) for each in read | bare}
    letters = {_NO_LETTER.sub("", each) for each in read}
    digits = (
        {re.sub(r"[^0-9]", "", folded)}
        if re.fullmatch(r"(?![\s\S]*[a-z]{3})[\x00-\x7f]*", folded)
        else set[str]()
    )
    runs = re.findall(r"[a-z]+", folded)
    spare = sum(len(run) for run in runs) - 2  # a common word and at most two letters beside it
    words = {run for run in runs if len(run) >= max(3, spare)}
    return (words | read | bare | ends | letters | digits) - {""}


@cache
def _commonest() -> frozenset[str]:
    lines = files("hotline").joinpath("data", "common-passwords.txt").read_text("utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def one_time() -> str:
    """A password for once, to be changed at the first sign-in: 16 characters without the ones that look alike."""
    letters = [c for c in string.ascii_letters + string.digits if c not in "0O1lI"]
    while True:
        drawn = "".join(secrets.choice(letters) for _ in range(14)) + secrets.choice(_SIGNS)
        if _classes(drawn) == 4:
            return drawn + secrets.choice("23456789")
