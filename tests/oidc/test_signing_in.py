"""统一身份认证 against a real provider: who comes in, who does not, and what an attacker would send back."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import pytest
from authlib.integrations.httpx_client import OAuth2Client  # type: ignore[import-untyped]
from sqlalchemy import select, text, update
from sqlmodel import Session, col

from hotline.auditing.trail import AuditEntry
from hotline.organisation import Person
from hotline.people import oidc
from hotline.people.identity import Credential, SignInAttempt
from hotline.people.oidc import Provider, ProviderRefused
from hotline.settings import Settings
from tests.api.browser import Browser, give_password
from tests.api.conftest import Api
from tests.api.refusals import problem
from tests.oidc.conftest import IdentityProvider, Visitor
from workflow.vocabulary import AuditKind


def sent_away(answer: Any, reason: str) -> None:
    """Nobody was signed in; the page says why."""
    assert answer.status_code == 302, answer.text
    assert answer.headers["location"] == f"/?error={reason}"
    assert "hotline=" not in answer.headers.get("set-cookie", "").replace("hotline-oidc=", "")


def changed(address: str, **parameters: str) -> str:
    for name, value in parameters.items():
        address = re.sub(rf"([?&]){name}=[^&]*", rf"\g<1>{name}={value}", address)
    return address


# --- coming in ---------------------------------------------------------------------------------------------------------


def test_a_known_person_comes_in_and_is_linked(api: Api, visitor: Visitor, idp: IdentityProvider) -> None:
    answer = visitor.sign_in("agent", "/console?tab=1")
    assert answer.status_code == 302
    assert answer.headers["location"] == "/console?tab=1"
    told = visitor.here.get("/api/v1/session").json()
    assert (told["login"], told["owed"]) == ("agent", None)
    assert visitor.here.get("/api/v1/tickets").status_code == 200
    with Session(api.world.engine) as session:
        row = session.get_one(Credential, api.world.people["agent"])
        entry = session.execute(
            select(AuditEntry).where(col(AuditEntry.kind) == AuditKind.SIGNED_IN)
        ).scalar_one()
    assert (row.oidc_issuer, row.oidc_subject) == (idp.issuer, "sub-agent")
    assert entry.what["method"] == "oidc"
    assert {"label", "begin"} == set(visitor.here.get("/api/v1/session/options").json()["oidc"])


def test_the_request_carries_pkce_state_and_nonce(api: Api, visitor: Visitor) -> None:
    query = parse_qs(urlsplit(visitor.begin()).query)
    assert query["code_challenge_method"] == ["S256"]
    assert len(query["code_challenge"][0]) == 43
    assert query["scope"] == ["openid profile"]
    assert len(query["state"][0]) >= 43
    assert len(query["nonce"][0]) >= 32
    with api.world.engine.connect() as connection:
        kept = str(connection.execute(text("SELECT * FROM sign_in_attempts")).one())
    assert query["state"][0] not in kept


def test_who_is_linked_stays_who_they_are_whatever_they_are_called(api: Api, visitor: Visitor) -> None:
    visitor.sign_in("agent")
    with Session(api.world.engine) as session:
        session.execute(update(Person).where(col(Person.login) == "agent").values(login="renamed"))
        session.commit()
    again = Visitor(api)
    again.sign_in("agent")
    assert again.here.get("/api/v1/session").json()["login"] == "renamed"


def test_somebody_else_with_the_same_claim_does_not_take_the_account_over(api: Api, visitor: Visitor) -> None:
    visitor.sign_in("agent")
    thief = Visitor(api)
    sent_away(thief.sign_in("thief=agent"), "oidc_linked_otherwise")


def test_a_bound_second_factor_is_owed_unless_the_provider_asked_for_one(api: Api, visitor: Visitor) -> None:
    give_password(api, "supervisor")
    browser = Browser(api)
    browser.sign_in("supervisor")
    totp, _ = browser.enrol()
    visitor.sign_in("plain=supervisor")
    told = visitor.here.get("/api/v1/session").json()
    assert told["owed"] == "second_factor"
    problem(visitor.here.get("/api/v1/tickets"), 403, "sign_in_unfinished")
    api.now += timedelta(minutes=1)
    done = visitor.here.post(
        "/api/v1/session/second-factor",
        json={"code": totp.at(api.now)},
        headers={"X-CSRF-Token": told["csrf"]},
    )
    assert done.json()["owed"] is None


def test_a_second_factor_of_the_provider_is_one(api: Api, visitor: Visitor) -> None:
    visitor.sign_in("supervisor")
    assert visitor.here.get("/api/v1/session").json()["owed"] == "enrolment"
    strong = Visitor(api)
    strong.sign_in("p-supervisor+mfa")
    assert strong.here.get("/api/v1/session").json()["owed"] is None
    assert strong.here.get("/api/v1/tickets").status_code == 200


# --- staying out -------------------------------------------------------------------------------------------------------


def test_an_unknown_person_is_refused_in_chinese_and_not_created(api: Api, visitor: Visitor) -> None:
    sent_away(visitor.sign_in("stranger"), "oidc_unknown_person")
    page = visitor.here.get("/?error=oidc_unknown_person")
    assert oidc.REASONS["oidc_unknown_person"] in page.text
    assert "stranger" not in page.text
    assert "evil" not in visitor.here.get("/?error=<b>evil</b>").text
    with Session(api.world.engine) as session:
        assert session.execute(select(Person).where(col(Person.login) == "stranger")).first() is None


def test_somebody_who_left_is_refused_linked_or_not(api: Api, visitor: Visitor) -> None:
    visitor.sign_in("agent")
    with Session(api.world.engine) as session:
        for login in ("agent", "agent2"):
            session.execute(update(Person).where(col(Person.login) == login).values(active=False))
        session.commit()
    sent_away(Visitor(api).sign_in("agent"), "oidc_inactive")
    sent_away(Visitor(api).sign_in("agent2"), "oidc_inactive")
    problem(visitor.here.get("/api/v1/session"), 401)


def test_somebody_who_turns_back_at_the_provider_is_told_so(api: Api, visitor: Visitor) -> None:
    sent_away(visitor.sign_in(""), "oidc_denied")


def test_a_state_of_another_browser_a_guessed_one_and_none_are_refused(api: Api, visitor: Visitor) -> None:
    back = visitor.prove(visitor.begin(), "agent")
    victim = Visitor(api)
    sent_away(victim.come_back(back), "oidc_state")  # login forced upon another browser
    victim.begin()
    sent_away(victim.come_back(back), "oidc_state")
    sent_away(visitor.come_back(changed(back, state="guessed")), "oidc_state")
    sent_away(visitor.come_back("/api/v1/oidc/callback?code=x"), "oidc_state")
    visitor.here.cookies.set("hotline-oidc", "guessed")
    sent_away(visitor.come_back("/api/v1/oidc/callback?code=x&state=guessed"), "oidc_state")


def test_a_state_is_good_once(api: Api, visitor: Visitor) -> None:
    back = visitor.prove(visitor.begin(), "agent")
    state = parse_qs(urlsplit(back).query)["state"][0]
    assert visitor.come_back(back).headers["location"] == "/"
    visitor.here.cookies.set("hotline-oidc", state)
    sent_away(visitor.come_back(back), "oidc_state")


def test_a_sign_in_takes_ten_minutes_at_most_and_is_then_swept(api: Api, visitor: Visitor) -> None:
    back = visitor.prove(visitor.begin(), "agent")
    api.now += timedelta(minutes=10)
    sent_away(visitor.come_back(back), "oidc_state")
    visitor.begin()
    with Session(api.world.engine) as session:
        assert oidc.forget_old(session, api.now + timedelta(minutes=9)) == 0
        assert oidc.forget_old(session, api.now + timedelta(minutes=11)) == 1
        session.commit()
        assert session.execute(select(SignInAttempt)).first() is None


def test_a_token_with_another_nonce_is_refused(api: Api, visitor: Visitor) -> None:
    address = changed(visitor.begin(), nonce="another-sign-ins-nonce")
    sent_away(visitor.come_back(visitor.prove(address, "agent")), "oidc_token")


def test_a_code_of_another_client_or_another_challenge_is_refused(api: Api, visitor: Visitor) -> None:
    address = changed(visitor.begin(), client_id="another")
    sent_away(visitor.come_back(visitor.prove(address, "agent")), "oidc_token")
    address = changed(visitor.begin(), code_challenge="A" * 43)
    sent_away(visitor.come_back(visitor.prove(address, "agent2")), "oidc_token")
    sent_away(
        visitor.come_back(changed(visitor.prove(visitor.begin(), "agent"), code="stolen")), "oidc_token"
    )


def test_an_expired_token_is_refused(api: Api, visitor: Visitor) -> None:
    back = visitor.prove(visitor.begin(), "agent")
    api.now += timedelta(minutes=5)  # the provider's tokens are good for two
    sent_away(visitor.come_back(back), "oidc_token")


@pytest.mark.parametrize(
    "where",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "evil.example",
        "/%0d%0aSet-Cookie: a=b\r\n",
        "///evil.example",
        "",
    ],
)
def test_nobody_is_sent_to_another_site(api: Api, visitor: Visitor, where: str) -> None:
    assert visitor.sign_in("agent", where).headers["location"] == "/"


# --- the ID token itself -----------------------------------------------------------------------------------------------


def id_token(idp: IdentityProvider, client: str, nonce: str) -> str:
    """A real ID token of the provider for one of its clients."""
    callback = "http://testserver/api/v1/oidc/callback"
    verifier = "v" * 60
    with OAuth2Client(
        client,
        f"secret-of-{client}",
        scope="openid profile",
        redirect_uri=callback,
        code_challenge_method="S256",
    ) as client_of_it:
        address, _ = client_of_it.create_authorization_url(
            f"{idp.issuer}/auth", nonce=nonce, code_verifier=verifier
        )
        with httpx.Client() as browser:
            back = Visitor.prove(type("Other", (), {"there": browser})(), address, "agent")
        answer = client_of_it.fetch_token(
            f"{idp.issuer}/token", authorization_response=back, code_verifier=verifier
        )
    return str(answer["id_token"])


def provider(idp: IdentityProvider, **changes: Any) -> Provider:
    return Provider(Settings(**({"oidc_issuer": idp.issuer, "oidc_client_id": "hotline"} | changes)))


def test_a_token_is_verified_claim_by_claim(api: Api, idp: IdentityProvider) -> None:
    token = id_token(idp, "hotline", "n-1")
    head, body, signature = token.split(".")
    good = provider(idp).verified(token, nonce="n-1", at=api.now)
    assert (good.subject, good.login, good.strong) == ("sub-agent", "agent", False)
    none_at_all = "eyJhbGciOiJub25lIn0"  # {"alg":"none"}
    wrong: list[tuple[str, Provider, str, Any]] = [
        ("another nonce", provider(idp), token, {"nonce": "n-2"}),
        ("no nonce", provider(idp), token, {"nonce": ""}),
        ("another audience", provider(idp, oidc_client_id="another"), token, {}),
        ("expired", provider(idp), token, {"at": api.now + timedelta(seconds=185)}),
        ("of tomorrow", provider(idp), token, {"at": api.now - timedelta(days=1)}),
        ("another's signature", provider(idp), f"{head}.{body}.{signature[:-8]}AAAAAAAA", {}),
        ("no signature", provider(idp), f"{none_at_all}.{body}.", {}),
        ("no token", provider(idp), "", {}),
    ]
    for what, verifier, sent, changes in wrong:
        try:
            found = verifier.verified(sent, **({"nonce": "n-1", "at": api.now} | changes))
        except ProviderRefused:
            continue
        pytest.fail(f"{what}: {found}")
    within = provider(idp).verified(token, nonce="n-1", at=api.now + timedelta(seconds=150))
    assert within == good


def test_a_token_for_another_client_is_not_for_us(api: Api, idp: IdentityProvider) -> None:
    token = id_token(idp, "another", "n-1")
    assert (
        provider(idp, oidc_client_id="another").verified(token, nonce="n-1", at=api.now).subject
        == "sub-agent"
    )
    with pytest.raises(ProviderRefused):
        provider(idp).verified(token, nonce="n-1", at=api.now)


# --- a provider that is down, or changes -------------------------------------------------------------------------------


def test_a_provider_that_is_down_is_said_plainly_and_passwords_still_work(
    api: Api, visitor: Visitor, idp: IdentityProvider
) -> None:
    back = visitor.prove(visitor.begin(), "agent")
    idp.stop()
    told = problem(visitor.come_back(back), 503, "provider_unavailable")
    assert "统一身份认证暂不可用" in told["detail"]
    api.now += timedelta(hours=2)
    other = Visitor(api)
    answer = other.here.get("/api/v1/oidc/begin")
    problem(answer, 503, "provider_unavailable")
    assert answer.headers["retry-after"]
    give_password(api, "agent")
    assert Browser(api).sign_in("agent").status_code == 200
    idp.start()
    other.begin()


def test_new_keys_are_fetched_when_a_token_names_one(
    api: Api, visitor: Visitor, idp: IdentityProvider
) -> None:
    visitor.sign_in("agent")
    idp.restart()
    api.now += timedelta(seconds=31)
    again = Visitor(api)
    assert again.sign_in("agent").headers["location"] == "/"


def test_an_issuer_in_the_clear_or_with_another_name_is_not_spoken_to(
    api: Api, idp: IdentityProvider
) -> None:
    for issuer in (
        f"http://localhost:{idp.port}",
        "http://idp.example.gov.cn",
        "ftp://127.0.0.1",
        "http://[",
    ):
        with Session(api.world.engine) as session, pytest.raises(oidc.ProviderUnavailable):
            provider(idp, oidc_issuer=issuer).begin(
                session, redirect_uri="http://testserver/x", next_path="/", at=api.now
            )
