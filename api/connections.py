"""The connections of a server process: a request's head may be neither endless nor endlessly slow, which uvicorn leaves open; and
what is streamed without end ends with the process."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MOST: Final = 32 * 1024
"""Bytes the request line and the headers may have together."""

HEAD_SECONDS: Final = 20.0
"""Seconds from a connection's start, or a request's first byte, until its head is whole."""


class Guarded(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with an end to what a head may be: 431 beyond `HEAD_MOST`, closed after `HEAD_SECONDS`.

    A route that streams without end says so: `scope["endless"]`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_open = False
        self._unfinished = 0
        self._begun = 0
        self._too_large = False
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to wait for."""
        self._stop_waiting()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The process is to end: finish what is being answered, but hang up on streams that have no end of their own."""
        super().shutdown()
        if self.cycle is not None and self.cycle.scope.get("endless"):
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begin to wait for the next head."""
        super().on_message_begin()
        self._head_open = True
        self._unfinished = 0
        self._begun += 1
        if self._waiting is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """The head is whole: hand it on, unless it is too large."""
        self._head_open = False
        self._stop_waiting()
        if len(self.url) + sum(len(n) + len(v) + 4 for n, v in self.headers) > HEAD_MOST:
            self._too_large = True
            raise ValueError("head too large")
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what belongs whole to a head that is still open is counted."""
        begun = self._begun
        super().data_received(data)
        if self._head_open and self._begun == begun and not self.transport.is_closing():
            self._unfinished += len(data)
            if self._unfinished > HEAD_MOST:
                self._too_large = True
                self.send_400_response("")

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Refuse what is no request, or one whose head is too large, in a form no browser renders, and hang up."""
        status = "431 Request Header Fields Too Large" if self._too_large else "400 Bad Request"
        self.transport.write(
            f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nX-Content-Type-Options: nosniff\r\n"
            "Cache-Control: no-store\r\nConnection: close\r\n\r\n".encode("ascii")
        )
        self.transport.close()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEAD_SECONDS, self._late)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _late(self) -> None:
        self._waiting = None
        self.transport.close()
