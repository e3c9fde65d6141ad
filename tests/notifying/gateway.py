"""An SMS gateway over real HTTP in a thread: keeps what came, verifies it, answers as it is told."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSB0ZXN0cywgbG9uZyBlbm91Z2g="


@dataclass
class Text:
    """One request as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told


@dataclass
class Gateway:
    """The gateway: what came, and the answers (status, body) to give first; then `{"code": "OK", "id": "gw-<n>"}`."""

    url: str = ""
    came: list[Text] = field(default_factory=list)
    answers: list[tuple[int, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, count: int, seconds: float = 20.0) -> list[Text]:
        """Until that many requests have come."""
        end = time.monotonic() + seconds
        while len(self.came) < count:
            assert time.monotonic() < end, f"{len(self.came)} of {count} texts after {seconds} s"
            time.sleep(0.02)
        return self.came

    def verify(self) -> None:
        """Every request bears a good signature, by the library's own check."""
        for text in self.came:
            Webhook(SECRET).verify(text.body, text.headers)


@contextmanager
def open_gateway() -> Iterator[Gateway]:
    """A gateway on a port of its own until the end of the block."""
    gateway = Gateway()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            with gateway.lock:
                gateway.came.append(Text({k.lower(): v for k, v in self.headers.items()}, body))
                told = json.dumps({"code": "OK", "id": f"gw-{len(gateway.came)}"})
                status, said = gateway.answers.pop(0) if gateway.answers else (200, told)
            self.send_response_only(status)
            self.send_header("content-length", str(len(said.encode())))
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    gateway.url = f"http://127.0.0.1:{server.server_port}/sms"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield gateway
    finally:
        server.shutdown()
        server.server_close()
