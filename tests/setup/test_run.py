"""`python3 run.py` needs Python and this checkout, nothing else, and says what is missing."""

import ast
import hashlib
import io
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import run

GLIBC = (2, 36)
LOCKED = run.read_lock(run.ROOT / "uv.lock")
BASE_PYTHON = getattr(sys, "_base_executable", sys.executable)


def test_older_pythons_can_parse_it() -> None:
    ast.parse((run.ROOT / "run.py").read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize(
    ("system", "architecture", "glibc", "expected"),
    [
        ("Linux", "x86_64", GLIBC, "manylinux_2_17_x86_64"),
        ("Linux", "aarch64", GLIBC, "manylinux_2_17_aarch64"),
        ("Linux", "x86_64", None, "musllinux_1_1_x86_64"),
        ("Linux", "aarch64", None, "musllinux_1_1_aarch64"),
        ("Darwin", "arm64", None, "macosx_11_0_arm64"),
        ("Darwin", "x86_64", None, "macosx_10_12_x86_64"),
    ],
)
def test_the_locked_wheel_for_each_platform(
    system: str, architecture: str, glibc: tuple[int, int] | None, expected: str
) -> None:
    wheel = run.choose_wheel(LOCKED.wheels, run.Machine(system, architecture, glibc))
    assert expected in wheel.name
    assert len(wheel.sha256) == 64


@pytest.mark.parametrize(
    ("system", "architecture", "glibc"),
    [("Linux", "sparc64", GLIBC), ("Linux", "x86_64", (2, 12)), ("Windows", "amd64", None)],
)
def test_no_wheel_is_chosen_for_a_platform_without_one(
    system: str, architecture: str, glibc: tuple[int, int] | None
) -> None:
    with pytest.raises(run.Unobtainable, match=architecture):
        run.choose_wheel(LOCKED.wheels, run.Machine(system, architecture, glibc))


def test_this_machine_has_a_wheel() -> None:
    assert run.choose_wheel(LOCKED.wheels, run.this_machine()).url.startswith("https://")


def made_wheel(program: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as wheel:
        wheel.writestr("uv-9.9.9.data/scripts/uv", program)
        wheel.writestr("uv/__init__.py", "")
    return held.getvalue()


def locked_for_here(data: bytes) -> run.Locked:
    name = run.choose_wheel(LOCKED.wheels, run.this_machine()).name
    return run.Locked(
        "9.9.9", [run.Wheel(f"https://example.invalid/{name}", hashlib.sha256(data).hexdigest())]
    )


def test_a_download_with_the_locked_hash_is_unpacked_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = made_wheel(b"#!/bin/sh\necho uv 9.9.9\n")
    monkeypatch.setattr(run, "fetch", lambda _url: data)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run.find_uv(tmp_path / "tools", locked_for_here(data)) == tmp_path / "tools" / "uv"
    monkeypatch.setattr(run, "fetch", lambda _url: pytest.fail("downloaded a second time"))
    assert run.find_uv(tmp_path / "tools", locked_for_here(data)) == tmp_path / "tools" / "uv"


def test_a_download_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = made_wheel(b"#!/bin/sh\necho uv 9.9.9\n")
    monkeypatch.setattr(run, "fetch", lambda _url: data + b"\0")
    with pytest.raises(run.Unobtainable, match="sha256"):
        run.uv_downloaded(tmp_path / "tools", locked_for_here(data))
    assert not (tmp_path / "tools").exists()


def test_an_older_uv_is_passed_over(tmp_path: Path) -> None:
    old = tmp_path / "uv"
    old.write_text("#!/bin/sh\necho 'uv 0.4.30 (x)'\n")
    old.chmod(0o755)
    with pytest.raises(run.Unobtainable, match=r"0\.4\.30"):
        run.suitable(old, LOCKED)


def test_where_nothing_works_every_way_tried_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_anything: object) -> str:
        raise run.Unobtainable("no network")

    monkeypatch.setattr(run, "fetch", refuse)
    monkeypatch.setattr(run, "tell", refuse)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as told:
        run.find_uv(tmp_path / "tools", LOCKED)
    for way in ("没有得到安装工具 uv", "PATH", ".tools", "download", "pip", "venv"):
        assert way in str(told.value)


def test_a_checkout_that_cannot_be_written_installs_into_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    assert run.choose_places(checkout, {}).environment == checkout / ".venv"
    monkeypatch.setattr(run, "can_write", lambda path: path != checkout)
    places = run.choose_places(checkout, {"XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert places.environment.is_relative_to(tmp_path / "cache")
    assert places.tools.is_relative_to(tmp_path / "cache")
    assert "不能写入" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="XDG_CACHE_HOME"):
        run.choose_places(checkout, {"XDG_CACHE_HOME": str(tmp_path / "file")})


def test_a_taken_port_is_said_to_be_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(SystemExit, match=f"端口 {port} 已被占用"):
            run.refuse_taken_port("127.0.0.1", port)
    run.refuse_taken_port("127.0.0.1", port)


def test_an_unknown_command_prints_the_usage() -> None:
    done = subprocess.run([BASE_PYTHON, run.ROOT / "run.py", "wrong"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "python3 run.py test" in done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this checkout that nothing was ever installed in."""
    copy = tmp_path / "热线 checkout"
    left_out = shutil.ignore_patterns(".*", "__pycache__", "node_modules", "dist", "build", "tests", "web")
    shutil.copytree(run.ROOT, copy, ignore=left_out)
    return copy


def bare_environment(tmp_path: Path) -> dict[str, str]:
    """A Python as some systems give it: no pip, no ensurepip, no venv; and no uv on the PATH."""
    missing = tmp_path / "missing"
    missing.mkdir()
    for name in ("pip", "ensurepip", "venv"):
        (missing / f"{name}.py").write_text(f"raise ImportError('no {name} here')\n")
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "VIRTUAL_ENV"}}
    return environment | {"PATH": str(missing), "PYTHONPATH": str(missing)}


def test_it_installs_without_pip_venv_and_uv_from_any_folder_twice(tmp_path: Path, checkout: Path) -> None:
    environment = bare_environment(tmp_path)

    def run_there(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [BASE_PYTHON, str(checkout / "run.py"), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment | more, capture_output=True, text=True)

    # what the console is built of cannot be had at first: the engine is installed, and the lack is told
    done = run_there("install", npm_config_registry="http://127.0.0.1:9/", npm_config_fetch_retries="0")
    if "下载失败" in done.stderr and "CI" not in os.environ:
        pytest.skip(f"没有网络，此测试没有执行：{done.stderr}")
    assert done.returncode == 0, done.stderr
    assert (checkout / ".tools" / "uv").is_file()
    assert (checkout / ".venv" / "bin" / "hotline").is_file()
    assert "网页工作台没有建成" in done.stderr
    assert "127.0.0.1:9" in done.stderr
    assert not (checkout / "api" / "web" / "index.html").exists()

    mended = run_there("install")
    assert (mended.returncode, "工作台" in mended.stderr) == (0, False), mended.stderr
    assert (checkout / "api" / "web" / "index.html").is_file()

    again = run_there("install")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert "pytest" in run_there("test", "--version").stdout
