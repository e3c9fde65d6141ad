"""`hotline`: run the server and the ticker, migrate, demo data, and ask about dates, tickets and ledgers.

Commands about dates need neither database nor server and start at once; the others load `api.operations` when they run.
"""

import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from api import (
    cli_assessment,
    cli_audit,
    cli_calls,
    cli_doctor,
    cli_exchange,
    cli_keys,
    cli_knowledge,
    cli_notify,
    cli_partitions,
    cli_people,
    cli_reports,
)
from api.cli_output import AsJson, say
from calendar_cn.arrangements import ArrangementInvalid
from calendar_cn.working_days import CalendarRange, WorkCalendar
from workflow.certificate import certify
from workflow.deadlines import CHINA, local_day
from workflow.errors import RuleBroken
from workflow.statute import load as load_pack
from workflow.vocabulary import Act, ClockKind, Matter

app = typer.Typer(
    name="hotline",
    help="12345 政务服务便民热线工单引擎。数据库：HOTLINE_DATABASE_URL，缺省自动启动内置 PostgreSQL。",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
calendar_app = typer.Typer(help="工作日日历：推算、查看、加载放假安排。", no_args_is_help=True)
ticket_app = typer.Typer(help="查看工单。", no_args_is_help=True)
db_app = typer.Typer(help="内置数据库。", no_args_is_help=True)
import_app = typer.Typer(help="导入行政区划、诉求分类。", no_args_is_help=True)
app.add_typer(import_app, name="import")
app.add_typer(calendar_app, name="calendar")
app.add_typer(ticket_app, name="ticket")
app.add_typer(cli_people.user_app, name="user")
app.add_typer(cli_people.client_app, name="client")
app.add_typer(cli_people.token_app, name="token")
app.add_typer(cli_people.platform_app, name="platform")
app.add_typer(db_app, name="db")
app.add_typer(cli_audit.audit_app, name="audit")
cli_exchange.install(app)
app.command("recordings")(cli_audit.recordings)
app.command("call")(cli_calls.call)
app.add_typer(cli_keys.keys_app, name="keys")
app.add_typer(cli_knowledge.knowledge_app, name="knowledge")
app.add_typer(cli_reports.reports_app, name="reports")
app.command("hotspots")(cli_assessment.hotspots)
app.add_typer(cli_assessment.assessment_app, name="assessment")
app.add_typer(cli_notify.notify_app, name="notify")
app.add_typer(cli_partitions.partitions_app, name="partitions")
app.command("conceal")(cli_keys.conceal)
app.command("doctor")(cli_doctor.doctor)
app.command("subject-report")(cli_keys.subject_report)


def main() -> None:
    """The console script: failures a person can mend are told in one line, without a traceback."""
    try:
        app()
    except RuleBroken as error:
        _fail(error.message)
    except (ArrangementInvalid, CalendarRange) as error:
        _fail(str(error))
    except ValidationError as error:
        _fail(
            "设置无效：" + "；".join(f"HOTLINE_{str(e['loc'][0]).upper()} {e['msg']}" for e in error.errors())
        )
    except Exception as error:
        _fail_if_unavailable(error)
        raise


def _fail_if_unavailable(error: Exception) -> None:
    from sqlalchemy.exc import OperationalError

    from hotline.storage.embedded import EmbeddedUnavailable

    if isinstance(error, EmbeddedUnavailable):
        _fail(str(error))
    if isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", None) is None:
        _fail("数据库无法连接，请检查 HOTLINE_DATABASE_URL 或数据库是否在运行。")


def _fail(message: str) -> None:
    typer.echo(f"错误：{message}", err=True)
    sys.exit(1)


# --- running ---------------------------------------------------------------------------------------------------------


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="监听地址，缺省 HOTLINE_HOST 或 127.0.0.1。")] = None,
    port: Annotated[int | None, typer.Option(help="监听端口，缺省 HOTLINE_PORT 或 12345。")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="进程数。")] = 1,
    demo: Annotated[
        bool, typer.Option("--demo", help="数据库为空时先填入虚构的演示数据，并打印登录令牌。")
    ] = False,
    tick: Annotated[bool, typer.Option("--tick/--no-tick", help="同时运行到期检查。")] = True,
) -> None:
    """启动服务：数据库就绪、迁移、接口与到期检查。"""
    from api import operations

    operations.serve(host, port, workers, demo=demo, tick=tick, say=typer.echo)


@app.command()
def schedule(
    once: Annotated[bool, typer.Option("--once", help="各项检查只运行一遍，然后退出。")] = False,
    as_json: AsJson = False,
) -> None:
    """只运行到期检查、提醒等定时任务；可同时运行多个。"""
    from api import operations

    if once:
        done = operations.run_jobs_once()
        say(as_json, done, "\n".join(f"{name}\t{count}" for name, count in done.items()))
    else:
        operations.schedule(typer.echo)


@app.command()
def migrate(
    revision: Annotated[str, typer.Argument(help="目标版本，缺省为最新。")] = "head", as_json: AsJson = False
) -> None:
    """把数据库迁移到指定版本，并载入行政区划和诉求分类。"""
    from api import operations

    operations.migrate(revision)
    say(as_json, {"revision": revision}, f"数据库已迁移到 {revision}。")


@app.command()
def demo(
    tickets: Annotated[int, typer.Option(min=1, max=1_000_000, help="工单数。")] = 5000,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="不再询问：清空现有数据。")] = False,
    seed: Annotated[int, typer.Option(help="随机种子，同一种子得到同样的数据。")] = 12345,
    as_json: AsJson = False,
) -> None:
    """清空数据库并填入虚构的演示平台：1 个省平台、8 个市州平台，过去半年的工单逐个办理而成。"""
    from api import operations

    if not yes:
        typer.confirm("将清空数据库中的全部数据，确定吗？", abort=True)
    say(as_json, *operations.fill_demo(tickets, seed, progress=not as_json))


