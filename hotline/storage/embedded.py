"""The PostgreSQL that comes with the hotline: found running or started, in `<data_dir>/postgres`.

* All processes of one data folder share one server. Each holds a shared lock on `postgres.users`, which the
  kernel drops however a process ends. The last one to leave cleanly stops the server. After kill -9 it keeps
  running and the next process finds it; `stop` ends it at once.
* Finding, starting and stopping happen one at a time, under `postgres.lock`.
* Whoever reaches the socket is trusted, so its folder belongs to the server's user alone (0700).
"""

import atexit
import contextlib
import hashlib
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg import sql
from sqlalchemy import URL

from hotline.storage.embedded_programs import Cluster, EmbeddedUnavailable, Runner, cluster_of, major, run

if sys.platform != "win32":
    import fcntl

__all__ = [
    "EmbeddedUnavailable",
    "find_or_start",
    "release",
    "restart_if_died",
    "stop",
    "stop_if_unused",
]

log = logging.getLogger(__name__)

DATABASE = "hotline"
DATABASE_USER = "hotline"
PORT = 5432
"""Only a part of the socket's name: the server listens on no network address."""

NOBODYS_NUMBER = 2**30
"""A process id above every system's highest."""

PATIENCE = 120.0
"""Seconds to wait for another process's start, or for a server that repairs itself after a crash."""

STOPPED = "postgres.stopped"
"""Lies in the data folder while the server is down because somebody stopped it."""

LONGEST_SOCKET_PATH = 103
"""Bytes: the shorter of macOS's 103 and Linux's 107."""

CONFIGURATION: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    # files in the data folder: a container's /dev/shm is 64 MB, and a desktop empties it at logout
    "dynamic_shared_memory_type": "mmap",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # the log must not repeat personal data: no statements, no details of violated keys
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}


class Postmaster(NamedTuple):
    """What the running server says of itself in `postmaster.pid`."""

    pid: int
    port: int
    socket_folder: str


_used: dict[Path, tuple[int, int]] = {}
"""Data folder -> (process id, descriptor of `postgres.users`), of this process."""


def find_or_start(data_dir: Path, *, configuration: Mapping[str, str] | None = None) -> str:
    """The SQLAlchemy URL of the database `hotline` in `data_dir`'s server, both made if missing.

    `configuration` is laid over CONFIGURATION if this call starts the server. The server stays in use until
    this process ends or calls `release`. Raises EmbeddedUnavailable.
    """
    home = _data_folder(data_dir)
    with _one_at_a_time(home):
        postmaster = _answering(home / "postgres")
        if postmaster is None:
            postmaster = _start(cluster_of(home), {**CONFIGURATION, **(configuration or {})})
        _ensure_database(postmaster)
        _join(home)
    return _url(postmaster, DATABASE).render_as_string(hide_password=False)


def release(data_dir: Path) -> bool:
    """This process no longer uses the server; the last to leave stops it. Whether it was stopped."""
    home = data_dir.expanduser().resolve()
    owner, users = _used.pop(home, (0, -1))
    if owner != os.getpid():  # never joined, or a forked child: the parent answers for it
        return False
    try:
        if not home.is_dir():
            return False
        with _one_at_a_time(home, patience=10):
            if not _alone(users):
                return False
            return _stop(home)
    finally:
        os.close(users)


def restart_if_died(data_dir: Path) -> bool:
    """Start the server again if it died (kill -9, out of memory, a full disk). Whether it was started; one that `stop` or `release`
    ended stays so. Raises EmbeddedUnavailable."""
    home = data_dir.expanduser().resolve()
    if not _died(home):
        return False
    with _one_at_a_time(home):
        if not _died(home):
            return False
        _start(cluster_of(home), CONFIGURATION)
    return True


def stop(data_dir: Path) -> bool:
    """Stop the server whoever uses it. Whether there was one to stop. Raises EmbeddedUnavailable."""
    home = data_dir.expanduser().resolve()
    if not (home / "postgres").is_dir():
        return False
    with _one_at_a_time(home):
        return _stop(home)


