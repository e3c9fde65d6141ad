"""打印: a report as PDF, Word, Excel or CSV. What is read of the database is read first; making the file holds no transaction."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from hotline.case import Desk
from hotline.printing import pdfs, words
from hotline.printing.fonts import chinese_fonts
from hotline.printing.rendering import turn
from hotline.reporting import filing, wording, workbook
from hotline.reporting.tables import Report
from hotline.reporting.wording import Printed

Form = Literal["pdf", "docx", "xlsx", "csv"]
MEDIA_TYPES: Final[Mapping[Form, str]] = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
}

LETTERED: Final = frozenset[Form]({"pdf", "docx"})
"""What needs Chinese fonts to be made."""


def prepared(desk: Desk, report: Report, fonts: Path | None) -> tuple[Printed, Callable[[Form], bytes]]:
    """What is printed of a report, read from the database, and what makes it a file, without the database and once it is a file's turn.

    `fonts` is HOTLINE_FONT_DIR. Raises `StillCounting`; making a PDF or Word raises `FontsMissing`, any form `PrintingBusy`.
    """
    printed = filing.printable(desk, report)
    return printed, lambda form: made(printed, form, fonts)


def made(printed: Printed, form: Form, fonts: Path | None) -> bytes:
    """The file: the same content makes the same bytes. Raises `FontsMissing`, `PrintingBusy`."""
    content = printed.content
    last = content.get("filed") or content.get("reviewed")
    at = datetime.fromisoformat(last["at"] if last else content["as_of"]).astimezone(UTC)
    if form == "csv":
        return workbook.comma_separated(content)
    document = wording.document(printed)
    found = chinese_fonts(fonts) if form in LETTERED else None
    with turn():
        if found is None:
            return workbook.xlsx(document, content, at)
        return (pdfs.pdf if form == "pdf" else words.docx)(document, found, at)


def name_of(printed: Printed, form: Form) -> str:
    """What the file is called: its title, and whether it was filed."""
    status = "" if printed.hash else "（未报送）"
    return f"{printed.content['title']}{status}.{form}".replace("/", "／").replace("\\", "＼")
