"""Real processes of the command `hotline` on a test's database, and their end."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2

HOTLINE = Path(sys.executable).with_name("hotline")
PATIENCE = 150.0
"""Seconds within which a process must be up."""


@dataclass
class Process:
    """One running `hotline`; what it writes goes to `log`."""

    popen: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """kill -9."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def terminate(self) -> float:
        """SIGTERM; the seconds it then took to end."""
        began = time.monotonic()
        self.popen.send_signal(signal.SIGTERM)
        self.popen.wait(30)
        return time.monotonic() - began


def start(folder: Path, url: str, *arguments: str, **environment: str) -> Process:
    """Start `hotline …` on this database, with `folder` for its data."""
    folder.mkdir(exist_ok=True)
    (folder / "field.key").write_bytes(b"k" * 32)  # the small world's
    log = folder / f"{arguments[0]}-{time.monotonic_ns()}.log"
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(("HOTLINE_", "PYTEST_", "COV_"))}
    settings = {"HOTLINE_DATABASE_URL": url, "HOTLINE_DATA_DIR": str(folder)} | environment
    with log.open("wb") as output:
        popen = subprocess.Popen(
            [HOTLINE, *arguments],
            env=inherited | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Process(popen, log)


@dataclass
class Served:
    """A server that answers, and the tokens of the world behind it."""

    process: Process
    address: str
    tokens: Mapping[str, str]

    def client(self) -> httpx2.Client:
        """A client of its own connections."""
        return httpx2.Client(base_url=self.address, timeout=30)

    def headers(self, login: str) -> dict[str, str]:
        """The bearer token of this person."""
        return {"Authorization": f"Bearer {self.tokens[login]}"}


@contextlib.contextmanager
def serving(
    folder: Path, url: str, tokens: Mapping[str, str], *arguments: str, port: int | None = None
) -> Iterator[Served]:
    """A `hotline serve` that is ready, ended by kill -9 if it is still there."""
    number = port or free_port()
    unhurried = {"HOTLINE_REQUESTS_PER_MINUTE": "1000000"}  # one person asks for a whole office here
    process = start(folder, url, "serve", "--port", str(number), *arguments, **unhurried)
    try:
        address = f"http://127.0.0.1:{number}"
        wait_until_ready(process, address)
        yield Served(process, address, tokens)
    finally:
        process.kill()


def wait_until_ready(process: Process, address: str) -> None:
    """Until /readyz says so."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if process.popen.poll() is not None:
            raise AssertionError(f"hotline serve ended early:\n{process.log.read_text()}")
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"{address}/readyz", timeout=5).status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"not ready after {PATIENCE} s:\n{process.log.read_text()}")


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
