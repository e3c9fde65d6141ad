"""PDF: a document on official paper (公文纸), by typst."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from hotline.printing import charts, rendering
from hotline.printing.documents import (
    NOTHING,
    Block,
    Chart,
    Document,
    Heading,
    Paragraph,
    Signature,
    Table,
    day_written,
    title_lines,
    written,
)
from hotline.printing.fonts import Fonts


@cache
def _paper() -> str:
    return (files("hotline.printing") / "paper.typ").read_text("utf-8")


def pdf(document: Document, fonts: Fonts, at: datetime) -> bytes:
    """The document as a PDF dated `at` (aware); the same document makes the same bytes."""
    blocks = [_block(each, fonts) for each in document.blocks]
    signed = {"is": "signatures", "rows": [_signature(each) for each in document.signatures]}
    first_appendix = next(
        (n for n, each in enumerate(blocks) if each["is"] == "heading" and each["level"] == 0), len(blocks)
    )
    data: dict[str, Any] = {
        "issuer": document.issuer,
        "number": document.number,
        "title": document.title,
        "lines": title_lines(document),
        "subtitle": document.subtitle,
        "status": document.status,
        "footer": document.footer,
        "blocks": [*blocks[:first_appendix], signed, *blocks[first_appendix:]],
    }
    return rendering.pdf(_paper(), data, fonts, at)


def _block(block: Block, fonts: Fonts) -> Mapping[str, Any]:
    match block:
        case Heading():
            return {"is": "heading", "level": block.level, "text": block.text}
        case Paragraph():
            return {"is": "paragraph", "text": block.text, "small": block.small}
        case Table():
            return {
                "is": "table",
                "title": block.title,
                "columns": [
                    {"title": each.title, "width": each.width, "right": each.kind != "text"}
                    for each in block.columns
                ],
                "rows": [
                    [written(value, column.kind) for value, column in zip(row, block.columns, strict=True)]
                    for row in block.rows
                ],
                "note": block.note,
            }
        case Chart():
            return {
                "is": "chart",
                "title": block.title,
                "words": block.words,
                "svg": charts.svg(block, fonts),
            }


def _signature(each: Signature) -> Mapping[str, str]:
    return {"role": each.role, "who": each.who or NOTHING, "on": day_written(each.on) if each.on else ""}
