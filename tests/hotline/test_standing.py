"""Credentials looked at again, many at once, are as good as when each is shown anew: the rules of signing in, in every case."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import Session

from hotline.organisation import OrgUnit, Person
from hotline.people import accounts, sessions
from hotline.people.standing import shown, standings
from hotline.settings import Settings
from tests import world as w

NOW = w.china("2026-03-02 09:00")
SETTINGS = Settings(data_dir=Path("unused"))

CASES: dict[str, str] = {
    # what happens meanwhile, by SQL
    "nothing": "SELECT 1",
    "ended": "UPDATE login_sessions SET ended_at = now(); UPDATE access_tokens SET revoked_at = now()",
    "over": "UPDATE login_sessions SET expires_at = '2026-03-02T00:00:00Z'; UPDATE access_tokens SET expires_at = '2026-03-02T00:00:00Z'",
    "idle": "UPDATE login_sessions SET seen_at = '2026-03-02T00:00:00Z'",
    "person disabled": "UPDATE people SET active = false",
    "unit dissolved": "UPDATE units SET active = false",
    "client revoked": "UPDATE machine_clients SET revoked_at = now()",
}


@pytest.fixture
def credentials(world: w.World) -> dict[str, tuple[bool, str]]:
    """A session and a token of an agent and of a unit's handler, and a unit's machine's token."""
    made: dict[str, tuple[bool, str]] = {}
    with Session(world.engine) as session:
        for login in ("agent", "ZJJ"):
            person = session.get_one(Person, world.people[login])
            cookie = sessions.open_session(session, person, method="oidc", at=NOW, settings=SETTINGS)
            made[f"{login}'s session"] = (True, cookie)
            made[f"{login}'s token"] = (False, world.tokens[login])
        unit = session.get_one(OrgUnit, world.units["ZJJ"])
        made["the unit's machine"] = (
            False,
            accounts.issue_token(session, label="测试接口", at=NOW, unit=unit),
        )
        session.commit()
    return made


@pytest.mark.parametrize("case", CASES)
def test_what_is_good_when_shown_anew_is_good_when_looked_at(
    world: w.World, credentials: dict[str, tuple[bool, str]], case: str
) -> None:
    with world.engine.begin() as connection:
        for statement in CASES[case].split("; "):
            connection.execute(text(statement))
    at = NOW + timedelta(minutes=5)
    with Session(world.engine) as session:
        anew = {
            name: (
                sessions.resume(session, said, at, SETTINGS)
                if cookie
                else accounts.actor_of(session, said, at)
            )
            is not None
            for name, (cookie, said) in credentials.items()
        }
        looked_at = {name: shown(said, cookie=cookie) for name, (cookie, said) in credentials.items()}
        found = standings(session, list(looked_at.values()), at, SETTINGS)
    assert {name: key in found for name, key in looked_at.items()} == anew
    assert any(anew.values()) == (case not in ("ended", "over"))


def changed(world: w.World, statement: str, credential: tuple[bool, str]) -> bool:
    """Whether a change is seen in what a credential says."""
    key = shown(credential[1], cookie=credential[0])
    look: Callable[[Session], str | None] = lambda s: standings(s, [key], NOW, SETTINGS).get(key)  # noqa: E731
    with Session(world.engine) as session:
        before = look(session)
        session.execute(text(statement))
        assert before is not None
        return look(session) != before


def test_other_roles_or_another_place_are_noticed(
    world: w.World, credentials: dict[str, tuple[bool, str]]
) -> None:
    roles = "UPDATE people SET roles = '[\"editor\"]'"
    place = f"UPDATE people SET platform_id = {world.platforms['02']} WHERE unit_id IS NULL"
    for name in ("agent's session", "agent's token"):
        assert changed(world, roles, credentials[name])
        assert changed(world, place, credentials[name])
        assert not changed(world, "UPDATE people SET name = '测试乙'", credentials[name])
