"""Asking for an export, approving it, fetching and reading it."""

import csv
import io
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from hotline.auditing.trail import AuditEntry
from hotline.case import Office
from hotline.exporting.rows import COLUMNS
from tests.api.conftest import Api
from workflow.vocabulary import AuditKind

ASK = {"purpose": "report", "explanation": "三月份办理情况分析。"}
YES = {"reason": "用途明确，同意导出。"}
TITLES = [column.title for column in COLUMNS]
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def ask(api: Api, login: str = "dispatcher", *, status: int = 201, **more: Any) -> Any:
    response = api.post("/exports", login, ASK | more)
    assert response.status_code == status, response.text
    return response.json()


def approve(api: Api, key: int, login: str = "supervisor", *, status: int = 200, **more: Any) -> Any:
    response = api.post(f"/exports/{key}/approve", login, YES | more)
    assert response.status_code == status, response.text
    return response.json()


def fetch(api: Api, key: int, login: str = "dispatcher") -> bytes:
    response = api.get(f"/exports/{key}/file", login)
    assert response.status_code == 200, response.text
    assert "attachment" in response.headers["Content-Disposition"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return bytes(response.content)


def exported(
    api: Api, login: str = "dispatcher", by: str = "supervisor", **more: Any
) -> list[dict[str, str]]:
    """Ask, approve, download as CSV; its rows by title."""
    key = ask(api, login, format="csv", **more)["id"]
    approve(api, key, by)
    return csv_rows(fetch(api, key, login))


def csv_rows(content: bytes) -> list[dict[str, str]]:
    lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert lines[1] == TITLES
    return [dict(zip(TITLES, line, strict=True)) for line in lines[2:-1]]


def noted(api: Api, kind: AuditKind) -> list[dict[str, Any]]:
    with Session(api.world.engine) as session:
        rows = session.execute(
            select(AuditEntry).where(col(AuditEntry.kind) == kind).order_by(col(AuditEntry.seq))
        ).scalars()
        return [row.what for row in rows]


def run(api: Api, job: Callable[[Session, Office, datetime], int]) -> int:
    with Session(api.world.engine) as session:
        done = job(session, api.world.office, api.now)
        session.commit()
        return done


def folder(api: Api) -> Path:
    return api.world.office.blobs.folder / "exports"
