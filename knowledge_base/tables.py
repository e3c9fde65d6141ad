"""Articles as tables: which column says what, and reading and writing CSV, Excel and JSON Lines as people have them."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from knowledge_base.orders import LABELS
from workflow.errors import LimitExceeded, OrderInvalid


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the field it fills, its Chinese heading, and the headings other systems give it."""

    field: str
    heading: str
    aliases: tuple[str, ...] = ()


def _column(name: str, *aliases: str) -> Column:
    return Column(name, LABELS[name], aliases)


COLUMNS: Final[tuple[Column, ...]] = (
    Column("code", "事项编码", ("TASK_CODE", "事项编号", "实施编码")),
    _column("kind"),
    _column("question", "TASK_NAME", "标题", "问题", "事项名称"),
    _column("answer", "答复", "标准答复"),
    Column("unit", "承办单位代码"),
    _column("department", "DEPT_NAME", "承办单位", "部门"),
    _column("categories", "诉求分类代码"),
    _column("areas", "行政区划代码"),
    _column("region", "AREA_CODE_TEXT", "行政区划"),
    _column("matter_type", "TASK_TYPE_TEXT"),
    _column("matter_level", "行使层级"),
    _column("theme", "theme_category"),
    _column("service_object", "service_object_name"),
    _column("conditions", "accept_standard", "受理条件"),
    _column("materials", "material_intro", "申请材料"),
    _column("steps", "办理程序"),
    _column("limit", "handle_time_limit", "承诺时限"),
    _column("statutory_limit", "handle_time", "法定时限"),
    _column("visits", "visit_number"),
    _column("place", "handle_location"),
    _column("window"),
    _column("phone", "consult_phone"),
    _column("complaint_phone", "complain_phone"),
    _column("fee", "收费标准"),
    _column("legal_basis", "设定依据"),
    _column("synonyms"),
    _column("source_url"),
    _column("valid_from"),
    _column("valid_until"),
    _column("review_on"),
    Column("platform", "发布平台代码"),
    Column("relation", "与上级知识的关系"),
    Column("source", "上级知识编码"),
)
HEADINGS: Final[Mapping[str, str]] = {column.field: column.heading for column in COLUMNS}
_BY_HEADING: Final = {
    name.casefold(): column.field
    for column in COLUMNS
    for name in (column.field, column.heading, *column.aliases)
}
MOST_ROWS: Final = 100_000
_MOST_UNPACKED: Final = 256 * 1024 * 1024
_DELIMITERS: Final = (",", "\t", ";")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its line in the file (the heading is line 1), its cells by field, as given."""

    line: int
    cells: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A file's rows, and the headings nobody knows."""

    rows: list[Row]
    fields: frozenset[str]
    unknown: list[str] = field(default_factory=list)


# --- reading -----------------------------------------------------------------------------------------------------------


def read(content: bytes) -> Table:
    """A file's rows, whichever of the formats it has. Raises `OrderInvalid`, `LimitExceeded` (field `file`)."""
    if not content.strip():
        raise OrderInvalid("文件是空的，请重新选择。", field="file")
    if content.startswith((b"PK", b"\xd0\xcf\x11\xe0")):
        return _of_cells(_spreadsheet(content))
    text = _text(content)
    if text.lstrip().startswith("{"):
        return _json_lines(text)
    return _of_cells(_comma_separated(text))


