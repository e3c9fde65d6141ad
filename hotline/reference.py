"""Reference data: administrative divisions (行政区划) and the three-level category tree (诉求分类), shipped and importable."""

import csv
import io
from collections.abc import Iterable, Mapping, Set
from importlib.resources import files
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from hotline.organisation import Area, Category
from workflow.errors import OrderInvalid
from workflow.vocabulary import Level

_AREA_LEVELS = {
    "省": Level.PROVINCE,
    "市州": Level.PREFECTURE,
    "区县": Level.COUNTY,
    "县区": Level.COUNTY,
    "乡镇": Level.TOWN,
    "乡镇街道": Level.TOWN,
    "村社区": Level.VILLAGE,
} | {level.value: level for level in Level}


def area_prefix(code: str) -> str:
    """The leading digits of a division's code that all divisions below it share: 2, 4, 6, 9 or 12 of them."""
    padded = code.ljust(12, "0")
    return next(padded[:size] for size in (2, 4, 6, 9, 12) if not padded[size:].strip("0"))


def load_shipped(session: Session) -> None:
    """Fill areas and categories from the shipped files where the tables are empty. Safe to call at every start."""
    if session.execute(select(func.count()).select_from(Area)).scalar_one() == 0:
        import_areas(session, _shipped("divisions-qinghai.csv"))
    if session.execute(select(func.count()).select_from(Category)).scalar_one() == 0:
        import_categories(session, _shipped("categories.csv"))


def _shipped(name: str) -> str:
    return files("hotline").joinpath("data", name).read_text("utf-8-sig")


def import_areas(session: Session, text: str) -> int:
    """Import divisions from CSV (code, name, level, parent); existing codes are renamed. Returns how many rows.

    Raises `OrderInvalid` naming the row, and imports nothing, if any row is bad.
    """
    rows = []
    for line, row in _rows(text, ("code", "name", "level", "parent")):
        level = _AREA_LEVELS.get(row["level"])
        code = row["code"]
        if level is None or not (code.isdigit() and len(code) == 12):
            raise OrderInvalid(
                f"第 {line} 行：行政区划代码或层级无效（{code}，{row['level']}）。", field=f"row[{line}]"
            )
        rows.append({"code": code, "name": row["name"], "level": level, "parent_code": row["parent"] or None})
    known = {row["code"] for row in rows} | set(session.execute(select(col(Area.code))).scalars())
    _check_parents(rows, known)
    _upsert(session, Area, rows)
    return len(rows)


def import_categories(session: Session, text: str) -> int:
    """Import the category tree from CSV (code, parent, level, name), two digits a level. Returns how many rows.

    Raises `OrderInvalid` naming the row, and imports nothing, if any row is bad.
    """
    rows: list[dict[str, Any]] = []
    for line, row in _rows(text, ("code", "parent", "level", "name")):
        code, parent, level = row["code"], row["parent"], row["level"]
        fits = (
            level in ("1", "2", "3")
            and code.isdigit()
            and len(code) == 2 * int(level)
            and parent == code[:-2]
        )
        if not fits:
            raise OrderInvalid(f"第 {line} 行：分类代码 {code} 与层级、上级不符。", field=f"row[{line}]")
        rows.append(
            {
                "code": code,
                "name": row["name"],
                "level": int(level),
                "parent_code": parent or None,
                "active": True,
            }
        )
    known = {row["code"] for row in rows} | set(session.execute(select(col(Category.code))).scalars())
    _check_parents(rows, known)
    _upsert(session, Category, rows)
    return len(rows)


def _rows(text: str, columns: tuple[str, ...]) -> Iterable[tuple[int, Mapping[str, str]]]:
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in columns if name not in (reader.fieldnames or [])]
    if missing:
        raise OrderInvalid(f"缺少列：{'、'.join(missing)}。", field="header")
    seen: set[str] = set()
    for line, row in enumerate(reader, start=2):
        clean = {name: (row[name] or "").strip() for name in columns}
        if not clean["name"]:
            raise OrderInvalid(f"第 {line} 行：名称为空。", field=f"row[{line}]")
        if clean["code"] in seen:
            raise OrderInvalid(f"第 {line} 行：代码 {clean['code']} 重复。", field=f"row[{line}]")
        seen.add(clean["code"])
        yield line, clean


def _check_parents(rows: Iterable[Mapping[str, Any]], known: Set[Any]) -> None:
    for row in rows:
        if row["parent_code"] is not None and row["parent_code"] not in known:
            raise OrderInvalid(f"代码 {row['code']} 的上级 {row['parent_code']} 不存在。", field="parent")


def _upsert(session: Session, table: type[Area] | type[Category], rows: list[dict[str, Any]]) -> None:
    statement = insert(table)
    changed = {name: statement.excluded[name] for name in ("name", "level", "parent_code")}
    session.execute(statement.on_conflict_do_update(index_elements=["code"], set_=changed), rows)
