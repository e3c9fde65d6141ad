"""`hotline reports`: reports listed and shown, figures counted anew, everything checked, the read-only schema described."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli_output import AsJson, say

reports_app = typer.Typer(help="统计报告：查看、重新汇总、核对。", no_args_is_help=True)


@reports_app.command("list")
def list_(
    platform: Annotated[str | None, typer.Option(help="热线平台代码（两位）；缺省全部。")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: AsJson = False,
) -> None:
    """列出报告，新的在前：统计期、期限、办到哪一步。"""
    from api import operations_reports

    say(as_json, *operations_reports.listed(platform, limit))


@reports_app.command("show")
def show(
    report: Annotated[
        str, typer.Argument(help="报告编号，或统计期：2026-10、2026-Q3、2026-10-08..2026-11-20。")
    ],
    platform: Annotated[
        str | None, typer.Option(help="按统计期查看时的热线平台代码；缺省为全部平台。")
    ] = None,
    by: Annotated[
        str, typer.Option(help="分组：unit、platform、level、matter、category、area、channel、day、month。")
    ] = "unit",
    as_json: AsJson = False,
) -> None:
    """显示一份报告的数据，或某一统计期此刻的数据。"""
    from api import operations_reports

    say(as_json, *operations_reports.shown(report, platform, by))


@reports_app.command("export")
def export(
    report: Annotated[int, typer.Argument(help="报告编号，见 hotline reports list。")],
    to: Annotated[
        str, typer.Option(help="一种或几种格式，以逗号分隔：pdf、docx、xlsx、csv。")
    ] = "pdf,docx,xlsx,csv",
    folder: Annotated[Path, typer.Option(help="放入哪个文件夹。", file_okay=False)] = Path(),
    as_json: AsJson = False,
) -> None:
    """把一份报告生成文件：未报送的标明草稿或送审稿；每次导出记入审计。"""
    from api import operations_reports

    say(as_json, *operations_reports.exported(report, to, folder))


@reports_app.command("rebuild")
def rebuild(
    yes: Annotated[bool, typer.Option("--yes", help="不再询问。汇总期间统计暂不可用。")] = False,
    as_json: AsJson = False,
) -> None:
    """由工单重新汇总全部统计，显示进度；中断后再次运行或由定时任务接着做。已报送的报告不受影响。"""
    from api import operations_reports

    if not yes and not as_json:
        typer.confirm("重新汇总期间统计暂不可用，继续吗？", abort=True)
    say(as_json, *operations_reports.rebuild(progress=not as_json))


@reports_app.command("check")
def check(as_json: AsJson = False) -> None:
    """逐一核对：统计与工单是否一致，汇总是否等于明细之和，报送件的哈希链是否完整；有异常时退出码为 1。"""
    from api import operations_reports

    data, text = operations_reports.check(progress=not as_json)
    say(as_json, data, text)
    if not data["sound"]:
        raise typer.Exit(1)


@reports_app.command("schema")
def schema(as_json: AsJson = False) -> None:
    """说明供数据平台只读使用的视图（reporting 模式）：每个视图和每一列的含义。"""
    from api import operations_reports

    say(as_json, *operations_reports.schema())
