"""The OpenAPI document is complete and true: each act with an example and its refusals; fuzzed whole, it answers as it says."""

import copy
import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok

from api.acts import ACT_ROUTES
from api.main import create_app
from api.wiring import Runtime
from hotline.settings import Settings
from tests import world as w
from tests.api.conftest import UNHURRIED, Api
from workflow.vocabulary import Act

if TYPE_CHECKING:
    from tests.postgres_server import Server

CHINESE = re.compile("[\u4e00-\u9fff]")
NOW = w.china("2026-03-02 09:00")


@pytest.fixture(scope="module")
def fuzzed(postgres_server: "Server", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One app for the whole module; what is in its database does not matter."""
    folder = tmp_path_factory.mktemp("fuzzed")

    def clock() -> datetime:
        return NOW

    with postgres_server.world(folder) as world:
        app = create_app(Runtime(Settings(data_dir=folder, **UNHURRIED), world.engine, world.office, clock))
        with TestClient(app, raise_server_exceptions=False) as client:
            yield Api(client, world)


@pytest.fixture(scope="module")
def document(fuzzed: Api) -> Any:
    return fuzzed.client.get("/api/v1/openapi.json").json()


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


# --- complete ----------------------------------------------------------------------------------------------------------


def test_it_is_openapi_3_1_in_chinese(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    assert CHINESE.search(document["info"]["title"])
    assert "If-Match" in document["info"]["description"]
    assert len({op["operationId"] for _, _, op in operations(document)}) == len(list(operations(document)))
    for method, path, operation in operations(document):
        assert CHINESE.search(operation["summary"]), (method, path)
        assert operation["tags"], (method, path)
        assert operation["security"], (method, path)


def test_every_act_has_its_route_with_an_example_and_its_refusals(document: Any) -> None:
    paths = document["paths"]
    newborn = {Act.REGISTER}
    for act in set(Act) - newborn - {Act.ATTACH}:
        operation = paths[f"/api/v1/tickets/{{number}}/{act.value}"]["post"]
        assert operation["summary"] == act.label
        assert "example" in operation["requestBody"]["content"]["application/json"]
    assert "post" in paths["/api/v1/tickets/{number}/attachments"]


def test_every_json_body_shows_an_example(document: Any) -> None:
    bodies = {
        f"{method} {path}": operation["requestBody"]["content"].get("application/json", {"example": "a file"})
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if operation.get("requestBody")
    }
    assert len(bodies) > len(ACT_ROUTES)
    assert [name for name, body in bodies.items() if "example" not in body] == []


def test_every_route_says_how_it_refuses(document: Any) -> None:
    for method, path, operation in operations(document):
        needed = {"401", "422", "503"} | ({"400", "403", "413"} if method == "post" else set())
        needed |= {"404"} if "{" in path else set()
        assert needed <= set(operation["responses"]), (method, path, needed - set(operation["responses"]))
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                content = response["content"]
                assert set(content) == {"application/problem+json"}, (method, path, status)
                schema = content["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, (method, path, status)


SIGNING_IN = frozenset(
    {"sign_in", "change_password", "give_code", "enrol_totp", "confirm_totp", "issue_client_token"}
)
"""Their answers are cookies and secrets, kept nowhere: a repeated request cannot earn the first one's answer."""


def test_every_post_takes_the_headers_it_obeys(document: Any) -> None:
    for method, path, operation in operations(document):
        headers = {p["name"].lower() for p in operation.get("parameters", []) if p["in"] == "header"}
        if operation["operationId"] in SIGNING_IN:
            assert not headers & {"if-match", "idempotency-key"}, path
        elif method == "post":
            assert {"if-match", "idempotency-key"} <= headers, path


def test_examples_are_what_the_schemas_ask_for(document: Any) -> None:
    checked = 0
    for method, path, operation in operations(document):
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            if "example" in content:
                checked += 1
                schema = copy.deepcopy(content["schema"]) | {"components": document["components"]}
                errors = [
                    e.message for e in jsonschema_rs.validator_for(schema).iter_errors(content["example"])
                ]
                assert errors == [], (method, path, media_type)
    assert checked >= len(ACT_ROUTES)


def test_every_example_is_an_order(document: Any) -> None:
    for route in ACT_ROUTES:
        route.order.model_validate(route.example)


# --- true --------------------------------------------------------------------------------------------------------------

EXCLUDED = {
    # the reason, by the check's name
    "positive_data_acceptance": "a schema cannot say which category, area, unit or instant exists: such orders are refused with 422",
    "use_after_free": "nothing is ever deleted",
    "ensure_resource_availability": "reads what stateful runs created; here each case stands alone",
    "missing_required_header": "no header of the document is required",
}
NOTHING_TO_SEND = {"GET /api/v1/session/options"}
"""Takes neither parameters nor credentials: there is no wrong way to ask."""

ENDLESS = {"GET /api/v1/live": "a stream that ends only with its `seconds`: tried in test_live.py"}
"""Operations a request of any kind may wait for without end, and where they are tried instead."""

EXAMPLES = 15
FUZZ = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
load_all_checks()
CHECKED = [
    check for check in CHECKS.get_all() if callable(check) and getattr(check, "__name__", "") not in EXCLUDED
]


def test_excluded_checks_still_exist() -> None:
    assert set(EXCLUDED) <= set(CHECKS.get_all_names())


def _told(error: BaseException) -> str:
    """A failure with what lies within it: hypothesis hides the cause of one that did not come twice."""
    within = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return "\n".join([str(error)[:1500], *(_told(each) for each in within)])


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.timeout(1200)  # every route, fifteen times
def test_whatever_comes_is_answered_as_documented(fuzzed: Api, mode: GenerationMode) -> None:
    app = fuzzed.client.app
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    headers = fuzzed.headers("supervisor")
    failures: list[str] = []
    asked = 0
    number = fuzzed.take()
    fuzzed.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if operation.label in ENDLESS:
            continue
        if mode is GenerationMode.NEGATIVE and operation.label in NOTHING_TO_SEND:
            continue
        known = (
            {"number": number} if mode is GenerationMode.POSITIVE and "{number}" in operation.path else None
        )

        @FUZZ
        @given(case=operation.as_strategy(generation_mode=mode, path_parameters=known))
        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            case.call_and_validate(headers=headers, checks=CHECKED, timeout=60)  # pulling may wait 25 s

        try:
            ask()
        except (Exception, BaseExceptionGroup) as error:
            failures.append(f"{operation.label}: {_told(error)}")
    assert failures == [], f"{len(failures)} operations of {asked} requests\n" + "\n\n".join(failures)
    assert asked >= 200
