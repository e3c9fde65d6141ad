"""What the commands do that need a database or a server; the command line itself stays light to start."""

import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import uvicorn
from sqlalchemy import Engine, select
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col

from api import console, places, scheduler
from api import main as app_factory
from api.connections import Guarded
from api.quiet import keep_secrets_out, keep_tracebacks_quiet
from api.wiring import Runtime
from calendar_cn.arrangements import parse_arrangement
from hotline import calendars, ledger, notices, numbers, reference
from hotline.access import Actor
from hotline.models import Ticket
from hotline.office import open_office
from hotline.settings import Settings, load_settings
from hotline.storage import embedded
from hotline.storage.store import make_engine
from hotline.storage.store import migrate as migrate_database
from hotline.views import Reader
from knowledge_base import questions, recalls
from workflow.deadlines import CHINA
from workflow.errors import NotFound, OrderInvalid
from workflow.vocabulary import Act, Party, Role

log = logging.getLogger("hotline")


def now() -> datetime:
    """The one place the command line reads the time (aware UTC)."""
    return datetime.now(UTC)


def database_url(settings: Settings) -> str:
    """The database named by the settings, or the embedded one, found or started."""
    return settings.database_url or embedded.find_or_start(settings.data_dir)


@contextmanager
def _session(settings: Settings) -> Iterator[Session]:
    engine = make_engine(database_url(settings), pool_size=5)
    try:
        with Session(engine, expire_on_commit=False) as session:
            yield session
    finally:
        engine.dispose()


def prepare(settings: Settings) -> str:
    """The database, migrated and holding the reference data; returns its URL."""
    url = database_url(settings)
    migrate_database(url)
    engine: Engine = make_engine(url, pool_size=1)
    with Session(engine) as session:
        reference.load_shipped(session)
        session.commit()
    engine.dispose()
    return url


def configure_logging(settings: Settings) -> None:
    """Log to stderr at the configured level; request lines and library chatter are left out."""
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        keep_secrets_out(handler)
    keep_tracebacks_quiet()
    logging.getLogger("apscheduler.scheduler").setLevel(
        logging.ERROR
    )  # a run longer than its period is no news
    for name in ("apscheduler", "alembic", "uvicorn.access", "httpx", "transitions"):
        logging.getLogger(name).setLevel(logging.WARNING)


_DATABASE_WATCHED: Final = 1.0
"""Seconds between two looks whether the embedded database still runs, or whether one that is away has come back."""


def _keep_database(settings: Settings) -> None:
    """Where the database is the embedded one: start it again within seconds if it dies, as long as this process lives."""
    if settings.database_url is not None:
        return

    def watch() -> None:
        while True:
            time.sleep(_DATABASE_WATCHED)
            try:
                if embedded.restart_if_died(settings.data_dir):
                    log.warning("the embedded database had died and was started again")
            except (embedded.EmbeddedUnavailable, OSError) as error:
                log.warning("the embedded database has died and does not start: %s", error)

    threading.Thread(target=watch, name="embedded database", daemon=True).start()


def serve(
    host: str | None, port: int | None, workers: int, *, demo: bool, tick: bool, say: Callable[[str], None]
) -> None:
    """Bring up the database, then the API (and the ticker) until a signal ends it. A demo asks nobody for a second factor."""
    if demo:
        os.environ.setdefault("HOTLINE_SECOND_FACTOR", "offered")
        os.environ.setdefault("HOTLINE_NOTICES_RECORDED", "true")  # the demo's people have no phones
    settings = load_settings()
    configure_logging(settings)
    url = prepare(settings)
    address = host or settings.host
    at_port = settings.port if port is None else port
    if demo:
        from hotline.demo import driver  # with what it loads, tens of MB a worker never needs
        from knowledge_base import demo as demo_knowledge

        say(driver.logins_text(driver.ensure_demo(url, settings, now=now(), shelf=demo_knowledge.SHELF)))
    say(f"服务地址：http://{address}:{at_port}    接口说明：http://{address}:{at_port}/api/v1/openapi.json")
    if not console.is_there():
        say(f"本次安装不含网页工作台，原因见 http://{address}:{at_port}/console/")
    # uvicorn raises the signal again once it has shut down; without this, nothing registered with atexit would run
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _keep_database(settings)
    if workers == 1:
        app = app_factory.create_app(app_factory.make_runtime(settings, url), ticking=tick)
        uvicorn.run(app, host=address, port=at_port, **_server_options(settings))
        return
    with tempfile.TemporaryDirectory(prefix="hotline-metrics-") as counts:
        os.environ |= {
            "HOTLINE_DATABASE_URL": url,
            "HOTLINE_TICKING": "1" if tick else "0",
            _WORKERS: str(workers),
            "MALLOC_ARENA_MAX": os.environ.get(
                "MALLOC_ARENA_MAX", "2"
            ),  # glibc keeps memory apart for each of 60 threads otherwise
            "PROMETHEUS_MULTIPROC_DIR": counts,
        }
        uvicorn.run(
            "api.operations:app_of_worker",
            factory=True,
            workers=workers,
            host=address,
            port=at_port,
            **_server_options(settings),
        )


