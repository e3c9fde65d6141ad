"""`hotline audit` and `hotline recordings`: prove the chains, sign and hand out daily heads, see what is kept and destroyed."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from api.cli_output import AsJson, say

audit_app = typer.Typer(help="审计记录：核对、签名、导出日头。", no_args_is_help=True)


@audit_app.command("verify")
def verify(
    head: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="另行保存的日头文件；据此发现整条链被改写。"),
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="日头的签名公钥（十六进制），可多次给出；缺省为本机的密钥。")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """核对审计记录、全部工单的台账和签名日头，指出被改动、删除或插入的每一条；有异常时退出码为 1。"""
    from api import operations_audit

    data, text = operations_audit.verify(head, key or [], audits=True, progress=not as_json)
    say(as_json, data, text)
    if data["breaks"]:
        raise typer.Exit(1)


@audit_app.command("head")
def export_head(
    output: Annotated[Path, typer.Option(dir_okay=False, help="写入的文件；请保存在本系统之外。")],
    day: Annotated[
        str | None, typer.Option(help="只导出某日，如 2026-03-02；缺省为全部已签名的日子。")
    ] = None,
    platform: Annotated[str | None, typer.Option(help="只导出某平台（两位代码）。")] = None,
    as_json: AsJson = False,
) -> None:
    """导出签名的日头：每个平台每日的记录数、末条哈希和当日台账摘要。"""
    from api import operations_audit

    try:
        parsed = date.fromisoformat(day) if day is not None else None
    except ValueError:
        raise typer.BadParameter(f"日期 {day} 无法识别，写法如 2026-02-13") from None
    say(as_json, *operations_audit.head(parsed, platform, output))


@audit_app.command("key")
def public_key(as_json: AsJson = False) -> None:
    """显示日头的签名公钥（Ed25519，十六进制）；首次使用时生成密钥。"""
    from api import operations_audit

    key = operations_audit.public_key()
    say(as_json, {"algorithm": "Ed25519", "public_key": key}, key)


def recordings(
    due: Annotated[bool, typer.Option("--due", help="只列到期待销毁的。")] = False,
    held: Annotated[bool, typer.Option("--held", help="只列保全中的。")] = False,
    destroyed: Annotated[bool, typer.Option("--destroyed", help="只列已销毁的。")] = False,
    as_json: AsJson = False,
) -> None:
    """录音的保存、保全和销毁（办法第十四条第（九）项：至少保存一年）。"""
    from api import operations_audit
    from workflow.vocabulary import Retention

    chosen = [
        word
        for word, wanted in (
            (Retention.DUE, due),
            (Retention.HELD, held),
            (Retention.DESTROYED, destroyed),
        )
        if wanted
    ]
    if len(chosen) > 1:
        raise typer.BadParameter("--due、--held、--destroyed 只能选一个")
    say(as_json, *operations_audit.list_recordings(chosen[0] if chosen else None))
