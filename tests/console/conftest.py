"""The real console in a real Chromium, at a real server on a real database; screenshots land in tests/.artifacts."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Error, Page, Response, expect, sync_playwright
from sqlalchemy import select
from sqlmodel import Session, col

from api import console
from api.main import create_app
from api.wiring import Runtime
from hotline.organisation import Person
from hotline.people import passwords
from hotline.people.identity import Credential
from hotline.settings import Settings
from hotline.storage.store import make_engine
from tests import world as w
from tests.api.conftest import UNHURRIED
from tests.processes.hotlines import free_port

if TYPE_CHECKING:
    from tests.postgres_server import Server

ARTIFACTS = Path(__file__).resolve().parent.parent / ".artifacts"
SECRET = "Kx7#pqLm2vRz"
PATIENCE = 40_000
"""Milliseconds a page may take on a machine that does other things too; how fast it is, `bench/` says."""
expect.set_options(timeout=PATIENCE)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
STILL = """() => !document.querySelector('.is-closing') && document.getAnimations().every(
    one => one.playState !== 'running' || one.effect.getComputedTiming().iterations === Infinity)"""
"""Nothing is on its way in or out: what is half gone is nobody's fault."""
SHOWN = """() => document.body.innerText.slice(0, 1500) + '\\nfocus: ' + document.activeElement?.outerHTML.slice(0, 200)
    + '\\nfilled: ' + [...document.querySelectorAll('input, textarea')].map(one => `${one.name || one.id} ${one.value.length}`)"""
STRANGE = ("Failed to load resource", "[vite]")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here drives a browser."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("browser")


def _cannot(why: str) -> None:
    """No browser: a loud skip, and a failure in CI."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure says what the pages showed by then: a browser's timeout says only what it waited for."""
    report = yield
    found = getattr(item, "funcargs", {}).get("desks")
    if report.when == "call" and report.failed and isinstance(found, Desks):
        try:
            report.sections.append(("the pages", found.story()))
        except Error as gone:
            report.sections.append(("the pages", f"cannot be read: {gone.message}"))
    return report


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The machine's Chromium, else Playwright's own.

    Of one module only: while Playwright is up its event loop is this thread's, and no other test could run one.
    """
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        except Error as failure:
            _cannot(f"没有可用的 Chromium（apt-get install chromium）：{failure.message.splitlines()[0]}")
            raise
        yield browser
        browser.close()


@dataclass
class Desks:
    """A server with the console on the small world, and browser windows of its people."""

    address: str
    world: w.World
    browser: Browser
    windows: list[Any] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    """What the server refused or never answered, for whoever reads of a failure."""

    def window(self, **options: Any) -> Page:
        """A fresh window, signed in as nobody, 1366×768 unless told; what its console complains of is kept."""
        settings = {
            "locale": "zh-CN",
            "timezone_id": "Asia/Shanghai",
            "viewport": {"width": 1366, "height": 768},
        }
        context = self.browser.new_context(base_url=self.address, **(settings | options))
        context.set_default_timeout(PATIENCE)
        self.windows.append(context)
        page = context.new_page()
        page.on("console", lambda said: self._hear(said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "requestfailed", lambda sent: self.refusals.append(f"{sent.method} {sent.url}: {sent.failure}")
        )
        page.on("response", self._note)
        return page

    def page_of(self, login: str, path: str = "/", *, toured: bool = True, **options: Any) -> Page:
        """A window in which this person has signed in by the form, at a page of the console; no newcomer, unless told."""
        page = self.window(**options)
        if toured:
            kept = f"try {{ localStorage.setItem('hotline-toured:{login}', 'test') }} catch {{}}"
            page.context.add_init_script(kept)
        page.goto("/console/sign-in")
        page.fill("input[name=login]", login)
        page.fill("input[name=password]", SECRET)
        page.click("form button:has-text('登录')")
        page.wait_for_selector("nav.menu")
        if path != "/":
            page.goto(f"/console{path}")
        page.locator("main").wait_for()  # never idle: the live stream stays open
        page.locator("main", has_text="正在载入").wait_for(state="detached")
        return page

    def shot(self, page: Page, name: str) -> None:
        """Keep a screenshot as an artefact of the run."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=ARTIFACTS / f"{name}.png")

    def story(self) -> str:
        """What every open page shows now, and what went wrong on the way there."""
        pages = [page for window in self.windows for page in window.pages]
        shown = [f"{page.url}\n{page.evaluate(SHOWN)}" for page in pages]
        return "\n\n".join([*shown, *self.refusals[-20:], *self.complaints])

    def _note(self, told: Response) -> None:
        if told.status >= 400:
            self.refusals.append(f"{told.request.method} {told.url}: {told.status}")

    def _hear(self, kind: str, text: str) -> None:
        if kind == "error" and not text.startswith(STRANGE):
            self.complaints.append(text)


@contextmanager
def served(runtime: Runtime) -> Iterator[str]:
    """The app in a thread of its own, with its ticker, at a free port."""
    port = free_port()
    config = uvicorn.Config(
        create_app(runtime, ticking=True), port=port, log_config=None, timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server ended at once"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


def give_passwords(world: w.World) -> None:
    """Everybody of the small world signs in with `SECRET`."""
    secret = passwords.hashed(SECRET)
    with Session(world.engine) as session:
        for person_id in session.execute(select(col(Person.id))).scalars():
            session.merge(
                Credential(
                    person_id=person_id,
                    password_hash=secret,
                    password_changed_at=datetime.now(UTC),
                    must_change=False,
                )
            )
        session.commit()


@pytest.fixture(scope="module")
def desks(
    postgres_server: "Server", chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desks]:
    """One server for the tests of a module."""
    if not console.is_there():
        _cannot("没有建成的网页工作台（uv sync 会建）")
    folder = tmp_path_factory.mktemp("console")
    name = postgres_server.clone()
    engine = make_engine(postgres_server.url_of(name))
    world = w.build(engine, folder)
    give_passwords(world)
    settings = Settings(data_dir=folder, second_factor="offered", **UNHURRIED)
    runtime = Runtime(settings, engine, world.office, lambda: datetime.now(UTC))
    with served(runtime) as address:
        found = Desks(address, world, chromium)
        yield found
        for window in found.windows:
            window.close()
    engine.dispose()
    postgres_server.drop(name)


@pytest.fixture(autouse=True)
def quiet(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test may leave an error in the browser's console: a script that broke, a style or script the policy blocked."""
    yield
    if "desks" in request.fixturenames:
        found: Desks = request.getfixturevalue("desks")
        complaints, found.complaints = found.complaints, []
        assert complaints == []


@pytest.fixture
def no_serious_fault() -> Callable[[Page], None]:
    """Fails where axe-core finds something serious or critical on the page."""
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()

    def check(page: Page) -> None:
        page.wait_for_function(STILL)
        found = axe.run(page).response["violations"]
        serious = [
            f"{one['id']} ({one['impact']}): {[node['html'][:160] for node in one['nodes']][:3]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []

    return check