_WORKER_ANSWERS_WITHIN: Final = 30
"""Seconds after which a worker that gives its supervisor no sign is ended: on a machine that stalls, five (uvicorn's own) end one that works."""


def _server_options(settings: Settings) -> dict[str, Any]:
    """What every server process is started with: who is believed about the client's address, and what it tells of itself: nothing."""
    return {
        "http": Guarded,
        "ws": "none",
        "proxy_headers": True,
        "forwarded_allow_ips": settings.trusted_proxies,
        "server_header": False,
        "access_log": False,
        "log_config": None,
        "timeout_graceful_shutdown": settings.drain_seconds,
        "timeout_worker_healthcheck": _WORKER_ANSWERS_WITHIN,
    }


_WORKERS: Final = "HOTLINE_WORKERS"
"""The environment variable in which a worker finds how many there are."""


def app_of_worker() -> Any:
    """The app of one of several workers, on the database the parent prepared."""
    settings = load_settings()
    configure_logging(settings)
    places.keep_to_one(int(os.environ[_WORKERS]), Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
    assert settings.database_url is not None
    runtime = _runtime_of_worker(settings, settings.database_url)
    return app_factory.create_app(runtime, ticking=os.environ.get("HOTLINE_TICKING") == "1")


def _runtime_of_worker(settings: Settings, url: str) -> Runtime:
    """The worker's runtime, tried again every second while the database is away; SIGTERM and SIGINT end the process meanwhile.

    A worker that ended instead would be missed for as long as its supervisor waits for its sign, and be lost again after that.
    """
    heard = {
        number: signal.signal(number, lambda *_: sys.exit(0)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        while True:
            try:
                return app_factory.make_runtime(settings, url)
            except OperationalError as error:
                log.warning("a worker waits for the database: %s", type(error.orig).__name__)
                time.sleep(_DATABASE_WATCHED)
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)


def run_jobs_once() -> dict[str, int]:
    """Run every job until it finds nothing; how much each did."""
    settings = load_settings()
    configure_logging(settings)
    runtime = app_factory.make_runtime(settings, prepare(settings))
    try:
        return {job.name: scheduler.run(runtime, job) for job in scheduler.JOBS}
    finally:
        runtime.engine.dispose()


def schedule(say: Callable[[str], None]) -> None:
    """Tick until SIGINT or SIGTERM."""
    settings = load_settings()
    configure_logging(settings)
    runtime = app_factory.make_runtime(settings, prepare(settings))
    _keep_database(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    ticker = scheduler.start(runtime)
    notifier = app_factory.make_notifier(runtime).start()
    say("定时任务已启动，按 Ctrl-C 停止。")
    stop.wait()
    ticker.shutdown()
    notifier.stop()
    runtime.engine.dispose()


def migrate(revision: str) -> None:
    """Bring the database to `revision`; at head the reference data is loaded too."""
    settings = load_settings()
    if revision == "head":
        prepare(settings)
    else:
        migrate_database(database_url(settings), revision)


def fill_demo(tickets: int, seed: int, *, progress: bool) -> tuple[Any, str]:
    """Empty the database and fill it with the invented platform; the logins as data and as text."""
    from hotline.demo import driver
    from knowledge_base import demo as demo_knowledge

    settings = load_settings()
    configure_logging(settings)
    url = prepare(settings)
    logins = driver.reset_and_fill(
        url,
        settings,
        now=now(),
        tickets=tickets,
        seed=seed,
        progress=progress,
        shelf=demo_knowledge.SHELF,
        forgiving=True,
    )
    return logins, driver.logins_text(logins)


def read_text(file: Path) -> str:
    """A text file as people have them: UTF-8, with or without a mark, else GB 18030. Raises `OrderInvalid`."""
    content = file.read_bytes()
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise OrderInvalid(f"文件 {file.name} 既不是 UTF-8 也不是 GB 18030 编码的文本。", field="file")


def load_notice(file: Path, *, load: bool) -> tuple[dict[str, Any], str]:
    """Preview or load a year's notice: which open clocks move."""
    content = read_text(file)
    arrangement = parse_arrangement(content)
    settings = load_settings()
    operator = Actor("system", None, "命令行", frozenset({Role.ADMIN}))
    with _session(settings) as session:
        if load:
            office, at = open_office(settings), now()
            moved = notices.load_notice(session, office, arrangement, json.loads(content), by=operator, at=at)
            questions.move_due(session, office, at)
            session.commit()
        else:
            moved = notices.preview(session, arrangement, now())
    lines = [
        f"{arrangement.year} 年放假安排：{'已加载' if load else '预览'}，变动 {len(moved)} 个进行中的期限。"
    ]
    lines += [f"  {m.kind}  {m.from_due_on} → {m.to_due_on}" for m in moved[:50]]
    if not load:
        lines.append("确认后加 --yes 加载。")
    rows = [{name: getattr(m, name) for name in m.__slots__} for m in moved]
    return {"year": arrangement.year, "loaded": load, "moved": rows}, "\n".join(lines)


def import_reference(what: str, file: Path) -> int:
    """Import divisions or the category tree from CSV, all rows or none; how many rows."""
    content = read_text(file)
    settings = load_settings()
    migrate_database(database_url(settings))
    with _session(settings) as session:
        load = {"areas": reference.import_areas, "categories": reference.import_categories}[what]
        count = load(session, content)
        session.commit()
    return count


_SYSTEM_ACTS = {
    "lapse": "时限届满",
    "merged_in": "并入",
    "main_replied": "主单已反馈",
    "main_sent_back": "主单退回补办",
    "destroy_recording": "销毁录音",
    "calendar_move": "日历变动",
    "evaluated": "来电人评价",
    "appealed": "来电人异议",
    "excluded": "剔除",
    "exclusion_revoked": "撤销剔除",
    recalls.LISTED: "列入更正回访",
    recalls.SETTLED: "更正回访",
}


def show_ticket(number: str) -> tuple[dict[str, Any], str]:
    """A ticket's state, periods and history, without the caller's data, and whether its ledger is whole."""
    settings = load_settings()
    with _session(settings) as session:
        parsed = numbers.parse(number)
        ticket = session.execute(select(Ticket).where(col(Ticket.number) == parsed)).scalar_one_or_none()
        if ticket is None:
            raise NotFound(f"没有编号为 {numbers.spoken(parsed)} 的工单。")
        office = open_office(settings)
        office.calendars.at(session, calendars.newest_version(session))
        platforms = frozenset({ticket.platform_id})
        operator = Actor(
            "system", None, "cli", frozenset({Role.AUDITOR}), ticket.platform_id, None, platforms
        )
        reader = Reader(session, operator, office, now())
        view, entries = reader.whole(ticket), reader.timeline(ticket)
        breaks = ledger.verify(
            ticket.number, ticket.ledger_head, ticket.ledger_seq, ledger.entries_of(session, ticket.id)
        )
    lines = [f"{view.spoken}  {view.state.label}  {view.matter.label}  {view.title}"]
    lines += [f"  时限 {c.kind.label}：{c.due_on} 届满，{_clock_state(c)}" for c in view.clocks]
    lines += [
        f"  {e.effective_at.astimezone(CHINA):%Y-%m-%d %H:%M}  {_act_label(e.act)}  {e.actor}  → {e.to_state.label}"
        for e in entries
    ]
    lines.append(
        "  台账完整" if not breaks else "  台账异常：" + "；".join(f"第 {b.seq} 条{b.what}" for b in breaks)
    )
    data = {
        "ticket": view.model_dump(mode="json", exclude={"caller"}),
        "timeline": [e.model_dump(mode="json") for e in entries],
        "ledger_whole": not breaks,
    }
    return data, "\n".join(lines)


def _act_label(act: str) -> str:
    return _SYSTEM_ACTS.get(act) or Act(act).label


def _clock_state(clock: Any) -> str:
    if clock.voided_at is not None:
        return "已终止"
    if clock.met_at is not None:
        return "逾期完成" if clock.lapsed_at is not None else "按时完成"
    if clock.lapsed_at is not None:
        return "已逾期" if clock.duty or clock.party is Party.CITIZEN else "期限已过"
    return f"剩 {clock.working_days_left} 个工作日"


def stop_database() -> bool:
    """Stop the embedded database; whether it was running."""
    return embedded.stop(load_settings().data_dir)
