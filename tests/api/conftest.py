"""A client of the real app on a real database, with a clock the test sets."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from api.wiring import Runtime
from hotline.settings import Settings
from tests import world as w

if TYPE_CHECKING:
    from tests.api.browser import Browser
    from tests.postgres_server import Server

UNHURRIED: dict[str, Any] = {
    "requests_per_minute": 10**6,
    "machine_requests_per_minute": 10**6,
    "failures_per_address": 10**6,
}
"""Settings for tests that ask more than a person would; the limits themselves are tried in `test_rates.py`."""


class Api:
    """Requests as one of the small world's people, at a set time."""

    def __init__(self, client: TestClient, world: w.World) -> None:
        self.client = client
        self.world = world
        self.now = w.china("2026-03-02 09:00")

    def at(self, text: str) -> "Api":
        """Set the clock to a time in Asia/Shanghai."""
        self.now = w.china(text)
        return self

    def get(self, path: str, login: str, **kwargs: Any) -> Any:
        """GET under /api/v1 as this person."""
        return self.client.get(
            f"/api/v1{path}", headers=self.headers(login) | kwargs.pop("headers", {}), **kwargs
        )

    def post(self, path: str, login: str, body: Any = None, **kwargs: Any) -> Any:
        """POST under /api/v1 as this person."""
        headers = self.headers(login) | kwargs.pop("headers", {})
        return self.client.post(f"/api/v1{path}", headers=headers, json=body, **kwargs)

    def headers(self, login: str) -> dict[str, str]:
        """The bearer token of this person."""
        return {"Authorization": f"Bearer {self.world.tokens[login]}"}

    def take(
        self, matter: str = "inquiry", login: str = "agent", decision: Any = None, **changes: Any
    ) -> str:
        """Register a demand and return its number."""
        content = w.demand().model_dump(mode="json", exclude_none=True) | {"matter": matter} | changes
        body = {"demand": content, "decision": decision or {"act": "accept"}}
        response = self.post("/tickets", login, body)
        assert response.status_code == 201, response.text
        return str(response.json()["number"])

    def act(
        self, number: str, act: str, login: str, body: Any = None, *, status: int = 200, **kwargs: Any
    ) -> Any:
        """Do an act and return the answer's JSON, checking its status."""
        response = self.post(f"/tickets/{number}/{act}", login, body if body is not None else {}, **kwargs)
        assert response.status_code == status, response.text
        return response.json()


@pytest.fixture
def api(world: w.World, tmp_path: Path) -> Iterator[Api]:
    """The real app on that database."""
    holder: list[Api] = []

    def clock() -> datetime:
        return holder[0].now

    runtime = Runtime(Settings(data_dir=tmp_path, **UNHURRIED), world.engine, world.office, clock)
    with TestClient(create_app(runtime), raise_server_exceptions=False) as client:
        holder.append(Api(client, world))
        yield holder[0]


@pytest.fixture(scope="module")
def house(postgres_server: "Server", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One app and one database for the whole module: hardly a test of it stores anything."""
    folder = tmp_path_factory.mktemp("house")
    holder: list[Api] = []

    def clock() -> datetime:
        return holder[0].now

    with postgres_server.world(folder) as world:
        app = create_app(Runtime(Settings(data_dir=folder, **UNHURRIED), world.engine, world.office, clock))
        with TestClient(app, raise_server_exceptions=False) as client:
            holder.append(Api(client, world))
            yield holder[0]


Opened = Callable[..., Api]


@pytest.fixture
def opened(world: w.World, tmp_path: Path) -> Iterator[Opened]:
    """Opens the real app with these settings."""
    clients: list[TestClient] = []

    def open_with(
        *, base_url: str = "http://testserver", address: str = "198.51.100.1", **settings: Any
    ) -> Api:
        runtime = Runtime(
            Settings(data_dir=tmp_path, **settings),
            world.engine,
            world.office,
            lambda: w.china("2026-03-02 09:00"),
        )
        client = TestClient(
            create_app(runtime), raise_server_exceptions=False, base_url=base_url, client=(address, 40000)
        )
        clients.append(client.__enter__())
        return Api(client, world)

    yield open_with
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def browser(api: Api) -> "Browser":
    """A browser, and people who have a password to sign in with."""
    from tests.api.browser import Browser, give_password

    give_password(api, "agent", "supervisor", "ZJJ")
    return Browser(api)
