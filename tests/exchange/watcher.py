"""A console's stream of live updates, over a real socket in a thread: remembers what came, and goes on as EventSource does."""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Told:
    """One event of the stream: its name, what it says, the id it was given, when it came."""

    name: str
    data: dict[str, Any]
    id: str | None
    at: float


@dataclass
class Watcher:
    """One open stream."""

    address: str
    headers: dict[str, str]
    query: str = ""
    told: list[Told] = field(default_factory=list)
    beats: int = 0
    last_id: str | None = None
    status: int = 0
    answered: dict[str, str] = field(default_factory=dict)
    body: str = ""
    ended: threading.Event = field(default_factory=threading.Event)
    _connection: http.client.HTTPConnection | None = None

    def open(self, last_id: str | None = None) -> "Watcher":
        """Connect, and read from now on; returns once the first event has come, or the refusal."""
        own = {"Last-Event-ID": last_id} if last_id else {}
        where = urlsplit(self.address)
        self._connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        self._connection.request("GET", f"/api/v1/live{self.query}", headers=self.headers | own)
        answer = self._connection.getresponse()
        self.status, self.answered = answer.status, {k.lower(): v for k, v in answer.getheaders()}
        if answer.status != 200:
            self.body = answer.read().decode()
            self.ended.set()
            return self
        threading.Thread(target=self._read, args=(answer,), daemon=True).start()
        self.until(lambda: bool(self.of("ready")))
        return self

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None and self._connection.sock is not None:
            with contextlib.suppress(OSError):
                self._connection.sock.shutdown(2)
        self.ended.wait(10)

    def of(self, name: str) -> list[dict[str, Any]]:
        """What events of this name say, in the order they came."""
        return [each.data for each in list(self.told) if each.name == name]

    def until(self, happened: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until it has happened."""
        end = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < end, f"not within {seconds} s; came: {self.told[-5:]}"
            time.sleep(0.02)

    def _read(self, answer: http.client.HTTPResponse) -> None:
        fields: dict[str, str] = {}
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            while line := answer.readline():
                said = line.decode().rstrip("\n")
                if said:
                    name, _, value = said.partition(":")
                    fields[name or "comment"] = value.lstrip(" ")
                    continue
                self._came(fields)
                fields = {}
        self.ended.set()

    def _came(self, fields: dict[str, str]) -> None:
        self.last_id = fields.get("id", self.last_id)
        self.beats += "comment" in fields
        if "data" in fields:
            event = Told(fields["event"], json.loads(fields["data"]), fields.get("id"), time.time())
            self.told.append(event)
