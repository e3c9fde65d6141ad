"""Point-in-time restore (时间点恢复): everything is dropped by mistake; it is brought back as of just before, from base backup and WAL archive.

A server that archives its WAL and a machine with attachments and keys. Backups are made by the script the nightly timer runs, one of them
under load. More acts follow, then the disaster: the whole schema is dropped. From the backups alone a new server and a new machine are set
up. Told: RPO, the acknowledged acts lost, in seconds; and RTO, from the disaster to the first new act.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from deploy.drills.servers import Server, verify_backup
from deploy.drills.stage import Load, Log, Machine, doctor, furnish, machines, main, prove

ARCHIVE_TIMEOUT = 60
"""Seconds after which a WAL file that is not full is archived: what is lost at most where the server's own disk is lost too."""

SCRIPT = Path(__file__).parents[1] / "backup" / "hotline-backup"

FILES = 5
"""Attachments filed before the disaster."""


def drill(folder: Path, log: Log, options: argparse.Namespace) -> dict[str, Any]:
    """Play it; the figures, with what went `wrong`."""
    archive, backup = folder / "archive", folder / "backup"
    server = Server("main", folder)
    server.make()
    _for_the_server(server, archive)
    backup.mkdir()
    server.configure(
        archive_mode="on",
        archive_command=f"test ! -f {archive}/%f && cp %p {archive}/.%f && mv {archive}/.%f {archive}/%f",
        archive_timeout=str(ARCHIVE_TIMEOUT),
    )
    server.stop()
    server.start()
    tokens = furnish(server.url, folder / "shared")
    environment = {"HOTLINE_DATABASE_URL": server.url, "HOTLINE_ALLOW_PRIVATE_TARGETS": "true"}
    acts = 20 if options.quick else 400
    with machines(folder, environment, ("api-1",)) as made:
        made[0].wait()
        load = Load([made[0].address], tokens, options.clients)
        load.start()
        try:
            load.wait_for(acts)
            _back_up(server, folder, backup)
            log.say("first backup made under load")
            load.wait_for(acts)
        finally:
            load.stop()
        files = [_file(made[0], tokens["agent"], load.told[n].number, f"测试附件{n}\n") for n in range(FILES)]
        base = _back_up(server, folder, backup)
        log.say(
            f"{len(load.told)} acts acknowledged, {len(files)} attachments; second backup made, {verify_backup(base / 'base')} files verified"
        )
        late = Load([made[0].address], tokens, options.clients)
        late.start()
        try:
            late.wait_for(acts)
        finally:
            late.stop()
        load.told += late.told
        made[0].kill()
    log.say(f"{len(late.told)} more acts, which only the WAL archive has")
    time.sleep(0.2)
    with server.connected() as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        instant = row[0]
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("SELECT pg_switch_wal()")
    disaster = time.monotonic()
    log.say("the schema was dropped")
    server.wait_for(
        "SELECT last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1) FROM pg_stat_archiver"
    )
    server.end()
    shutil.rmtree(server.data)
    shutil.rmtree(folder / "shared")
    log.say("the old server, its disk, the attachments and the keys are gone; the backups are left")
    return _restored(folder, log, server, tokens, load, files, disaster, instant, base)


def _restored(
    folder: Path,
    log: Log,
    old: Server,
    tokens: Any,
    load: Load,
    files: list[tuple[str, int, bytes]],
    disaster: float,
    instant: datetime,
    base: Path,
) -> dict[str, Any]:
    wrong = list(load.wrong)
    new = Server("restored", folder, old.password)
    new.from_backup(base / "base", folder / "archive", until=instant)
    log.say(f"database restored as of {instant:%H:%M:%S.%f} UTC")
    shutil.copytree(folder / "backup" / "keys", folder / "shared")
    shutil.copytree(base / "blobs", folder / "shared" / "blobs")
    environment = {"HOTLINE_DATABASE_URL": new.url, "HOTLINE_ALLOW_PRIVATE_TARGETS": "true"}
    counts, lost = prove(new, load.told)
    log.say(
        f"{counts['acknowledged']} acts acknowledged, {counts['lost']} lost, {counts['done_twice']} done twice"
    )
    with machines(folder, environment, ("api-2",)) as made:
        made[0].wait()
        again = Load([made[0].address], tokens, 1)
        again.start()
        try:
            again.wait_for(1)
        finally:
            again.stop()
        recovered = time.monotonic() - disaster
        log.say(f"acts again {recovered:.1f} s after the disaster")
        same = sum(_read(made[0], tokens["agent"], number, key) == content for number, key, content in files)
    log.say(f"{same} of {len(files)} attachments are the same bytes")
    found = doctor(folder / "shared", environment)
    log.say(f"doctor --chains: {'sound' if found['sound'] else found}")
    return {
        **counts,
        "attachments": len(files),
        "attachments_same": same,
        "rpo_seconds": 0.0 if not lost else None,
        "rpo_seconds_without_the_disk": ARCHIVE_TIMEOUT,
        "rto_seconds": round(recovered, 1),
        "doctor_sound": found["sound"],
        "wrong": [
            *wrong,
            *lost,
            *again.wrong,
            *([f"{len(files) - same} attachments lost"] if same != len(files) else []),
            *([] if found["sound"] else ["doctor finds faults"]),
        ],
    }


def _for_the_server(server: Server, place: Path) -> None:
    place.mkdir(mode=0o700)
    if os.geteuid() == 0:
        runner = server.cluster.runner
        os.chown(place, runner.uid, runner.gid)


def _back_up(server: Server, folder: Path, backup: Path) -> Path:
    """Make a backup as the nightly timer does; where it lies."""
    place = {
        "PATH": f"{server.cluster.programs / 'bin'}:{os.environ['PATH']}",
        "HOTLINE_BACKUP_URL": server.url_of("postgres"),
        "HOTLINE_BACKUP_DIR": str(backup / "nights"),
        "HOTLINE_BACKUP_KEYS_DIR": str(backup / "keys"),
        "HOTLINE_SHARED_DIR": str(folder / "shared"),
    }
    done = subprocess.run(  # noqa: S603 - this project's own script
        [SCRIPT], env=place, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"hotline-backup failed: {done.stderr}")
    return Path(done.stdout.strip())


def _file(machine: Machine, token: str, number: str, text: str) -> tuple[str, int, bytes]:
    """File an attachment; the ticket's number, the file's key, its bytes."""
    content = text.encode()
    answer = httpx2.post(
        f"{machine.address}/api/v1/tickets/{number}/attachments",
        headers={"Authorization": f"Bearer {token}"},
        files={"file": ("测试.txt", content, "text/plain")},
        timeout=20,
    )
    answer.raise_for_status()
    return number, int(answer.json()["id"]), content


def _read(machine: Machine, token: str, number: str, key: int) -> bytes:
    address = f"{machine.address}/api/v1/tickets/{number}/attachments/{key}"
    return httpx2.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=20).content


if __name__ == "__main__":
    sys.exit(main("restore", __doc__ or "", drill))
