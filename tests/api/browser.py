"""A browser of its own at the real app: keeps its cookies, sends the CSRF token with every change, as the console does."""

from typing import Any

import pyotp
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlmodel import Session, col

from hotline.organisation import Person
from hotline.people import passwords
from hotline.people.identity import Credential
from tests.api.conftest import Api

SECRET = "Kx7#pqLm2vRz"
NEW = "Another-9-good!"
"""What `SECRET` is changed for."""
_HASH: list[str] = []


def credential_of(api: Api, login: str) -> Credential:
    """What is kept of this person's password and second factor."""
    with Session(api.world.engine) as session:
        return session.get_one(Credential, api.world.people[login])


def give_password(api: Api, *logins: str, must_change: bool = False) -> None:
    """These people's password is `SECRET`."""
    if not _HASH:
        _HASH.append(passwords.hashed(SECRET))
    with Session(api.world.engine) as session:
        for login in logins:
            person = session.execute(select(Person).where(col(Person.login) == login)).scalar_one()
            session.merge(
                Credential(
                    person_id=person.id,
                    password_hash=_HASH[0],
                    password_changed_at=api.now,
                    must_change=must_change,
                )
            )
        session.commit()


class Browser:
    """One browser. `csrf` is what the last answer about the session said."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.client = TestClient(api.client.app, raise_server_exceptions=False, follow_redirects=False)
        self.csrf: str | None = None

    @property
    def cookie(self) -> str | None:
        """The session's cookie."""
        return self.client.cookies.get("hotline")

    def sign_in(self, login: str, password: str = SECRET, **more: Any) -> Any:
        """Sign in; the whole response."""
        return self._heard(
            self.client.post("/api/v1/session", json={"login": login, "password": password} | more)
        )

    def get(self, path: str) -> Any:
        """GET under /api/v1."""
        return self.client.get(f"/api/v1{path}")

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """POST under /api/v1 as the console does."""
        return self._heard(self.client.post(f"/api/v1{path}", json=body or {}, headers=self._own(headers)))

    def delete(self, path: str) -> Any:
        """DELETE under /api/v1."""
        return self.client.delete(f"/api/v1{path}", headers=self._own({}))

    def enrol(self) -> tuple[pyotp.TOTP, list[str]]:
        """Bind a second factor; the authenticator and the recovery codes."""
        told = self.post("/session/totp")
        assert told.status_code == 200, told.text
        totp = pyotp.TOTP(told.json()["secret"])
        done = self.post("/session/totp/confirm", {"code": totp.at(self.api.now)})
        assert done.status_code == 200, done.text
        return totp, done.json()["recovery_codes"]

    def _own(self, headers: dict[str, str]) -> dict[str, str]:
        return ({"X-CSRF-Token": self.csrf} if self.csrf else {}) | headers

    def _heard(self, response: Any) -> Any:
        if response.status_code == 200:
            told = response.json()
            told = told.get("session", told) if isinstance(told, dict) else {}
            self.csrf = told.get("csrf", self.csrf)
        return response
