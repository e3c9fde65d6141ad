"""What the database is asked: migrations, its clock, the calendar, the ticker, tickets without an owner or a running clock,
files, and what waits to be sent or counted.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select, text
from sqlmodel import Session, col

from hotline import calendars
from hotline.health.findings import Finding, fault, fine, warning
from hotline.models import Attachment
from hotline.reporting import refresh
from hotline.storage import partitions
from hotline.storage.blobs import BlobStore
from hotline.storage.store import alembic_config
from workflow.deadlines import CHINA, local_day
from workflow.lifecycle import OPEN_STATES, WITH_UNITS
from workflow.vocabulary import State

_SHOWN: Final = 5
_FILES_AT_MOST: Final = 10_000
_LATE: Final = timedelta(minutes=2)
_UNDELIVERED: Final = timedelta(hours=1)
_SKEW: Final = timedelta(seconds=2)
_NEXT_YEARS_NOTICE: Final = 12
"""The month by which next year's notice is published: in practice late October or November."""

CLOCKED: Final = OPEN_STATES - {State.DISSATISFIED}
"""Open states in which some period always runs; after a dissatisfied callback the law sets none before the next decision."""

OWNED: Final = frozenset({*WITH_UNITS, State.RETURN_PROPOSED, State.SUPPLEMENTING, State.REDOING})
"""States in which a unit owes something."""


def look(session: Session, blobs: BlobStore, url: str, clock: Callable[[], datetime]) -> Iterator[Finding]:
    """Every check of the database; `clock` tells this machine's time (aware). Nothing is changed.

    Without the newest migration the rest is not looked at.
    """
    at = clock()
    migrated = _migrations(session, url)
    yield migrated
    yield _clock(session, clock, migrated=not migrated.advice)
    if migrated.advice:
        return
    yield _calendar(session, at)
    for check in _CHECKS:
        yield check(session, at)
    yield _files(session, blobs)


def _migrations(session: Session, url: str) -> Finding:
    from alembic.script import ScriptDirectory  # 9 MB a server process does not need

    check = "数据库版本"
    newest = ScriptDirectory.from_config(alembic_config(url)).get_current_head()
    there = session.execute(text("SELECT to_regclass('alembic_version') IS NOT NULL")).scalar_one()
    now = session.execute(text("SELECT version_num FROM alembic_version")).scalar() if there else None
    server = session.execute(text("SHOW server_version")).scalar_one()
    if now != newest:
        return fault(
            check,
            f"数据库结构为 {now or '空'}，程序需要 {newest}。",
            "先备份，再执行 hotline migrate（hotline serve 启动时也会迁移）。",
        )
    return fine(check, f"PostgreSQL {server}，结构 {now}")


def _clock(session: Session, clock: Callable[[], datetime], *, migrated: bool) -> Finding:
    """How far the database's time lies outside the moment it was asked in: a slow answer is no wrong clock."""
    check = "时钟"
    asked = clock()
    there: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    apart = max(asked - there, there - clock(), timedelta())
    told = f"本机与数据库相差 {apart.total_seconds():.1f} 秒"
    if apart > _SKEW:
        return fault(check, told, "在两台机器上启用时间同步（chrony），期限以秒计，差错会记入台账。")
    newest = session.execute(text(_NEWEST_TICKET)).scalar() if migrated else None
    if newest is not None and newest - clock() > _SKEW:
        return fault(
            check,
            f"最近一件工单登记于 {newest.astimezone(CHINA):%Y-%m-%d %H:%M:%S}（北京时间），晚于现在：时钟曾被拨快，或现在被拨慢。",
            "启用时间同步（chrony）并核对现在的时间；在此之前登记的工单，到那一刻才能继续办理。",
        )
    return fine(check, told)


_NEWEST_TICKET: Final = "SELECT created_at FROM tickets ORDER BY id DESC LIMIT 1"


