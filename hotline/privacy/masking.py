"""脱敏: what identifies a caller is starred where it stands, in fields and inside free text. Pure; microseconds a text.

A starred text has the length it had: every character is the old one or `*`. Hidden (a tip-off, 保密) it is replaced whole. What is
looked for in any text: mobiles however they are grouped or written out (一三九…), ID numbers, bank cards, e-mail, WeChat and QQ after
their words; and of the ticket's own caller the name, the phone of any kind, the ID number and the address. Landlines, service
numbers, ticket numbers and amounts stay, unless they are the caller's own.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Final

from stdnum.cn import ric
from stdnum.iso7064 import mod_11_10

STAR: Final = "*"
HIDDEN: Final = "［已隐去］"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the ticket's own caller. `spared` are numbers (digits) that stay: a person's own, in their own report."""

    name: str | None = None
    phone: str | None = None
    address: str | None = None
    id_number: str | None = None
    spared: frozenset[str] = frozenset()
    _sought: "_Sought" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_sought", _Sought.of(self))


# --- fields ------------------------------------------------------------------------------------------------------------


def mask_phone(phone: str | None) -> str | None:
    """`139****1234`: the first three and last four digits of a number long enough, else stars only."""
    if phone is None:
        return None
    return f"{phone[:3]}****{phone[-4:]}" if len(phone) >= 11 else "****"


def mask_name(name: str | None) -> str | None:
    """The first character and stars."""
    return None if not name else name[0] + STAR * max(1, min(len(name) - 1, 2))


def mask_email(address: str | None) -> str | None:
    """The first character and the domain: `t***@example.gov.cn`."""
    if address is None:
        return None
    name, _, host = address.rpartition("@")
    return f"{name[:1]}{STAR * 3}@{host}"


def mask_id_number(number: str | None) -> str | None:
    """The first three characters and the last two."""
    if number is None:
        return None
    return number[:3] + STAR * (len(number) - 5) + number[-2:] if len(number) >= 15 else "****"


_PLACE = re.compile(
    r"(?:[^0-9０-９一二三四五六七八九十〇零号楼栋幢室]*?"
    r"(?:自治区|自治州|街道|大街|大道|省|市|州|盟|(?<!小)区|县|旗|镇|乡|路|街|巷|村))*"
)


def _kept_of_address(address: str) -> int:
    found = _PLACE.match(address)
    return found.end() if found else 0


def mask_address(address: str | None) -> str | None:
    """The address down to its road or village at most, then stars."""
    return None if not address else address[: _kept_of_address(address)] + STAR * 3


# --- characters --------------------------------------------------------------------------------------------------------

_HAN_DIGITS: Final = {"〇": "0", "幺": "1", "两": "2"} | {
    c: str(n)
    for row in ("零一二三四五六七八九", "零壹贰叁肆伍陆柒捌玖", "零壹貳參肆伍陸柒捌玖")
    for n, c in enumerate(row)
}
_ROUND = "①②③④⑤⑥⑦⑧⑨⓪⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉❶❷❸❹❺❻❼❽❾⓿"
_D = r"[\d" + "".join(_HAN_DIGITS) + _ROUND + "]"
_NOTHING = "\u00ad\u034f\u180e\u200b\u200c\u200d\u2060\ufe0f\ufeff"
_S = r"[\s\-‐‑‒–—―－.．·•・,，、_/／()（）" + _NOTHING + "]"
_STRETCH = re.compile(rf"{_D}(?:{_S}{{0,3}}{_D}){{4,}}[Xx×Ｘｘ]?")
_VARIANTS: Final[Mapping[str, str]] = {
    str(n): str(n) + chr(0xFF10 + n) + "".join(c for c, d in _HAN_DIGITS.items() if d == str(n))
    for n in range(10)
}
_CHECK_LETTERS = "XxＸｘ×"


