"""Bodies of requests: how large they may be, by who sends what, and how slow."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems

BODY_SECONDS: Final = 300.0
"""Seconds within which a request's body must have come whole."""

BODY_PAUSE_SECONDS: Final = 20.0
"""Seconds a sender may pause within it."""


STRANGERS_MOST: Final = 64 * 1024
"""Bytes a body may have of who shows no credentials: they can only be signing in."""

JSON_MOST: Final = 4 * 1024 * 1024
"""Bytes of a body that is no file: it is read into memory before anybody is asked who sends it."""


class BodyLimit:
    """Refuses a body larger than `most` bytes (less, where no file comes) before it is read into memory, and one that does not
    come."""

    def __init__(
        self, app: ASGIApp, most: int, *, within: float = BODY_SECONDS, pause: float = BODY_PAUSE_SECONDS
    ) -> None:
        self.app = app
        self.most = most
        self.within = within
        self.pause = pause

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watch what comes in; answer 413 or 408 once it is too much or too slow."""
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        declared = _declared(headers)
        if declared == 0:
            await self.app(scope, receive, send)
            return
        most = self._most(headers)
        body = _Body(receive, most, self.within, self.pause)
        if declared is not None and declared > most:
            await self._refuse(413, most, scope, receive, send)
            return

        async def watched(message: Message) -> None:
            if not body.refused:
                await send(message)

        try:
            await self.app(scope, body.receive, watched)
        except Exception:
            if not body.refused:
                raise
        if body.refused:
            await self._refuse(body.refused, most, scope, receive, send)

    def _most(self, headers: Mapping[bytes, bytes]) -> int:
        if b"authorization" not in headers and b"cookie" not in headers:
            return min(self.most, STRANGERS_MOST)
        is_file = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        return self.most if is_file else min(self.most, JSON_MOST)

    async def _refuse(self, status: int, most: int, scope: Scope, receive: Receive, send: Send) -> None:
        if status == 413:
            limit = f"{most // 1024 // 1024} MB" if most >= 1024 * 1024 else f"{most // 1024} KB"
            told = f"请求超过 {limit} 的上限。"
            response = problems.respond(413, "请求过大", told, "too_large")
        else:
            response = problems.respond(408, "请求超时", "请求内容迟迟没有发完，请重新发送。", "too_slow")
        response.headers["Connection"] = "close"
        await response(scope, receive, send)


def _declared(headers: Mapping[bytes, bytes]) -> int | None:
    """The bytes a request says its body has, None if it does not say."""
    if b"transfer-encoding" in headers:
        return None
    length = headers.get(b"content-length", b"0")
    return int(length.lstrip(b"0")[:18] or b"0") if length.isdigit() else None


class _Body:
    """One body as it comes in; `refused` is the status to refuse it with, or 0."""

    def __init__(self, receive: Receive, most: int, within: float, pause: float) -> None:
        self._receive = receive
        self._most = most
        self._pause = pause
        self._seen = 0
        self._whole = False
        self._end = time.monotonic() + within
        self.refused = 0

    async def receive(self) -> Message:
        """The next part; a disconnect instead once it is too much or too slow."""
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout(min(self._pause, max(0.0, self._end - time.monotonic()))):
                message = await self._receive()
        except TimeoutError:
            self.refused = 408
            return {"type": "http.disconnect"}
        self._seen += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._seen > self._most:
            self.refused = 413
            return {"type": "http.disconnect"}
        return message
