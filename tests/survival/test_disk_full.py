"""A disk without room under database and attachments: a plain 503, nothing stored half, and on it goes once there is room again."""

import contextlib
import errno
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.api.refusals import problem
from tests.loud import not_run
from tests.survival.afterwards import all_is_well
from tests.survival.installation import Installation, installed
from tests.survival.log import Log
from tests.survival.patience import ACTS, Clients

pytestmark = [pytest.mark.processes, pytest.mark.postgres]
SIZE = 320
"""MiB of the small disk: the database with its write-ahead log, and room for some acts."""
FILE = b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n" + b"%" * 300_000 + b"\n%%EOF\n"


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A folder with little room: a small file system in memory, which needs root."""
    with tempfile.TemporaryDirectory(prefix="hotline-survival-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m,mode=0755", "hotline-survival", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            not_run(f"没有小磁盘可用（mount：{done.stderr.strip()}），磁盘写满的测试没有执行")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", name], check=True)


@pytest.fixture
def installation(small_disk: Path) -> Iterator[Installation]:
    with installed(small_disk / "data") as made:
        yield made


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Not a byte of room while the block runs, but what was reserved before."""
    ballast = (disk / "ballast").open("wb", buffering=0)
    _fill(ballast)
    try:
        yield
    finally:
        ballast.close()
        (disk / "ballast").unlink()


def _fill(ballast: Any) -> None:
    for piece in (1 << 20, 1 << 12, 1):
        try:
            while True:
                ballast.write(b"\0" * piece)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def _file(installation: Installation, client: httpx2.Client, number: str, content: bytes) -> Any:
    headers = {"Authorization": f"Bearer {installation.world.tokens['agent']}"}
    files = {"file": ("现场照片.pdf", content, "application/pdf")}
    return client.post(f"/api/v1/tickets/{number}/attachments", headers=headers, files=files)


@pytest.mark.timeout(400)
def test_a_full_disk_is_told_and_stores_nothing_half(
    installation: Installation, small_disk: Path, survival_log: Log
) -> None:
    installation.start("server")
    installation.ready()
    clients = Clients(installation.address, installation.world.tokens, more=1500)
    with httpx2.Client(base_url=installation.address, timeout=60) as client:
        clients.one_life(client)
        number = str(clients.done(client, "agent", "/tickets", clients.demand())["number"])
        held = _file(installation, client, number, FILE)
        assert held.status_code == 201, held.text
        stored = sorted((installation.home / "blobs").rglob("*"))
        finish = clients.start(2)
        with full(small_disk):
            refused = _file(installation, client, number, FILE + b"other\n")
            problem(refused, 503)
            assert refused.headers["retry-after"]
            assert client.get("/healthz").status_code == 200
            _until_acts_are_refused(clients)
        assert sorted((installation.home / "blobs").rglob("*.*")) == [], "half a file lies there"
        installation.ready()
        finish()
        assert not clients.wrong, (clients.wrong[:3], installation.logs())
        assert {path for path in stored if path.is_file()} == {
            path for path in (installation.home / "blobs").rglob("*") if path.is_file()
        }
        again = _file(installation, client, number, FILE + b"other\n")
        assert again.status_code == 201, again.text
    lives = Counter(number for number, _, _ in clients.acknowledged)
    assert lives.pop(number) == 1
    assert set(lives.values()) == {len(ACTS)}
    world = installation.world
    world.engine.dispose()
    all_is_well(installation.home, world.engine.url.render_as_string(hide_password=False))
    survival_log(
        "disk full and freed",
        file_refused=refused.json()["code"],
        acts_acknowledged=len(clients.acknowledged),
        acts_sent_again=clients.repeated.total(),
    )


def _until_acts_are_refused(clients: Clients) -> None:
    """Acts go on in what was reserved before; sooner or later there is no more."""
    end = time.monotonic() + 100
    while not clients.repeated["503"]:
        assert not clients.wrong, clients.wrong[:3]
        assert time.monotonic() < end, "the database never ran out of room"
        time.sleep(0.1)
    time.sleep(1)
