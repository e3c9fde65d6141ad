#!/usr/bin/env python3
"""Install and start the hotline, or run its tests, with nothing but Python >= 3.11 and this checkout.

    python3 run.py                  install, start with demo data, print the address and the logins
    python3 run.py test [...]       install, run the tests (arguments go to pytest)
    python3 run.py hotline [...]    install, run the command line (arguments go to `hotline`)
    python3 run.py install          install only

Only the standard library is used, and neither pip nor venv is needed. Everything is installed by uv at the
versions of uv.lock, into this checkout's .venv and .tools, or, where the checkout cannot be written, into the
user's cache folder. The file must parse on Python 3.6, to say there what is missing.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this is where older ones are told
    sys.exit(
        f"需要 Python 3.11 或更高版本，现为 {sys.version.split()[0]}。请安装后用新版本运行本文件。\n"
        "  Python 3.11 or later is needed."
    )

import contextlib
import errno
import hashlib
import io
import os
import platform
import re
import shutil
import socket
import stat
import subprocess
import tomllib
import urllib.request
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parent
NOT_BUILT = ROOT / "api" / "web" / "not-built.txt"
"""Why there is no web console, where its build failed: uv keeps what a build says to itself."""
PORT = "12345"
DEMO = ("serve", "--demo")


class Unobtainable(Exception):
    """One way to get uv does not work here; the message says why."""


class Wheel(NamedTuple):
    """One file of the lock."""

    url: str
    sha256: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


class Locked(NamedTuple):
    """The uv that uv.lock names, for all platforms."""

    version: str
    wheels: Sequence[Wheel]


class Machine(NamedTuple):
    """What decides which wheel runs: `libc` is the glibc version, or None where it is another library."""

    system: str
    architecture: str
    glibc: tuple[int, int] | None


class Places(NamedTuple):
    """Where this run installs."""

    environment: Path
    tools: Path
    in_checkout: bool


def main(arguments: list[str]) -> int:
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if command in ("-h", "--help", "help"):
        print((__doc__ or "").strip())
        return 0
    if command not in ("", "test", "hotline", "install"):
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    if not command:
        refuse_taken_port(
            os.environ.get("HOTLINE_HOST") or "127.0.0.1", os.environ.get("HOTLINE_PORT") or PORT
        )
    places = choose_places(ROOT, os.environ)
    install(places)
    if command == "install":
        return 0
    if command == "test":
        run_tests(places, rest)
    return replace_with([str(places.environment / "bin" / "hotline"), *(rest if command else DEMO)])


# --- where


def choose_places(root: Path, environment: Mapping[str, str]) -> Places:
    """The checkout, if it and what earlier runs left in it can be written, else the user's cache folder."""
    chosen = environment.get("UV_PROJECT_ENVIRONMENT")
    inside = Places(root / (chosen or ".venv"), root / ".tools", in_checkout=True)
    if can_write(root) and all(can_write(path) for path in inside[:2] if path.exists()):
        return inside
    cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    base = cache / "hotline12345" / hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    try:
        base.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusal(
            f"{root} 和 {cache} 都不能写入（{error.strerror}）。请用 XDG_CACHE_HOME 指定一个可写的文件夹。",
            "Neither the checkout nor the cache folder can be written; set XDG_CACHE_HOME.",
        ) from error
    say(f"{root} 不能写入，改为安装到 {base}", "the checkout cannot be written; installing elsewhere")
    return Places(root / chosen if chosen else base / "venv", base / "tools", in_checkout=False)


def can_write(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.W_OK | os.X_OK)


def refuse_taken_port(host: str, port: str) -> None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise refusal(
                f"端口 {port} 已被占用：热线可能已在运行（http://{host}:{port}）；"
                f"否则请另选端口，例如 HOTLINE_PORT={int(port) + 1} python3 run.py",
                f"Port {port} is taken, perhaps by a hotline already running; HOTLINE_PORT chooses another.",
            ) from error
        raise refusal(f"不能在 {host}:{port} 上监听：{error}", "Cannot listen there.") from error


# --- uv


