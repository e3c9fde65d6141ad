"""What is asked about more than one machine: whether the replica is fit to read reports from, and whether acts survive the primary."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import make_url, text
from sqlmodel import Session

from hotline.health.findings import Finding, fault, fine, warning
from hotline.settings import Settings
from hotline.storage.replica import Fitness, Standing, open_replica

_UNFIT: Final = {
    Fitness.UNREACHABLE: (
        "连接不上只读副本，统计暂由主库读取。",
        "检查 HOTLINE_REPLICA_URL、副本是否在运行以及网络；恢复后数秒内自动改回副本读取。",
    ),
    Fitness.NO_REPLICA: (
        "HOTLINE_REPLICA_URL 指向的不是只读副本，统计暂由主库读取。",
        "刚做过切换的，重建副本后把 HOTLINE_REPLICA_URL 指向它；见 docs/operations.md 的主备切换。",
    ),
    Fitness.STRANGER: (
        "HOTLINE_REPLICA_URL 指向另一套数据库的副本，统计暂由主库读取。",
        "更正 HOTLINE_REPLICA_URL，指向由本主库复制的副本。",
    ),
}


def look(session: Session, settings: Settings) -> Iterator[Finding]:
    """What concerns standbys, where the settings name any; `session` is one at the primary."""
    if settings.replica_url is not None:
        yield _replica(session, settings)
    if settings.replica_url is not None or _names_several(settings):
        yield _acknowledged(session)


def _names_several(settings: Settings) -> bool:
    if settings.database_url is None:
        return False
    hosts = make_url(settings.database_url).query.get("host", "")
    return not isinstance(hosts, str) or "," in hosts


def _replica(session: Session, settings: Settings) -> Finding:
    check = "只读副本"
    replica = open_replica(settings.replica_url, settings.replica_lag_seconds)
    assert replica is not None
    try:
        standing = replica.look(session.connection())
    finally:
        replica.close()
    if standing.fitness in _UNFIT:
        return warning(check, *_UNFIT[standing.fitness])
    return _behind(check, standing, settings.replica_lag_seconds)


def _behind(check: str, standing: Standing, most: float) -> Finding:
    seconds = f"{standing.behind.total_seconds():.1f} 秒" if standing.behind is not None else "未知时长"
    if standing.fitness is Fitness.LAGGING:
        return warning(
            check,
            f"副本落后主库 {seconds}，超过 {most:g} 秒，统计暂由主库读取。",
            "查看副本的磁盘、负载和网络，以及是否有长查询挡住回放；追上后自动改回副本读取。",
        )
    return fine(check, f"副本落后主库 {seconds}，统计由副本读取")


def _acknowledged(session: Session) -> Finding:
    """Whether an act is on a second machine before it is acknowledged."""
    check = "同步复制"
    standbys = session.execute(text("SHOW synchronous_standby_names")).scalar_one()
    waits = session.execute(text("SHOW synchronous_commit")).scalar_one()
    if not standbys or waits in ("off", "local"):
        return warning(
            check,
            f"办理动作不等备库收到即确认（synchronous_standby_names='{standbys}'，synchronous_commit={waits}）：主库损坏时可能丢失最后几秒。",
            "在主库设置 synchronous_standby_names 和 synchronous_commit=on 并重新加载配置；见 docs/operations.md。",
        )
    connected = session.execute(text("SELECT count(*) FROM pg_stat_replication")).scalar_one()
    if not connected:
        return fault(
            check,
            f"要求同步到 {standbys}，但没有备库连接：办理动作会一直等待，无法保存。",
            "尽快恢复备库；短时恢复不了的，在主库把 synchronous_standby_names 清空并重新加载配置，恢复后改回。",
        )
    return fine(check, f"办理动作写入备库后才确认（{standbys}，{connected} 个备库连接）")
