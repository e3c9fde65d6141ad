"""What the commands about knowledge do."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy import Engine, select
from sqlmodel import Session, col

from api.operations import now, prepare
from hotline.access import Actor
from hotline.case import Desk, Office
from hotline.exchange import outbox
from hotline.office import open_office
from hotline.organisation import Person, Platform
from hotline.people import accounts
from hotline.settings import load_settings
from hotline.storage.store import make_engine
from knowledge_base import exporting, importing, peers, syncing
from knowledge_base.articles import CHECKERS
from knowledge_base.importing import STATUS_LABELS, Report, RowReport
from knowledge_base.models import Peer
from knowledge_base.tables import guarded
from workflow.errors import NotFound, OrderInvalid, RuleBroken
from workflow.vocabulary import Role


class SyncFailed(RuleBroken):
    """The other engine could not be read."""

    code = "sync_failed"


@contextmanager
def _office() -> Iterator[tuple[Engine, Office]]:
    settings = load_settings()
    engine = make_engine(prepare(settings), pool_size=2)
    try:
        yield engine, open_office(settings)
    finally:
        engine.dispose()


def _operator(platform: Platform | None = None) -> Actor:
    return Actor(
        "system", None, "命令行", frozenset({Role.EDITOR}), platform.id if platform is not None else None
    )


def template(output: Path) -> None:
    """Write the empty table."""
    output.write_bytes(exporting.template("xlsx" if output.suffix.lower() == ".xlsx" else "csv"))


# --- in and out --------------------------------------------------------------------------------------------------------


def import_file(
    file: Path,
    platform: str,
    *,
    preview: bool,
    skip_bad: bool,
    publish: str | None,
    report: Path | None,
    bar: bool,
) -> tuple[Any, str, bool]:
    """Check and import a file: the report as data and as text, and whether no row was bad."""
    table = importing.read_rows(file.read_bytes())
    with (
        _office() as (engine, _),
        Session(engine, expire_on_commit=False) as session,
        _progress("导入", shown=bar) as tell,
    ):
        home = peers.platform_of(session, platform)
        done = importing.import_rows(
            session,
            _operator(home),
            table,
            at=now(),
            preview=preview,
            skip_bad=skip_bad,
            publisher=_publisher(session, home, publish) if publish is not None else None,
            progress=tell,
        )
        session.commit()
    if report is not None:
        _write_report(report, done)
    return done.model_dump(mode="json"), _report_text(done, preview=preview), done.bad == 0


def _publisher(session: Session, home: Platform, login: str) -> Actor:
    person = session.execute(select(Person).where(col(Person.login) == login)).scalar_one_or_none()
    if person is None or not person.active:
        raise NotFound(f"没有登录名为 {login} 的人员。")
    actor = accounts.actor_for(session, person)
    if actor.platform_id != home.id or not actor.roles & CHECKERS:
        raise OrderInvalid(
            f"{login} 不是平台 {home.code} 的知识库管理员或督办主管，不能核验发布。", field="publish"
        )
    return actor


_SHOWN = 20


def _report_text(report: Report, *, preview: bool) -> str:
    counts = "，".join(
        f"{label} {getattr(report, status)}"
        for status, label in STATUS_LABELS.items()
        if getattr(report, status)
    )
    lines = [f"共 {report.total} 行：{counts or '没有数据'}。"]
    if report.unknown_columns:
        lines.append(f"不认识的列（未导入）：{'、'.join(report.unknown_columns)}")
    bad = [row for row in report.rows if row.status == "bad"]
    for row in bad[:_SHOWN]:
        lines += [f"  第 {row.line} 行“{problem.column}”：{problem.reason}" for problem in row.problems]
    if len(bad) > _SHOWN:
        lines.append(f"  …… 另有 {len(bad) - _SHOWN} 行有误，详见 --report。")
    notes = sorted(report.notes.items(), key=lambda each: -each[1])
    lines += [f"  提示：{note}（{count} 行）" for note, count in notes[:5]]
    if len(notes) > 5:
        lines.append(f"  …… 另有 {len(notes) - 5} 种提示，详见 --report。")
    if report.imported:
        lines.append(_outcome(report))
    else:
        lines.append(
            "这是预览，没有导入。"
            if preview
            else "有误的行须先改正，没有导入任何一行；或加 --skip-bad 跳过。"
        )
    return "\n".join(lines)


def _outcome(report: Report) -> str:
    if report.new + report.changed == 0:
        return "没有需要导入的。"
    return f"已导入并发布 {report.published} 条。" if report.published else "已导入为草稿，须经核验发布。"


def _write_report(target: Path, report: Report) -> None:
    if target.suffix.lower() != ".csv":
        target.write_text(report.model_dump_json(indent=1), "utf-8")
        return
    with target.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["行", "事项编码", "标题", "结果", "知识编号", "列", "原因", "更新的字段", "提示"])
        for row in report.rows:
            for column, reason in [(p.column, p.reason) for p in row.problems] or [("", "")]:
                writer.writerow(_report_line(row, column, reason))


def _report_line(row: RowReport, column: str, reason: str) -> list[str]:
    said = [str(row.line), row.code or "", row.question or "", STATUS_LABELS[row.status], row.name or ""]
    return [guarded(cell) for cell in (*said, column, reason, "、".join(row.fields), "；".join(row.notes))]


def export(output: Path, platform: str | None, kind: str | None) -> int:
    """Write the published articles; how many bytes."""
    chosen = kind or output.suffix.lower().removeprefix(".")
    if chosen not in exporting.MEDIA_TYPES:
        raise OrderInvalid("请用 --format 指定 csv、xlsx 或 jsonl。", field="format")
    with _office() as (engine, _), Session(engine) as session:
        if platform is not None:
            peers.platform_of(session, platform)
        content = exporting.export(session, _operator(), chosen, platform=platform)
    output.write_bytes(content)
    return len(content)


# --- exchange ----------------------------------------------------------------------------------------------------------


def sync(source: str, token: str, platform: str | None, *, bar: bool) -> tuple[Any, str]:
    """Pull from another engine to the end of its feed."""
    with _office() as (engine, office), Session(engine, expire_on_commit=False) as session:
        home = peers.platform_of(session, platform) if platform else _root(session)
        peer = _source(session, office, home, source)
        console = Console(stderr=True)

        def tell(total: syncing.Taken, cursor: int) -> None:
            if bar:
                console.print(f"已到第 {cursor} 条变更：新版本 {total.new}", end="\r")

        try:
            taken = syncing.pull(session, office, peer, token, by=_operator(home), clock=now, progress=tell)
        except outbox.SendFailed as error:
            raise SyncFailed(
                f"未能从 {home.short_name} 取得知识：{error}；已取得的部分有效，可再次运行。"
            ) from None
    lines = [
        f"新版本 {taken.new}，状态变化 {taken.turned}，已有 {taken.known}，未接受 {len(taken.refused)}。"
    ]
    lines += [f"  {problem}" for problem in taken.refused[:_SHOWN]]
    return taken.model_dump() | {"platform": home.code}, "\n".join(lines)


def _root(session: Session) -> Platform:
    statement = select(Platform).where(col(Platform.parent_id).is_(None))
    roots: list[Platform] = list(session.execute(statement).scalars())
    if len(roots) != 1:
        raise OrderInvalid("请用 --platform 指定对方平台的代码。", field="platform")
    return roots[0]


def _source(session: Session, office: Office, home: Platform, url: str) -> Peer:
    """The peer we follow at this address, registered at its first use."""
    found: Peer | None = session.execute(
        select(Peer).where(col(Peer.platform_id) == home.id, col(Peer.pulls), col(Peer.url) == url)
    ).scalar_one_or_none()
    if found is not None:
        return found
    order = _peer_order(platform=home.code, name=home.short_name, url=url, pulls=True)
    peer, _ = peers.add(Desk(session, _operator(home), now(), office), order, anywhere=True)
    session.commit()
    return peer


def _peer_order(**given: Any) -> peers.PeerOrder:
    try:
        return peers.PeerOrder(**given)
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        words = {"url": "网址应以 http:// 或 https:// 开头", "platform": "平台代码为两位数字"}
        raise OrderInvalid(f"{words.get(field, field + ' 不符合要求')}。", field=field) from None


def peer_add(url: str, platform: str, name: str, secret: str | None, *, pulls: bool) -> dict[str, Any]:
    """Register a peer; its facts and the secret."""
    with _office() as (engine, office), Session(engine, expire_on_commit=False) as session:
        order = _peer_order(platform=platform, name=name, url=url, pulls=pulls, secret=secret)
        peer, made = peers.add(Desk(session, _operator(), now(), office), order, anywhere=True)
        session.commit()
        return peers.view(session, peer).model_dump(mode="json") | {"secret": made}


def peer_list() -> tuple[Any, str]:
    """Every peer and how the exchange stands."""
    with _office() as (engine, _), Session(engine) as session:
        views = [peers.view(session, peer) for peer in peers.listed(session, _operator())]
    lines = [
        f"{v.id}\t{v.platform}\t{'接收' if v.pulls else '推送'}\t{'启用' if v.active else '停用'}\t"
        f"{v.cursor}\t{v.name}\t{v.url}\t{v.last_problem or '正常'}"
        for v in views
    ]
    return [v.model_dump(mode="json") for v in views], "\n".join(lines) or "没有登记同步平台。"


def peer_switch(peer: int, *, active: bool) -> dict[str, Any]:
    """Serve a peer again, or no longer."""
    with _office() as (engine, _), Session(engine, expire_on_commit=False) as session:
        found = peers.switch(session, _operator(), peer, active=active)
        session.commit()
        return peers.view(session, found).model_dump(mode="json")


@contextmanager
def _progress(words: str, *, shown: bool) -> Iterator[Callable[[int, int], None] | None]:
    if not shown:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(words, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
