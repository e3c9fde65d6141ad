"""The OpenAPI document's `webhooks`: what is sent to a subscriber's address, kind by kind, with an example."""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Header

from hotline.exchange.envelopes import CATALOGUE, Envelope, Kind, example

MEDIA_TYPE: Final = "application/cloudevents+json"
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    "2XX": {"description": "已收下（重复的也应答 2xx）；应答内容不读取"},
    "408": {"description": "稍后重试；425、429、5xx、超时与无法连接相同，429、503 的 Retry-After 照办"},
    "410": {"description": "不再接收：订阅随即停用"},
    "4XX": {"description": "拒绝：重试三次后列入投递失败"},
}


@cache
def described() -> APIRouter:
    """Every kind of event, for the document; put together once a process."""
    router = APIRouter()
    for kind, told in CATALOGUE.items():
        router.add_api_route(
            kind,
            _endpoint(kind),
            methods=["POST"],
            status_code=204,
            summary=told.label,
            description=_description(told),
            operation_id=f"on_{kind.replace('.', '_')}",
            tags=["事件"],
            responses=_RESPONSES,
            openapi_extra={"requestBody": {"content": {MEDIA_TYPE: {"example": example(kind)}}}},
        )
    return router


def _description(told: Kind) -> str:
    whom = "承办单位和平台" if told.to_units else "平台"
    return f"{told.meaning}\n\n发给：{whom}。签名按 Standard Webhooks；同一事件重发时 webhook-id 不变。"


def _endpoint(kind: str) -> Callable[..., None]:
    def receive(
        event: Annotated[Envelope, Body(media_type=MEDIA_TYPE)],
        webhook_id: Annotated[str, Header(description="事件编号，与信封的 id 相同，据此去重")],
        webhook_timestamp: Annotated[int, Header(description="发送时刻，Unix 秒；相差五分钟以上的应拒收")],
        webhook_signature: Annotated[
            str,
            Header(description="v1,Base64(HMAC-SHA256(密钥, id.时刻.内容))；更换密钥期间有两个，空格分隔"),
        ],
    ) -> None:
        """Described, never called: it is the subscriber who is."""

    receive.__name__ = kind.replace(".", "_")
    return receive