def stop_if_unused(data_dir: Path) -> bool:
    """Stop a server that its users left behind when they were killed. Whether nobody uses it now."""
    home = data_dir.expanduser().resolve()
    if not (home / "postgres").is_dir():
        return True
    with _one_at_a_time(home):
        users = _open_as_owner(home / "postgres.users")
        try:
            if not _alone(users):
                return False
            _stop(home)
        finally:
            os.close(users)
    return True


# --- the data folder and its locks


def _data_folder(data_dir: Path) -> Path:
    if sys.platform == "win32":
        raise EmbeddedUnavailable(
            "不支持 Windows。请在 WSL 中运行，或用 HOTLINE_DATABASE_URL 指定 PostgreSQL"
        )
    try:
        home = data_dir.expanduser().resolve()
        if not home.exists():
            home.mkdir(parents=True, mode=0o700, exist_ok=True)  # another process may make it at this moment
        (home / "postgres").exists()
    except OSError as error:
        raise EmbeddedUnavailable(
            f"数据文件夹 {data_dir} 不能使用（{error.strerror}）。请用 HOTLINE_DATA_DIR 另指定"
        ) from error
    if not home.is_dir():
        raise EmbeddedUnavailable(f"{data_dir} 不是文件夹。请用 HOTLINE_DATA_DIR 另指定")
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        raise EmbeddedUnavailable(
            f"数据文件夹 {data_dir} 属于其他用户或只读。请换用原用户，或用 HOTLINE_DATA_DIR 另指定"
        )
    if re.search(r'["$`\\\n]', str(home)):
        raise EmbeddedUnavailable(
            f'数据文件夹 {data_dir} 的路径含有 " $ ` \\ 等字符。请用 HOTLINE_DATA_DIR 另指定'
        )
    return home


