"""What every drill plays on: a small invented platform, `hotline serve` as machines of their own, clients under way, and the proof at the end.

A client does one act after another, each with its own Idempotency-Key, and repeats an act with the same key, at whichever machine
answers, until it is acknowledged: as the hotline's clients are told to.
"""

import argparse
import contextlib
import json
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import httpx2
from sqlmodel import Session

from deploy.drills.servers import PATIENCE, Server, free_port
from hotline import reference
from hotline.office import open_office
from hotline.organisation import OrgUnit
from hotline.people import accounts
from hotline.settings import DRIVER, Settings
from hotline.storage.store import make_engine, migrate
from workflow.vocabulary import Level, Role, UnitKind

HOTLINE: Final = Path(sys.executable).with_name("hotline")
BREATH: Final = 0.05
"""Seconds a client takes breath between two acts."""


# --- the drill itself ----------------------------------------------------------------------------------------------------


@dataclass
class Log:
    """What happened when, printed as it happens; with `quiet` only kept."""

    quiet: bool
    began: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)

    def say(self, what: str) -> None:
        """Note one thing with the seconds since the drill began."""
        line = f"{time.monotonic() - self.began:7.2f} s  {what}"
        self.lines.append(line)
        if not self.quiet:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


Drill = Callable[[Path, Log, argparse.Namespace], dict[str, Any]]


def main(name: str, about: str, drill: Drill) -> int:
    """Run a drill from the command line in a folder of its own; 1 where it lost something or did not come to its end."""
    parser = argparse.ArgumentParser(prog=f"python -m deploy.drills.{name}", description=about)
    parser.add_argument(
        "--json", action="store_true", help="print the figures as one line of JSON and nothing else"
    )
    parser.add_argument("--quick", action="store_true", help="a short one, under a minute")
    parser.add_argument("--clients", type=int, default=4, help="how many clients act at once (4)")
    options = parser.parse_args()
    figures = played(name, drill, options)
    sys.stdout.write(json.dumps(figures, ensure_ascii=False) + "\n")
    return 0 if figures["kept"] else 1


