"""An export as a file people open: XLSX or CSV, watermarked, with text that stays text whatever a citizen wrote."""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import xlsxwriter  # type: ignore[import-untyped]

from hotline.exporting.rows import COLUMNS, Cell
from workflow.deadlines import CHINA

MEDIA_TYPES: Final = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv",
}
_CELL_MAX: Final = 32_000
_DANGEROUS: Final = "=+-@\t\r\n＝＋－＠"
_UNWRITABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Watermark:
    """Who asked for the file, who let them, when, why: on every page of it."""

    export_id: int
    asked_by: str
    approved_by: str
    made_at: datetime
    purpose: str

    def __str__(self) -> str:
        made = self.made_at.astimezone(CHINA)
        return (
            f"导出申请第 {self.export_id} 号　申请人：{self.asked_by}　批准人：{self.approved_by}　"
            f"生成时间：{made:%Y-%m-%d %H:%M}（北京时间）　用途：{self.purpose}　内部资料，不得外传"
        )

    def short(self) -> str:
        """What fits across a page."""
        return f"{self.asked_by[:20]} {self.made_at.astimezone(CHINA):%Y-%m-%d} 第 {self.export_id} 号"


def write(file_format: str, path: Path, rows: Iterable[Sequence[Cell]], mark: Watermark) -> None:
    """Write `rows` under the columns' titles to `path`; drafts in clear lie beside it only."""
    {"xlsx": _write_xlsx, "csv": _write_csv}[file_format](path, rows, mark)


# --- XLSX --------------------------------------------------------------------------------------------------------------


def _write_xlsx(path: Path, rows: Iterable[Sequence[Cell]], mark: Watermark) -> None:
    options = {
        "constant_memory": True,
        "tmpdir": str(path.parent),
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    book = xlsxwriter.Workbook(str(path), options)
    book.set_properties(
        {
            "title": f"12345 热线工单导出 第 {mark.export_id} 号",
            "subject": mark.purpose,
            "author": mark.asked_by,
            "manager": mark.approved_by,
            "comments": str(mark),
            "created": mark.made_at.astimezone(CHINA).replace(tzinfo=None),
        }
    )
    sheet = book.add_worksheet("工单")
    _lay_out(book, sheet, mark)
    plain = book.add_format({"valign": "top", "num_format": "@"})
    wrapped = book.add_format({"valign": "top", "num_format": "@", "text_wrap": True})
    instant = book.add_format({"valign": "top", "num_format": "yyyy-mm-dd hh:mm"})
    whole = book.add_format({"valign": "top", "num_format": "0"})
    last = 1
    for last, row in enumerate(rows, start=2):
        for place, value in enumerate(row):
            if isinstance(value, datetime):
                sheet.write_datetime(last, place, value.astimezone(CHINA).replace(tzinfo=None), instant)
            elif isinstance(value, int):
                sheet.write_number(last, place, value, whole)
            elif value is not None:
                sheet.write_string(
                    last, place, cell_text(value), wrapped if COLUMNS[place].width > 24 else plain
                )
    sheet.autofilter(1, 0, max(last, 1), len(COLUMNS) - 1)
    book.close()


def _lay_out(book: Any, sheet: Any, mark: Watermark) -> None:
    """Watermark and titles on top and frozen; the watermark also in each printed page's header, footer and, large and faint, across it."""
    for place, column in enumerate(COLUMNS):
        sheet.set_column(place, place, column.width)
    sheet.write_string(0, 0, cell_text(str(mark)), book.add_format({"font_color": "#9C0006", "bold": True}))
    titles = book.add_format({"bold": True, "bg_color": "#DDEBF7", "border": 1})
    for place, column in enumerate(COLUMNS):
        sheet.write_string(1, place, column.title, titles)
    sheet.freeze_panes(2, 1)
    sheet.set_landscape()
    sheet.set_paper(9)  # A4
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0, 1)
    faint = "\n" * 6 + "&48&KD9D9D9" + _for_header(mark.short())
    sheet.set_header(f"&L&8{_for_header(mark.short())}&C{faint}")
    sheet.set_footer(f"&L&8{_for_header(str(mark)[:100])}&R&8&P/&N")


def _for_header(text: str) -> str:
    """`&` begins a code in headers and footers."""
    return cell_text(text).replace("&", "&&")


def cell_text(text: str) -> str:
    """What a cell can hold: no control characters, 32,000 characters, and nothing the writer would take for markup."""
    clean = _UNWRITABLE.sub(" ", text)
    if len(clean) > _CELL_MAX:
        clean = clean[:_CELL_MAX] + "……（超出单元格容量，以系统为准）"
    return " " + clean if clean.startswith("<r>") else clean


# --- CSV ---------------------------------------------------------------------------------------------------------------


def _write_csv(path: Path, rows: Iterable[Sequence[Cell]], mark: Watermark) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        writer.writerow([harmless(str(mark))])
        writer.writerow([column.title for column in COLUMNS])
        for row in rows:
            writer.writerow([_plain(value) for value in row])
        writer.writerow([harmless(str(mark))])


def _plain(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(CHINA):%Y-%m-%d %H:%M}"
    return str(value) if isinstance(value, int) else harmless(value)


def harmless(text: str) -> str:
    """Text that a spreadsheet takes for text (OWASP, CSV injection): a quote before what could be a formula, a tab before long numbers."""
    clean = _UNWRITABLE.sub(" ", text)
    if clean.lstrip().startswith(tuple(_DANGEROUS)) or clean.startswith(("\t", "\r", "\n")):
        return "'" + clean
    return "\t" + clean if len(clean) > 11 and clean[:-1].isdigit() else clean
