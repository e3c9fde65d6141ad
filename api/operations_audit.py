"""What `hotline audit` and `hotline recordings` do: prove the chains, sign and hand out daily heads, list what is kept and destroyed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select
from sqlmodel import Session, col

from api.operations import database_url, now
from hotline import recordings
from hotline.auditing import daily_heads
from hotline.auditing.proof import Report, Tell, prove
from hotline.auditing.signing import Signer
from hotline.office import open_office
from hotline.organisation import Platform
from hotline.settings import Settings, load_settings
from hotline.storage.store import make_engine
from workflow.deadlines import local_day
from workflow.errors import NotFound, OrderInvalid
from workflow.vocabulary import Retention


@contextmanager
def _engine(settings: Settings) -> Iterator[Engine]:
    engine = make_engine(database_url(settings), pool_size=2)
    try:
        yield engine
    finally:
        engine.dispose()


def _signer(settings: Settings) -> Signer:
    return Signer(settings.signing_key_file or settings.data_dir / "signing.key")


def verify(head: Path | None, keys: list[str], *, audits: bool, progress: bool) -> tuple[dict[str, Any], str]:
    """Prove every chain, and the heads kept in `head`; every flaw as data and as text. `keys` are public keys in hex.

    Heads must be signed with one of them, or with this installation's own; where there is neither, with any that fits.
    """
    settings = load_settings()
    kept = daily_heads.from_text(head.read_text("utf-8")) if head is not None else []
    known = [_key(key) for key in keys]
    signer = _signer(settings)
    if not known and signer.path.exists():
        known = [signer.public_key()]
    with _engine(settings) as engine, _telling(shown=progress) as tell:
        report = prove(engine, kept=kept, keys=known, audits=audits, tell=tell)
    return _data(report), _text(report, audits=audits, known=bool(known))


def _key(written: str) -> bytes:
    try:
        key = bytes.fromhex(written)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise OrderInvalid("公钥应为 64 位十六进制数，如 hotline audit key 所示。", field="key")
    return key


def _data(report: Report) -> dict[str, Any]:
    flaws = [
        {
            "chain": flaw.chain,
            "fault": flaw.fault.value,
            "platform": flaw.platform,
            "day": flaw.day,
            "number": flaw.number,
            "seq": flaw.seq,
            "what": flaw.what,
        }
        for flaw in report.flaws
    ]
    counts = {name: getattr(report, name) for name in ("audit_entries", "ledger_entries", "tickets", "heads")}
    return counts | {"breaks": flaws}


def _text(report: Report, *, audits: bool, known: bool) -> str:
    if report.flaws:
        return "\n".join([f"发现 {len(report.flaws)} 处异常：", *(f"  {flaw}" for flaw in report.flaws)])
    if not audits:
        return f"{report.tickets} 个工单的台账完整。"
    lines = [
        f"审计记录 {report.audit_entries} 条、{report.tickets} 个工单的台账 {report.ledger_entries} 条完整，"
        f"与 {report.heads} 个签名日头相符。"
    ]
    if report.heads and not known:
        lines.append("本机没有签名密钥，也没有以 --key 指明公钥：只核对了签名与内容相符，未核对由谁签名。")
    return "\n".join(lines)


@contextmanager
def _telling(*, shown: bool) -> Iterator[Tell]:
    if not shown:
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("核对"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("核对", total=None)
        tell: Callable[[int, int], None] = lambda done, total: bar.update(task, completed=done, total=total)  # noqa: E731
        yield tell


def head(day: date | None, platform: str | None, output: Path) -> tuple[dict[str, Any], str]:
    """Sign what is over and not yet signed, and write the heads to `output`. Raises `NotFound` where there are none."""
    settings = load_settings()
    with _engine(settings) as engine, Session(engine) as session:
        office = open_office(settings)
        while daily_heads.sign_days(session, office, now()):
            session.commit()
        session.commit()
        platform_id = None if platform is None else _platform(session, platform)
        heads = list(daily_heads.stored(session, day=day, platform_id=platform_id))
    if not heads:
        raise NotFound("没有符合条件的日头；每日的日头在次日零时三十分后签名。")
    output.write_text(daily_heads.to_text(heads), "utf-8")
    days = sorted({each.day for each in heads})
    told = f"已写入 {output}：{len(heads)} 个日头，{days[0]} 至 {days[-1]}。请保存在本系统之外。"
    return {"output": str(output), "heads": len(heads), "from": days[0], "to": days[-1]}, told


def _platform(session: Session, code: str) -> int:
    found = session.execute(select(col(Platform.id)).where(col(Platform.code) == code)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"没有代码为 {code} 的平台。", field="platform")
    return int(found)


def public_key() -> str:
    """The public key that daily heads are signed with, in hex; the key is made on first use."""
    return _signer(load_settings()).public_key().hex()


def list_recordings(standing: Retention | None) -> tuple[list[dict[str, Any]], str]:
    """Recordings and where each stands."""
    settings = load_settings()
    rows: list[dict[str, Any]] = []
    with _engine(settings) as engine, Session(engine) as session:
        after = 0
        while found := recordings.listed(session, None, now(), standing=standing, after=after, limit=500):
            after = found[-1].file.id
            rows += [_recording(kept) for kept in found]
    if not rows:
        return rows, "没有符合条件的录音。"
    lines = [
        f"{r['ticket']}  第 {r['id']} 号  {r['label']}"
        + (f"  保存至 {r['retain_until']}" if r["retain_until"] else "  工单尚未归档")
        + (f"  {local_day(r['destroyed_at'])} 销毁" if r["destroyed_at"] else "")
        for r in rows
    ]
    return rows, "\n".join([*lines, f"共 {len(rows)} 份。"])


def _recording(kept: recordings.Kept) -> dict[str, Any]:
    names = ("id", "size", "sha256", "recorded_at", "retain_until", "held", "destroyed_at")
    told = {name: getattr(kept.file, name) for name in names}
    return {"ticket": kept.number, "standing": kept.standing.value, "label": kept.standing.label} | told
