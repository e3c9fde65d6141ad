"""People and machines from the operator's command line: the first administrator of a new installation, and everyday repairs."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from hotline.auditing.trail import AuditEntry
from hotline.people.identity import Credential
from hotline.people.passwords import verify
from tests.api.browser import Browser, give_password
from tests.api.conftest import Api
from tests.api.test_cli import Shell, hotline  # noqa: F401 - the fixture
from tests.api.test_machines import ask
from tests.world import World
from workflow.vocabulary import AuditKind


@pytest.fixture
def shell(hotline: Shell, database_url: str, tmp_path: Path) -> Shell:  # noqa: F811
    hotline.where(HOTLINE_DATABASE_URL=database_url, HOTLINE_DATA_DIR=str(tmp_path))
    return hotline


def test_a_new_installation_gets_its_platform_and_its_first_administrator(
    shell: Shell, database_url: str
) -> None:
    assert "platform add" in shell(
        "user", "create", "admin", "--name", "测试甲", "--role", "admin", "--platform", "00", status=1
    )
    shell("platform", "add", "00", "--name", "测试省热线", "--area", "630000000000")
    assert "已有热线平台" in shell(
        "platform", "add", "01", "--name", "测试", "--area", "630100000000", status=1
    )
    shell(
        "platform",
        "add",
        "01",
        "--name",
        "测试市热线",
        "--area",
        "630100000000",
        "--level",
        "prefecture",
        "--parent",
        "00",
    )
    told = json.loads(
        shell("user", "create", "admin", "--name", "测试甲", "--role", "admin", "--platform", "00", "--json")
    )
    assert [row["code"] for row in json.loads(shell("platform", "list", "--json"))] == ["00", "01"]
    rows = json.loads(shell("user", "list", "--json"))
    assert [(row["login"], row["platform"], row["roles"]) for row in rows] == [("admin", "00", ["admin"])]
    from hotline.storage.store import make_engine

    engine = make_engine(database_url)
    with Session(engine) as session:
        row = session.execute(select(Credential)).scalar_one()
        assert row.must_change
        assert verify(told["one_time_password"], row.password_hash)[0]
        by = session.execute(
            select(AuditEntry).where(col(AuditEntry.kind) == AuditKind.ACCOUNT_CHANGED)
        ).scalars()
        assert {entry.actor_name for entry in by} == {"命令行"}
    engine.dispose()


def test_people_are_repaired(shell: Shell, api: Api) -> None:
    api.now = datetime.now(UTC)  # the command line reads the real clock
    give_password(api, "agent", "supervisor")
    for _ in range(5):
        Browser(api).sign_in("agent", "Wrong-password-1")
    assert "已锁定" in shell("user", "list", "--text", "话务员")
    shell("user", "unlock", "agent")
    assert Browser(api).sign_in("agent").status_code == 200
    password = json.loads(shell("user", "password", "agent", "--json"))["one_time_password"]
    assert Browser(api).sign_in("agent", password).json()["owed"] == "new_password"
    browser = Browser(api)
    browser.sign_in("supervisor")
    browser.enrol()
    shell("user", "reset-second-factor", "supervisor")
    assert browser.sign_in("supervisor").json()["owed"] == "enrolment"
    assert "三员分立" in shell("user", "grant", "editor", "--role", "admin", "--role", "auditor", status=1)
    assert json.loads(shell("user", "grant", "editor", "--role", "editor", "--role", "agent", "--json"))[
        "roles"
    ] == [
        "agent",
        "editor",
    ]
    number = api.take()
    assert "仍是 1 件" in shell("user", "disable", "agent", status=1)
    told = json.loads(
        shell("user", "disable", "agent", "--transfer-to", "agent2", "--reason", "离职", "--json")
    )
    assert told["transferred"] == [number]
    assert Browser(api).sign_in("agent", password).status_code == 401
    shell("user", "enable", "agent")
    assert Browser(api).sign_in("agent", password).status_code == 200
    assert "没有登录名为 nobody" in shell("user", "enable", "nobody", status=1)


def test_clients_and_tokens_come_and_go(shell: Shell, api: Api) -> None:
    api.now = datetime.now(UTC)
    made = shell(
        *("client", "create", "zjj-system", "--label", "测试", "--unit", "ZJJ", "--role", "handler"),
        *("--scope", "tickets:read", "--json"),
    )
    secret = json.loads(made)["client_secret"]
    assert ask(api, secret).status_code == 200
    newer = json.loads(shell("client", "rotate", "zjj-system", "--overlap-hours", "0", "--json"))[
        "client_secret"
    ]
    api.now = datetime.now(UTC)
    assert ask(api, secret).status_code == 401
    assert ask(api, newer).status_code == 200
    assert "zjj-system" in shell("client", "list")
    shell("client", "revoke", "zjj-system")
    assert "已停用" in shell("client", "list")
    assert ask(api, newer).status_code == 401
    api.now = datetime.now(UTC)
    token = shell("token", "issue", "agent", "--scope", "tickets:read", "--days", "7").strip()
    api.world.tokens["cli"] = token
    assert api.get("/tickets", "cli").status_code == 200
    rows = json.loads(shell("token", "list", "agent", "--json"))
    assert token not in str(rows)
    shell("token", "revoke", "agent", str(rows[0]["id"]))
    assert api.get("/tickets", "cli").status_code == 401
    assert "不过期" in shell("token", "list", "agent")


def test_a_world_without_wishes_is_listed_whole(shell: Shell, world: World) -> None:
    assert len(json.loads(shell("user", "list", "--json"))) == len(world.people)
