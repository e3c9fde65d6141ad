"""A unit's receiver as a process of its own that fails as told: 500s, 503s with Retry-After, resets, answers that never come.

`python -m tests.exchange.flaky_receiver PORT FOLDER FAILING`: FAILING is the share of requests that fail (0.3). Each request's
signature is checked with the standardwebhooks library under the secret of its path (`FOLDER/secrets.json`). What it takes, and what
it takes and then fails to say so, it writes to `FOLDER/taken` before it answers; POST /flush writes that out and tells the counts.
"""

import asyncio
import hashlib
import json
import random
import sys
from collections import Counter
from pathlib import Path

import httptools
from standardwebhooks import Webhook

HANGS = 0.004
"""Of all requests so many are left unanswered until the sender gives up: each holds a sender for ten seconds."""


class Receiver:
    """What came, and what is done about it."""

    def __init__(self, folder: Path, failing: float) -> None:
        self.folder = folder
        self.failing = failing
        self.chance = random.Random(12345)
        self.counts: Counter[str] = Counter()
        self.hooks: dict[str, Webhook] = {}
        self.taken = (folder / "taken").open("w", buffering=1 << 16)

    def hook(self, path: str) -> Webhook:
        """The library's check under the secret of this path."""
        if path not in self.hooks:
            told = json.loads((self.folder / "secrets.json").read_text())
            self.hooks = {name: Webhook(secret) for name, secret in told.items()}
        return self.hooks[path]

    def receive(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, float]:
        """The status (0: cut the connection), a header line, and the seconds to wait first."""
        self.counts["requests"] += 1
        try:
            event = self.hook(path).verify(body, headers)
        except Exception:
            self.counts["wrongly signed"] += 1
            return 400, "", 0
        if headers["webhook-id"] != event["id"]:
            self.counts["id unlike the envelope's"] += 1
        turn = self.chance.random()
        if turn < HANGS:
            self.counts["left unanswered"] += 1
            return 0, "", 15
        if turn < self.failing * 0.25:
            self.counts["reset before it was taken"] += 1
            return 0, "", 0
        if turn < self.failing * 0.4:
            self._take(path, event, body, "lost")
            self.counts["taken, then reset"] += 1
            return 0, "", 0
        if turn < self.failing * 0.95:
            self.counts["500"] += 1
            return 500, "", 0
        if turn < self.failing:
            self.counts["503 with Retry-After"] += 1
            return 503, "retry-after: 1\r\n", 0
        self._take(path, event, body, "said")
        self.counts["taken"] += 1
        return 204, "", 0

    def _take(self, path: str, event: dict[str, str], body: bytes, how: str) -> None:
        digest = hashlib.sha256(body).hexdigest()[:16]
        line = (path, event["id"], event.get("subject"), event["sequence"], digest, how)
        self.taken.write(json.dumps(line) + "\n")


class Connection(asyncio.Protocol):
    """One connection: requests one after the other."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = b""

    def on_url(self, url: bytes) -> None:
        self.path = url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if self.path == "/flush":
            self.receiver.taken.flush()
            told = json.dumps(self.receiver.counts).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(told), told))
            return
        status, header, seconds = self.receiver.receive(self.path, self.headers, self.body)
        if not status:
            asyncio.get_running_loop().call_later(seconds, self.transport.abort)
            return
        self.transport.write(f"HTTP/1.1 {status} X\r\n{header}content-length: 0\r\n\r\n".encode())


async def main(port: int, folder: Path, failing: float) -> None:
    """Listen until killed."""
    receiver = Receiver(folder, failing)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(receiver), "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])))
