"""Every operation × every kind of caller, over HTTP. What is expected stands in matrix.yaml, not in the code under test.

An operation without a row there fails; a row for none fails; whoever a row does not name is refused before anything else is
looked at.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api import grants
from api.main import create_app
from api.wiring import Runtime
from hotline.settings import Settings
from tests import world as w
from tests.access.callers import Caller, everyone
from workflow.vocabulary import STAFF, Role, Scope

if TYPE_CHECKING:
    from tests.postgres_server import Server

TABLE = Path(__file__).with_name("matrix.yaml")
NOW = w.china("2026-03-02 09:00")
ABSENT = "992603020000019"
"""A number nobody has, its check digit right; behind every number of the small world."""
ENDLESS = {"live": "?seconds=0"}
"""What makes an answer without end end at once."""
GROUPS = {"staff": STAFF, "readers": STAFF - {Role.ADMIN}}


def expected() -> dict[str, tuple[frozenset[Role] | None, Scope | None]]:
    """Each operation's roles and scope as the table has them; None roles: open to anybody."""
    rows: dict[str, tuple[frozenset[Role] | None, Scope | None]] = {}
    for scope, operations in yaml.safe_load(TABLE.read_text("utf-8")).items():
        for operation, roles in operations.items():
            assert operation not in rows, f"{operation} stands twice in {TABLE.name}"
            if scope == "public":
                rows[operation] = (None, None)
                continue
            named = [roles] if isinstance(roles, str) else roles
            rows[operation] = (
                frozenset[Role]().union(*(GROUPS.get(name) or {Role(name)} for name in named)),
                Scope(scope),
            )
    return rows


@pytest.fixture(scope="module")
def app(
    postgres_server: "Server", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[FastAPI, w.World]]:
    folder = tmp_path_factory.mktemp("matrix")
    settings = Settings(data_dir=folder, requests_per_minute=10**6)
    with postgres_server.world(folder) as world:
        yield create_app(Runtime(settings, world.engine, world.office, lambda: NOW)), world


def calls(app: FastAPI) -> Iterator[tuple[str, str, str]]:
    """Every operation: its id, method and an address whose parts name nothing that exists."""
    for path, item in app.openapi()["paths"].items():
        for method, operation in item.items():
            address = path
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path":
                    sample = ABSENT if parameter["name"] == "number" else "999999"
                    address = address.replace("{" + parameter["name"] + "}", sample)
            yield operation["operationId"], method, address + ENDLESS.get(operation["operationId"], "")


def test_every_operation_has_a_row_and_every_row_an_operation(app: tuple[FastAPI, w.World]) -> None:
    assert {operation for operation, _, _ in calls(app[0])} == set(expected())


@pytest.mark.timeout(1200)  # some seven thousand requests
def test_the_whole_matrix(
    app: tuple[FastAPI, w.World], record_property: Callable[[str, object], None]
) -> None:
    table = expected()
    wrong: list[str] = []
    cells = 0
    with TestClient(app[0], raise_server_exceptions=False, follow_redirects=False) as client:
        callers = everyone(app[1])
        for operation, method, address in calls(app[0]):
            for caller in callers:
                cells += 1
                answer = client.request(method, address, headers=_headers(caller))
                problem = _unlike(answer, caller, *table[operation])
                if problem:
                    wrong.append(f"{operation} × {caller.name}: {problem}")
    assert wrong == [], f"{len(wrong)} of {cells} cells\n" + "\n".join(wrong[:40])
    record_property("access matrix", f"{len(table)} operations x {len(callers)} callers = {cells} cells")
    assert cells == len(table) * len(callers)


def _headers(caller: Caller) -> dict[str, str]:
    return {"Authorization": f"Bearer {caller.token}"} if caller.token else {}


def _unlike(answer: Any, caller: Caller, roles: frozenset[Role] | None, scope: Scope | None) -> str | None:
    """What is unlike the table in this answer, None where it is as it should be."""
    body = answer.json() if "json" in answer.headers.get("content-type", "") else {}
    said = str(body.get("detail", "")) if isinstance(body, dict) else ""
    if answer.status_code >= 500 and answer.status_code != 503:
        return f"{answer.status_code} {said}"
    if roles is None:
        return None if answer.status_code != 403 else f"public, but 403 {said}"
    if caller.token is None:
        return None if answer.status_code == 401 else f"nobody gets {answer.status_code}"
    may = bool(caller.roles & roles) and (caller.scopes is None or scope in caller.scopes)
    by_role = answer.status_code == 403 and ("您的角色不能" in said or "该令牌的范围不含" in said)
    if may:
        return f"refused: {said}" if by_role or answer.status_code == 401 else None
    return None if by_role else f"not refused: {answer.status_code} {said}"


def test_what_has_no_grant_is_open_to_nobody(
    app: tuple[FastAPI, w.World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(grants.GRANTS, "areas")
    with TestClient(app[0]) as client:
        for caller in everyone(app[1]):
            status = client.get("/api/v1/areas", headers=_headers(caller)).status_code
            assert status == (401 if caller.token is None else 403), caller.name
    with pytest.raises(LookupError, match="areas"):
        grants.check_complete(app[0])


def test_a_grant_for_nothing_is_noticed(
    app: tuple[FastAPI, w.World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(grants.GRANTS, "no_such_operation", grants.Grant(STAFF, Scope.REFERENCE))
    with pytest.raises(LookupError, match="no_such_operation"):
        grants.check_complete(app[0])
