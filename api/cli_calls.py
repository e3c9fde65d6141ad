"""`hotline call`: a call as the telephony platform would report it, to try an agent's desk without one."""

from typing import Annotated

import typer

from api.cli_output import AsJson, say


def call(
    agent: Annotated[str, typer.Option(help="话务员的登录名。")],
    number: Annotated[str | None, typer.Option(help="主叫号码；缺省为隐藏号码的来电。")] = None,
    line: Annotated[str, typer.Option(help="被叫号码或线路。")] = "12345",
    call_id: Annotated[str | None, typer.Option(help="通话标识；缺省新建一个。已有的通话以此更新。")] = None,
    answered: Annotated[bool, typer.Option("--answered", help="已接通。")] = False,
    ended: Annotated[bool, typer.Option("--ended", help="已挂断。")] = False,
    as_json: AsJson = False,
) -> None:
    """模拟一次来电：在话务员的界面上弹屏，与话务平台报送的来电相同。"""
    from api import operations_calls

    say(as_json, *operations_calls.ring(agent, number, line, call_id, answered=answered, ended=ended))
