"""The embedded PostgreSQL with real processes: shared, found again, and refused in plain words."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from hotline.storage import embedded
from hotline.storage.embedded import EmbeddedUnavailable

pytestmark = [pytest.mark.processes, pytest.mark.postgres]

QUICK = {"fsync": "off"}
USER = f"""
import sys
from pathlib import Path
from hotline.storage import embedded
print(embedded.find_or_start(Path(sys.argv[1]), configuration={QUICK!r}), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    # not pytest's tmp_path: it is closed to the system user who runs root's server
    folder = Path(tempfile.mkdtemp(prefix="hotline-embedded-"))
    yield folder
    if (folder / "postgres").is_dir():
        embedded.stop(folder)
    shutil.rmtree(folder)


def start_user(data_dir: Path) -> subprocess.Popen[str]:
    """A process that uses the server until its standard input closes."""
    command = [sys.executable, "-c", USER, str(data_dir)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def told_url(user: subprocess.Popen[str]) -> str:
    assert user.stdout is not None
    url = user.stdout.readline().strip()
    assert url, "the process ended without a URL"
    return url


def leave(user: subprocess.Popen[str]) -> None:
    user.communicate(timeout=60)
    assert user.returncode == 0


def kill(user: subprocess.Popen[str]) -> None:
    user.kill()
    user.communicate()


def connect(url: str) -> psycopg.Connection:
    parts = make_url(url)
    return psycopg.connect(
        host=str(parts.query["host"]), user=parts.username, dbname=parts.database, autocommit=True
    )


def shown(connection: psycopg.Connection, name: str) -> str:
    row = connection.execute(f"SHOW {name}".encode()).fetchone()
    assert row is not None
    return str(row[0])


def server_pid(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def test_a_started_server_is_utc_utf8_without_jit_and_takes_200_connections(data_dir: Path) -> None:
    url = embedded.find_or_start(data_dir, configuration=QUICK)
    assert make_url(url).database == "hotline"
    with connect(url) as connection:
        assert shown(connection, "timezone") == "UTC"
        assert shown(connection, "server_encoding") == "UTF8"
        assert shown(connection, "jit") == "off"
        assert int(shown(connection, "max_connections")) >= 200
        assert shown(connection, "listen_addresses") == ""
        assert shown(connection, "fsync") == "off"
        assert connection.execute("SELECT 'B' < 'a', '西' < '宁', lower('ÀB')").fetchone() == (
            True,
            False,
            "àb",
        )
    assert (data_dir / "postgres").stat().st_mode & 0o077 == 0
    assert embedded.release(data_dir)


def test_a_second_process_attaches_and_the_last_to_leave_stops_the_server(data_dir: Path) -> None:
    first = start_user(data_dir)
    url = told_url(first)
    pid = server_pid(data_dir)
    second = start_user(data_dir)
    assert told_url(second) == url
    assert server_pid(data_dir) == pid
    leave(first)
    with connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    leave(second)
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


def test_the_server_outlives_kill_9_of_its_starter_and_is_found_again(data_dir: Path) -> None:
    starter = start_user(data_dir)
    url = told_url(starter)
    pid = server_pid(data_dir)
    with connect(url) as connection:
        connection.execute("CREATE TABLE kept (a int); INSERT INTO kept VALUES (7)")
        kill(starter)
        assert connection.execute("SELECT a FROM kept").fetchone() == (7,)
    assert embedded.find_or_start(data_dir) == url
    assert server_pid(data_dir) == pid
    assert embedded.release(data_dir)


def test_a_server_left_by_killed_users_is_stopped_only_when_nobody_uses_it(data_dir: Path) -> None:
    starter, other = start_user(data_dir), start_user(data_dir)
    told_url(starter)
    told_url(other)
    kill(starter)
    assert not embedded.stop_if_unused(data_dir)
    kill(other)
    assert embedded.stop_if_unused(data_dir)
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


def test_a_killed_server_is_repaired_with_what_was_committed(data_dir: Path) -> None:
    url = embedded.find_or_start(data_dir)
    with connect(url) as connection:
        connection.execute("CREATE TABLE kept (a int); INSERT INTO kept VALUES (7)")
    os.kill(server_pid(data_dir), signal.SIGKILL)
    began = time.monotonic()
    with connect(embedded.find_or_start(data_dir)) as connection:
        assert connection.execute("SELECT a FROM kept").fetchone() == (7,)
    assert time.monotonic() - began < 30
    embedded.release(data_dir)


def test_a_number_that_passed_to_a_stranger_does_not_keep_the_server_from_starting(data_dir: Path) -> None:
    embedded.find_or_start(data_dir, configuration=QUICK)
    note = data_dir / "postgres" / "postmaster.pid"
    old = note.read_text().splitlines()
    assert embedded.release(data_dir)
    note.write_text("\n".join([str(os.getpid()), *old[1:]]) + "\n")
    shutil.chown(note, (data_dir / "postgres").stat().st_uid)
    embedded.find_or_start(data_dir, configuration=QUICK)
    assert server_pid(data_dir) != os.getpid()
    assert embedded.release(data_dir)


def test_six_processes_that_start_at_once_share_one_server(data_dir: Path) -> None:
    users = [start_user(data_dir) for _ in range(6)]
    assert len({told_url(user) for user in users}) == 1
    for user in users:
        leave(user)
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


def test_a_start_killed_while_laying_out_its_data_is_begun_anew(data_dir: Path) -> None:
    (data_dir / "postgres.new").mkdir()
    (data_dir / "postgres.new" / "PG_VERSION").write_text("18\n")
    embedded.find_or_start(data_dir, configuration=QUICK)
    assert embedded.release(data_dir)


def test_a_data_folder_deeper_than_a_socket_name_can_be(data_dir: Path) -> None:
    deep = data_dir.joinpath(*["很深的文件夹 with 'quotes'"] * 6)
    url = embedded.find_or_start(deep, configuration=QUICK)
    sockets = Path(str(make_url(url).query["host"]))
    assert sockets.stat().st_mode & 0o077 == 0
    with connect(url) as connection:
        assert shown(connection, "data_directory") == str(deep / "postgres")
    assert embedded.release(deep)
    assert not sockets.exists()


def test_a_file_in_place_of_the_data_folder_is_refused(data_dir: Path) -> None:
    (data_dir / "file").write_text("")
    for unusable in (data_dir / "file", data_dir / "file" / "below"):
        with pytest.raises(EmbeddedUnavailable, match="HOTLINE_DATA_DIR"):
            embedded.find_or_start(unusable)


def test_somebody_elses_files_in_place_of_the_data_are_refused_and_left_alone(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir()
    (data_dir / "postgres" / "notes.txt").write_text("测试")
    with pytest.raises(EmbeddedUnavailable, match="不是 PostgreSQL 数据文件夹"):
        embedded.find_or_start(data_dir)
    assert (data_dir / "postgres" / "notes.txt").read_text() == "测试"


def test_stopping_where_nothing_runs(data_dir: Path) -> None:
    assert not embedded.stop(data_dir)
    assert not embedded.release(data_dir)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root opens a path to the system user")
def test_root_lets_the_servers_user_through_closed_folders_but_not_look_into_them(data_dir: Path) -> None:
    data_dir.chmod(0o700)
    embedded.find_or_start(data_dir / "closed" / "data", configuration=QUICK)
    assert data_dir.stat().st_mode & 0o777 == 0o701
    assert embedded.release(data_dir / "closed" / "data")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can lack the right to create a system user")
def test_root_without_useradd_is_told_what_to_do(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotline.storage.embedded_programs.SYSTEM_USER", "hotline-nobody-has")
    monkeypatch.setattr("hotline.storage.embedded_programs.shutil.which", lambda *_args, **_kwargs: None)
    with pytest.raises(EmbeddedUnavailable, match=r"useradd.*HOTLINE_DATABASE_URL"):
        embedded.find_or_start(data_dir)


def test_a_server_that_died_is_started_again_and_one_that_was_stopped_is_not(data_dir: Path) -> None:
    user = start_user(data_dir)
    url = told_url(user)
    connect(url).execute("CREATE TABLE kept AS SELECT 1 AS one").connection.close()
    died = server_pid(data_dir)
    assert not embedded.restart_if_died(data_dir)
    os.kill(died, signal.SIGKILL)
    end = time.monotonic() + 30
    while not embedded.restart_if_died(data_dir):
        assert time.monotonic() < end, "nobody notices that it died"
        time.sleep(0.05)
    assert server_pid(data_dir) != died
    with connect(url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
    assert embedded.stop(data_dir)
    assert not embedded.restart_if_died(data_dir)
    assert not (data_dir / "postgres" / "postmaster.pid").exists()
    connect(embedded.find_or_start(data_dir, configuration=QUICK)).close()
    assert not (data_dir / embedded.STOPPED).exists()
    leave(user)