def _calendar(session: Session, at: datetime) -> Finding:
    check = "工作日历"
    today = local_day(at)
    known, _ = calendars.read(session)
    waiting = _count(
        session, "SELECT count(*) FROM clocks WHERE provisional AND met_at IS NULL AND voided_at IS NULL"
    )
    how = "下载国务院办公厅的放假安排通知，写成 JSON 后用 hotline calendar load 文件 预览哪些期限会移动，再加 --yes 加载。"
    if today.year not in known:
        return fault(check, f"没有 {today.year} 年的放假安排，现行期限都是暂定的（{waiting} 项）。", how)
    if today.year + 1 not in known:
        told = f"还没有 {today.year + 1} 年的放假安排；{waiting} 项未完成的期限是暂定的。"
        return (
            warning(check, told, how) if waiting or today.month >= _NEXT_YEARS_NOTICE else fine(check, told)
        )
    return fine(check, f"已有 {min(known)} 至 {max(known)} 年的放假安排；{waiting} 项未完成的期限是暂定的")


def _ticker(session: Session, at: datetime) -> Finding:
    check = "到期检查"
    late = _count(
        session,
        "SELECT count(*) FROM clocks WHERE due_at < :since AND met_at IS NULL AND voided_at IS NULL AND lapsed_at IS NULL",
        since=at - _LATE,
    )
    if late:
        return fault(
            check,
            f"{late} 项时限已届满两分钟以上仍未记录：定时任务没有在运行，或跟不上。",
            "确认至少有一个 hotline serve 或 hotline schedule 在运行，并查看它的日志。",
        )
    return fine(check, "届满的时限均已记录")


def _clocked(session: Session, _at: datetime) -> Finding:
    return _tickets(
        session,
        "在办工单的时限",
        "项在办工单没有任何进行中的时限",
        """SELECT number FROM tickets t WHERE state = ANY(:states) AND NOT EXISTS
           (SELECT 1 FROM clocks c WHERE c.ticket_id = t.id AND c.met_at IS NULL AND c.voided_at IS NULL) ORDER BY id""",
        CLOCKED,
    )


def _owned(session: Session, _at: datetime) -> Finding:
    return _tickets(
        session,
        "在办工单的承办单位",
        "项应由单位办理的工单没有在办单位",
        """SELECT number FROM tickets t WHERE state = ANY(:states) AND NOT EXISTS
           (SELECT 1 FROM assignments a WHERE a.ticket_id = t.id AND a.status IN ('open', 'return_proposed', 'replied')) ORDER BY id""",
        OWNED,
    )


def _whole(session: Session, _at: datetime) -> Finding:
    return _tickets(
        session,
        "办理动作的完整",
        "件工单与其台账的末条不符",
        """SELECT number FROM tickets t LEFT JOIN ledger l ON l.ticket_id = t.id AND l.seq = t.ledger_seq
           WHERE l.hash IS DISTINCT FROM t.ledger_head OR l.to_state IS DISTINCT FROM t.state
              OR EXISTS (SELECT 1 FROM ledger m WHERE m.ticket_id = t.id AND m.seq = t.ledger_seq + 1) ORDER BY t.id""",
        frozenset(),
    )


def _tickets(session: Session, check: str, wrong: str, query: str, states: frozenset[State]) -> Finding:
    """A fault that names the first few of the tickets found; none is wanted."""
    values = {"states": sorted(states)} if states else {}
    found = session.execute(text(query), values).scalars().all()
    if not found:
        return fine(check, "无异常")
    named = "、".join(found[:_SHOWN]) + ("等" if len(found) > _SHOWN else "")
    return fault(
        check,
        f"{len(found)} {wrong}：{named}。",
        "执行 hotline verify 核对台账，用 hotline ticket show 编号 查看经过；不要直接改库，保留现场并从备份核对。",
    )


