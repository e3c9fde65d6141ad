"""`hotline doctor`: is all well, and what to do if not."""

from typing import Annotated

import typer

from api.cli_output import AsJson, say


def doctor(
    chains: Annotated[
        bool, typer.Option("--chains", help="逐条核对全部台账和审计的哈希链，工单多时需要几分钟。")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """体检：配置、密钥、磁盘、字体、数据库、时钟、日历、到期检查、在办工单、附件、投递，并说明怎样处理；有故障时退出码为 1。"""
    from api import operations_doctor

    data, text = operations_doctor.look(chains=chains, progress=not as_json)
    say(as_json, data, text)
    if not data["sound"]:
        raise typer.Exit(1)
