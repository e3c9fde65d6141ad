"""`hotline notify`: e-mail and text messages to units and people without a system; the contact book, what was sent, sending anew."""

from typing import Annotated

import typer

from api.cli_output import AsJson, say
from workflow.vocabulary import Means, NoticeState

notify_app = typer.Typer(help="通知：联系人、发送记录、重发、测试（电子邮件和短信）。", no_args_is_help=True)

Contact = Annotated[int, typer.Argument(help="联系人编号。")]
Notification = Annotated[int, typer.Argument(help="通知编号。")]
Kinds = Annotated[
    list[str] | None, typer.Option("--kind", help="通知类型，如 ticket.dispatched，可多次给出；缺省常用的。")
]
_HOW = {"smtp": "邮件服务器", "gateway": "短信网关", "recorded": "仅记录，不发送", "off": "未设置"}


@notify_app.command("status")
def notify_status(as_json: AsJson = False) -> None:
    """有哪些通知方式，各有多少待发送、失败和放弃的。"""
    from api import operations_notify

    told = operations_notify.status()
    lines = [
        f"{row['label']}　{_HOW[row['how']]}"
        + "".join(f"　{NoticeState(s).label} {n}" for s, n in row["counts"].items())
        for row in told["means"]
    ]
    lines.append(f"短信免打扰：{told['quiet']}　尚未处理的事件：{told['behind']}")
    say(as_json, told, "\n".join(lines))


# --- the contact book --------------------------------------------------------------------------------------------------


@notify_app.command("contacts")
def notify_contacts(as_json: AsJson = False) -> None:
    """列出全部通知联系人；地址脱敏。"""
    from api import operations_notify

    rows = operations_notify.list_contacts()
    lines = [
        f"{row['id']:>6}  {row['unit'] or row['platform']:<14}{Means(row['means']).label:<6}{row['address']}  {row['label']}"
        + ("" if row["active"] else "  已停用")
        for row in rows
    ]
    say(as_json, rows, "\n".join(lines) or "没有联系人。")


@notify_app.command("add")
def notify_add(
    label: Annotated[str, typer.Option(help="名称，如“值班室”。")],
    means: Annotated[Means, typer.Option(help="email 或 sms。")],
    address: Annotated[str, typer.Option(help="电子邮件地址，或 11 位手机号。")],
    unit: Annotated[str | None, typer.Option(help="承办单位代码。")] = None,
    platform: Annotated[str | None, typer.Option(help="热线平台代码。")] = None,
    person: Annotated[str | None, typer.Option(help="人员登录名；该人员停用后不再通知。")] = None,
    kinds: Kinds = None,
    as_json: AsJson = False,
) -> None:
    """新增通知联系人。"""
    from api import operations_notify

    made = operations_notify.add_contact(
        unit, platform, label=label, means=means, address=address, kinds=kinds or [], person=person
    )
    say(as_json, made, f"已新增联系人 {made['id']}：{made['address']}")


@notify_app.command("change")
def notify_change(
    key: Contact,
    label: Annotated[str | None, typer.Option(help="名称。")] = None,
    address: Annotated[str | None, typer.Option(help="地址。")] = None,
    kinds: Kinds = None,
    active: Annotated[bool | None, typer.Option("--on/--off", help="启用或停用。")] = None,
    as_json: AsJson = False,
) -> None:
    """变更联系人；没有给出的不变。"""
    from api import operations_notify

    made = operations_notify.change_contact(key, label=label, address=address, kinds=kinds, active=active)
    say(as_json, made, f"联系人 {key} 已变更。")


@notify_app.command("remove")
def notify_remove(key: Contact, as_json: AsJson = False) -> None:
    """删除联系人：地址销毁，已发的通知仍在记录中。"""
    from api import operations_notify

    say(as_json, operations_notify.remove_contact(key), f"联系人 {key} 已删除。")


# --- what was sent -----------------------------------------------------------------------------------------------------


@notify_app.command("list")
def notify_list(
    state: Annotated[NoticeState | None, typer.Option(help="failed 为发送失败，given_up 为已放弃。")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: AsJson = False,
) -> None:
    """发送记录，新的在前。"""
    from api import operations_notify

    rows = operations_notify.list_notifications(state, limit)
    lines = [
        f"{row['id']:>8}  {Means(row['means']).label:<5}{NoticeState(row['state']).label:<5}{row['kind']:<26}"
        f"{row['number'] or '-':<16}{row['address']}  {row['attempts']} 次  {row['problem'] or ''}"
        for row in rows
    ]
    say(as_json, rows, "\n".join(lines) or "没有通知记录。")


@notify_app.command("show")
def notify_show(key: Notification, as_json: AsJson = False) -> None:
    """一条通知：内容和每次尝试。"""
    from api import operations_notify

    row = operations_notify.show_notification(key)
    lines = [
        f"{row['kind']}  {NoticeState(row['state']).label}  {row['recipient']} {row['address']}  {row['problem'] or ''}"
    ]
    lines += [f"  {row['content']}" if not row["subject"] else f"  {row['subject']}\n{row['content']}"]
    lines += [f"  短信 {row['segments']} 条" for _ in range(1) if row["segments"]]
    lines += [
        f"  {each['at']}  {each['status'] or '-'}  {each['ms']} ms  {each.get('problem', '')}"
        for each in row["tries"]
    ]
    say(as_json, row, "\n".join(lines))


@notify_app.command("retry")
def notify_retry(key: Notification, as_json: AsJson = False) -> None:
    """重发一条失败、放弃或仅记录的通知。"""
    from api import operations_notify

    made = operations_notify.retry_notification(key)
    say(as_json, made, f"通知 {key} 已重新排入，第 {made['round']} 次。")


@notify_app.command("test")
def notify_test(
    to: Annotated[str, typer.Option(help="电子邮件地址，或 11 位手机号。")],
    as_json: AsJson = False,
) -> None:
    """按现在的设置直接发一条测试，打印结果；没有发出时退出码为 1。不需要数据库。"""
    from api import operations_notify

    told = operations_notify.try_sending(to)
    say(as_json, told, f"{told['result']}：{told['problem'] or told['how']}")
    if told["verdict"] not in ("sent", "recorded"):
        raise typer.Exit(1)
