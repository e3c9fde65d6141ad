"""What processes cost, as Linux tells it in /proc: seconds of the processor, bytes of memory."""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_TICK = os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """MB of one process: of its own (USS), with its share of what it has in common (PSS), all that is resident (RSS)."""

    uss: float
    pss: float
    rss: float


def load() -> float:
    """The machine's load average of the last minute."""
    return os.getloadavg()[0]


def of_session(leader: int) -> list[int]:
    """The live processes of the session `leader` leads: whoever was started with `start_new_session`."""
    return [pid for pid, fields in _all() if fields[3] == str(leader) or pid == leader]


def of_postgres(postmaster: int) -> list[int]:
    """The postmaster and its backends, each of which leads a session of its own."""
    return [pid for pid, fields in _all() if pid == postmaster or fields[1] == str(postmaster)]


def cpu_s(pids: list[int]) -> float:
    """Seconds of the processor these used so far, with their children that have ended."""
    total = 0
    for pid, fields in _all():
        if pid in pids:
            total += sum(int(each) for each in fields[11:15])
    return total / _TICK


def run_ms(pids: list[int]) -> float:
    """Milliseconds of the processor the living threads of these used so far, to the nanosecond; what ended is not in it."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):
                    total += int((task / "schedstat").read_text().split()[0])
    return total / 1e6


def memory(pid: int) -> Memory:
    """What this process holds. Raises OSError if it has ended."""
    kb: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        kb[name] = int(value.split()[0])
    uss = kb["Private_Clean"] + kb["Private_Dirty"]
    return Memory(*(round(each / 1024, 1) for each in (uss, kb["Pss"], kb["Rss"])))


def _all() -> list[tuple[int, list[str]]]:
    """Every process with the fields of /proc/PID/stat from the third (state, parent, group, session, …) on."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                text = (entry / "stat").read_text(errors="replace")
                found.append((int(entry.name), text.rpartition(") ")[2].split()))
    return found
