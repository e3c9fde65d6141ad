"""承办单位接收程序检验: plays every event and every mishap against a unit's receiver, as the hotline would, and says what it did.

Whether a receiver told a duplicate from a new event is not seen from outside; one that says so in the header `webhook-outcome`
(`handled`, `duplicate`, `stale`, `ignored`) is held to its word.
"""

import json
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hotline.exchange import outbox
from hotline.exchange.envelopes import CATALOGUE, MEDIA_TYPE, encoded, example
from hotline.exchange.wire import Answer, Lines, SendFailed

_BURST: Final = 30
_LONGEST_WAIT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Result:
    """One check: its Chinese name, whether it went as it should, what was seen, what to do."""

    name: str
    passed: bool
    saw: str
    advice: str = ""

    def told(self) -> dict[str, Any]:
        """As data."""
        return {"name": self.name, "passed": self.passed, "saw": self.saw, "advice": self.advice}


@dataclass(slots=True)
class _Said:
    """What a receiver answered: its status (None: nothing), what went wrong, its own word on the outcome, Retry-After."""

    status: int | None
    problem: str = ""
    outcome: str | None = None
    retry_after: str | None = None

    @property
    def took(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        return (
            self.status is not None and 400 <= self.status < 500 and self.status not in (408, 410, 425, 429)
        )

    def __str__(self) -> str:
        said = f"应答 {self.status}" if self.status is not None else self.problem
        return said + (f"（{self.outcome}）" if self.outcome else "")


def play(url: str, secret: str) -> list[Result]:
    """Every check in turn against the receiver at `url`, which uses `secret`. Raises `OrderInvalid` for a secret that is none."""
    outbox.check_secret(secret)
    player = _Player(url, secret)
    first = player.send(player.event("subscription.tested"))
    if first.status is None:
        return [Result("连通", False, first.problem, "请确认接收程序已启动、地址正确、能从热线平台访问。")]
    results = [_took("连通", first, "请对验签通过的事件应答 2xx。")]
    results += [check(player) for check in _CHECKS]
    player.close()
    return results


class _Player:
    """Sends events of an invented ticket, well or badly."""

    def __init__(self, url: str, secret: str) -> None:
        self.url, self.secret = url, secret
        self._run = int(time.time()) * 1000
        self._count = 0
        self._lines = Lines(allow_private=True)

    def event(self, kind: str, *, subject: str | None = None, sequence: int | None = None) -> dict[str, Any]:
        """A new event, with an id and a sequence nobody had before."""
        self._count += 1
        number = subject or f"{self._run % 10**15:015d}"
        return example(
            kind, number=number, event_id=sequence or self._run + self._count, at=datetime.now(UTC)
        )

    def subject(self) -> str:
        """A ticket of its own."""
        return f"{secrets.randbelow(10**15):015d}"

    def send(
        self,
        event: dict[str, Any],
        *,
        secret: str | list[str] | None = None,
        at: datetime | None = None,
        change: Callable[[dict[str, str], bytes], tuple[dict[str, str], bytes]] | None = None,
        lines: Lines | None = None,
        seconds: float = outbox.TIMEOUT_SECONDS,
    ) -> _Said:
        """Send an event as the hotline does; `change` spoils headers or body after signing."""
        body = encoded(event)
        headers = outbox.signed_headers(secret or self.secret, event["id"], body, at or datetime.now(UTC))
        headers |= {"content-type": MEDIA_TYPE}
        if change is not None:
            headers, body = change(headers, body)
        try:
            answer = (lines or self._lines).send(
                "POST", self.url, headers=headers, body=body, seconds=seconds, whole=False
            )
        except SendFailed as failure:
            return _Said(None, str(failure))
        return _said(answer)

    def close(self) -> None:
        self._lines.close()


def _said(answer: Answer) -> _Said:
    return _Said(
        answer.status,
        outcome=answer.headers.get("webhook-outcome"),
        retry_after=answer.headers.get("retry-after"),
    )


def _took(name: str, said: _Said, advice: str, *, outcomes: tuple[str, ...] = ()) -> Result:
    honest = said.outcome is None or not outcomes or said.outcome in outcomes
    return Result(name, said.took and honest, str(said), advice)


def _refused(name: str, said: _Said, advice: str) -> Result:
    return Result(name, said.refused, str(said), advice)


# --- the checks --------------------------------------------------------------------------------------------------------


def _every_kind(player: _Player) -> Result:
    bad = [kind for kind in CATALOGUE if not player.send(player.event(kind, subject=player.subject())).took]
    saw = f"{len(CATALOGUE) - len(bad)} 种事件应答 2xx" + (f"，{'、'.join(bad)[:200]} 没有" if bad else "")
    return Result("全部事件", not bad, saw, "不需要的事件也应答 2xx，忽略即可。")


def _unknown_kind(player: _Player) -> Result:
    event = player.event("ticket.dispatched") | {"type": "ticket.not_known_yet", "extra": "以后的字段"}
    return _took("不认识的事件", player.send(event), "以后会增加事件和字段：不认识的应答 2xx 并忽略。")


def _wrong_signature(player: _Player) -> Result:
    said = player.send(player.event("ticket.dispatched"), secret=outbox.make_secret())
    return _refused("错误的签名", said, "签名不符的必须拒收（401），否则任何人都能冒充热线平台。")


def _no_signature(player: _Player) -> Result:
    said = player.send(
        player.event("ticket.dispatched"), change=lambda _, body: ({"content-type": MEDIA_TYPE}, body)
    )
    return _refused("没有签名", said, "缺少签名头的必须拒收。")


def _altered(player: _Player) -> Result:
    said = player.send(
        player.event("ticket.dispatched"),
        change=lambda headers, body: (headers, body.replace(b'"version":4', b'"version":9')),
    )
    return _refused("内容被改动", said, "须对收到的原始字节验签，不要先解析再序列化。")


def _old(player: _Player) -> Result:
    said = player.send(player.event("ticket.dispatched"), at=datetime.now(UTC) - timedelta(minutes=10))
    return _refused("过时的时间戳", said, "相差五分钟以上的必须拒收，以防重放。")


def _future(player: _Player) -> Result:
    said = player.send(player.event("ticket.dispatched"), at=datetime.now(UTC) + timedelta(minutes=10))
    return _refused("未来的时间戳", said, "相差五分钟以上的必须拒收；并请核对本机时钟。")


def _rotating(player: _Player) -> Result:
    said = player.send(player.event("ticket.dispatched"), secret=[outbox.make_secret(), player.secret])
    return _took("更换密钥期间的两个签名", said, "签名头中任何一个 v1 签名相符即可。")


def _duplicate(player: _Player) -> Result:
    event = player.event("ticket.dispatched", subject=player.subject())
    player.send(event)
    return _took(
        "重复的事件", player.send(event), "按 webhook-id 去重，重复的也应答 2xx。", outcomes=("duplicate",)
    )


def _out_of_order(player: _Player) -> Result:
    subject = player.subject()
    older = player.event("ticket.dispatched", subject=subject)
    player.send(player.event("ticket.archived", subject=subject))
    said = player.send(older)
    advice = "sequence 小于已处理过的是迟到的旧事件：应答 2xx，但不要用它覆盖新状态。"
    return _took("顺序颠倒", said, advice, outcomes=("stale",))


def _retry_after_failure(player: _Player) -> Result:
    """500, then again: the same event comes with a new timestamp and a new signature."""
    event = player.event("ticket.signed", subject=player.subject())
    said = player.send(event, at=datetime.now(UTC) - timedelta(seconds=90))
    again = player.send(event)
    advice = "重试时 webhook-id 不变，时间戳和签名是新的：不要按签名或时间去重。"
    return _took("失败后重试（新的时间戳）", again if said.took else said, advice, outcomes=("duplicate",))


def _cut_off(player: _Player) -> Result:
    """Slow: the hotline gives up waiting and sends it again; the first one may have been done."""
    event = player.event("ticket.reminded", subject=player.subject())
    impatient = Lines(allow_private=True)
    player.send(event, lines=impatient, seconds=0.02)
    impatient.close()
    began = time.monotonic()
    said = player.send(event)
    slow = time.monotonic() - began > outbox.TIMEOUT_SECONDS * 0.8
    advice = "须在 10 秒内应答：先收下再慢慢处理；超时后会重发，按 webhook-id 去重。"
    return Result("超时后重发", said.took and not slow, str(said) + ("，过慢" if slow else ""), advice)


def _burst(player: _Player) -> Result:
    """Many at once: taken, or put off with 429 or 503 and Retry-After, and taken then."""
    events = [player.event("ticket.dispatched", subject=player.subject()) for _ in range(_BURST)]

    def send(event: dict[str, Any]) -> _Said:
        lines = Lines(allow_private=True)
        try:
            said = player.send(event, lines=lines)
            if said.status in (429, 503) and said.retry_after and said.retry_after.isdigit():
                time.sleep(min(float(said.retry_after), _LONGEST_WAIT))
                said = player.send(event, lines=lines)
            return said
        finally:
            lines.close()

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(send, events))
    took = sum(said.took for said in answers)
    other = next((f"，另有{said}" for said in answers if not said.took), "")
    advice = "同时到来的事件应全部收下；忙时应答 429 或 503 并带 Retry-After（秒数），稍后会重发。"
    return Result("同时到来的事件", took == _BURST, f"{_BURST} 个中收下 {took} 个{other}", advice)


def _not_json(player: _Player) -> Result:
    event = player.event("ticket.dispatched")
    body = json.dumps(event, ensure_ascii=False)[:-1].encode()
    headers = outbox.signed_headers(player.secret, event["id"], body, datetime.now(UTC))
    said = player.send(event, change=lambda _, __: (headers | {"content-type": MEDIA_TYPE}, body))
    return Result(
        "残缺的内容", said.status is not None and not said.took, str(said), "不是 JSON 的应答 400。"
    )


_CHECKS: Final = (
    _every_kind,
    _unknown_kind,
    _wrong_signature,
    _no_signature,
    _altered,
    _old,
    _future,
    _rotating,
    _duplicate,
    _out_of_order,
    _retry_after_failure,
    _cut_off,
    _burst,
    _not_json,
)
