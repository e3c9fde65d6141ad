"""`hotline partitions`: how the ledger, the events and the audit trail lie; months past put away cold."""

from typing import Annotated

import typer

from api.cli_output import AsJson, say

partitions_app = typer.Typer(help="台账、事件、审计的分区：查看、归档冷存。", invoke_without_command=True)


@partitions_app.callback()
def partitions(context: typer.Context, as_json: AsJson = False) -> None:
    """列出分区：起止日期、估计行数、大小、是否已冷存。"""
    if context.invoked_subcommand is None:
        from api import operations_partitions

        say(as_json, *operations_partitions.listed())


@partitions_app.command("cool")
def cool(
    before: Annotated[str, typer.Option(help="冷存该月以前的分区，如 2024-01。")],
    tablespace: Annotated[str | None, typer.Option(help="移到这个表空间；缺省留在原处。")] = None,
    as_json: AsJson = False,
) -> None:
    """归档冷存：工单已全部归档的旧分区冻结、移到指定表空间、不再自动清理；不能冷存的说明原因。"""
    from api import operations_partitions

    say(as_json, *operations_partitions.cool(before, tablespace))
