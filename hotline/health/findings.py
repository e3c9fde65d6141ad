"""One thing looked at: whether it is well, and what to do if it is not."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. A warning wants somebody's attention; a fault breaks something, or loses it."""

    FINE = "fine"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` names what was looked at, `told` what was seen, `advice` what to do next (empty where all is well)."""

    check: str
    level: Level
    told: str
    advice: str = ""


def fine(check: str, told: str) -> Finding:
    """All is well."""
    return Finding(check, Level.FINE, told)


def warning(check: str, told: str, advice: str) -> Finding:
    """Somebody should look at it."""
    return Finding(check, Level.WARNING, told, advice)


def fault(check: str, told: str, advice: str) -> Finding:
    """It is broken."""
    return Finding(check, Level.FAULT, told, advice)