def _text(content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise OrderInvalid("文件既不是 Excel，也不是 UTF-8 或 GB 18030 编码的文本。", field="file")


def _comma_separated(text: str) -> Iterator[list[Any]]:
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    csv.field_size_limit(1_000_000)
    try:
        for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            yield [_unguarded(cell) for cell in cells]
    except csv.Error as error:
        raise OrderInvalid(
            f"CSV 无法解析：{_CSV_PROBLEMS.get(str(error), '引号或分隔符有误')}。", field="file"
        ) from None


_CSV_PROBLEMS: Final = {"unexpected end of data": "最后的引号没有闭合"}


def _spreadsheet(content: bytes) -> Iterator[list[Any]]:
    from python_calamine import CalamineError, CalamineWorkbook

    _check_unpacked(content)
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        sheet = workbook.get_sheet_by_index(0)
    except (CalamineError, ValueError, OSError, IndexError):
        raise OrderInvalid("Excel 文件无法读取，可能已损坏或有密码。", field="file") from None
    if sheet.total_height > MOST_ROWS + 1 or sheet.total_width > 1000:
        raise LimitExceeded(f"表格过大，一次最多导入 {MOST_ROWS} 行。", field="file")
    yield from ([] for _ in range(sheet.start[0] if sheet.start else 0))  # left out by iter_rows
    yield from sheet.iter_rows()


def _check_unpacked(content: bytes) -> None:
    if not content.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except zipfile.BadZipFile:
        raise OrderInvalid("Excel 文件无法读取，可能已损坏。", field="file") from None
    if size > _MOST_UNPACKED:
        raise LimitExceeded("Excel 文件解压后过大。", field="file")


def _json_lines(text: str) -> Table:
    rows: list[Row] = []
    seen: set[str] = set()
    for line, each in enumerate(text.split("\n"), 1):
        if not each.strip():
            continue
        try:
            cells = json.loads(each)
        except (ValueError, RecursionError):
            raise OrderInvalid(f"第 {line} 行不是有效的 JSON。", field="file") from None
        if not isinstance(cells, dict):
            raise OrderInvalid(f"第 {line} 行应为 JSON 对象。", field="file")
        seen |= set(cells)
        rows.append(Row(line, {name: value for name, value in cells.items() if name in HEADINGS}))
        _check_count(rows)
    return Table(rows, frozenset(seen & set(HEADINGS)), sorted(seen - set(HEADINGS) - {"name"}))


def _of_cells(lines: Iterable[list[Any]]) -> Table:
    numbered = (
        (number, cells) for number, cells in enumerate(lines, 1) if any(_said(cell) for cell in cells)
    )
    heading = next(numbered, None)
    if heading is None:
        raise OrderInvalid("文件是空的，请重新选择。", field="file")
    names = [_said(cell).strip() for cell in heading[1]]
    fields = [_BY_HEADING.get(name.casefold()) for name in names]
    if "question" not in fields:
        raise OrderInvalid(
            f"第 {heading[0]} 行应为表头，且须有“{HEADINGS['question']}”一列；模板见 hotline knowledge template。",
            field="file",
        )
    double = [name for name, each in zip(names, fields, strict=True) if each and fields.count(each) > 1]
    if double:
        raise OrderInvalid(f"表头重复：{'、'.join(dict.fromkeys(double))}。", field="file")
    rows: list[Row] = []
    for number, cells in numbered:
        rows.append(Row(number, {f: _said(c) for f, c in zip(fields, cells, strict=False) if f}))
        _check_count(rows)
    unknown = [name for name, each in zip(names, fields, strict=True) if name and each is None]
    return Table(rows, frozenset(filter(None, fields)), [name for name in unknown if name not in _OURS])


_OURS: Final = ("知识编号",)


def _check_count(rows: Sequence[Row]) -> None:
    if len(rows) > MOST_ROWS:
        raise LimitExceeded(f"一次最多导入 {MOST_ROWS} 行。", field="file")


def _said(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime) and cell.time() == datetime.min.time():
        return cell.date().isoformat()
    return str(cell)


# --- values ------------------------------------------------------------------------------------------------------------


def split_list(cell: Any) -> list[str]:
    """A cell's several values: one a line, or where there is one line only, divided by semicolons."""
    if isinstance(cell, list):
        return [str(each) for each in cell]
    parts = cell.split("\n") if "\n" in cell else re.split("[；;]", cell)
    return [part.strip() for part in parts if part.strip()]


def join_list(values: Sequence[str]) -> str:
    """Several values in one cell, so that `split_list` finds the same again."""
    joined = "\n".join(values)
    return joined + "\n" if len(values) == 1 and re.search("[；;]", joined) else joined


def read_day(text: str) -> date | None:
    """A day as people write it (`2026-10-15`, `2026/10/15`, `2026年10月15日`, `20261015`), None if it can't be read."""
    match = re.fullmatch(r"(\d{4})[-/.年]?(\d{1,2})[-/.月]?(\d{1,2})日?", text.strip())
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


# --- writing -----------------------------------------------------------------------------------------------------------

_RISKY: Final = ("=", "+", "-", "@", "\t", "\r", "'")


def guarded(cell: str) -> str:
    """A CSV cell that a spreadsheet program does not take for a formula: an apostrophe before it, which reading takes off again."""
    return "'" + cell if cell.startswith(_RISKY) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_RISKY) else cell


def write_csv(rows: Iterable[Sequence[str]]) -> bytes:
    """Rows as CSV in UTF-8 with a mark, so that spreadsheet programs read Chinese."""
    target = io.StringIO(newline="")
    writer = csv.writer(target, lineterminator="\r\n")
    for row in rows:
        writer.writerow([guarded(cell) for cell in row])
    return b"\xef\xbb\xbf" + target.getvalue().encode()


MOST_IN_A_CELL: Final = 32_767


def write_excel(rows: Iterable[Sequence[str]]) -> bytes:
    """Rows as an Excel workbook, every cell as text. Raises `LimitExceeded` for a text no cell can hold."""
    import xlsxwriter  # type: ignore[import-untyped]

    target = io.BytesIO()
    with xlsxwriter.Workbook(target, {"constant_memory": True}) as workbook:
        sheet = workbook.add_worksheet("知识")
        sheet.freeze_panes(1, 0)
        bold = workbook.add_format({"bold": True})
        for number, row in enumerate(rows):
            for place, cell in enumerate(row):
                if len(cell) > MOST_IN_A_CELL:
                    raise LimitExceeded(
                        f"第 {number + 1} 行有超过 {MOST_IN_A_CELL} 字的内容，Excel 放不下；请改用 CSV 或 JSONL。",
                        field="format",
                    )
                if cell:
                    sheet.write_string(number, place, cell, bold if number == 0 else None)
    return target.getvalue()
