"""`hotline deliver`, `subscription`, `delivery`, `unit-check`: events out to units' and platforms' systems."""

import json
from datetime import datetime
from typing import Annotated

import typer

from api.cli_output import AsJson, say
from workflow.deadlines import CHINA
from workflow.vocabulary import DeliveryState, SubscriptionState

subscription_app = typer.Typer(help="事件订阅：新增、暂停、更换密钥、测试。", no_args_is_help=True)
delivery_app = typer.Typer(help="事件投递记录：查看、重发。", no_args_is_help=True)

Subscription = Annotated[int, typer.Argument(help="订阅编号。")]
Delivery = Annotated[int, typer.Argument(help="投递记录编号。")]


def install(app: typer.Typer) -> None:
    """Add these commands to `hotline`."""
    app.command("deliver")(deliver)
    app.command("unit-check")(unit_check)
    app.add_typer(subscription_app, name="subscription")
    app.add_typer(delivery_app, name="delivery")


def deliver(as_json: AsJson = False) -> None:
    """只运行事件投递；可同时运行多个，也可与 hotline serve 同时运行。"""
    from api import operations_exchange

    operations_exchange.deliver(
        lambda said: say(as_json, {"delivering": True}, said),
    )


# --- subscriptions -----------------------------------------------------------------------------------------------------


@subscription_app.command("list")
def subscription_list(as_json: AsJson = False) -> None:
    """列出全部订阅。"""
    from api import operations_exchange

    rows = operations_exchange.list_subscriptions()
    lines = [
        f"{row['id']:>6}  {row['unit'] or row['platform']:<14}{SubscriptionState(row['state']).label:<4}"
        f"{row['url']}  {row['label']}" + (f"  {row['last_problem']}" if row["failures"] else "")
        for row in rows
    ]
    say(as_json, rows, "\n".join(lines) or "没有订阅。")


@subscription_app.command("add")
def subscription_add(
    label: Annotated[str, typer.Option(help="名称，如“市住建局办件系统”。")],
    url: Annotated[str, typer.Option(help="接收地址，https。")],
    unit: Annotated[str | None, typer.Option(help="承办单位代码。")] = None,
    platform: Annotated[str | None, typer.Option(help="热线平台代码。")] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="事件类型，可多次给出；缺省全部。")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """新增订阅，打印签名密钥；密钥只显示这一次。"""
    from api import operations_exchange

    made = operations_exchange.add_subscription(unit, platform, label, url, types or [])
    say(as_json, made, f"已新增订阅 {made['id']}，签名密钥（只显示这一次）：{made['secret']}")


def _turn(key: int, state: SubscriptionState, as_json: bool) -> None:
    from api import operations_exchange

    say(as_json, operations_exchange.turn_subscription(key, state), f"订阅 {key} 已{state.label}。")


@subscription_app.command("pause")
def subscription_pause(key: Subscription, as_json: AsJson = False) -> None:
    """暂停：事件先留着，启用后再发（三天内）。"""
    _turn(key, SubscriptionState.PAUSED, as_json)


@subscription_app.command("resume")
def subscription_resume(key: Subscription, as_json: AsJson = False) -> None:
    """启用暂停或停用的订阅。"""
    _turn(key, SubscriptionState.ACTIVE, as_json)


@subscription_app.command("disable")
def subscription_disable(key: Subscription, as_json: AsJson = False) -> None:
    """停用：不再为它保留事件。"""
    _turn(key, SubscriptionState.DISABLED, as_json)


@subscription_app.command("rotate")
def subscription_rotate(
    key: Subscription,
    overlap_hours: Annotated[int, typer.Option(min=0, max=720, help="新旧密钥同时有效的小时数。")] = 24,
    as_json: AsJson = False,
) -> None:
    """更换签名密钥，打印新密钥。"""
    from api import operations_exchange

    made = operations_exchange.rotate_subscription(key, overlap_hours)
    say(as_json, made, f"订阅 {key} 的新签名密钥（只显示这一次）：{made['secret']}")