def find_uv(tools: Path, locked: Locked) -> Path:
    """uv, at least of the locked minor version: the machine's, an earlier run's, the locked wheel, pip's."""
    ways: tuple[tuple[str, Callable[[Path, Locked], Path]], ...] = (
        ("PATH", uv_on_path),
        (".tools", uv_kept),
        ("download", uv_downloaded),
        ("pip", uv_by_pip),
        ("venv", uv_by_venv),
    )
    reasons = []
    for name, way in ways:
        try:
            return suitable(way(tools, locked), locked)
        except (Unobtainable, OSError) as error:
            reasons.append(f"  - {name}: {error}")
    raise refusal(
        "没有得到安装工具 uv。可检查网络和代理（HTTPS_PROXY、SSL_CERT_FILE），"
        f"或自行安装 uv {locked.version} 后重试。试过：\n" + "\n".join(reasons),
        f"uv could not be had; check the network or install uv {locked.version} yourself.",
    )


def uv_on_path(_tools: Path, _locked: Locked) -> Path:
    found = shutil.which("uv")
    if found is None:
        raise Unobtainable("没有 uv / no uv")
    return Path(found)


def uv_kept(tools: Path, _locked: Locked) -> Path:
    for kept in (tools / "uv", tools / "pip-uv" / "bin" / "uv", tools / "venv" / "bin" / "uv"):
        if kept.is_file():
            return kept
    raise Unobtainable("没有 uv / no uv")


def uv_downloaded(tools: Path, locked: Locked) -> Path:
    wheel = choose_wheel(locked.wheels, this_machine())
    say(f"下载 {wheel.name}", "downloading uv")
    return unpack(checked(fetch(wheel.url), wheel), tools)


def uv_by_pip(tools: Path, locked: Locked) -> Path:
    target = tools / "pip-uv"
    pip_install(sys.executable, locked, tools, "--target", str(target), "--upgrade")
    return target / "bin" / "uv"


def uv_by_venv(tools: Path, locked: Locked) -> Path:
    target = tools / "venv"
    tell([sys.executable, "-m", "venv", "--clear", str(target)])
    pip_install(str(target / "bin" / "python"), locked, tools)
    return target / "bin" / "uv"


def suitable(uv: Path, locked: Locked) -> Path:
    told = tell([str(uv), "--version"])
    found = re.search(r"(\d+)\.(\d+)", told)
    if found is None or tuple(map(int, found.groups())) < minor(locked.version):
        raise Unobtainable(f"{uv} 版本过低：{told.strip()} / too old")
    return uv


