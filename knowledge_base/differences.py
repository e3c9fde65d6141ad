"""What differs between two versions of an article, field by field, as data: which lines, and within a line which characters."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final, Literal

from knowledge_base.models import ArticleVersion
from knowledge_base.orders import LABELS, Guide

_FIELDS: Final = (
    "question",
    "answer",
    "legal_basis",
    "categories",
    "areas",
    "synonyms",
    "source_url",
    "valid_from",
    "valid_until",
)
_EFFORT: Final = 4_000_000
"""Pairs of characters one field may have compared; changed passages beyond are shown whole, before and after."""


Op = Literal["equal", "insert", "delete"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A passage: `equal`, `insert`ed or `delete`d."""

    op: Op
    text: str


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs: its name and Chinese label, both values, and the passages in order."""

    field: str
    label: str
    before: Any
    after: Any
    pieces: list[Piece]


def differences(before: ArticleVersion, after: ArticleVersion) -> list[FieldChange]:
    """Every field in which two versions differ, in the order of an article; the guide's fields one by one."""
    found = [_change(name, getattr(before, name), getattr(after, name)) for name in _FIELDS]
    found += [
        _change(f"guide.{name}", before.guide.get(name), after.guide.get(name)) for name in Guide.model_fields
    ]
    return [change for change in found if change is not None]


def _change(name: str, before: Any, after: Any) -> FieldChange | None:
    if before == after:
        return None
    label = LABELS[name.rpartition(".")[2]]
    return FieldChange(name, label, before, after, pieces(_text(before), _text(after)))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(value)
    return "" if value is None else str(value)


def pieces(before: str, after: str) -> list[Piece]:
    """`before` turned into `after`: lines that stay, and within changed lines the characters put in and taken out."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    found: list[Piece] = []
    left = _EFFORT
    for op, i1, i2, j1, j2 in SequenceMatcher(a=old, b=new, autojunk=True).get_opcodes():
        gone, come = "".join(old[i1:i2]), "".join(new[j1:j2])
        if op == "replace" and len(gone) * len(come) <= left:
            left -= len(gone) * len(come)
            found += _characters(gone, come)
        elif op == "equal":
            found.append(Piece("equal", gone))
        else:
            found += _both(gone, come)
    return _joined(found)


def _characters(before: str, after: str) -> list[Piece]:
    found: list[Piece] = []
    for op, i1, i2, j1, j2 in SequenceMatcher(a=before, b=after, autojunk=False).get_opcodes():
        found += [Piece("equal", before[i1:i2])] if op == "equal" else _both(before[i1:i2], after[j1:j2])
    return found


def _both(gone: str, come: str) -> list[Piece]:
    return [piece for piece in (Piece("delete", gone), Piece("insert", come)) if piece.text]


def _joined(found: list[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in found:
        if joined and joined[-1].op == piece.op:
            joined[-1] = Piece(piece.op, joined[-1].text + piece.text)
        else:
            joined.append(piece)
    return joined