@subscription_app.command("test")
def subscription_test(key: Subscription, as_json: AsJson = False) -> None:
    """发一个连通测试事件；结果用 hotline delivery show 查看。"""
    from api import operations_exchange

    made = operations_exchange.test_subscription(key)
    say(as_json, made, f"已发出，投递记录 {made['id']}：hotline delivery show {made['id']}")


# --- deliveries --------------------------------------------------------------------------------------------------------


@delivery_app.command("list")
def delivery_list(
    key: Subscription,
    state: Annotated[DeliveryState | None, typer.Option(help="dead 为投递失败的。")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: AsJson = False,
) -> None:
    """一个订阅的投递记录，新的在前。"""
    from api import operations_exchange

    rows = operations_exchange.list_deliveries(key, state, limit)
    lines = [
        f"{row['id']:>8}  {DeliveryState(row['state']).label}  {row['type']:<26}{row['number'] or '-':<16}"
        f"{row['attempts']} 次  {row['problem'] or ''}"
        for row in rows
    ]
    say(as_json, rows, "\n".join(lines) or "没有投递记录。")


@delivery_app.command("show")
def delivery_show(key: Delivery, as_json: AsJson = False) -> None:
    """一条投递记录：每次尝试和所发内容。"""
    from api import operations_exchange

    row = operations_exchange.show_delivery(key)
    lines = [f"{row['event']}  {row['type']}  {DeliveryState(row['state']).label}  {row['problem'] or ''}"]
    lines += [
        f"  {each['at']}  {each['status'] or '没有答复'}  {each['ms']} ms  {each.get('problem', '')}"
        for each in row["tries"]
    ]
    lines.append(json.dumps(row["envelope"], ensure_ascii=False, indent=2))
    say(as_json, row, "\n".join(lines))


@delivery_app.command("replay")
def delivery_replay(
    delivery: Annotated[
        int | None, typer.Argument(help="投递记录编号；或用 --subscription 重发一段时间。")
    ] = None,
    subscription: Annotated[int | None, typer.Option(help="订阅编号。")] = None,
    since: Annotated[str | None, typer.Option(help="开始时间，如 2026-03-02T00:00+08:00。")] = None,
    until: Annotated[str | None, typer.Option(help="结束时间。")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="不只重发投递失败的。")] = False,
    as_json: AsJson = False,
) -> None:
    """重发一个事件，或一个订阅在一段时间内投递失败的全部事件。"""
    from api import operations_exchange

    if delivery is not None:
        made = operations_exchange.replay_delivery(delivery)
        say(as_json, made, f"已重新排入，投递记录 {made['id']}。")
        return
    if subscription is None or since is None or until is None:
        raise typer.BadParameter("请给出投递记录编号，或 --subscription、--since、--until。")
    count = operations_exchange.replay_range(
        subscription, _instant(since), _instant(until), dead_only=not everything
    )
    say(as_json, {"replayed": count}, f"已重新排入 {count} 个事件。")


def _instant(said: str) -> datetime:
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        raise typer.BadParameter(f"时间 {said} 无法识别，写法如 2026-02-13T10:00+08:00") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=CHINA)


# --- the conformance kit -----------------------------------------------------------------------------------------------


def unit_check(
    url: Annotated[str, typer.Option(help="承办单位接收程序的地址。")],
    secret: Annotated[
        str, typer.Option(envvar="UNIT_WEBHOOK_SECRET", help="它使用的签名密钥，whsec_ 开头。")
    ],
    as_json: AsJson = False,
) -> None:
    """检验承办单位的接收程序：逐一播放全部事件和各种异常，打印它处理了什么；有不合格项时退出码为 1。不需要数据库。"""
    from hotline.exchange import conformance

    results = conformance.play(url, secret)
    lines = [f"{'合格　' if each.passed else '不合格'}  {each.name}：{each.saw}" for each in results]
    lines += [f"        {each.advice}" for each in results if not each.passed]
    failed = sum(not each.passed for each in results)
    lines.append(f"共 {len(results)} 项，" + (f"{failed} 项不合格。" if failed else "全部合格。"))
    say(as_json, [each.told() for each in results], "\n".join(lines))
    if failed:
        raise typer.Exit(1)
