"""What `hotline doctor` does: looks at the machine and at the database, and says what to do."""

from collections.abc import Iterator
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from api import operations_audit
from api.operations import database_url, now
from hotline.health import machine, replication, standing
from hotline.health.findings import Finding, Level, fault, fine
from hotline.settings import Settings, load_settings
from hotline.storage.blobs import BlobStore
from hotline.storage.store import make_engine
from workflow.errors import RuleBroken

_MARKS: Final = {Level.FINE: "正常", Level.WARNING: "注意", Level.FAULT: "故障"}


def look(*, chains: bool, progress: bool) -> tuple[dict[str, Any], str]:
    """Every finding as data and as text; with `chains`, every ledger and audit chain is proved too, which takes its time."""
    found = list(_all(chains=chains, progress=progress))
    worst = {level: sum(one.level is level for one in found) for level in Level}
    data = {
        "sound": worst[Level.FAULT] == 0,
        "findings": [
            {"check": one.check, "level": one.level.value, "told": one.told, "advice": one.advice}
            for one in found
        ],
    }
    lines = [_line(one) for one in found]
    lines.append(f"共 {len(found)} 项：{worst[Level.FAULT]} 项故障，{worst[Level.WARNING]} 项注意。")
    return data, "\n".join(lines)


def _line(one: Finding) -> str:
    advice = f"\n        → {one.advice}" if one.advice else ""
    return f"[{_MARKS[one.level]}] {one.check}：{one.told}{advice}"


def _all(*, chains: bool, progress: bool) -> Iterator[Finding]:
    try:
        settings = load_settings()
    except ValidationError as wrong:
        for error in wrong.errors(include_input=False, include_url=False):
            name = "HOTLINE_" + "_".join(str(part) for part in error["loc"]).upper()
            yield fault("配置", f"{name}：{error['msg']}", "更正该环境变量后重试。")
        return
    yield from machine.look(settings)
    yield from _database(settings)
    if chains:
        yield _chains(progress=progress)


def _database(settings: Settings) -> Iterator[Finding]:
    try:
        url = database_url(settings)
        engine = make_engine(url, pool_size=1)
        with Session(engine) as session:
            session.connection(execution_options={"postgresql_readonly": True})
            blobs = BlobStore(settings.data_dir / "blobs", settings.attachment_max_bytes)
            yield from standing.look(session, blobs, url, now)
            yield from replication.look(session, settings)
        engine.dispose()
    except (SQLAlchemyError, RuleBroken, OSError) as error:
        yield fault(
            "数据库",
            f"无法使用数据库（{type(error).__name__}）。",
            "确认 PostgreSQL 在运行、HOTLINE_DATABASE_URL 正确、磁盘未满；内置数据库的日志在数据目录的 postgres 文件夹中。",
        )


def _chains(*, progress: bool) -> Finding:
    check = "台账和审计的哈希链"
    data, _ = operations_audit.verify(None, [], audits=True, progress=progress)
    if data["breaks"]:
        return fault(
            check,
            f"{len(data['breaks'])} 处与哈希链不符。",
            "执行 hotline verify 和 hotline audit verify 逐处查看；保留现场，从备份核对是谁在何时改动。",
        )
    return fine(
        check,
        f"{data['tickets']} 个工单的 {data['ledger_entries']} 条台账、{data['audit_entries']} 条审计记录完整",
    )
