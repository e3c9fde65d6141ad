"""One message to one address, what became of it, and whoever can send it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: `id` stays the same however often it is tried, `at` (aware) is when it was written. The address is shown nowhere: not in a log, not in an error."""

    id: str
    at: datetime
    to: str
    kind: str
    subject: str
    text: str
    params: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Message({self.id})"


class Verdict(Enum):
    """What a try means."""

    SENT = "sent"
    RECORDED = "recorded"
    RETRY = "retry"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Result:
    """How a try went. `down`: the server itself could not be used, so that other messages had better wait as well.

    `problem` is short Chinese and repeats nothing that the other side said but its number.
    """

    verdict: Verdict
    problem: str | None = None
    status: int | None = None
    provider_id: str | None = None
    down: bool = False


class Sender(Protocol):
    """Sends one message after the other, by one thread."""

    def send(self, message: Message, at: datetime) -> Result:
        """One try at `at` (aware); never raises."""

    def close(self) -> None:
        """Let go of connections."""


class Recorded:
    """仅记录: for a site without a mail server or a gateway. What would have been said is on record; nobody was told."""

    def send(self, message: Message, at: datetime) -> Result:  # noqa: ARG002
        """On record, that is all."""
        return Result(Verdict.RECORDED)

    def close(self) -> None:
        """Nothing is held."""
