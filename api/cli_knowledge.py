"""`hotline knowledge`: 办事指南 in and out, and articles exchanged with other platforms' engines."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from api.cli_output import AsJson, say

knowledge_app = typer.Typer(help="知识库：导入导出办事指南，与其他平台同步。", no_args_is_help=True)
peer_app = typer.Typer(help="同步平台：登记、列出、启停。", no_args_is_help=True)
knowledge_app.add_typer(peer_app, name="peer")

PlatformCode = Annotated[str, typer.Option("--platform", help="平台代码，如 00。")]


@knowledge_app.command("template")
def template(
    output: Annotated[Path, typer.Option("--output", "-o", help="写入的文件，扩展名 .csv 或 .xlsx。")] = Path(
        "办事指南模板.csv"
    ),
    as_json: AsJson = False,
) -> None:
    """写出导入用的空白模板，含一行示例。不需要数据库。"""
    from api import operations_knowledge

    operations_knowledge.template(output)
    say(as_json, {"written": str(output)}, f"已写入 {output}。")


@knowledge_app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV、Excel 或导出的 JSONL。")],
    platform: PlatformCode,
    preview: Annotated[bool, typer.Option("--preview", help="只检查并报告，不导入。")] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="跳过有误的行；缺省一行有误则全部不导入。")
    ] = False,
    publish: Annotated[
        str | None, typer.Option("--publish", help="直接发布，填核验人的登录名；缺省导入为草稿。")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="逐行报告写入此文件，扩展名 .csv 或 .json。")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """导入办事指南，逐行检查；按事项编码识别，再次导入只更新有变化的。有误时退出码为 1。"""
    from api import operations_knowledge

    data, text, sound = operations_knowledge.import_file(
        file,
        platform,
        preview=preview,
        skip_bad=skip_bad,
        publish=publish,
        report=report,
        bar=sys.stderr.isatty() and not as_json,
    )
    say(as_json, data, text)
    if not sound:
        raise typer.Exit(1)


@knowledge_app.command("export")
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="写入的文件。")],
    platform: Annotated[str | None, typer.Option("--platform", help="只导出该平台的；缺省为全部。")] = None,
    format_: Annotated[
        Literal["csv", "xlsx", "jsonl"] | None, typer.Option("--format", help="缺省按文件的扩展名。")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """导出已发布的知识，可原样再导入。"""
    from api import operations_knowledge

    size = operations_knowledge.export(output, platform, format_)
    say(as_json, {"written": str(output), "bytes": size}, f"已写入 {output}（{size} 字节）。")


@knowledge_app.command("sync")
def sync(
    source: Annotated[str, typer.Option("--from", help="对方系统的网址，如 https://a.example.gov.cn。")],
    token: Annotated[
        str,
        typer.Option(envvar="HOTLINE_SYNC_TOKEN", help="对方签发的令牌；建议用环境变量 HOTLINE_SYNC_TOKEN。"),
    ],
    platform: Annotated[str | None, typer.Option("--platform", help="对方平台的代码；缺省为省平台。")] = None,
    as_json: AsJson = False,
) -> None:
    """从另一平台拉取已发布的知识；可反复运行，中断后从中断处继续。"""
    from api import operations_knowledge

    data, text = operations_knowledge.sync(source, token, platform, bar=sys.stderr.isatty() and not as_json)
    say(as_json, data, text)


@peer_app.command("add")
def peer_add(
    url: Annotated[
        str,
        typer.Argument(help="推送：对方接收的完整网址（…/api/v1/knowledge/sync）；接收：对方系统的网址。"),
    ],
    platform: PlatformCode,
    name: Annotated[str, typer.Option(help="对方的名称。")],
    pulls: Annotated[bool, typer.Option("--pulls", help="接收对方的知识；缺省为推送给对方。")] = False,
    secret: Annotated[
        str | None,
        typer.Option(envvar="HOTLINE_PEER_SECRET", help="双方共用的密钥；缺省自动生成并显示一次。"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """登记一个同步平台。"""
    from api import operations_knowledge

    data = operations_knowledge.peer_add(url, platform, name, secret, pulls=pulls)
    say(as_json, data, f"已登记第 {data['id']} 号同步平台。密钥（只显示这一次）：{data['secret']}")


@peer_app.command("list")
def peer_list(as_json: AsJson = False) -> None:
    """列出同步平台及其进度。"""
    from api import operations_knowledge

    say(as_json, *operations_knowledge.peer_list())


@peer_app.command("switch")
def peer_switch(
    peer: Annotated[int, typer.Argument(min=1, help="同步平台的编号。")],
    active: Annotated[bool, typer.Option("--on/--off", help="启用或停用。")],
    as_json: AsJson = False,
) -> None:
    """启用或停用一个同步平台。"""
    from api import operations_knowledge

    data = operations_knowledge.peer_switch(peer, active=active)
    say(as_json, data, f"{data['name']}：{'已启用' if data['active'] else '已停用'}。")
