"""A real server on a real socket: heads without end, requests that smuggle another, proxies that are believed or not."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse

from api import connections
from api.bodies import BodyLimit
from api.operations import _server_options
from api.shield import Shield
from hotline.settings import Settings

Serve = Callable[..., "Sockets"]
OTHER = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Sockets:
    """Raw bytes to a server, and what comes back until it hangs up or falls silent."""

    def __init__(self, port: int, seen: list[str]) -> None:
        self.port = port
        self.seen = seen

    def open(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.settimeout(5)
        return connection

    def send(self, *parts: bytes, patience: float = 0.4) -> bytes:
        """Send, then read; `<end>` where the server hung up."""
        with self.open() as connection:
            answer = b""
            try:
                for part in parts:
                    connection.sendall(part)
                connection.settimeout(patience)
                while data := connection.recv(65536):
                    answer += data
            except TimeoutError:
                return answer
            except OSError:
                pass  # it hung up while we were still sending
            return answer + b"<end>"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers as `hotline serve` does, on any free port."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(**settings: Any) -> Sockets:
        seen: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                return
            request = Request(scope, receive)
            seen.append(request.url.path)
            await request.body()
            told = {"address": request.client.host if request.client else None, "scheme": request.url.scheme}
            await JSONResponse(told)(scope, receive, send)

        chosen = Settings(**settings)
        options = _server_options(chosen) | {"lifespan": "off"}
        config = uvicorn.Config(Shield(BodyLimit(app, 10**6), chosen), port=0, **options)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        servers.append((server, thread))
        end = time.monotonic() + 30
        while not server.started and time.monotonic() < end:
            time.sleep(0.01)
        return Sockets(server.servers[0].sockets[0].getsockname()[1], seen)

    yield start
    for server, thread in servers:
        server.should_exit = True
        thread.join(10)


def get(*headers: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\n" + b"".join(h + b"\r\n" for h in (b"Host: localhost", *headers)) + b"\r\n"


def statuses(answer: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3})", answer)]


def test_an_ordinary_request_is_answered_and_says_nothing_of_the_server(serve: Serve) -> None:
    answer = serve().send(get(b"X-Long: " + b"a" * 30_000))
    assert statuses(answer) == [200]
    assert b"\r\nserver:" not in answer.lower()
    assert b"uvicorn" not in answer.lower()
    assert b"x-content-type-options: nosniff" in answer


@pytest.mark.parametrize(
    "head",
    [
        get(b"X-Long: " + b"a" * 40_000),
        get(*(b"X-%d: a" % n for n in range(5_000))),
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["header", "headers", "address"],
)
def test_a_head_too_large_is_refused(serve: Serve, head: bytes) -> None:
    server = serve()
    answer = server.send(head)
    assert statuses(answer) == [431]
    assert answer.endswith(b"<end>")
    assert server.seen == []


def test_a_head_without_end_is_cut_off(serve: Serve) -> None:
    server = serve()
    answer = server.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", *[b"a" * 65536] * 200, patience=5)
    assert answer.endswith(b"<end>")
    assert server.seen == []


@pytest.mark.parametrize(
    "said",
    [b"", b"GET / HTTP/1.1\r\nHost: loc", get() + b"GET / HTT"],
    ids=["nothing", "half", "second half"],
)
def test_a_head_that_does_not_come_is_given_up(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    began = time.monotonic()
    answer = serve().send(said, patience=10)
    assert answer.endswith(b"<end>")
    assert time.monotonic() - began < 8


def test_a_connection_in_use_is_not_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    with serve().open() as connection:
        for _ in range(4):
            connection.sendall(get())
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            time.sleep(0.4)
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n")
        for _ in range(3):
            time.sleep(0.4)
            connection.sendall(b"x")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Content-Length: 0\r\nContent-Length: 5",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Content-Length: +5",
        b"Content-Length: 5, 0",
        b"X: a\r\n Content-Length: 5",
        b"X: a\x00b",
        b"X\x0b: a",
    ],
)
def test_a_request_that_two_servers_could_read_differently_is_refused(serve: Serve, head: bytes) -> None:
    server = serve()
    answer = server.send(b"POST / HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n0\r\n\r\n" + OTHER)
    assert statuses(answer) == [400]
    assert answer.endswith(b"<end>")
    assert b"x-content-type-options: nosniff" in answer.lower()
    assert "/smuggled" not in server.seen


@pytest.mark.parametrize(
    "head",
    [b"GET / HTTP/1.1\nHost: localhost\n\n", b"\x16\x03\x01\x02\x00" * 10, b"CONNECT x:1 HTTP/1.1\r\n\r\n"],
)
def test_what_is_no_request_is_refused(serve: Serve, head: bytes) -> None:
    assert statuses(serve().send(head)) == [400]


def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    server = serve()
    post = (
        b"POST /post HTTP/1.1\r\nHost: localhost\r\nCookie: a\r\nContent-Length: 200000\r\n\r\n"
        + b"x" * 200_000
    )
    answer = server.send(get(), post, OTHER, get(), patience=1.5)
    assert statuses(answer) == [200] * 4
    assert server.seen == ["/", "/post", "/smuggled", "/"]


def test_an_upgrade_is_not_taken(serve: Serve) -> None:
    answer = serve().send(get(b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: x"))
    assert statuses(answer) == [200]


@pytest.mark.parametrize(
    ("trusted", "said", "address", "scheme"),
    [
        ("127.0.0.1", b"203.0.113.5", "203.0.113.5", "https"),
        ("127.0.0.1", b"198.51.100.9, 203.0.113.5", "203.0.113.5", "https"),
        ("192.0.2.1", b"203.0.113.5", "127.0.0.1", "http"),
    ],
)
def test_only_a_trusted_proxy_is_believed(
    serve: Serve, trusted: str, said: bytes, address: str, scheme: str
) -> None:
    answer = serve(trusted_proxies=trusted).send(
        get(b"X-Forwarded-For: " + said, b"X-Forwarded-Proto: https")
    )
    assert f'"address":"{address}","scheme":"{scheme}"'.encode() in answer
    assert (b"strict-transport-security" in answer) is (scheme == "https")
