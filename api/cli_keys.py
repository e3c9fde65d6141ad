"""`hotline keys`: the key ring listed, rotated, and old keys retired; `hotline conceal` for what was stored before texts were masked."""

import json
import sys
from typing import Annotated, Literal

import typer

from api.cli_output import AsJson, say

keys_app = typer.Typer(help="来电人信息的密钥：查看、轮换、停用。", no_args_is_help=True)


@keys_app.command("list")
def keys_list(as_json: AsJson = False) -> None:
    """列出密钥：编号、算法、生成时间、仍用它加密的数据项数。"""
    from api import operations_keys

    say(as_json, *operations_keys.listed())


@keys_app.command("rotate")
def keys_rotate(
    suite: Annotated[
        Literal["aes", "sm"] | None,
        typer.Option(help="新密钥的算法：aes 为 AES-256-GCM，sm 为国密 SM4、SM3；缺省 HOTLINE_CIPHER。"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """生成新密钥并逐批重新加密，服务不必停止；中断后再次运行即从中断处继续。"""
    from api import operations_keys

    say(as_json, *operations_keys.rotate(suite, shown=not as_json, bar=sys.stderr.isatty()))


@keys_app.command("resume")
def keys_resume(as_json: AsJson = False) -> None:
    """继续未完成的密钥轮换。"""
    from api import operations_keys

    say(
        as_json,
        *operations_keys.rotate(None, shown=not as_json, bar=sys.stderr.isatty(), only_resume=True),
    )


@keys_app.command("retire")
def keys_retire(
    key: Annotated[int, typer.Argument(min=1, help="密钥编号。")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="不再询问。")] = False,
    as_json: AsJson = False,
) -> None:
    """销毁一个不再使用的旧密钥；用它加密的旧备份从此不能打开。"""
    from api import operations_keys

    if not yes:
        typer.confirm(f"将永久销毁密钥 {key}，用它加密的备份不能再打开，确定吗？", abort=True)
    operations_keys.retire(key)
    say(as_json, {"retired": key}, f"密钥 {key} 已销毁。")


def conceal(as_json: AsJson = False) -> None:
    """把旧版本写入的工单文字脱敏，原文加密保存；可重复运行。台账不改写，读取时脱敏。"""
    from api import operations_keys

    say(as_json, *operations_keys.conceal())


def subject_report(
    phone: Annotated[str, typer.Argument(help="来电人电话；写 - 则从标准输入读取，不留在命令历史中。")],
    purpose: Annotated[str, typer.Option(help="目的，记入审计。")] = "本人查询",
    output: Annotated[str | None, typer.Option("--output", "-o", help="写入文件，仅本人可读。")] = None,
    as_json: AsJson = False,
) -> None:
    """来电人的知情权：与该电话有关的全部记录、办理经过，以及谁在何时为何查看过其信息。"""
    from api import operations_keys

    if phone == "-":
        phone = typer.get_text_stream("stdin").readline().strip()
    data, text = operations_keys.subject_report(phone, purpose)
    if output is None:
        say(as_json, data, text)
        return
    content = json.dumps(data, ensure_ascii=False, indent=2) if as_json else text
    operations_keys.write_private(output, content)
    typer.echo(f"已写入 {output}。", err=True)
