"""短信: a text message handed to a gateway as signed JSON; when texts may go out; what the gateway's answer means.

The request is `{"id", "mobile", "signature", "template", "params", "text"}`, signed after Standard Webhooks (`webhook-id`, `-timestamp`,
`-signature`; HMAC-SHA256). `id` is the same at every try: the gateway sends it once. A gateway that keeps the texts itself takes
`template` and `params`, another one `text`. It answers 2xx with `{"code": "OK", "id": "<its own number>"}`, or another code.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

from hotline.exchange.deliveries import Verdict as Judged
from hotline.exchange.deliveries import judge
from hotline.exchange.outbox import TIMEOUT_SECONDS, signed_headers
from hotline.exchange.wire import Answer, Lines, SendFailed, TargetRefused
from hotline.notifying.messages import Message, Result, Verdict
from workflow.deadlines import CHINA
from workflow.errors import PackInvalid

_WELL: Final = frozenset({"OK", "ok", "0", "success"})
_LONGEST_CODE: Final = 40


# --- the quiet hours ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quiet:
    """夜间免打扰: from `begins` to `ends` (Asia/Shanghai) no text goes out but urgent ones. Both None: it is never quiet."""

    begins: time | None = None
    ends: time | None = None

    @classmethod
    def parse(cls, said: str) -> "Quiet":
        """`21:00-08:00`, or `none`."""
        if said == "none":
            return cls()
        begins, _, ends = said.partition("-")
        return cls(time.fromisoformat(begins), time.fromisoformat(ends))

    def at(self, moment: datetime) -> bool:
        """Whether it is quiet at `moment` (aware)."""
        return self.over_at(moment) > moment

    def over_at(self, moment: datetime) -> datetime:
        """When a text of `moment` (aware) may go out: then, or at the end of the quiet hours it falls into."""
        if self.begins is None or self.ends is None or self.begins == self.ends:
            return moment
        local = moment.astimezone(CHINA)
        clock = local.time()
        if self.begins < self.ends:
            quiet = self.begins <= clock < self.ends
        else:
            quiet = clock >= self.begins or clock < self.ends
        if not quiet:
            return moment
        day = local.date() + timedelta(days=1) if clock >= self.ends else local.date()
        return datetime.combine(day, self.ends, CHINA)


# --- the gateway -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Account:
    """Where texts are handed in, and under which names: the gateway's address, the secret, the 短信签名, the template codes."""

    url: str
    secret: str
    signature: str
    codes: Mapping[str, str] | None = None
    allow_private: bool = False

    def __repr__(self) -> str:
        return f"Account({self.signature})"


def read_codes(file: Path) -> dict[str, str]:
    """The gateway's code of each kind, from TOML: `[templates]`, `"ticket.dispatched" = "SMS_0001"`. Raises `PackInvalid`."""
    try:
        told = tomllib.loads(file.read_text("utf-8"))["templates"]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError):
        raise PackInvalid(
            "短信模板表（HOTLINE_SMS_TEMPLATES_FILE）无法读取：应为 TOML，[templates] 下一行一个。"
        ) from None
    if not isinstance(told, dict) or not all(isinstance(code, str) for code in told.values()):
        raise PackInvalid("短信模板表（HOTLINE_SMS_TEMPLATES_FILE）的模板号应为文本。")
    return dict(told)


class Gateway:
    """One thread's way to the gateway."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._lines = Lines(allow_private=account.allow_private)

    def send(self, message: Message, at: datetime) -> Result:
        """Hand one text in."""
        account = self._account
        code = message.kind if account.codes is None else account.codes.get(message.kind)
        if code is None:
            return Result(Verdict.REFUSED, "短信模板表没有这类通知的模板号")
        body = json.dumps(
            {
                "id": message.id,
                "mobile": message.to,
                "signature": account.signature,
                "template": code,
                "params": dict(message.params),
                "text": message.text,
            },
            ensure_ascii=False,
        ).encode()
        headers = signed_headers(account.secret, message.id, body, at)
        headers |= {"content-type": "application/json; charset=utf-8", "user-agent": "hotline12345"}
        try:
            answer = self._lines.send(
                "POST", account.url, headers=headers, body=body, seconds=TIMEOUT_SECONDS
            )
        except TargetRefused:
            return Result(Verdict.RETRY, "短信网关的地址不允许访问", down=True)
        except SendFailed as failure:
            return Result(Verdict.RETRY, f"短信网关：{failure}"[:200], down=True)
        return judged(answer)

    def close(self) -> None:
        """Close the connection."""
        self._lines.close()


def judged(answer: Answer) -> Result:
    """What a gateway's answer means: its status first, then the code it holds."""
    told = _told(answer)
    code = str(told.get("code", "OK"))[:_LONGEST_CODE] if told is not None else ""
    shown = f"{answer.status} {code}".strip() if code not in _WELL and _plain(code) else str(answer.status)
    verdict = judge(answer.status)
    if verdict is Judged.RETRY:
        return Result(Verdict.RETRY, f"短信网关暂不接收（{shown}）", answer.status, down=True)
    if answer.status in (401, 403, 404, 405, 410):
        return Result(Verdict.RETRY, f"短信网关不接受本系统的请求（{shown}）", answer.status, down=True)
    if verdict is not Judged.DELIVERED:
        return Result(Verdict.REFUSED, f"短信网关拒绝（{shown}）", answer.status)
    if told is None:
        return Result(Verdict.RETRY, f"短信网关的应答无法识别（{answer.status}）", answer.status, down=True)
    if code not in _WELL:
        return Result(Verdict.REFUSED, f"短信网关拒绝（{shown}）", answer.status)
    number = told.get("id")
    return Result(
        Verdict.SENT, status=answer.status, provider_id=str(number)[:100] if number is not None else None
    )


def _plain(code: str) -> bool:
    """Whether a code is one, and not a text that may repeat the number."""
    return code.replace("_", "").replace(".", "").isalnum() and code.isascii() and not _has_number(code)


def _has_number(code: str) -> bool:
    return sum(c.isdigit() for c in code) > 7


def _told(answer: Answer) -> dict[str, Any] | None:
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None