def played(name: str, drill: Drill, options: argparse.Namespace) -> dict[str, Any]:
    """The drill's figures; `kept` says whether everything that had to hold held. Leaves no process and no file behind."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    log = Log(quiet=options.json)
    folder = Path(tempfile.mkdtemp(prefix="hotline-drill-"))
    folder.chmod(0o755)
    try:
        figures = drill(folder, log, options)
    finally:
        for data in folder.glob("*/postgres"):
            server = Server(data.parent.name, folder)
            if server.pid() is not None:
                server.end()
        shutil.rmtree(folder, ignore_errors=True)
    wrong = figures.get("wrong", [])
    log.say("held: " + ("everything" if not wrong else "NOT " + "; ".join(wrong)))
    return {"drill": name, "kept": not wrong, "seconds": round(time.monotonic() - log.began, 1)} | figures


# --- the platform --------------------------------------------------------------------------------------------------------


def furnish(url: str, keys: Path) -> Mapping[str, str]:
    """Migrate an empty database and put one platform and one unit in it; the tokens of an agent, a dispatcher, a handler, a supervisor."""
    url = DRIVER + url.partition("://")[2]
    migrate(url)
    engine = make_engine(url, pool_size=2)
    open_office(settings_of(keys))  # makes the key ring
    with Session(engine, expire_on_commit=False) as session:
        reference.load_shipped(session)
        platform = accounts.add_platform(
            session, code="01", name="测试市12345热线", short_name="测试热线", level=Level.PREFECTURE,
            area_code="630100000000",
        )  # fmt: skip
        unit = OrgUnit(
            code="T1", name="测试单位", level=Level.PREFECTURE, kind=UnitKind.DEPARTMENT,
            platform_id=platform.id, area_code="630104000000",
        )  # fmt: skip
        session.add(unit)
        session.flush()
        tokens = {}
        for login, role in (("agent", Role.AGENT), ("dispatcher", Role.DISPATCHER), ("supervisor", Role.SUPERVISOR), ("handler", Role.HANDLER)):  # fmt: skip
            where: dict[str, Any] = {"unit": unit} if role is Role.HANDLER else {"platform": platform}
            person = accounts.add_person(session, login=login, name=f"测试{login}", roles=[role], **where)
            tokens[login] = accounts.issue_token(session, label="测试", at=datetime.now(UTC), person=person)
        session.commit()
    engine.dispose()
    return tokens


def settings_of(keys: Path) -> Settings:
    """Where the keys and the attachments lie that all machines share."""
    return Settings(data_dir=keys, keyring_file=keys / "keyring.json", signing_key_file=keys / "signing.key")


# --- machines ------------------------------------------------------------------------------------------------------------


@dataclass
class Machine:
    """One `hotline serve` with a data folder of its own; attachments and keys lie in the shared folder."""

    name: str
    folder: Path
    environment: Mapping[str, str]
    workers: int = 1
    port: int = field(default_factory=free_port)
    popen: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, not waiting."""
        data, shared = self.folder / self.name, self.folder / "shared"
        data.mkdir(exist_ok=True, mode=0o700)
        (shared / "blobs").mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            (data / "blobs").symlink_to(shared / "blobs")
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(("HOTLINE_", "PYTEST_", "COV_"))}
        own = {
            "HOTLINE_DATA_DIR": str(data),
            "HOTLINE_KEYRING_FILE": str(shared / "keyring.json"),
            "HOTLINE_SIGNING_KEY_FILE": str(shared / "signing.key"),
            "HOTLINE_REQUESTS_PER_MINUTE": "1000000",
        }
        with (self.folder / f"{self.name}.log").open("ab") as output:
            self.popen = subprocess.Popen(  # noqa: S603 - this installation's own program
                [HOTLINE, "serve", "--port", str(self.port), "--workers", str(self.workers)],
                env=inherited | own | dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Until it is ready. Raises `RuntimeError`."""
        end = time.monotonic() + 2 * PATIENCE
        while time.monotonic() < end and self.popen is not None and self.popen.poll() is None:
            with contextlib.suppress(httpx2.TransportError):
                if httpx2.get(f"{self.address}/readyz", timeout=5).status_code == 200:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} is not ready:\n{self.log()[-2000:]}")

    def terminate(self) -> tuple[float, int]:
        """SIGTERM; the seconds it then took to end, and its exit code."""
        assert self.popen is not None
        began = time.monotonic()
        self.popen.send_signal(signal.SIGTERM)
        code = self.popen.wait(30)
        return time.monotonic() - began, code

    def kill(self) -> None:
        """kill -9, if it is still there."""
        if self.popen is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()

    def log(self) -> str:
        """What it has written."""
        return (self.folder / f"{self.name}.log").read_text("utf-8", errors="replace")


@contextlib.contextmanager
def machines(
    folder: Path, environment: Mapping[str, str], names: Sequence[str], workers: Sequence[int] = (1, 1)
) -> Iterator[list[Machine]]:
    """These machines, started and not waited for; ended by kill -9 if they are still there."""
    made = [Machine(name, folder, environment, count) for name, count in zip(names, workers, strict=False)]
    try:
        for machine in made:
            machine.start()
        yield made
    finally:
        for machine in made:
            machine.kill()


def doctor(shared: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """What `hotline doctor --chains` finds on a machine with these keys and attachments, as data."""
    from api import operations_doctor

    here = {name: value for name, value in os.environ.items() if name.startswith("HOTLINE_")}
    keys = settings_of(shared)
    there = {
        "HOTLINE_DATA_DIR": str(keys.data_dir),
        "HOTLINE_KEYRING_FILE": str(keys.keyring_file),
        "HOTLINE_SIGNING_KEY_FILE": str(keys.signing_key_file),
        **environment,
    }
    for name in here:
        del os.environ[name]
    os.environ |= there
    try:
        found, _ = operations_doctor.look(chains=True, progress=False)
    finally:
        for name in there:
            del os.environ[name]
        os.environ |= here
    return found


# --- clients -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One act the hotline said it had done: the ticket's mark, its number, the act, and when (monotonic seconds)."""

    mark: str
    number: str
    act: str
    at: float


@dataclass
class Load:
    """Clients under way against several addresses, and what they were told."""

    addresses: Sequence[str]
    tokens: Mapping[str, str]
    clients: int
    kept_alive: bool = True
    told: list[Acknowledged] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Set them going."""
        self._threads = [
            threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(self.clients)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """No new acts; each client's act under way is brought to its end."""
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        if any(thread.is_alive() for thread in self._threads):
            self.wrong.append("a client never got its answer")

    def wait_for(self, count: int) -> None:
        """Until so many acts were acknowledged from here on. Raises `TimeoutError`."""
        wanted, end = len(self.told) + count, time.monotonic() + PATIENCE
        while len(self.told) < wanted:
            if time.monotonic() > end or self.wrong:
                raise TimeoutError(f"{len(self.told)} of {wanted} acts; {self.wrong} {dict(self.answers)}")
            time.sleep(0.02)

    def longest_silence(self) -> float:
        """The longest time, in seconds, in which no act was acknowledged."""
        at = sorted(each.at for each in self.told)
        return max((b - a for a, b in pairwise(at)), default=0.0)

    def _work(self, number: int) -> None:
        turn = number
        headers = {} if self.kept_alive else {"Connection": "close"}
        with httpx2.Client(timeout=20, headers=headers) as client:
            while not self._over.is_set():
                mark = "".join(chr(ord("a") + int(digit, 16)) for digit in secrets.token_hex(6))
                steps = (
                    ("accept", "agent", "/tickets", _demand(mark)),
                    ("dispatch", "dispatcher", "/tickets/{}/dispatch", {"lead": "T1", "instruction": "测试"}),
                    ("report_progress", "handler", "/tickets/{}/report_progress", {"content": "测试进展"}),
                )
                ticket = ""
                for act, login, path, order in steps:
                    body = self._until_told(client, turn, login, path.format(ticket), order)
                    if body is None:
                        return
                    ticket = str(body["number"])
                    self.told.append(Acknowledged(mark, ticket, act, time.monotonic()))
                    turn += 1
                    time.sleep(BREATH)

    def _until_told(
        self, client: httpx2.Client, turn: int, login: str, path: str, order: Any
    ) -> dict[str, Any] | None:
        """One act, with one key, tried at one machine after another until it is acknowledged."""
        headers = {"Authorization": f"Bearer {self.tokens[login]}", "Idempotency-Key": secrets.token_hex(12)}
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            address = self.addresses[turn % len(self.addresses)]
            turn += 1
            try:
                answer = client.post(f"{address}/api/v1{path}", headers=headers, json=order)
            except httpx2.TransportError as error:
                self.answers[type(error).__name__] += 1
                time.sleep(0.1)
                continue
            self.answers[str(answer.status_code)] += 1
            if answer.status_code in (200, 201):
                body: dict[str, Any] = answer.json()
                return body
            if answer.status_code != 503:
                self.wrong.append(f"{answer.status_code} {path}: {answer.text[:300]}")
                return None
            time.sleep(0.2)  # Retry-After says 2 s; a drill is in more of a hurry
        self.wrong.append(f"{path} was never acknowledged")
        return None


def _demand(mark: str) -> dict[str, Any]:
    return {
        "demand": {
            "channel": "phone",
            "matter": "inquiry",
            "category": "010101",
            "title": f"测试 {mark}",
            "content": "演练：供水问题，测试内容。",
            "area": "630104000000",
            "caller": {"name": "测试甲", "phone": "13900000001"},
        }
    }


# --- the proof -----------------------------------------------------------------------------------------------------------


def prove(server: Server, told: Sequence[Acknowledged]) -> tuple[dict[str, int], list[str]]:
    """Whether every acknowledged act is on `server`, once: counts, and what is wrong."""
    with server.connected() as connection:
        found = connection.execute("SELECT title, number FROM tickets").fetchall()
        acts = Counter(
            connection.execute(
                "SELECT t.number, l.act FROM ledger l JOIN tickets t ON t.id = l.ticket_id"
                " WHERE l.act IN ('accept', 'dispatch', 'report_progress')"
            ).fetchall()
        )
    by_mark = Counter(str(title).rpartition(" ")[2] for title, _ in found)
    number_of = {str(title).rpartition(" ")[2]: str(number) for title, number in found}
    lost = sum(number_of.get(each.mark) != each.number or not acts[each.number, each.act] for each in told)
    twice = sum(count > 1 for count in by_mark.values()) + sum(count > 1 for count in acts.values())
    counts = {
        "acknowledged": len(told),
        "tickets": len(found),
        "acts_in_ledgers": acts.total(),
        "lost": lost,
        "done_twice": twice,
    }
    wrong = [f"{lost} acknowledged acts lost"] if lost else []
    return counts, wrong + ([f"{twice} acts done twice"] if twice else [])