def minor(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")[:2]))


def read_lock(lock: Path) -> Locked:
    """The uv of uv.lock. Raises KeyError or ValueError if the lock names none."""
    with lock.open("rb") as file:
        packages: list[dict[str, Any]] = tomllib.load(file)["package"]
    (package,) = [package for package in packages if package["name"] == "uv"]
    wheels = [Wheel(each["url"], each["hash"].removeprefix("sha256:")) for each in package["wheels"]]
    return Locked(package["version"], wheels)


def this_machine() -> Machine:
    architecture = platform.machine().lower()
    if platform.system() == "Linux":
        architecture = {"amd64": "x86_64", "arm64": "aarch64"}.get(architecture, architecture)
    library, version = platform.libc_ver()
    glibc = minor(version) if library == "glibc" else None
    return Machine(platform.system(), architecture, (glibc[0], glibc[1]) if glibc else None)


def choose_wheel(wheels: Sequence[Wheel], machine: Machine) -> Wheel:
    """The first wheel that runs on `machine`. Raises Unobtainable if none does."""
    for wheel in wheels:
        tags = wheel.name.removesuffix(".whl").rpartition("-")[2].split(".")
        if any(runs(tag, machine) for tag in tags):
            return wheel
    raise Unobtainable(f"uv.lock 没有适用于 {machine.system} {machine.architecture} 的 uv / no wheel")


def runs(tag: str, machine: Machine) -> bool:
    """Whether a program for the platform `tag` of a wheel runs on `machine`."""
    parts = re.fullmatch(r"(manylinux|musllinux|macosx)_(\d+)_(\d+)_(\w+)", tag)
    if parts is None or parts[4] != machine.architecture:
        return False
    needed = (int(parts[2]), int(parts[3]))
    if parts[1] == "macosx":
        return machine.system == "Darwin"
    if machine.system != "Linux":
        return False
    if parts[1] == "musllinux":
        return machine.glibc is None
    return machine.glibc is not None and machine.glibc >= needed


def fetch(url: str) -> bytes:
    """The file at `url`, through the environment's proxies and with its certificates."""
    try:
        import ssl

        context = ssl.create_default_context()  # reads SSL_CERT_FILE and SSL_CERT_DIR itself
        for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            if Path(os.environ.get(name) or os.devnull).is_file():
                context.load_verify_locations(os.environ[name])
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
        with opener.open(url, timeout=60) as reply:
            data: bytes = reply.read()
    except (ImportError, OSError, ValueError) as error:
        raise Unobtainable(f"下载失败（{error}） / download failed") from error
    return data


def checked(data: bytes, wheel: Wheel) -> bytes:
    found = hashlib.sha256(data).hexdigest()
    if found != wheel.sha256:
        raise Unobtainable(f"{wheel.name} 的 sha256 与 uv.lock 不符（{found}），已丢弃 / wrong sha256")
    return data


def unpack(data: bytes, tools: Path) -> Path:
    """Put the wheel's `uv` program into `tools`, whole or not at all."""
    tools.mkdir(parents=True, exist_ok=True)
    fresh = tools / f"uv.{os.getpid()}"
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as wheel:
            (member,) = [name for name in wheel.namelist() if name.endswith(".data/scripts/uv")]
            fresh.write_bytes(wheel.read(member))
    except (zipfile.BadZipFile, ValueError) as error:
        raise Unobtainable(f"uv 的安装包不完整（{error}） / broken wheel") from error
    fresh.chmod(fresh.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    fresh.replace(tools / "uv")
    return tools / "uv"


def pip_install(python: str, locked: Locked, tools: Path, *options: str) -> None:
    """The locked uv by pip, with pip's own mirrors and settings; its hash must be one of the lock's."""
    tools.mkdir(parents=True, exist_ok=True)
    hashes = " ".join(f"--hash=sha256:{wheel.sha256}" for wheel in locked.wheels)
    wanted = tools / "uv.txt"
    wanted.write_text(f"uv=={locked.version} {hashes}\n", encoding="ascii")
    tell(
        [
            *(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--only-binary", ":all:", "--require-hashes", *options, "-r", str(wanted)),
        ]
    )


def tell(command: Sequence[str]) -> str:
    """Run quietly; the output, or Unobtainable with the last line of what went wrong."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
        raise Unobtainable(lines[-1])
    return done.stdout


# --- installing


def install(places: Places) -> None:
    install_what_is_locked(places)
    if lacks_console():
        say(
            "网页工作台没有建成，服务将不带它运行；排除下列原因后再运行一次，会重新建",
            "the web console was not built; run this again once the reason is gone",
        )
        print(NOT_BUILT.read_text(encoding="utf-8").rstrip(), file=sys.stderr, flush=True)


def lacks_console() -> bool:
    """Whether the build of the web console failed, and it is wanted."""
    return NOT_BUILT.is_file() and os.environ.get("HOTLINE_CONSOLE") != "skip"


def install_what_is_locked(places: Places) -> None:
    uv = find_uv(places.tools, read_lock(ROOT / "uv.lock"))
    environment = uv_environment(os.environ, places)
    quiet = ["--quiet"] if (places.environment / "bin" / "hotline").exists() else []
    if not quiet:
        say("按 uv.lock 安装依赖……", "installing what uv.lock names")
    python = (
        sys.executable if sys.prefix == sys.base_prefix else getattr(sys, "_base_executable", sys.executable)
    )
    # what is installed uv would not build again
    anew = ["--reinstall-package", "hotline12345"] if lacks_console() else []
    locked = [str(uv), "sync", "--locked", *quiet, *anew, "--python", python]
    if subprocess.run(locked, cwd=ROOT, env=environment, check=False).returncode == 0:
        return
    if "UV_SYSTEM_CERTS" not in environment:
        # a network that inspects TLS is trusted by the system's certificates, not by those uv brings along
        say("改用系统的证书再试一次……", "once more with the system's certificates")
        environment = {**environment, "UV_SYSTEM_CERTS": "1"}
        if subprocess.run(locked, cwd=ROOT, env=environment, check=False).returncode == 0:
            return
    if has_mirror(environment) and install_from_mirror(uv, python, places, environment):
        return
    raise refusal(
        "安装未完成，原因见上。可检查网络和代理（HTTPS_PROXY、SSL_CERT_FILE）后重新运行；"
        f"本项目支持 Linux（glibc）和 macOS 上的 Python 3.11 至 3.14，现为 {platform.platform()}，"
        f"Python {platform.python_version()}。",
        "Installing failed for the reason above; check the network and run this again.",
    )


def install_from_mirror(uv: Path, python: str, places: Places, environment: Mapping[str, str]) -> bool:
    """From the user's own package index, which `uv sync --locked` rejects: the lock's versions and hashes."""
    say(
        "改用本机配置的软件源，版本和校验值仍按 uv.lock",
        "using the configured index, same versions and hashes",
    )
    places.tools.mkdir(parents=True, exist_ok=True)
    wanted = str(places.tools / "locked.txt")
    into = ["--python", str(places.environment / "bin" / "python")]
    steps = (
        ["export", "--frozen", "--quiet", "--no-emit-project", "--output-file", wanted],
        ["venv", "--quiet", "--allow-existing", "--python", python, str(places.environment)],
        ["pip", "sync", *into, "--require-hashes", wanted],
        ["pip", "install", *into, "--no-deps", "--editable", str(ROOT)],
    )
    return all(
        subprocess.run([str(uv), *step], cwd=ROOT, env=environment, check=False).returncode == 0
        for step in steps
    )


def has_mirror(environment: Mapping[str, str]) -> bool:
    if any(environment.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX")):
        return True
    config = Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "uv" / "uv.toml"
    with contextlib.suppress(OSError):
        return "index" in config.read_text(encoding="utf-8")
    return False


def uv_environment(environment: Mapping[str, str], places: Places) -> dict[str, str]:
    """The environment for uv: what the user set for the network stays, what would change the result goes."""
    changing = {"VIRTUAL_ENV", "UV_PYTHON", "UV_PROJECT", "UV_SYSTEM_PYTHON", "UV_NO_DEV", "UV_NO_SYNC"}
    changing |= {"UV_FROZEN", "UV_LOCKED", "UV_EXCLUDE_NEWER", "UV_RESOLUTION", "UV_WORKING_DIRECTORY"}
    result = {name: value for name, value in environment.items() if name not in changing}
    result["UV_PYTHON_DOWNLOADS"] = "never"
    result["UV_PROJECT_ENVIRONMENT"] = str(places.environment)
    cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    if "UV_CACHE_DIR" not in result and not can_write(cache if cache.exists() else cache.parent):
        result["UV_CACHE_DIR"] = str(places.tools / "uv-cache")
    return result


# --- running


def run_tests(places: Places, arguments: list[str]) -> NoReturn:
    os.chdir(ROOT)
    options: list[str] = (
        [] if arguments else ["-q", "-n", "auto", "--dist", "worksteal"]
    )  # the whole suite, on every core
    if not places.in_checkout:
        options = ["-o", f"cache_dir={places.tools / 'pytest-cache'}"]
        os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(places.tools / "hypothesis"))
    replace_with([str(places.environment / "bin" / "python"), "-m", "pytest", *options, *arguments])


def replace_with(command: list[str]) -> NoReturn:
    """Become that program: its signals and its exit code are this one's."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ.pop("VIRTUAL_ENV", None)
    try:
        os.execv(command[0], command)
    except OSError as error:
        raise refusal(f"不能运行 {command[0]}（{error.strerror}）", "It cannot be run.") from error


def say(chinese: str, english: str) -> None:
    print(f"· {chinese}（{english}）", file=sys.stderr, flush=True)


def refusal(chinese: str, english: str) -> SystemExit:
    return SystemExit(f"× {chinese}\n  {english}")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
