"""No caller's number, credential or row's content reaches the log, whatever fails and however it is worded."""

import io
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from api.operations import configure_logging
from api.quiet import keep_secrets_out, masked
from hotline.orders import Caller
from hotline.settings import Settings
from hotline.storage.store import make_engine
from tests.api.conftest import Api
from tests.api.refusals import problem

PHONE = "13900000001"
ID_NUMBER = "630104199001011239"
TOKEN = "q3Zx0aV9k1bT7yR5uW2eM8nC4sD6fG-hJ_LpOiUyTrE"
SECRETS = (PHONE, ID_NUMBER, TOKEN, "hunter2", "s3cret")


@pytest.fixture
def written() -> Iterator[Callable[[], str]]:
    """What the configured log writes, as `hotline serve` configures it."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    root.handlers = [logging.StreamHandler(stream)]
    root.setLevel(logging.DEBUG)
    hooks = sys.excepthook
    configure_logging(Settings(log_level="DEBUG"))
    yield stream.getvalue
    root.handlers, sys.excepthook = before, hooks
    root.setLevel(level)


def nothing_secret(log: str) -> None:
    for secret in SECRETS:
        assert secret not in log


# --- wordings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        f"call {PHONE} back",
        f"电话{PHONE}，",
        "139 0000 0001 / 139-0000-0001 / +86 13900000001 / 8613900000001",
        "１３９００００000１",
        f"id {ID_NUMBER}",
        "63010419900101123X",
        "630104 19900101 1239",
        f"Authorization: Bearer {TOKEN}",
        f"{{'authorization': 'Bearer {TOKEN}'}}",
        f"headers=[(b'authorization', b'Bearer {TOKEN}')]",
        "Basic dGVzdDpodW50ZXIy",
        f"Cookie: __Host-hotline={TOKEN}; a=b",
        f"Set-Cookie: hotline={TOKEN}",
        f"token {TOKEN} refused",
        "password=hunter2",
        '"password": "hunter2 and more"',
        "client_secret: 's3cret'",
        "口令：hunter2 密码=hunter2",
        "postgresql+psycopg://hotline:hunter2@db.example:5432/hotline",
        'IntegrityError\nDETAIL:  Failing row contains (1, 测试甲, hunter2,\n"second line", s3cret).\n[SQL: INSERT]',
        "1 validation error\nphone\n  bad [type=x, input_value={'a': 'hunter2'}, input_type=dict]",
    ],
)
def test_what_must_not_be_read_is_not(said: str) -> None:
    told = masked(said)
    nothing_secret(told)
    for part in (
        "dGVzdDpodW50ZXIy",
        "0000 0001",
        "0000-0001",
        "63010419900101123X",
        "19900101 1239",
        "１３９",
    ):
        assert part not in told


@pytest.mark.parametrize(
    "said",
    [
        "lapse: 12 done in 0.5 s",
        "2026-11-21 06:13:22,123 WARNING hotline.api: not ready: OperationalError",
        "ticket 012603020000015 at GET /api/v1/tickets/012603020000015",
        "01 260302 000001 5",
        "sha256 " + "ab" * 32,
        "PostgreSQL 18.0 on port 54321, 1700000000123 ms, 20261121061322",
        'File "/srv/hotline/api/main.py", line 139, in lifespan',
        "https://12345.example.gov.cn/api/v1/openapi.json",
    ],
)
def test_what_may_be_read_stays(said: str) -> None:
    assert masked(said) == said


# --- records -----------------------------------------------------------------------------------------------------------


def test_message_arguments_exception_and_stack_are_masked(written: Callable[[], str]) -> None:
    log = logging.getLogger("hotline.test")
    log.warning("call %s with %r", PHONE, {"password": "hunter2"}, stack_info=True)
    log.warning("wrong %d", f"no number {PHONE}")
    log.warning({"phone": PHONE})
    try:
        try:
            int(PHONE + "x")
        except ValueError as error:
            raise LookupError(f"caller {ID_NUMBER}") from error
    except LookupError:
        log.exception("failed for %s", TOKEN)
    told = written()
    nothing_secret(told)
    assert told.count("(mobile)") >= 3
    assert "Traceback" in told
    assert "LookupError: caller (id number)" in told
    assert "Stack (most recent call last)" in told


def test_what_somebody_sends_cannot_write_an_entry_of_its_own(
    api: Api, monkeypatch: pytest.MonkeyPatch, written: Callable[[], str]
) -> None:
    monkeypatch.setattr("api.wiring.identify", lambda *_: 1 / 0)
    forged = "2026-11-21 00:00:00,000 INFO hotline: nothing happened"
    api.client.get(f"/api/v1/tickets/x%0D%0A{forged}%E2%80%A8{forged}%1B[2J", headers=api.headers("agent"))
    told = written()
    assert "nothing happened" in told
    assert not [line for line in told.splitlines() if line.startswith("2026-11-21 00:00:00,000")]
    assert "\x1b" not in told


def test_the_filter_is_installed_once_and_libraries_go_through_it(written: Callable[[], str]) -> None:
    configure_logging(Settings(log_level="DEBUG"))
    [handler] = [each for each in logging.getLogger().handlers if type(each) is logging.StreamHandler]
    keep_secrets_out(handler)
    assert len(handler.filters) == 1
    logging.getLogger("uvicorn.error").error("Exception in ASGI application %s", PHONE)
    logging.getLogger("sqlalchemy.engine").error("[parameters: ('%s',)]", PHONE)
    logging.getLogger("uvicorn.access").info("GET /api/v1/subjects/%s", PHONE)
    told = written()
    nothing_secret(told)
    assert "ASGI" in told
    assert "GET" not in told


def test_a_traceback_that_ends_a_process_is_masked() -> None:
    program = (
        "import threading; from api.operations import configure_logging; from hotline.settings import Settings;"
        "configure_logging(Settings());"
        f"t = threading.Thread(target=lambda: int('a{PHONE}')); t.start(); t.join();"
        f"raise ValueError('caller {PHONE}')"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.count("(mobile)") >= 2
    assert "ValueError: caller (mobile)" in ended.stderr
    assert not [line for line in ended.stderr.splitlines() if PHONE in line]


# --- through the app ---------------------------------------------------------------------------------------------------


def fails_with(failure: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotline.desk.outbox.row", lambda *_a, **_k: failure())


def a_value_error() -> None:
    raise ValueError(f"来电人 {PHONE} 身份证 {ID_NUMBER} token={TOKEN}")


def a_validation_error() -> None:
    Caller.model_validate({"phone": [PHONE], "name": {"password": "hunter2"}})


@pytest.mark.parametrize("failure", [a_value_error, a_validation_error])
def test_a_failure_nobody_foresaw_tells_neither_the_log_nor_the_caller(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    written: Callable[[], str],
    failure: Callable[[], None],
) -> None:
    number = api.take()
    fails_with(failure, monkeypatch)
    answer = api.post(f"/tickets/{number}/withdraw", "agent", {"reason": f"{PHONE} 撤回"})
    problem(answer, 500, "internal")
    nothing_secret(answer.text)
    told = written()
    assert "unexpected" in told
    assert "Traceback" in told
    nothing_secret(told)


def test_a_databases_error_tells_nothing_of_its_row(
    api: Api, monkeypatch: pytest.MonkeyPatch, written: Callable[[], str]
) -> None:
    number = api.take()

    def fail() -> None:
        with Session(api.world.engine) as session:
            session.execute(
                text("INSERT INTO platforms (id, code, name) VALUES (1, :code, :name)"),
                {"code": "hunter2", "name": f"测试甲 {PHONE}"},
            )

    fails_with(fail, monkeypatch)
    answer = api.post(f"/tickets/{number}/withdraw", "agent", {"reason": "撤回"})
    problem(answer, 500, "internal")
    nothing_secret(answer.text)
    told = written()
    assert "unexpected" in told
    nothing_secret(told)
    assert "测试甲" not in told


def test_an_engine_names_the_statement_not_its_values(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.connect() as connection, pytest.raises(DBAPIError, match="SQL parameters hidden") as caught:
        connection.execute(text("SELECT CAST(:a AS integer), :b"), {"a": "hunter2", "b": "测试甲"})
    assert "测试甲" not in str(caught.value)
    engine.dispose()


@pytest.mark.parametrize(
    "demand",
    [
        {"caller": {"phone": f"{PHONE}x"}},
        {"caller": {"phone": [PHONE]}},
        {"caller": {"id_number": f"{ID_NUMBER}9", "phone": PHONE}},
        {"caller": PHONE},
        {"matter": PHONE},
        {"received_at": PHONE},
        {"title": [PHONE]},
    ],
)
def test_a_refusal_does_not_echo_what_was_sent(
    api: Api, demand: dict[str, Any], written: Callable[[], str]
) -> None:
    answer = api.post("/tickets", "agent", {"demand": demand})
    assert answer.status_code == 422
    nothing_secret(answer.text)
    nothing_secret(written())


def test_settings_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        database_url="postgresql://hotline:hunter2@db.example/hotline",
        oidc_client_secret=SecretStr("s3cret"),
    )
    for shown in (repr(settings), str(settings), f"{settings!r}"):
        nothing_secret(shown)
    monkeypatch.setenv("HOTLINE_DATABASE_URL", "mysql://hotline:hunter2@db.example/hotline")
    with pytest.raises(ValueError, match="HOTLINE_DATABASE_URL") as caught:
        Settings()
    nothing_secret(str(caught.value))
