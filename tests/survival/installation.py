"""A whole installation in a folder of its own: the product's embedded PostgreSQL, `hotline serve` and `hotline schedule`."""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from hotline.storage import embedded
from hotline.storage.store import make_engine, migrate
from tests.processes.hotlines import PATIENCE, Process, free_port, start
from tests.world import World, build

ENVIRONMENT = {
    "HOTLINE_DATABASE_URL": "",  # the embedded one
    "HOTLINE_ALLOW_PRIVATE_TARGETS": "true",
    "HOTLINE_LOG_LEVEL": "WARNING",
    "HOTLINE_REQUESTS_PER_MINUTE": "1000000",
    "HOTLINE_SWEEP_SECONDS": "0.5",
}


_NO_DATABASE = ("EmbeddedUnavailable", "OperationalError", "数据库无法连接")
"""How a process says that it ended because it found no database."""


@dataclass
class Installation:
    """One data folder, the processes on it, and what was killed."""

    home: Path
    world: World
    port: int = field(default_factory=free_port)
    running: dict[str, Process] = field(default_factory=dict)
    killed: Counter[str] = field(default_factory=Counter)
    ended_early: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, name: str) -> None:
        arguments = {"server": ("serve", "--port", str(self.port), "--workers", "2"), "ticker": ("schedule",)}
        self.running[name] = start(self.home, "", *arguments[name], **ENVIRONMENT)

    def kill(self, name: str) -> None:
        """kill -9; server and ticker are started again at once, a worker by its server, the database by either."""
        if name == "database":
            os.kill(int((self.home / "postgres/postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        elif name == "worker":
            os.kill(random.choice(self.workers()), signal.SIGKILL)
        else:
            self.running[name].kill()
            self.start(name)
        self.killed[name] += 1

    def workers(self) -> list[int]:
        """The server's worker processes."""
        parent = self.running["server"].popen.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [int(c) for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]

    def logs(self) -> str:
        """The ends of what every process wrote."""
        logs = sorted(self.home.glob("*.log"), key=lambda log: log.stat().st_mtime)
        return "\n".join(f"--- {log.name}\n{log.read_text()[-4000:]}" for log in logs)

    def revive(self) -> None:
        """Start again what ended by itself, because the database died under it while it was only starting."""
        for name, process in list(self.running.items()):
            if process.popen.poll() is not None:
                log = process.log.read_text()
                assert any(each in log for each in _NO_DATABASE), log
                self.ended_early += 1
                self.start(name)

    def ready(self, seconds: float = PATIENCE) -> None:
        """Wait until the server answers that it is."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.revive()
            with contextlib.suppress(httpx2.TransportError):
                if httpx2.get(f"{self.address}/readyz", timeout=3).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"not ready after {seconds} s: {self.logs()}")


@contextlib.contextmanager
def installed(home: Path) -> Iterator[Installation]:
    """An installation in `home` with the small world in it; its processes and its database end with the block."""
    url = embedded.find_or_start(home)
    migrate(url)
    engine = make_engine(url)
    made = Installation(home, build(engine, home))
    try:
        yield made
    finally:
        for process in made.running.values():
            process.kill()
        engine.dispose()
        embedded.stop(home)
