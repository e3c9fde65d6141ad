"""N clients over raw keep-alive connections, one thread: the same cheap load for the hotline and for what it is compared with.

A client runs a script, a generator that yields whole requests and is sent each answer; its next request leaves when the last one is
answered. A script lives on from round to round, so that clients do not all stand at the same step.
"""

import json
import selectors
import socket
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PATIENCE_S = 60.0


class Answer(NamedTuple):
    """A status, the version in the ETag where there is one, and the body."""

    status: int
    etag: str | None
    body: bytes

    def json(self) -> Any:
        """The body read as JSON."""
        return json.loads(self.body)


Script = Generator[bytes, Answer, None]


class NotDone(Exception):
    """A request was answered by other than 2xx, or not at all."""


def request(method: str, path: str, headers: Mapping[str, str], body: object = None) -> bytes:
    """A whole HTTP/1.1 request; a body that is not bytes is sent as JSON."""
    content = b""
    if body is not None:
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        *(f"{name}: {headers[name]}" for name in headers),
    ]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


@dataclass
class Round:
    """What came of one round: each answer's path and seconds, in the order they came; how long it took; the load's own cost."""

    seconds: float
    answers: list[tuple[str, float]]
    own_cpu_s: float

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.answers) / self.seconds


@dataclass
class Client:
    """One connection and the script it runs; `due` is the request that leaves next, None where the script has ended."""

    port: int
    script: Script
    due: bytes | None = field(init=False)
    sent_at: float = 0.0
    _buffer: bytes = b""
    _socket: socket.socket | None = None

    def __post_init__(self) -> None:
        self.due = next(self.script, None)

    @property
    def asked(self) -> str:
        """The path of the request that is due or under way."""
        assert self.due is not None
        return self.due.split(b" ", 2)[1].decode()

    def send(self) -> socket.socket:
        """Send what is due; the socket its answer comes on."""
        assert self.due is not None
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = time.perf_counter()
        self._socket.sendall(self.due)
        return self._socket

    def receive(self) -> Answer | None:
        """What has arrived, once it is a whole answer. Raises NotDone."""
        assert self._socket is not None
        part = self._socket.recv(1 << 18)
        self._buffer += part
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            if not part:
                raise NotDone(f"the server closed the connection: {self._buffer!r}")
            return None
        status, headers = _read_head(head)
        if b"content-length" not in headers:
            if part:
                return None  # up to the end of the connection
        elif len(rest) < int(headers[b"content-length"]):
            if not part:
                raise NotDone("the answer broke off")
            return None
        self._buffer = b""
        if headers.get(b"connection", b"").lower() == b"close" or not part:
            self.close()
        if not 200 <= status < 300:
            raise NotDone(f"{self.asked}: {status} {rest[:2000].decode(errors='replace')}")
        etag = headers.get(b"etag")
        return Answer(status, etag.decode() if etag else None, rest)

    def go_on(self, answer: Answer) -> None:
        """Hand the script its answer and take its next request."""
        try:
            self.due = self.script.send(answer)
        except StopIteration:
            self.due = None

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _read_head(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = head.split(b"\r\n")
    pairs = (line.partition(b":") for line in lines)
    return int(first.split(b" ", 2)[1]), {name.lower(): value.strip() for name, _, value in pairs}


def play(clients: Sequence[Client], seconds: float | None = None) -> Round:
    """Let the clients go on for so many seconds, or until every script has ended; each request is answered before this returns.

    Raises NotDone at the first answer that is not 2xx.
    """
    answers: list[tuple[str, float]] = []
    cpu, began = time.process_time(), time.perf_counter()
    end = began + seconds if seconds is not None else float("inf")
    with selectors.DefaultSelector() as selector:
        for client in clients:
            if client.due is not None:
                selector.register(client.send(), selectors.EVENT_READ, client)
        while selector.get_map():
            ready = selector.select(PATIENCE_S)
            if not ready:
                raise NotDone(f"no answer in {PATIENCE_S:.0f} s")
            for key, _ in ready:
                client = key.data
                answer = client.receive()
                if answer is None:
                    continue
                now = time.perf_counter()
                answers.append((client.asked, now - client.sent_at))
                client.go_on(answer)
                selector.unregister(key.fileobj)
                if client.due is not None and now < end:
                    selector.register(client.send(), selectors.EVENT_READ, client)
    for client in clients:
        client.close()  # servers hang up on who is silent between the rounds
    return Round(time.perf_counter() - began, answers, time.process_time() - cpu)
