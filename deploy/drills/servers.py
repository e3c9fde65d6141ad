"""PostgreSQL servers of a drill: made, copied, killed, promoted, rewound. The programs are those the hotline brings along.

Every server has a folder and a port of its own on this machine's loopback; nothing listens elsewhere. The password is the drill's own.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

from hotline.storage.embedded_programs import Cluster, EmbeddedUnavailable, cluster_of, run

USER: Final = "hotline"
DATABASE: Final = "hotline"
PATIENCE: Final = 60.0
"""Seconds to wait for a server to do what it was told."""

SMALL: Final[Mapping[str, str]] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "dynamic_shared_memory_type": "mmap",
    "jit": "off",
    "timezone": "UTC",
    "wal_level": "replica",
    "max_wal_senders": "8",
    "wal_keep_size": "256MB",
    "wal_log_hints": "on",
    "hot_standby": "on",
    "hot_standby_feedback": "on",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Server:
    """One PostgreSQL: its name, the folder that holds it, its port, and the password of its one user."""

    name: str
    folder: Path
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    port: int = field(default_factory=free_port)

    @property
    def home(self) -> Path:
        """The folder the data folder stands in."""
        return self.folder / self.name

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.home / "postgres"

    @property
    def cluster(self) -> Cluster:
        """Its programs, and the system user who runs them."""
        return cluster_of(self.home)

    @property
    def url(self) -> str:
        """Where the hotline's database on it is reached, whatever its role."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """Where a database on it is reached."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def make(self, **settings: str) -> None:
        """A fresh server with an empty database, running."""
        self._make_home()
        secret = self.home / "password"
        secret.write_text(self.password, encoding="ascii")
        runner = self.cluster.runner
        if os.geteuid() == 0:
            os.chown(secret, runner.uid, runner.gid)
        locale = ["--locale=C", "--encoding=UTF8"]
        auth = ["--auth=scram-sha-256", f"--pwfile={secret}", "-U", USER]
        run(self.cluster, "initdb", ["-D", str(self.data), *locale, *auth, "--no-sync"])
        secret.unlink()
        self.configure(**{**SMALL, **settings})
        self.start()
        with self.connected("postgres") as connection:
            connection.execute("CREATE DATABASE hotline")

    def copy_of(self, primary: "Server", **settings: str) -> None:
        """A standby of `primary`, from a base backup; not started yet."""
        assert self.password == primary.password
        self._make_home()
        source = f"{primary.url}?application_name={self.name}"
        run(
            self.cluster,
            "pg_basebackup",
            ["-d", source, "-D", str(self.data), "-R", "-X", "stream", "-c", "fast", "--no-sync"],
        )
        self.configure(**settings)

    def from_backup(self, base: Path, archive: Path, until: datetime) -> None:
        """A server from a base backup and the archived WAL, as of `until` (aware); running, and writable."""
        self._make_home()
        self.data.rmdir()
        shutil.copytree(base, self.data)
        (self.data / "recovery.signal").touch()
        if os.geteuid() == 0:
            runner = self.cluster.runner
            for path in (self.data, *self.data.rglob("*")):
                os.chown(path, runner.uid, runner.gid, follow_symlinks=False)
        self.configure(
            archive_mode="off",
            restore_command=f"cp {archive}/%f %p",
            recovery_target_time=until.isoformat(),
            recovery_target_action="promote",
        )
        self.start()
        self.wait_for("SELECT NOT pg_is_in_recovery()")

    def configure(self, **settings: str) -> None:
        """Settings for the next start, over those before; the port and the name always are this server's own."""
        lines = {"port": str(self.port), "cluster_name": self.name} | settings
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in lines.items())

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._control("-w", "-t", f"{PATIENCE:.0f}", "-l", str(self.data / "server.log"), "start")

    def stop(self) -> None:
        """Stop it in good order, if it runs."""
        if self.pid() is not None:
            self._control("-w", "-m", "fast", "stop")

    def end(self) -> None:
        """Stop it at once, whatever state it is in."""
        with contextlib.suppress(EmbeddedUnavailable):  # not running, or never made
            self._control("-w", "-m", "immediate", "stop")

    def kill(self) -> None:
        """kill -9 of the server and every process of it, as if the machine had lost its power."""
        postmaster = self.pid()
        assert postmaster is not None
        every = (postmaster, *_children(postmaster))
        for pid in every:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any(map(_lives, every)):
            time.sleep(0.01)
        (self.data / "postmaster.pid").unlink()  # a machine that comes up again has no process of that number

    def promote(self) -> None:
        """Make a standby the primary and wait until it is."""
        self._control("-w", "-t", f"{PATIENCE:.0f}", "promote")

    def rejoin(self, primary: "Server") -> None:
        """Bring a former primary back as a standby of `primary`: what it alone had is undone (pg_rewind), then it follows."""
        source = f"{primary.url_of('postgres')}?application_name={self.name}"
        run(
            self.cluster,
            "pg_rewind",
            ["-D", str(self.data), "--source-server", source, "-R", "--no-sync"],
        )
        # what is copied from the new primary names it as the one to wait for
        self.configure()
        self.start()

    def connected(self, database: str = DATABASE) -> "psycopg.Connection[Any]":
        """A connection that commits each statement."""
        return psycopg.connect(self.url_of(database), autocommit=True, connect_timeout=5)

    def told(self, query: LiteralString) -> Any:
        """The first value of a query."""
        with self.connected("postgres") as connection:
            row = connection.execute(query).fetchone()
        return row[0] if row else None

    def wait_for(self, query: LiteralString, wanted: Any = True) -> float:
        """Until a query's first value is the one wanted; the seconds it took. Raises `TimeoutError`."""
        began = time.monotonic()
        while (found := self.told(query)) != wanted:
            if time.monotonic() - began > PATIENCE:
                raise TimeoutError(f"{self.name}: {query} is {found!r}, not {wanted!r}")
            time.sleep(0.05)
        return time.monotonic() - began

    def pid(self) -> int | None:
        """The postmaster's process, None where there is none."""
        try:
            pid = int((self.data / "postmaster.pid").read_text(encoding="ascii").split()[0])
            os.kill(pid, 0)
        except (OSError, ValueError, IndexError):
            return None
        return pid

    def _make_home(self) -> None:
        self.home.mkdir(parents=True, mode=0o700)
        runner = self.cluster.runner
        self.data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(self.data, runner.uid, runner.gid)

    def _control(self, *arguments: str) -> None:
        run(self.cluster, "pg_ctl", ["-s", "-D", str(self.data), *arguments])


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                if int(stat.rpartition(") ")[2].split()[1]) == parent:
                    found.append(int(entry.name))
    return found


def verify_backup(base: Path) -> int:
    """Check a base backup against its manifest, as pg_verifybackup does (that of the wheel crashes); how many files it has.

    Raises `ValueError` where one is not what the server sent.
    """
    listed = json.loads((base / "backup_manifest").read_bytes())["Files"]
    for each in listed:
        with (base / each["Path"]).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != each["Checksum"]:
                raise ValueError(f"{each['Path']} of the backup is not what the server sent")
    return len(listed)


def _lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(") ")[2][:1] not in {"Z", "X"}


def both(first: Server, second: Server, attrs: str) -> str:
    """The URL that names two servers, and which of them is wanted: `read-write`, `standby`."""
    hosts = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
    return f"postgresql://{USER}:{first.password}@{hosts}/{DATABASE}?target_session_attrs={attrs}"
