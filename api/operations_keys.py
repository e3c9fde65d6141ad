"""What the commands about keys, old texts and a caller's own data do."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlmodel import Session

from api.operations import now, prepare
from hotline.access import Actor
from hotline.exporting.exports import files_of
from hotline.office import open_office
from hotline.privacy import concealment, subject
from hotline.privacy.keyring import SUITES
from hotline.privacy.rotation import Rotation, Tell
from hotline.settings import load_settings
from hotline.storage.store import make_engine
from workflow.vocabulary import Role

OPERATOR = Actor("system", None, "命令行", frozenset({Role.ADMIN}))


@contextmanager
def _rotation() -> Iterator[Rotation]:
    settings = load_settings()
    office = open_office(settings)
    engine = make_engine(prepare(settings), pool_size=2)
    try:
        yield Rotation(
            engine,
            office.sealer,
            files_of(office),
            by=OPERATOR,
            now=now,
            algorithm=office.policy.algorithm,
        )
    finally:
        engine.dispose()


def listed() -> tuple[Any, str]:
    """The ring's keys as data and as text."""
    with _rotation() as rotation:
        uses = rotation.uses()
    data = [
        {
            "id": use.key.id,
            "suite": use.key.suite.name.lower(),
            "made_at": use.key.made_at,
            "current": use.current,
            "retired_at": use.key.retired_at,
            "rows": use.rows,
        }
        for use in uses
    ]
    lines = [
        f"{use.key.id}  {use.key.suite.label}  "
        f"{f'{use.key.made_at:%Y-%m-%d %H:%M}' if use.key.made_at else '启用时'}  "
        f"{'当前' if use.current else '已停用' if use.key.retired_at else '旧密钥'}  {use.rows} 项"
        for use in uses
    ]
    return data, "\n".join(lines)


def rotate(suite: str | None, *, shown: bool, bar: bool, only_resume: bool = False) -> tuple[Any, str]:
    """Rotate, or finish what was begun; with a bar on a terminal, else a line every few thousand."""
    wanted = SUITES[suite or load_settings().cipher]
    with _rotation() as rotation, _progress(shown=shown, bar=bar) as tell:
        done = rotation.rotate(wanted, tell, only_resume=only_resume)
    data = {
        "key": done.key,
        "suite": done.suite.name.lower(),
        "resumed": done.resumed,
        "rows": done.rows,
        "seconds": round(done.seconds, 1),
        "unopened": done.broken,
    }
    begun = "继续并完成了未完成的轮换" if done.resumed else "轮换完成"
    told = (
        f"\n{len(done.broken)} 行无法打开，已保持原样，请核查是否被改动：{done.broken[:20]}"
        if done.broken
        else ""
    )
    return (
        data,
        f"{begun}：当前密钥 {done.key}（{done.suite.label}），重新加密 {done.rows} 项，用时 {done.seconds:.0f} 秒。{told}",
    )


@contextmanager
def _progress(*, shown: bool, bar: bool) -> Iterator[Tell]:
    if not shown:
        yield lambda *_: None
    elif not bar:
        last: dict[str, int] = {}

        def line(label: str, done: int, total: int) -> None:
            if total and (done == total or done - last.get(label, -5000) >= 5000):
                last[label] = done
                sys.stderr.write(f"{label} {done}/{total}\n")

        yield line
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            tasks: dict[str, Any] = {}

            def move(label: str, done: int, total: int) -> None:
                if label not in tasks:
                    tasks[label] = progress.add_task(label, total=total)
                progress.update(tasks[label], completed=done, total=total)

            yield move


def retire(key_id: int) -> None:
    """Destroy an old key. Raises `KeyRingBroken` while anything needs it."""
    with _rotation() as rotation:
        rotation.retire(key_id)


def conceal() -> tuple[Any, str]:
    """Mask what was stored before texts were masked; how many tickets changed."""
    settings = load_settings()
    office = open_office(settings)
    engine = make_engine(prepare(settings), pool_size=2)
    changed = 0
    try:
        after: int | None = 0
        while after is not None:
            with Session(engine) as session:
                count, after = concealment.conceal_stored(session, office.sealer, after)
                session.commit()
            changed += count
    finally:
        engine.dispose()
    return {"tickets": changed}, f"已脱敏 {changed} 个工单的文字。"


def subject_report(phone: str, purpose: str) -> tuple[Any, str]:
    """Everything held about the caller with this phone, as data and as text; recorded."""
    settings = load_settings()
    office = open_office(settings)
    engine = make_engine(prepare(settings), pool_size=2)
    try:
        with Session(engine) as session:
            found = subject.report(session, office, phone, purpose, by=OPERATOR, at=now())
            session.commit()
    finally:
        engine.dispose()
    return found, subject.as_text(found)


def write_private(path: str, content: str) -> None:
    """Write a new file that only its owner may read. Raises `OSError` where there is one already."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(content + "\n")
