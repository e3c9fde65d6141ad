"""What stands side by side on one embedded PostgreSQL: a real `hotline serve`, django-helpdesk under gunicorn, a bare FastAPI.

The PostgreSQL has its ordinary, durable settings; each has a database of its own in it. The peers run in the environment that
`bench/peers/uv.lock` locks, made on demand by uv; nothing of them is in the hotline's.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine, make_url
from sqlmodel import Session

from hotline import reference
from hotline.office import open_office
from hotline.organisation import OrgUnit
from hotline.people import accounts
from hotline.settings import Settings
from hotline.storage import embedded
from hotline.storage.store import make_engine, migrate
from workflow.vocabulary import Level, Role, UnitKind

PEERS = Path(__file__).parent / "peers"
HOTLINE = Path(sys.executable).with_name("hotline")
WORKERS = 2
DESK_THREADS = 8
UNIT, AREA, CATEGORY = "ZJJ", "630104000000", "010101"


class PeerMissing(Exception):
    """The peers' environment cannot be made here; the message says why."""


@dataclass
class Server:
    """A process that leads a session, and the port it listens on."""

    name: str
    process: subprocess.Popen[bytes]
    port: int

    @property
    def pid(self) -> int:
        """The session's leader."""
        return self.process.pid


@dataclass
class Stage:
    """The database server and what runs beside it."""

    folder: Path
    url: str
    engine: Engine
    tokens: dict[str, str] = field(default_factory=dict)
    platform_id: int = 0
    unit_id: int = 0
    servers: list[Server] = field(default_factory=list)

    @property
    def postmaster(self) -> int:
        """The database server's process."""
        return int((self.folder / "server/postgres/postmaster.pid").read_text().split()[0])

    @property
    def journal(self) -> Path:
        """The database server's log."""
        return self.folder / "server/postgres/server.log"

    def libpq(self, database: str | None = None) -> str:
        """The server's address as libpq reads it, of this database or the hotline's."""
        url = make_url(self.url).set(drivername="postgresql")
        return (url.set(database=database) if database else url).render_as_string(hide_password=False)

    def start(
        self, name: str, command: list[str], environment: dict[str, str], folder: Path | None = None
    ) -> Server:
        """Start a server on a free port (`{port}` in the command) and wait until it listens."""
        port = _free_port()
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [part.format(port=port) for part in command],
                env=os.environ | environment,
                cwd=folder,
                start_new_session=True,
                stdout=log,
                stderr=log,
            )
        server = Server(name, process, port)
        self.servers.append(server)
        _wait_until_up(server, self.folder / f"{name}.log")
        return server

    def end(self, server: Server) -> None:
        """End a server and all its processes."""
        self.servers.remove(server)
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.process.wait()


@contextmanager
def staged() -> Iterator[Stage]:
    """A migrated database with one platform, one unit and a token for each who acts; everything gone when it is left."""
    folder = Path(tempfile.mkdtemp(prefix="hotline-bench-"))
    folder.chmod(0o755)
    with ExitStack() as leaving:
        leaving.callback(shutil.rmtree, folder, ignore_errors=True)
        leaving.callback(embedded.stop, folder / "server")
        url = embedded.find_or_start(folder / "server")
        migrate(url)
        stage = Stage(folder, url, make_engine(url, pool_size=2))
        leaving.callback(stage.engine.dispose)
        leaving.callback(_end_all, stage)
        _people(stage)
        yield stage


def _end_all(stage: Stage) -> None:
    for server in list(stage.servers):
        stage.end(server)


def _people(stage: Stage) -> None:
    open_office(Settings(data_dir=stage.folder / "data"))  # the key ring
    with Session(stage.engine, expire_on_commit=False) as session:
        reference.load_shipped(session)
        platform = accounts.add_platform(
            session,
            code="01",
            name="测试市12345热线",
            short_name="测试热线",
            level=Level.PREFECTURE,
            area_code="630100000000",
        )
        unit = OrgUnit(
            code=UNIT,
            name="测试市住建局",
            level=Level.PREFECTURE,
            kind=UnitKind.DEPARTMENT,
            platform_id=platform.id,
            area_code=AREA,
        )
        session.add(unit)
        session.flush()
        stage.platform_id, stage.unit_id = platform.id, unit.id
        for role in (
            Role.AGENT,
            Role.DISPATCHER,
            Role.HANDLER,
            Role.REVIEWER,
            Role.CALLBACK,
            Role.SUPERVISOR,
        ):
            whose: dict[str, Any] = {"unit": unit} if role is Role.HANDLER else {"platform": platform}
            person = accounts.add_person(
                session, login=role.value, name=f"测试{role.label}", roles=[role], **whose
            )
            stage.tokens[role.value] = accounts.issue_token(
                session, label="测试", at=datetime.now(UTC), person=person
            )
        session.commit()