@contextlib.contextmanager
def _one_at_a_time(home: Path, patience: float = PATIENCE) -> Iterator[None]:
    descriptor = _open_as_owner(home / "postgres.lock")
    try:
        deadline = time.monotonic() + patience
        while not _locked(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise EmbeddedUnavailable(f"另一进程占用 {home}/postgres.lock 已超过 {patience:.0f} 秒")
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _open_as_owner(path: Path) -> int:
    """A lock file that belongs to the data folder's owner, also when root is the first to need it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.geteuid() == 0:
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    except OSError as error:
        raise EmbeddedUnavailable(f"不能打开 {path}（{error.strerror}）") from error
    return descriptor


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _join(home: Path) -> None:
    if _used.get(home, (0, -1))[0] == os.getpid():
        return
    descriptor = _open_as_owner(home / "postgres.users")
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    if not _used:
        atexit.register(_release_all)
    _used[home] = (os.getpid(), descriptor)


def _release_all() -> None:
    for home in list(_used):
        try:
            release(home)
        except (EmbeddedUnavailable, OSError) as error:
            log.warning("内置 PostgreSQL 未能停止，仍在运行：%s", error)


def _alone(users: int) -> bool:
    return _locked(users, fcntl.LOCK_EX)


# --- a running server


def _answering(data: Path) -> Postmaster | None:
    """The server that runs on `data`, waited for while it starts, repairs itself or stops; or None."""
    deadline = time.monotonic() + PATIENCE
    while (postmaster := _postmaster(data)) is not None:
        try:
            _connection(postmaster, "postgres").close()
        except psycopg.OperationalError as error:
            if not _is_postgres(postmaster.pid):
                return None
            if time.monotonic() > deadline:
                raise EmbeddedUnavailable(
                    f"{data} 的服务器（进程 {postmaster.pid}）不应答：{error}"
                ) from error
            time.sleep(0.02)
        else:
            return postmaster
    return None


def _died(home: Path) -> bool:
    """Whether no server runs on that folder's data though nobody has stopped it."""
    if (home / STOPPED).exists() or not (home / "postgres" / "PG_VERSION").exists():
        return False
    postmaster = _postmaster(home / "postgres")
    return postmaster is None or not _is_postgres(postmaster.pid)


def _postmaster(data: Path) -> Postmaster | None:
    """None if no server has announced itself; one that is only just starting names no socket yet."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EmbeddedUnavailable(f"不能读取 {data}（{error.strerror}）：数据可能属于其他用户") from error
    if not lines or not lines[0].strip().isdigit():
        return None
    if len(lines) < 5 or not lines[4].strip():
        return Postmaster(int(lines[0]), PORT, str(data))
    return Postmaster(int(lines[0]), int(lines[3]), lines[4])


def _is_postgres(pid: int) -> bool:
    """Whether that process is a live PostgreSQL: not another with its number, not one dead but unreaped."""
    if Path("/proc/self/stat").exists():
        try:
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        return "(postgres)" in status and status.rpartition(") ")[2][:1] not in {"Z", "X"}
    ps = ["ps", "-o", "stat=,comm=", "-p", str(pid)]
    told = subprocess.run(ps, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    return "postgres" in told and not told.startswith("Z")


def _url(postmaster: Postmaster, database: str) -> URL:
    query = {"host": postmaster.socket_folder}
    if postmaster.port != PORT:
        query["port"] = str(postmaster.port)
    return URL.create("postgresql+psycopg", username=DATABASE_USER, database=database, query=query)


def _connection(postmaster: Postmaster, database: str) -> psycopg.Connection:
    return psycopg.connect(
        host=postmaster.socket_folder,
        port=postmaster.port,
        user=DATABASE_USER,
        dbname=database,
        connect_timeout=10,
        autocommit=True,
    )


def _ensure_database(postmaster: Postmaster) -> None:
    with _connection(postmaster, "postgres") as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


# --- starting and stopping


def _start(cluster: Cluster, configuration: Mapping[str, str]) -> Postmaster:
    if not (cluster.data / "PG_VERSION").exists():
        _initialise(cluster)
    _write_configuration(cluster, configuration)
    _forget_stranger(cluster.data)
    (cluster.home / STOPPED).unlink(missing_ok=True)
    journal = cluster.data / "server.log"
    if journal.exists() and journal.stat().st_size > 10 * 1024 * 1024:
        journal.replace(journal.with_suffix(".log.1"))
    arguments = ["-w", "-s", "-t", f"{PATIENCE:.0f}", "-D", str(cluster.data), "-l", str(journal), "start"]
    for tries_left in (4, 3, 2, 1, 0):
        try:
            run(cluster, "pg_ctl", arguments)
            break
        except EmbeddedUnavailable as error:
            told = _tail(journal)
            if not tries_left or "shared memory" not in told.rpartition("FATAL")[2]:
                raise EmbeddedUnavailable(f"服务器未能启动。{error}\n{told}") from error
            time.sleep(0.5)  # the workers of a killed server need a moment to let go of its memory
            if tries_left <= 3:
                _end_orphans(cluster.data)
    postmaster = _answering(cluster.data)
    if postmaster is None:
        raise EmbeddedUnavailable(f"服务器启动后即退出。\n{_tail(journal)}")
    return postmaster


def _stop(home: Path) -> bool:
    data = home / "postgres"
    postmaster = _postmaster(data)
    if postmaster is None or not _is_postgres(postmaster.pid):
        return False
    os.close(_open_as_owner(home / STOPPED))
    try:
        run(cluster_of(home), "pg_ctl", ["-w", "-s", "-m", "fast", "-D", str(data), "stop"])
    except EmbeddedUnavailable:
        (home / STOPPED).unlink(missing_ok=True)
        raise
    if Path(postmaster.socket_folder) != data:
        with contextlib.suppress(OSError):
            Path(postmaster.socket_folder).rmdir()
    return True


def _initialise(cluster: Cluster) -> None:
    """Made beside its place and moved there whole: a start that was killed leaves nothing half-made."""
    if cluster.data.exists() and any(cluster.data.iterdir()):
        raise EmbeddedUnavailable(
            f"{cluster.data} 不是 PostgreSQL 数据文件夹。请移走，或另指定 HOTLINE_DATA_DIR"
        )
    fresh = cluster.home / "postgres.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(fresh, cluster.runner.uid, cluster.runner.gid)
    # code-point order and Unicode character classes from PostgreSQL itself: the same on every machine
    locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    if major(cluster.programs) < 17:
        locale = ["--locale=C"]
    arguments = ["-D", str(fresh), "-U", DATABASE_USER, "--encoding=UTF8", "--auth=trust", *locale]
    run(cluster, "initdb", arguments)
    with (fresh / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write("\ninclude 'hotline.conf'  # written anew at each start; your own settings go below\n")
    fresh.rename(cluster.data)


def _write_configuration(cluster: Cluster, configuration: Mapping[str, str]) -> None:
    folder = str(_socket_folder(cluster)).replace("'", "''")
    values = {name: value.replace("'", "''") for name, value in configuration.items()}
    values["unix_socket_directories"] = f'"{folder}"'
    text = "".join(f"{name} = '{value}'\n" for name, value in values.items())
    fresh = cluster.data / "hotline.conf.new"
    fresh.write_text(text, encoding="utf-8", errors="surrogateescape")
    if os.geteuid() == 0:
        os.chown(fresh, cluster.runner.uid, cluster.runner.gid)
    fresh.replace(cluster.data / "hotline.conf")


def _socket_folder(cluster: Cluster) -> Path:
    """The data folder itself; where its path is too long for a socket, a folder under the temp one."""

    def fits(folder: Path) -> bool:
        return len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH and "," not in str(folder)

    if fits(cluster.data):
        return cluster.data
    digest = hashlib.sha256(os.fsencode(cluster.data)).hexdigest()[:12]
    for base in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - the folder is made private below
        folder = base / f"hotline-{cluster.runner.uid}-{digest}"
        if fits(folder) and base.is_dir():
            return _private_folder(folder, cluster.runner)
    raise EmbeddedUnavailable(f"{cluster.data} 的路径太长。请用 HOTLINE_DATA_DIR 指定较短的路径")


def _private_folder(folder: Path, runner: Runner) -> Path:
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(folder, runner.uid, runner.gid)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != runner.uid or found.st_mode & 0o077:
        raise EmbeddedUnavailable(
            f"{folder} 已被其他用户占用。请删除它，或用 HOTLINE_DATA_DIR 指定较短的路径"
        )
    return folder


def _forget_stranger(data: Path) -> None:
    """After a crash the server's old number may be another's or a zombie's, and PostgreSQL would not start.

    The notes get a number nobody can have. They stay: by them PostgreSQL sees whether a worker of the killed
    server still holds its memory.
    """
    postmaster = _postmaster(data)
    if postmaster is None or _is_postgres(postmaster.pid):
        return
    socket_note = Path(postmaster.socket_folder) / f".s.PGSQL.{postmaster.port}.lock"
    for note in (data / "postmaster.pid", socket_note):
        with contextlib.suppress(FileNotFoundError):
            _, separator, rest = note.read_bytes().partition(b"\n")
            note.write_bytes(b"%d" % NOBODYS_NUMBER + separator + rest)


def _end_orphans(data: Path) -> None:
    """End the workers of a killed server that hang: they wait for one another, and would hold its memory for ever.

    PostgreSQL works in its data folder, so they are told by that; the caller knows that their server is dead.
    """
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pid = int(folder.name)
            if (folder / "cwd").readlink() == data and _is_postgres(pid):
                title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                log.warning("ending a worker of the killed database: %s", title.strip())
                os.kill(pid, signal.SIGKILL)


def _tail(journal: Path) -> str:
    try:
        lines = journal.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join([f"{journal}：", *lines[-10:]])