def _digit(c: str) -> str:
    """What an ASCII digit this character stands for."""
    if c in _HAN_DIGITS:
        return _HAN_DIGITS[c]
    return "X" if c in _CHECK_LETTERS else str(unicodedata.digit(c, 0))


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Digits as they stand in a text: `digits[i]` at `places[i]`; `breaks` are the indexes before which a separator stands."""

    digits: str
    places: list[int]
    breaks: list[int]
    gaps: list[str]


def _is_digit(c: str) -> bool:
    return c in _HAN_DIGITS or c in _CHECK_LETTERS or unicodedata.digit(c, None) is not None


def _read(text: str, start: int, end: int) -> _Stretch:
    if text[start:end].isascii() and text[start:end].isdigit():
        return _Stretch(text[start:end], list(range(start, end)), [], [])
    places = [i for i in range(start, end) if _is_digit(text[i])]
    breaks, gaps = [], []
    for n in range(1, len(places)):
        gap = "".join(c for c in text[places[n - 1] + 1 : places[n]] if c not in _NOTHING)
        if gap:
            breaks.append(n)
            gaps.append(gap)
    return _Stretch("".join(_digit(text[i]) for i in places), places, breaks, gaps)


# --- numbers -----------------------------------------------------------------------------------------------------------

_MOBILES = re.compile(r"(?:0|(?:00)?86)?((?:1[3-9]\d{9})+)X?")
_DATES = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_PROVINCES = frozenset(
    str(n)
    for row in ((11, 16), (21, 24), (31, 38), (41, 47), (50, 55), (61, 66), (71, 72), (81, 84))
    for n in range(*row)
)


def _is_ticket(digits: str) -> bool:
    if len(digits) != 15 or not digits.isdigit():
        return False
    return _is_day("20" + digits[2:8]) and mod_11_10.is_valid(digits)


def _is_day(digits: str) -> bool:
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return True


def _is_id(digits: str) -> bool:
    if len(digits) == 18:
        return digits[:2] in _PROVINCES and ric.is_valid(digits)
    return (
        len(digits) == 15 and digits.isdigit() and digits[:2] in _PROVINCES and _is_day("19" + digits[6:12])
    )


def _is_card(digits: str) -> bool:
    if not 16 <= len(digits) <= 19 or not digits.isdigit() or len(set(digits)) < 4:
        return False
    if _DATES.match(digits):  # a time stamp or another system's running number, not a card
        return False
    odd, even = digits[-1::-2], digits[-2::-2]
    return (sum(map(int, odd)) + sum(sum(divmod(2 * int(c), 10)) for c in even)) % 10 == 0


_LONGEST = 24


def _is_one_number(sizes: list[int], gaps: list[str]) -> bool:
    """Whether the groups look like those of one number, not like a list of amounts."""
    if len(sizes) == 1:
        return True
    if any(c in gap for gap in gaps for c in ",，、"):
        return sizes in ([3, 4, 4], [3, 8], [4, 4, 3]) or max(sizes) == 1
    return len(set(gaps)) == 1 or len(sizes) <= 6 or max(sizes) == 1


def _numbers(found: _Stretch, known: Known, *, cards: bool) -> Iterator[tuple[int, int, int, int]]:
    """What in a stretch identifies somebody: from digit `a` to `b`, of which the first `keep` and last `tail` may be shown."""
    yield from _own_numbers(found.digits, known)
    cuts = [0, *found.breaks, len(found.digits)]
    for i, start in enumerate(cuts[:-1]):
        for j in range(i + 1, len(cuts)):
            end = cuts[j]
            if end - start > _LONGEST and j > i + 1:
                break
            if end - start < 11:
                continue
            run = found.digits[start:end]
            told = list(_telling(run, known, cards=cards))
            if told and _is_one_number([b - a for a, b in pairwise(cuts[i : j + 1])], found.gaps[i : j - 1]):
                yield from ((start + a, start + b, keep, tail) for a, b, keep, tail in told)


def _telling(run: str, known: Known, *, cards: bool) -> Iterator[tuple[int, int, int, int]]:
    if run in known.spared or _is_ticket(run):
        return
    if _is_id(run):
        yield 0, len(run), 3, 2
    elif cards and _is_card(run):
        yield 0, len(run), 4, 4
    elif (mobiles := _MOBILES.fullmatch(run)) is not None:
        for at in range(mobiles.start(1), mobiles.end(1), 11):
            if run[at : at + 11] not in known.spared:
                start = 0 if at == mobiles.start(1) else at  # the prefix +86 goes with the first
                yield start, at + 11, at + 3 - start, 4


def _own_numbers(digits: str, known: Known) -> Iterator[tuple[int, int, int, int]]:
    for number in known._sought.numbers:
        at = digits.find(number)
        while at >= 0:
            keep, tail = (3, 2) if len(number) == 18 else (3, 4) if len(number) >= 11 else (0, 0)
            yield at, at + len(number), keep, tail
            at = digits.find(number, at + 1)


def _numbers_of(known: Known) -> tuple[str, ...]:
    """The digits of the caller's own phone, without its area code too, and of their ID number."""
    own = "".join(c for c in known.phone or "" if "0" <= c <= "9")
    if len(own) == 13 and own.startswith("86"):
        own = own[2:]
    local = own[3 if own[1:2] in ("1", "2") else 4 :] if len(own) >= 10 and own[0] == "0" else ""
    return tuple(n for n in (own, local, known.id_number or "") if len(n) >= 7)


