"""docs/units.zh-CN.md, generated: what a handling unit's engineers need, in Chinese, from the tables the engine itself runs on."""

import json
from typing import Any, Final

from api.acts import ACT_ROUTES, ActRoute
from api.batch import MOST as MOST_ITEMS
from api.events import LONGEST_WAIT
from hotline.exchange.deliveries import BREAKER, GIVE_UP, REFUSED_WAITS, WAITS
from hotline.exchange.envelopes import CATALOGUE, TESTED, example
from hotline.exchange.feed import MOST as MOST_EVENTS
from hotline.notifying.wording import templates
from hotline.settings import LEAST_EVENT_DAYS
from workflow.lifecycle import MOVES
from workflow.statute import cite
from workflow.vocabulary import UNIT_STAFF, Act

_PART: Final = """# 承办单位系统对接手册

<!-- 由 `hotline docs` 生成，请勿手工修改。 -->

承办单位的系统可以**接收事件**（推送或拉取），并以接口**办理工单**。全部接口见 `/api/v1/openapi.json`（事件在其 `webhooks` 部分）。

## 一、接收事件

管理员或本单位负责人新增订阅（`POST /api/v1/subscriptions` 或 `hotline subscription add`），得到签名密钥（只显示一次）。此后与本单位有关的事件
在一秒内以 `POST` 送到所登记的地址：

* 格式：CloudEvents 1.0（structured mode），`content-type: application/cloudevents+json`，UTF-8，中文不转义。
* 签名：Standard Webhooks，三个请求头 `webhook-id`、`webhook-timestamp`（Unix 秒）、`webhook-signature`。签名为
  `v1,` 加 Base64(HMAC-SHA256(密钥, `id.时间戳.内容原文`))。更换密钥期间有两个签名，空格分隔，任一相符即可；时间相差五分钟以上应拒收。
* 去重：同一事件重发时 `webhook-id`（即信封的 `id`）不变，内容逐字节相同。**可能重复送达，不会丢失**。
* 顺序：同一工单的事件依次送达，前一个没有收下，后一个不发；不同工单互不影响。`sequence` 在同一工单内只增不减，
  小于已处理过的是迟到的旧事件（如人工重发），应答 2xx 但不要用它覆盖新状态。
* 应答：10 秒内应答 2xx 即为收下，应答内容不读取；先收下，再慢慢处理。不认识的事件、字段应忽略。
* 内容：只有编号、状态、版本、期限和链接，**没有来电人信息**；详情凭令牌取 `data.link`，所见以本单位权限为准。

{example}

### 没有收下时

| 应答 | 处理 |
|---|---|
| 无法连接、超时、408、425、429、5xx | {waits} 秒（上下浮动二成）后各重试一次，此后每 {last} 小时一次，共 {days} 天；429、503 的 `Retry-After`（秒）照办 |
| 410 | 订阅停用，启用后补发停用前未送达的 |
| 其他 4xx、3xx（不跟随跳转） | {refused} 秒后各重试一次，仍拒绝的列入投递失败 |
| 连续 {breaker} 次失败 | 暂缓向该地址投递，每隔半分钟至十分钟试一个 |

投递失败的可以查看原因、逐个或按时间重发（`/api/v1/deliveries`，`hotline delivery`），也可以用下面的拉取补齐。

### 没有服务器的：拉取

`GET /api/v1/events?after=<游标>&limit=<至多 {events}>&wait=<至多 {wait} 秒>`，令牌范围 `tickets:read`。返回同样的信封和下一个游标 `next`，
保存 `next`，处理完这一页再取下一页。晚提交的事件排在后面，**不会漏**。首次读取不带 `after`，从最早保留的事件开始。
事件至少保留 {kept} 天；游标之后的部分事件已清理时得到 410：不带 `after` 从最早保留的读起，并以工单列表核对现状。

### 事件

| 类型 | 名称 | 含义 |
|---|---|---|
{kinds}

### 检验接收程序

`hotline unit-check --url <地址> --secret <密钥>` 逐一播放全部事件和错误签名、过时时间戳、重复、乱序、超时重发、同时到来等情形，打印结果；
不合格时退出码为 1。示例接收程序：`examples/unit_receiver.py`。

## 二、没有系统的：电子邮件和短信

本单位负责人或管理员登记通知联系人（`POST /api/v1/contacts` 或 `hotline notify add`），同样的事件以电子邮件或短信告知。地址加密保存，只显示脱敏的；
内容只有编号、单位和期限，**没有来电人信息**，办理须登录工作台。没有选择类型的联系人收到下表中常用的；短信在免打扰时段（缺省 21:00 至次日 08:00）
只发紧急的和应急事件的工单，其余次日早上发出。短信 70 字以内一条，更长的每 67 字一条。是否送达见工单时间线和 `GET /api/v1/notifications`；
失败、放弃的可以重发。同一通知重试时 `Message-ID`（短信网关的 `id`）不变。

| 类型 | 常用 | 紧急 | 短信内容 |
|---|---|---|---|
{texts}

## 三、办理工单

令牌以 OAuth 2.0 客户端凭据换取（`POST /api/v1/oauth/token`）。每个动作一个地址：`POST /api/v1/tickets/{{编号}}/<动作>`，
带 `Idempotency-Key`（同一请求重试得到首次的结果）和 `If-Match`（上次看到的版本）。应答含新状态、版本和此刻可进行的动作 `acts`。
不符合规定的，`detail` 说明原因和可以怎么做，`article` 为依据的条款，`field` 为出错的字段。

{acts}

附件：`POST /api/v1/tickets/{{编号}}/attachments`（multipart，字段 `file`、`file_class`），先传附件，再反馈办理结果。

### 批量

`POST /api/v1/batch`，至多 {items} 项，每项独立：各自的权限、版本、事务和结果，一项不成不影响其他项；每项可带 `key`，整批重发时已办理的得到首次的结果。
"""