# --- dates -----------------------------------------------------------------------------------------------------------


@app.command()
def due(
    matter: Annotated[Matter, typer.Option(help="诉求性质。")],
    dispatched: Annotated[str, typer.Option(help="派单时间，须带时区，如 2026-02-13T10:00+08:00。")],
    complex_: Annotated[bool, typer.Option("--complex", help="按复杂事项（咨询、求助类）。")] = False,
    explain: Annotated[bool, typer.Option("--explain/--no-explain", help="逐日说明。")] = True,
    pack: Annotated[str, typer.Option(help="规则包。")] = "qinghai-2022",
    as_json: AsJson = False,
) -> None:
    """推算承办单位的答复期限，逐日说明。不需要数据库。"""
    at = _instant(dispatched)
    statute = load_pack(pack)
    limit = statute.limit(ClockKind.REPLY, local_day(at), matter, complex_=complex_)
    proof = certify(limit, statute, WorkCalendar(), opened_by=Act.DISPATCH.label, opened_at=at)
    text = f"{proof.due_on}" + (f"\n{proof.as_text()}" if explain else "")
    say(as_json, proof.as_data(), text)


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"时间 {text} 无法识别，写法如 2026-02-13T10:00+08:00") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=CHINA)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"日期 {text} 无法识别，写法如 2026-02-13") from None


@calendar_app.command("add")
def calendar_add(
    day: Annotated[str, typer.Argument(help="起算日，当日不计入。")],
    n: Annotated[int, typer.Argument(min=0, max=10_000, help="工作日数。")],
    explain: Annotated[bool, typer.Option("--explain", help="逐日说明。")] = False,
    as_json: AsJson = False,
) -> None:
    """某日之后第 N 个工作日。不需要数据库。"""
    explained = WorkCalendar().explain(_day(day), n)
    lines = [f"{explained.due_on}" + ("（暂定）" if explained.provisional else "")]
    if explain:
        lines += [
            f"  {d.date} {d.weekday_cn}  {f'第 {d.index} 个工作日' if d.counted else '不计'}  {d.reason}"
            for d in explained.days
        ]
    data = {"due_on": explained.due_on, "provisional": explained.provisional, "notices": explained.notices}
    if explain:
        data["days"] = [{n: getattr(d, n) for n in d.__slots__} for d in explained.days]
    say(as_json, data, "\n".join(lines))


@calendar_app.command("load")
def calendar_load(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="放假安排的 JSON 文件。")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="直接加载；缺省只预览将变动的期限。")] = False,
    as_json: AsJson = False,
) -> None:
    """预览或加载某年的放假安排；已办结或已逾期的期限不重新判定。"""
    from api import operations

    say(as_json, *operations.load_notice(file, load=yes))


@calendar_app.command("years")
def calendar_years(as_json: AsJson = False) -> None:
    """已有放假通知的年度（随程序发布的）。"""
    years = sorted(WorkCalendar().noticed_years)
    say(as_json, years, f"{years[0]}—{years[-1]}，其后年度暂按周末和法定节假日推算")


# --- tickets, tokens, database ----------------------------------------------------------------------------------------


@ticket_app.command("show")
def ticket_show(number: Annotated[str, typer.Argument(help="工单编号。")], as_json: AsJson = False) -> None:
    """显示一个工单：状态、时限、经过。来电人信息不显示。"""
    from api import operations

    say(as_json, *operations.show_ticket(number))


@app.command()
def verify(as_json: AsJson = False) -> None:
    """核对全部工单的台账哈希链，指出被改动、删除或插入的记录；有异常时退出码为 1。"""
    from api import operations_audit

    data, text = operations_audit.verify(None, [], audits=False, progress=not as_json)
    say(as_json, data, text)
    if data["breaks"]:
        raise typer.Exit(1)


@import_app.command("areas")
def import_areas(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)], as_json: AsJson = False
) -> None:
    """导入行政区划 CSV（code,name,level,parent），含村（社区）；任何一行有误则全部不导入。"""
    from api import operations

    count = operations.import_reference("areas", file)
    say(as_json, {"imported": count}, f"已导入 {count} 条行政区划。")


@import_app.command("categories")
def import_categories(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)], as_json: AsJson = False
) -> None:
    """导入诉求分类 CSV（code,parent,level,name），三级，每级两位；任何一行有误则全部不导入。"""
    from api import operations

    count = operations.import_reference("categories", file)
    say(as_json, {"imported": count}, f"已导入 {count} 条诉求分类。")


@db_app.command("stop")
def db_stop(as_json: AsJson = False) -> None:
    """停止内置数据库（数据保留）。"""
    from api import operations

    stopped = operations.stop_database()
    say(as_json, {"stopped": stopped}, "已停止。" if stopped else "内置数据库没有在运行。")


@app.command()
def docs(
    check: Annotated[
        bool, typer.Option("--check", help="只检查是否为最新，不写入；过期时退出码为 1。")
    ] = False,
    folder: Annotated[Path, typer.Option(help="文档所在的目录。")] = Path("docs"),
    as_json: AsJson = False,
) -> None:
    """由规则表和接口生成 docs/ 下的 openapi.json、statute.md、lifecycle.md 和 units.zh-CN.md。"""
    from api import docs as generated

    stale = (
        generated.stale(folder, Path("tests/statute"))
        if check
        else generated.write(folder, Path("tests/statute"))
    )
    say(as_json, {"stale" if check else "written": stale}, "\n".join(stale) or "文档为最新。")
    if check and stale:
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