# --- texts -------------------------------------------------------------------------------------------------------------

_MAIL_HOST = re.compile(r"@[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63}){1,8}")
_MAIL_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+-*")
_NAMES_ACCOUNTS = re.compile(r"信|扣扣|[QqVvWw][QqXxEe]")
_ACCOUNT = re.compile(
    r"(?:微信|wechat|weixin|(?<![a-z])vx|(?<![a-z])wx|V信|薇信|QQ|扣扣)(?:账号|帐号|号码|号|ID)?"
    r"[\s:：是为叫【\[“\"(（]{0,4}([A-Za-z][A-Za-z0-9_\-]{4,19}|[1-9][0-9]{4,11})",
    re.IGNORECASE,
)
_STARRED = re.compile(
    rf"(?:{_D}{{1,6}}{_S}{{0,3}}|(?:{_D}{_S}){{1,4}}|{_D}{_D}{_S}{_D}|[A-Za-z])?"
    rf"(?:\*{_S}{{0,3}}){{3,}}(?:{_D}(?:{_S}{{0,3}}{_D}){{0,3}}[Xx]?)?"
)
_TITLES = "先生|女士|小姐|太太|师傅|老师|同志|大爷|大妈|大姐|大哥|阿姨|叔叔|某某|某"
_COMPOUND_NAMES = "欧阳司马上官诸葛东方皇甫尉迟公孙令狐慕容司徒夏侯端木独孤长孙宇文南宫拓跋"
_COMPOUND = frozenset(_COMPOUND_NAMES[n : n + 2] for n in range(0, len(_COMPOUND_NAMES), 2))

Spot = tuple[int, int, int, int]
"""From, to, and how many characters at each end may be shown."""


def mask_text(text: str, known: Known | None = None, *, hide: bool = False, cards: bool = True) -> str:
    """`text` with what identifies somebody starred; with `hide` it is replaced whole, also what was starred before.

    `cards=False` leaves long numbers alone that only look like bank cards. Idempotent.
    """
    known = known or NOBODY
    while True:
        spots = _spots(text, known, hide=hide, cards=cards)
        if not spots:
            return text
        masked = (_hidden if hide else _starred)(text, spots)
        if masked == text:
            return text
        text = masked


def _spots(text: str, known: Known, *, hide: bool, cards: bool) -> list[tuple[int, int, list[int]]]:
    """What is to be masked: from, to, and the places of the characters that get a star."""
    spots: list[tuple[int, int, list[int]]] = []
    for match in _STRETCH.finditer(text):
        found = _read(text, match.start(), match.end())
        for a, b, keep, tail in _numbers(found, known, cards=cards):
            spots.append((found.places[a], found.places[b - 1] + 1, found.places[a + keep : b - tail]))
    if "@" in text:
        spots += _mails(text)
    if _NAMES_ACCOUNTS.search(text):
        spots += [_inner(*m.span(1), 1, 0) for m in _ACCOUNT.finditer(text)]
    spots += _own_words(text, known, hide=hide)
    if hide and STAR in text:
        spots += [_inner(*m.span(), 0, 0) for m in _STARRED.finditer(text)]
    return spots


def _mails(text: str) -> Iterator[tuple[int, int, list[int]]]:
    for host in _MAIL_HOST.finditer(text):
        start = at = host.start()
        while start and at - start < 64 and text[start - 1] in _MAIL_NAME:
            start -= 1
        if start < at:
            yield start, host.end(), list(range(start + 1, at))


def _inner(start: int, end: int, keep: int, tail: int) -> tuple[int, int, list[int]]:
    return start, end, list(range(start + keep, end - tail))


