"""Clients as they should be: each act under an Idempotency-Key, repeated through cut connections and 503 until it is acknowledged."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.api.refusals import new_ticket

ALL_OK = {"elements": {"quality": True, "process": True, "content": True, "completeness": True}}
LIFE: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("dispatch", "dispatcher", {"lead": "ZJJ"}),
    ("sign", "ZJJ", {}),
    ("report_progress", "ZJJ", {"content": "已到现场。"}),
    ("answer_citizen", "ZJJ", {}),
    ("reply", "ZJJ", {"content": "已更换阀门。"}),
    ("review_pass", "reviewer", ALL_OK),
    ("record_callback", "callback", {"outcome": "satisfied", "solved": True}),
    ("archive", "agent", {}),
)
ACTS = ("accept", *(act for act, _, _ in LIFE))
WAITS = 0.1
"""Seconds between two tries."""


class Refused(AssertionError):
    """An answer that is neither the act's nor «try again»."""


@dataclass
class Clients:
    """Several at once, each doing whole lives of tickets, and what they were told."""

    address: str
    tokens: Mapping[str, str]
    acknowledged: list[tuple[str, int, str]] = field(default_factory=list)
    """Number, version, act: what a client was told is done."""
    repeated: Counter[str] = field(default_factory=Counter)
    """Why an act was sent again, how often."""
    wrong: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    patience: float = 400.0
    """Seconds one act may go unacknowledged."""
    more: int = 0
    """How often the demand's text repeats itself."""
    _keys: "itertools.count[int]" = field(default_factory=itertools.count)

    def done(self, client: httpx2.Client, login: str, path: str, order: Any) -> Any:
        """Do one act, however often it takes; the acknowledged answer."""
        key = f"survival-{next(self._keys)}"
        headers = {"Authorization": f"Bearer {self.tokens[login]}", "Idempotency-Key": key}
        end = time.monotonic() + self.patience
        while time.monotonic() < end:
            try:
                answer = client.post(f"/api/v1{path}", headers=headers, json=order)
            except httpx2.TransportError as error:
                self.repeated[type(error).__name__] += 1
                time.sleep(WAITS)
                continue
            if answer.status_code in (200, 201):
                told = answer.json()
                act = "accept" if path == "/tickets" else path.rpartition("/")[2]
                self.acknowledged.append((told["number"], told["version"], act))
                return told
            if answer.status_code != 503:
                raise Refused(f"{path}: {answer.status_code} {answer.text[:500]}")
            assert answer.headers["content-type"] == "application/problem+json", answer.headers
            assert int(answer.headers["retry-after"]) >= 1
            self.repeated["503"] += 1
            time.sleep(WAITS)
        raise Refused(f"{path}: not acknowledged within {self.patience} s")

    def demand(self) -> Any:
        """What a client registers: a complaint, so that no period ends meanwhile, as long as `more` asks."""
        content = "测试来电：家中暖气不热。" + "详情见附件。" * self.more
        return new_ticket(matter="complaint", content=content)

    def one_life(self, client: httpx2.Client) -> str:
        """A demand from its receipt to the archive; its number."""
        number = str(self.done(client, "agent", "/tickets", self.demand())["number"])
        for act, login, order in LIFE:
            self.done(client, login, f"/tickets/{number}/{act}", order)
        return number

    def start(self, count: int, timeout: float = 20.0) -> Callable[[], None]:
        """Let `count` clients work until what is returned is called, which lets each end the life under way."""

        def work() -> None:
            with httpx2.Client(base_url=self.address, timeout=timeout) as client:
                while not self.stopping.is_set():
                    try:
                        self.one_life(client)
                    except Exception as error:
                        self.wrong.append(f"{type(error).__name__}: {error}")
                        return

        threads = [threading.Thread(target=work) for _ in range(count)]
        for thread in threads:
            thread.start()

        def finish() -> None:
            self.stopping.set()
            for thread in threads:
                thread.join()

        return finish
