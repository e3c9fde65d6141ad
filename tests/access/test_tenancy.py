"""Platforms are a tree, with 双号并行 and 分中心 lines beside them; what lies outside one's part of it does not exist for one.

Every address that names a ticket is asked by everybody who may call it, for a ticket of every platform: whoever does not see it
gets the very answer they would get for a number nobody has.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from api import grants
from api.main import create_app
from api.wiring import Runtime
from hotline.organisation import Platform
from hotline.people import accounts
from hotline.settings import Settings
from tests import world as w
from tests.access.test_matrix import ABSENT, calls
from tests.api.conftest import Api
from workflow.vocabulary import Level, PlatformKind, Role

if TYPE_CHECKING:
    from tests.postgres_server import Server

SEES: dict[str, str] = {
    # who: the platforms whose ticket they see
    "agent": "01",
    "dispatcher": "01",
    "reviewer": "01",
    "callback": "01",
    "editor": "01",
    "supervisor": "01 04",
    "auditor": "01 04",
    "b-agent": "02",
    "b-supervisor": "02",
    "p-agent": "00",
    "p-supervisor": "00 01 02 03 04",
    "p-auditor": "00 01 02 03 04",
    "c-agent": "03",
    "c-supervisor": "03",
    "d-agent": "04",
    "d-supervisor": "04",
    "ZJJ": "01",
    "ZJJ-lead": "01",
    "JTJ": "01",
    "CGJ": "",
    "HDJ": "02",
    "SJT": "00",
}


def _more_platforms(world: w.World) -> None:
    """A 双号并行 line under the province and a 分中心 under the prefecture, with an agent and a supervisor each."""
    with Session(world.engine) as session:
        for code, prefix, kind, parent in (
            ("03", "c-", PlatformKind.PARALLEL, "00"),
            ("04", "d-", PlatformKind.BRANCH, "01"),
        ):
            platform = accounts.add_platform(
                session,
                code=code,
                name=f"测试{kind.label}热线",
                short_name=kind.label,
                level=Level.PREFECTURE,
                area_code="630100000000",
                parent=session.get_one(Platform, world.platforms[parent]),
                kind=kind,
            )
            world.platforms[code] = platform.id
            for role in (Role.AGENT, Role.SUPERVISOR):
                login = prefix + role.value
                person = accounts.add_person(
                    session, login=login, name=f"测试{role.label}{code}", roles=[role], platform=platform
                )
                world.tokens[login] = accounts.issue_token(session, label="test", at=w.BORN, person=person)
        session.commit()


@pytest.fixture(scope="module")
def api(postgres_server: "Server", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("tenancy")
    holder: list[Api] = []

    def clock() -> datetime:
        return holder[0].now

    settings = Settings(data_dir=folder, requests_per_minute=10**6)
    with postgres_server.world(folder) as world:
        _more_platforms(world)
        app = create_app(Runtime(settings, world.engine, world.office, clock))
        with TestClient(app, raise_server_exceptions=False) as client:
            holder.append(Api(client, world))
            yield holder[0]


@pytest.fixture(scope="module")
def tickets(api: Api) -> dict[str, str]:
    """One ticket of each platform, by its code; those with units of their own are dispatched."""
    numbers = {
        code: api.take(login=login)
        for code, login in (
            ("00", "p-agent"),
            ("01", "agent"),
            ("02", "b-agent"),
            ("03", "c-agent"),
            ("04", "d-agent"),
        )
    }
    api.act(numbers["00"], "dispatch", "p-dispatcher", {"lead": "SJT"})
    api.act(numbers["01"], "dispatch", "dispatcher", {"lead": "ZJJ", "co_units": ["JTJ"]})
    api.act(numbers["02"], "dispatch", "b-dispatcher", {"lead": "HDJ"})
    return numbers


def roles_of(login: str) -> frozenset[Role]:
    """The role of one of the small world's people, by the login."""
    if login.isupper() or login.endswith("-lead"):
        return frozenset({Role.UNIT_LEAD if login.endswith("-lead") else Role.HANDLER})
    return frozenset({Role(login.split("-")[-1])})


@pytest.mark.parametrize("login", SEES)
def test_a_list_holds_what_is_seen_and_nothing_else(api: Api, tickets: dict[str, str], login: str) -> None:
    listed = {line["number"] for line in api.get("/tickets", login).json()["items"]}
    assert listed == {tickets[code] for code in SEES[login].split()}


def _examples(api: Api) -> dict[str, Any]:
    """A body each operation takes, as the document shows it."""
    found: dict[str, Any] = {}
    for item in api.client.get("/api/v1/openapi.json").json()["paths"].values():
        for operation in item.values():
            content = operation.get("requestBody", {}).get("content", {})
            found[operation["operationId"]] = content.get("application/json", {}).get("example")
    found["merge"] = {"into": ABSENT, "reason": "同一事项。"}
    return found


def test_what_is_out_of_sight_answers_like_what_does_not_exist(api: Api, tickets: dict[str, str]) -> None:
    examples = _examples(api)
    asked = 0
    wrong: list[str] = []
    for operation, method, address in calls(api.client.app):  # type: ignore[arg-type]
        if ABSENT not in address:
            continue
        for login, seen in SEES.items():
            if not roles_of(login) & grants.GRANTS[operation].roles:
                continue
            absent = _ask(api, login, method, address, operation, examples)
            for code in set(tickets) - set(seen.split()):
                asked += 1
                hidden = _ask(api, login, method, address.replace(ABSENT, tickets[code]), operation, examples)
                if hidden.status_code != absent.status_code or _neutral(hidden) != _neutral(absent):
                    wrong.append(f"{operation} × {login} × {code}: {hidden.status_code} {hidden.text[:200]}")
                if absent.status_code not in (404, 422):
                    wrong.append(f"{operation} × {login}: an absent ticket answers {absent.status_code}")
    assert wrong == [], f"{len(wrong)} of {asked}\n" + "\n".join(wrong[:30])
    assert asked > 500


def _ask(api: Api, login: str, method: str, address: str, operation: str, examples: dict[str, Any]) -> Any:
    if operation == "attach":
        files = {"file": ("测试.txt", "测试".encode(), "text/plain")}
        return api.client.request(method, address, headers=api.headers(login), files=files)
    return api.client.request(method, address, headers=api.headers(login), json=examples[operation])


def _neutral(answer: Any) -> Any:
    """The answer's body without the number it speaks of."""
    body = answer.json()
    body.pop("detail", None)
    return body


def test_a_ticket_is_registered_only_where_one_works(api: Api) -> None:
    body = {"demand": w.demand().model_dump(mode="json", exclude_none=True), "platform": "02"}
    refused = api.post("/tickets", "agent", body)
    assert (refused.status_code, refused.json()["field"]) == (422, "platform")


def test_a_co_unit_sees_its_own_part_only(api: Api, tickets: dict[str, str]) -> None:
    whole = api.get(f"/tickets/{tickets['01']}", "ZJJ").json()
    part = api.get(f"/tickets/{tickets['01']}", "JTJ").json()
    assert {p["unit"] for p in whole["parts"]} == {"ZJJ", "JTJ"}
    assert {p["unit"] for p in part["parts"]} == {"JTJ"}
    assert {c["unit"] for c in part["clocks"]} <= {None, "JTJ"}