def _own_words(text: str, known: Known, *, hide: bool) -> Iterator[tuple[int, int, list[int]]]:
    sought = known._sought
    if sought.name:
        for start, end in _loosely(text, sought.name):
            yield _inner(start, end, 1, 0)
        if hide and known.name:
            yield from _by_surname(text, known.name.strip())
    if sought.core:
        for start, end in _loosely(text, sought.core):
            yield start, end, list(range(start, end))[_offset(text, start, end, len(sought.road)) :]
    if sought.detail:
        yield from (_inner(a, b, 0, 0) for a, b in _loosely(text, sought.detail))
    if hide and sought.place:
        yield from (_inner(a, b, 0, 0) for a, b in _loosely(text, sought.place))
    if hide and STAR in text and len(sought.road) >= 2:
        for match in re.finditer(re.escape(sought.road) + r"\*+", text):
            yield _inner(*match.span(), 0, 0)


def _by_surname(text: str, name: str) -> Iterator[tuple[int, int, list[int]]]:
    surname = name[:2] if name[:2] in _COMPOUND else name[0]
    if name[0] not in text or not ("\u4e00" <= name[0] <= "\u9fff"):
        return
    for match in re.finditer(rf"{surname}(?:{_TITLES})|{name[0]}\*+", text):
        yield _inner(*match.span(), 0, 0)


Needle = tuple[str, ...]
"""A word to look for: of each character all ways to write it."""

_DIVISIONS = re.compile(r"自治区|自治州|街道|省|市|州|盟|(?<!小)区|县|旗|镇|乡")


@dataclass(frozen=True, slots=True)
class _Sought:
    """What is looked for of one caller, made once. `core` is the address from its road on, `detail` its house and door where they
    speak for themselves, `place` the address of one that has no such detail."""

    name: Needle
    numbers: tuple[str, ...]
    road: str
    core: Needle
    detail: Needle
    place: Needle

    @classmethod
    def of(cls, known: Known) -> "_Sought":
        name = known.name.strip() if known.name else ""
        address = known.address or ""
        kept = _kept_of_address(address)
        detail = address[kept:].strip()
        road = _DIVISIONS.split(address[:kept])[-1] if detail else ""
        tells = len(re.findall(r"\d+", detail)) >= 2 and len(detail) >= 5
        return cls(
            _needle(name) if len(name) >= 2 else (),
            _numbers_of(known),
            road,
            _needle(road + detail) if detail and len(road + detail) >= 4 else (),
            _needle(detail) if tells else (),
            _needle(address) if not detail and len(address.strip()) >= 4 else (),
        )


def _needle(word: str) -> Needle:
    return tuple(_ways(c) for c in word if not _idle(c))


def _offset(text: str, start: int, end: int, letters: int) -> int:
    """How far into `text[start:end]` its first `letters` characters reach, those that count for nothing left aside."""
    at = start
    while letters and at < end:
        letters -= 0 if _idle(text[at]) else 1
        at += 1
    return at - start


def _idle(c: str) -> bool:
    return c.isspace() or c in _NOTHING or c in "·,，、-"


def _loosely(text: str, needle: Needle) -> Iterator[tuple[int, int]]:
    """Where the word stands in `text`, whatever blanks are between, however its digits and letters are written."""
    for first in needle[0] if needle else "":
        at = text.find(first)
        while at >= 0:
            end = _matches(text, at, needle)
            if end:
                yield at, end
            at = text.find(first, at + 1)


def _matches(text: str, at: int, needle: Needle) -> int:
    """Where the word ends if it stands in `text` from `at` on, else 0."""
    for n, ways in enumerate(needle):
        while n and at < len(text) and text[at] not in ways and _idle(text[at]):
            at += 1
        if at >= len(text) or text[at] not in ways:
            return 0
        at += 1
    return at


def _ways(c: str) -> str:
    if c in _VARIANTS:
        return _VARIANTS[c]
    if c in _HAN_DIGITS:
        return _VARIANTS[_HAN_DIGITS[c]]
    return c if c.lower() == c.upper() else c.lower() + c.upper()


def _starred(text: str, spots: list[tuple[int, int, list[int]]]) -> str:
    letters = list(text)
    for _, _, places in spots:
        for place in places:
            letters[place] = STAR
    return "".join(letters)


def _hidden(text: str, spots: list[tuple[int, int, list[int]]]) -> str:
    pieces, at = [], 0
    for start, end in _joined(spots):
        pieces += [text[at:start], HIDDEN]
        at = end
    return "".join([*pieces, text[at:]])


def _joined(spots: list[tuple[int, int, list[int]]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end, _ in sorted(spots, key=lambda spot: spot[:2]):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


Masker = Callable[[str], str]
"""Text in, masked text out."""


NOBODY: Final = Known()
"""Nothing is known of the caller."""
