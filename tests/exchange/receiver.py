"""A unit's receiver, over real HTTP in a thread: remembers what came, verifies it, and behaves as it is told."""

import json
import socket
import ssl
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

Answer = tuple[int, dict[str, str]] | None
"""A status and headers; None: the handler wrote to the socket itself."""


@dataclass
class Came:
    """One request as it came."""

    at: float
    headers: dict[str, str]
    body: bytes
    path: str

    @property
    def event(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def lane(self) -> str:
        return str(self.event.get("subject"))


@dataclass
class Receiver:
    """What came, and what is answered: `answer(came, earlier)` with how often this event came before."""

    url: str
    answer: Callable[["Receiver", Came, int, socket.socket], Answer]
    came: list[Came] = field(default_factory=list)
    accepted: list[Came] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: Counter[str] = field(default_factory=Counter)

    def wait(self, count: int, seconds: float = 20.0, *, accepted: bool = True) -> None:
        """Until that many different events have come and been accepted."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self.lock:
                ids = {c.id for c in (self.accepted if accepted else self.came)}
            if len(ids) >= count:
                return
            time.sleep(0.02)
        raise AssertionError(f"{len(ids)} of {count} events after {seconds} s")

    def types(self) -> list[str]:
        """The kinds of what was accepted, in the order it came first."""
        with self.lock:
            return [c.event["type"] for c in first_of_each(self.accepted)]

    def verify(self, *secrets: str) -> None:
        """Every message bears a good signature of each of these secrets, by the library's own check."""
        with self.lock:
            for came in self.came:
                for secret in secrets:
                    Webhook(secret).verify(came.body, came.headers)

    def check_order(self) -> None:
        """Of each ticket, events were first accepted in the order of their sequence."""
        by_lane: dict[str, list[str]] = defaultdict(list)
        with self.lock:
            for came in first_of_each(self.accepted):
                by_lane[came.lane].append(came.event["sequence"])
        for lane, sequences in by_lane.items():
            if lane != "None":
                assert sequences == sorted(sequences), lane


def first_of_each(came: list[Came]) -> list[Came]:
    """Without what came again."""
    seen: set[str] = set()
    return [c for c in came if not (c.id in seen or seen.add(c.id))]  # type: ignore[func-returns-value]


def always(status: int = 204, **headers: str) -> Callable[..., Answer]:
    """Answer the same, whatever comes."""
    return lambda *_: (status, {name.replace("_", "-"): value for name, value in headers.items()})


@contextmanager
def receiving(
    answer: Callable[..., Answer] | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    """A receiver that listens on a port of its own until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            came = Came(time.time(), {k.lower(): v for k, v in self.headers.items()}, body, self.path)
            with receiver.lock:
                receiver.came.append(came)
                earlier = receiver.seen[came.headers.get("webhook-id", "")]
                receiver.seen[came.headers.get("webhook-id", "")] += 1
            told = receiver.answer(receiver, came, earlier, self.connection)
            if told is None:
                self.close_connection = True
                return
            status, headers = told
            if 200 <= status < 300:
                with receiver.lock:
                    receiver.accepted.append(came)
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hotline", answer or always())
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
