"""What `hotline partitions` does."""

from datetime import date
from typing import Any

from sqlmodel import Session

from api.operations import now, prepare
from hotline.settings import load_settings
from hotline.storage import partitions
from hotline.storage.store import make_engine
from workflow.errors import OrderInvalid

_MEGABYTE = 1024 * 1024


def listed() -> tuple[list[dict[str, Any]], str]:
    """Every partition as data and as a table."""
    engine = make_engine(prepare(load_settings()), pool_size=1)
    try:
        with Session(engine) as session:
            found = partitions.spans(session)
    finally:
        engine.dispose()
    data = [
        {
            "table": one.table,
            "name": one.name,
            "from": first,
            "until": last,
            "rows": one.rows,
            "bytes": one.size,
            "tablespace": one.tablespace,
            "cold_since": one.cold,
        }
        for one, first, last in found
    ]
    lines = [f"{'分区':<28}{'起':<12}{'止':<12}{'约行数':>10}{'MB':>10}  冷存"]
    lines += [
        f"{one.name:<30}{first or ''!s:<13}{last or ''!s:<13}{one.rows:>12}{one.size / _MEGABYTE:>10.1f}  {one.cold or ''}"
        for one, first, last in found
    ]
    return data, "\n".join(lines)


def cool(before: str, tablespace: str | None) -> tuple[list[dict[str, Any]], str]:
    """Put away what ends before the month `before` (YYYY-MM). Raises `OrderInvalid`."""
    try:
        month = date.fromisoformat(f"{before}-01")
    except ValueError:
        raise OrderInvalid("月份应写成 2024-01 的形式。", field="before") from None
    engine = make_engine(prepare(load_settings()), pool_size=1)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            looked = partitions.cool(connection, month, tablespace, now())
    finally:
        engine.dispose()
    data = [{"name": one.name, "cooled": one.refused is None, "reason": one.refused} for one in looked]
    lines = [f"{one.name}：{'已冷存' if one.refused is None else '未冷存，' + one.refused}" for one in looked]
    return data, "\n".join(lines) or "没有可以冷存的分区。"