def serve_hotline(
    stage: Stage, *, database: str = "hotline", workers: int = WORKERS, ticking: bool = True
) -> Server:
    """`hotline serve` as shipped, on this database; only its limit of requests per person is out of the way."""
    url = make_url(stage.url).set(database=database)
    own = {
        "HOTLINE_DATABASE_URL": url.render_as_string(hide_password=False),
        "HOTLINE_DATA_DIR": str(stage.folder / "data"),
        "HOTLINE_LOG_LEVEL": "WARNING",
        "HOTLINE_REQUESTS_PER_MINUTE": "10000000",
    }
    command = [str(HOTLINE), "serve", "--workers", str(workers), "--port", "{port}"]
    return stage.start(f"{database}-server", [*command, "--tick" if ticking else "--no-tick"], own)


# --- the peers -----------------------------------------------------------------------------------------------------------


def peers_python() -> Path:
    """The peers' Python, its environment made as locked. Raises PeerMissing."""
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv) if uv.exists() else "uv", "sync", "--project", str(PEERS), "--frozen", "--quiet"]
    clean = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, env=clean, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None) or error
        raise PeerMissing(f"the peers' environment could not be made (uv sync): {told}") from error
    return PEERS / ".venv/bin/python"


def peers_versions(python: Path) -> dict[str, str]:
    """The versions of what is compared with."""
    names = ("django-helpdesk", "Django", "gunicorn", "fastapi", "uvicorn")
    code = f"import json; from importlib.metadata import version; print(json.dumps({{n: version(n) for n in {names!r}}}))"
    told = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout
    versions: dict[str, str] = json.loads(told)
    return versions


@dataclass
class Desk:
    """A django-helpdesk that is up: its server, its queue's and its staff's keys, the header and cookie it knows them by."""

    server: Server
    queue: int
    user: int
    headers: dict[str, str]
    cookie: dict[str, str]


def serve_desk(stage: Stage, python: Path) -> Desk:
    """django-helpdesk on a fresh database `desk`: migrated, with a queue; two gunicorn workers whose connections stay open."""
    _create(stage, "desk")
    own = {"PEER_DATABASE_URL": stage.libpq("desk")}
    prepared = subprocess.run(
        [python, "desk_prepare.py"], cwd=PEERS, env=os.environ | own, capture_output=True, text=True
    )
    if prepared.returncode:
        raise PeerMissing(f"django-helpdesk could not be set up: {prepared.stderr[-2000:]}")
    told = json.loads(prepared.stdout.splitlines()[-1])
    command = [str(python), "-m", "gunicorn", "desk_wsgi:application", "--workers", str(WORKERS)]
    command += ["--worker-class", "gthread", "--threads", str(DESK_THREADS), "--keep-alive", "600"]
    command += ["--bind", "127.0.0.1:{port}", "--log-level", "warning"]
    server = stage.start("desk", command, own, PEERS)
    headers = {"Authorization": f"Token {told['token']}"}
    return Desk(server, told["queue"], told["user"], headers, {"Cookie": f"sessionid={told['session']}"})


def serve_bare(stage: Stage, python: Path) -> Server:
    """FastAPI with one INSERT on a fresh database `bare`, two uvicorn workers."""
    _create(stage, "bare")
    with psycopg.connect(stage.libpq("bare")) as connection:
        connection.execute(
            "CREATE TABLE bare_demands (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(),"
            " title text NOT NULL, content text NOT NULL, category text NOT NULL, area text NOT NULL)"
        )
    command = [str(python), "-m", "uvicorn", "bare:app", "--workers", str(WORKERS)]
    command += ["--port", "{port}", "--log-level", "warning", "--no-access-log"]
    return stage.start("bare", command, {"PEER_DATABASE_URL": stage.libpq("bare")}, PEERS)


def _create(stage: Stage, name: str) -> None:
    with psycopg.connect(stage.libpq(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_up(server: Server, log: Path) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end:
        if server.process.poll() is not None:
            raise RuntimeError(f"{server.name} ended:\n{log.read_text(errors='replace')[-3000:]}")
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", server.port), 1).close()
            return
        time.sleep(0.1)
    raise TimeoutError(f"{server.name} did not come up:\n{log.read_text(errors='replace')[-3000:]}")