def _deliveries(session: Session, at: datetime) -> Finding:
    check = "事件投递"
    waiting = _count(
        session,
        "SELECT count(*) FROM deliveries d JOIN subscriptions s ON s.id = d.subscription_id"
        " WHERE d.state = 'waiting' AND s.state = 'active' AND d.created_at < :since",
        since=at - _UNDELIVERED,
    )
    dead = _count(
        session,
        "SELECT count(*) FROM deliveries WHERE state = 'dead' AND settled_at > :since",
        since=at - timedelta(days=7),
    )
    unplaced = _count(
        session,
        "SELECT count(*) FROM outbox WHERE position IS NULL AND occurred_at < :since",
        since=at - _UNDELIVERED,
    )
    if unplaced:
        return fault(
            check,
            f"{unplaced} 个事件一小时以上未排入投递。",
            "确认 hotline serve 或 hotline deliver 在运行。",
        )
    if waiting or dead:
        return warning(
            check,
            f"{waiting} 次投递等待一小时以上；近七日 {dead} 次投递失败。",
            "用 hotline delivery list --state dead 查看原因，对方恢复后用 hotline delivery replay 重发。",
        )
    return fine(check, "没有积压，近七日没有失败")


def _notices(session: Session, at: datetime) -> Finding:
    check = "短信和邮件"
    failed = _count(
        session,
        "SELECT count(*) FROM notifications WHERE state IN ('failed', 'given_up') AND created_at > :since",
        since=at - timedelta(days=7),
    )
    if failed:
        return warning(
            check, f"近七日 {failed} 条未能送达。", "用 hotline notify list 查看原因，更正联系方式后重发。"
        )
    return fine(check, "近七日没有失败")


def _partitions(session: Session, at: datetime) -> Finding:
    check = "分区"
    how = "确认 hotline serve 或 hotline schedule 在运行，定时任务每小时补建；用 hotline partitions 查看。"
    fallen = [cut.table for cut in partitions.CUTS if partitions.has_rest(session, cut)]
    if fallen:
        return warning(check, f"{'、'.join(fallen)} 有记录落在备用分区。", how)
    missing = [cut.table for cut in partitions.CUTS if not partitions.is_ready(session, cut, at)]
    if missing:
        return warning(check, f"{'、'.join(missing)} 还没有下个月的分区。", how)
    return fine(check, "下个月的分区已备好")


def _figures(session: Session, _at: datetime) -> Finding:
    check = "统计"
    try:
        behind = refresh.behind(session)
    except refresh.StillCounting as still:
        return warning(check, str(still), "定时任务会接着汇总；也可执行 hotline reports rebuild。")
    if behind > 10_000:
        return warning(
            check, f"{behind} 个事件尚未计入统计。", "确认 hotline serve 或 hotline schedule 在运行。"
        )
    return fine(check, f"{behind} 个事件待计入")


def _files(session: Session, blobs: BlobStore) -> Finding:
    check = "附件"
    kept = select(col(Attachment.sha256)).where(col(Attachment.destroyed_at).is_(None))
    newest = session.execute(kept.order_by(col(Attachment.id).desc()).limit(_FILES_AT_MOST)).scalars().all()
    lost = sum(not blobs.holds(sha256) for sha256 in set(newest))
    if lost:
        return fault(
            check,
            f"最近 {len(newest)} 个附件中有 {lost} 个文件不在 {blobs.folder}。",
            "从备份恢复附件目录；多台服务器须共用同一目录。",
        )
    total = session.execute(select(func.count()).select_from(kept.subquery())).scalar_one()
    return fine(check, f"共 {total} 个附件，最近 {len(newest)} 个的文件都在")


def _count(session: Session, query: str, **values: Any) -> int:
    return int(session.execute(text(query), values).scalar_one())


_CHECKS: Final[tuple[Callable[[Session, datetime], Finding], ...]] = (
    _ticker,
    _clocked,
    _owned,
    _whole,
    _deliveries,
    _notices,
    _figures,
    _partitions,
)