_FIELD_LABELS: Final = {
    "number": "工单编号",
    "unit": "单位",
    "due": "期限",
    "period": "时限种类",
    "question": "提问编号",
    "article": "条目",
    "notice": "通报编号",
}


def page() -> str:
    """The whole page."""
    shown = "```json\n" + json.dumps(example("ticket.dispatched"), ensure_ascii=False, indent=2) + "\n```"
    return _PART.format(
        example=shown,
        waits="、".join(str(seconds) for seconds in WAITS[:-1]),
        last=WAITS[-1] // 3600,
        days=GIVE_UP.days,
        refused="、".join(str(seconds) for seconds in REFUSED_WAITS),
        breaker=BREAKER,
        events=MOST_EVENTS,
        wait=LONGEST_WAIT,
        kept=LEAST_EVENT_DAYS,
        kinds="\n".join(
            f"| `{kind}` | {told.label} | {told.meaning} |"
            for kind, told in CATALOGUE.items()
            if told.to_units and kind != TESTED
        ),
        texts="\n".join(
            f"| `{kind}` | {'是' if each.usual else ''} | {'是' if each.urgent else ''} | {_shown(each.sms)} |"
            for kind, each in templates().items()
            if kind in CATALOGUE
        ),
        acts="\n".join(_act(route) for route in ACT_ROUTES if _of_units(route.act)),
        items=MOST_ITEMS,
    )


def _shown(text: str) -> str:
    """A template's text with its fields in Chinese."""
    return text.format_map({name: f"〔{label}〕" for name, label in _FIELD_LABELS.items()})


def _of_units(act: Act) -> bool:
    return any(move.act is act and move.roles & UNIT_STAFF for move in MOVES)


def _act(route: ActRoute) -> str:
    articles = dict.fromkeys(move.article for move in MOVES if move.act is route.act)
    lines = [f"### {route.act.label}（`{route.act.value}`）\n"]
    lines.append(f"依据：{'、'.join(cite(article) for article in articles)}。\n")
    lines += ["| 字段 | 必填 | 说明 |", "|---|---|---|"]
    schema = route.order.model_json_schema()
    for name, told in schema.get("properties", {}).items():
        needed = "是" if name in schema.get("required", []) else "否"
        lines.append(f"| `{name}` | {needed} | {_said(told)} |")
    lines.append("\n```json\n" + json.dumps(route.example, ensure_ascii=False) + "\n```\n")
    return "\n".join(lines)


def _said(told: dict[str, Any]) -> str:
    words = [str(told["description"])] if "description" in told else []
    either = [part for part in told.get("anyOf", [told]) if part.get("type") != "null"]
    words += [f"至多 {part['maxLength']} 字" for part in either if "maxLength" in part]
    return "；".join(words).replace("|", "／").replace("\n", " ")
