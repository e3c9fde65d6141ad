"""统一身份认证: signing in at an OpenID Connect provider. Authorization code with PKCE, state and nonce; the ID token is verified here.

The only place beside the outbox that sends HTTP. `Provider` is one process's: it keeps the provider's metadata and keys a while.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2 as httpx
from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]
from authlib.integrations.httpx_client import OAuth2Client  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from hotline.organisation import OrgUnit, Person
from hotline.people.identity import Credential, SignInAttempt
from hotline.settings import Settings
from workflow.errors import NotFound, RuleBroken

ATTEMPT: Final = timedelta(minutes=10)
"""How long a sign-in at the provider may take."""

_LEEWAY: Final = timedelta(seconds=60)
_FRESH: Final = timedelta(hours=1)
_REFETCH: Final = timedelta(seconds=30)
_TIMEOUT: Final = 5.0
_MOST: Final = 1024 * 1024
_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "RS384", "PS384", "ES384", "RS512", "PS512", "ES512")
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class ProviderUnavailable(RuleBroken):
    """The provider does not answer, or not as one."""

    code = "provider_unavailable"

    def __init__(self, what: str) -> None:
        super().__init__(f"统一身份认证暂不可用（{what}），请稍后重试，或用登录名和口令登录。")


class ProviderRefused(RuleBroken):
    """The sign-in at the provider is not accepted; `extra.reason` is the word for the page people come back to."""

    code = "provider_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason], extra={"reason": reason})
        self.reason = reason


REASONS: Final[Mapping[str, str]] = {
    "oidc_state": "登录请求已失效或不是从本浏览器发起，请重新登录。",
    "oidc_denied": "统一身份认证没有通过，或您取消了登录。",
    "oidc_token": "统一身份认证返回的身份信息未通过校验，请重新登录；仍有问题请联系管理员。",
    "oidc_unknown_person": "您的统一身份认证账号未在本系统开通，请联系管理员开通后再登录。",
    "oidc_inactive": "您在本系统的账号已停用，请联系管理员。",
    "oidc_linked_otherwise": "该登录名已与另一个统一身份认证账号绑定，请联系管理员核实。",
}
"""Why people come back unsigned, for the page they come back to."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the provider vouches for; `login` is the claim that names a login here; `strong` says that it asked for a second factor."""

    issuer: str
    subject: str
    login: str | None
    strong: bool


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in under way: where to send the browser, and the state it must come back with."""

    address: str
    state: str


class Provider:
    """The provider the settings name. Safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._issuer = (settings.oidc_issuer or "").strip()
        self._client_id = settings.oidc_client_id or ""
        self._secret = settings.oidc_client_secret.get_secret_value() if settings.oidc_client_secret else None
        self._claim = settings.oidc_login_claim
        self._lock = Lock()
        self._metadata: dict[str, Any] | None = None
        self._metadata_at: datetime | None = None
        self._keys: KeySet | None = None
        self._keys_at: datetime | None = None

    def check_offered(self) -> None:
        """Raises `NotFound` unless the settings name a provider and a client."""
        if not self._issuer or not self._client_id:
            raise NotFound("本系统没有启用统一身份认证，请用登录名和口令登录。")

    def begin(self, session: Session, *, redirect_uri: str, next_path: str, at: datetime) -> Begun:
        """Start a sign-in; its secrets are kept until it is finished. The caller commits. Raises `ProviderUnavailable`, `NotFound`."""
        self.check_offered()
        metadata = self._discovered(at)
        state, nonce, verifier = (secrets.token_urlsafe(size) for size in (32, 24, 48))
        with self._oauth(redirect_uri) as client:
            address, _ = client.create_authorization_url(
                metadata["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier
            )
        session.add(
            SignInAttempt(
                state_digest=_digest(state),
                nonce=nonce,
                verifier=verifier,
                next_path=local_path(next_path),
                created_at=at,
            )
        )
        return Begun(address, state)

    def finish(self, attempt: SignInAttempt, *, code: str, redirect_uri: str, at: datetime) -> Identity:
        """Exchange the code and verify the ID token. Raises `ProviderRefused`, `ProviderUnavailable`."""
        metadata = self._discovered(at)
        try:
            with self._oauth(redirect_uri) as client:
                answer = client.fetch_token(
                    metadata["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=attempt.verifier,
                )
        except AuthlibBaseError:
            raise ProviderRefused("oidc_token") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            raise ProviderUnavailable("令牌接口没有正常应答") from None
        return self.verified(str(answer.get("id_token") or ""), nonce=attempt.nonce, at=at)

    def _oauth(self, redirect_uri: str) -> Any:
        return OAuth2Client(
            client_id=self._client_id,
            client_secret=self._secret,
            token_endpoint_auth_method="client_secret_basic" if self._secret else "none",
            scope="openid profile",
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=_TIMEOUT,
            follow_redirects=False,
        )

    # --- the ID token ------------------------------------------------------------------------------------------------

    def verified(self, token: str, *, nonce: str, at: datetime) -> Identity:
        """Whom an ID token vouches for: signature by the provider's keys, issuer, audience, party, nonce, time. Raises `ProviderRefused`,
        `ProviderUnavailable`.
        """
        metadata = self._discovered(at)
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        algorithms = [name for name in _ALGORITHMS if name in offered]
        try:
            claims = jwt.decode(token, self._keys_for(token, metadata, at), algorithms=algorithms).claims
        except (JoseError, ValueError, TypeError, KeyError):
            raise ProviderRefused("oidc_token") from None
        self._check(claims, nonce, at)
        told = claims.get("amr")
        named = claims.get(self._claim)
        return Identity(
            issuer=self._issuer,
            subject=claims["sub"],
            login=named if isinstance(named, str) else None,
            strong=isinstance(told, list) and "mfa" in told,
        )

    def _check(self, claims: Mapping[str, Any], nonce: str, at: datetime) -> None:
        """OpenID Connect Core 3.1.3.7, by the instant passed. Raises `ProviderRefused`."""
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        party = claims.get("azp")
        expires, issued = _number(claims.get("exp")), _number(claims.get("iat"))
        now, leeway = at.timestamp(), _LEEWAY.total_seconds()
        right = (
            claims.get("iss") == self._issuer,
            self._client_id in audiences,
            party == self._client_id if party is not None else len(audiences) == 1,
            isinstance(claims.get("nonce"), str)
            and secrets.compare_digest(_ascii(claims["nonce"]), _ascii(nonce)),
            isinstance(claims.get("sub"), str) and 0 < len(claims["sub"]) <= 255,
            expires is not None and now < expires + leeway,
            issued is not None and issued - leeway <= now,
            (_number(claims.get("nbf")) or 0) - leeway <= now,
        )
        if not all(right):
            raise ProviderRefused("oidc_token")

    # --- what the provider publishes ---------------------------------------------------------------------------------

    def _discovered(self, at: datetime) -> dict[str, Any]:
        with self._lock:
            if (
                self._metadata is not None
                and self._metadata_at is not None
                and at < self._metadata_at + _FRESH
            ):
                return self._metadata
        found = self._fetched(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != self._issuer:
            raise ProviderUnavailable("发现文档与设置的签发者不一致")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            _check_address(str(found.get(name) or ""))
        with self._lock:
            self._metadata, self._metadata_at = found, at
        return found

    def _keys_for(self, token: str, metadata: Mapping[str, Any], at: datetime) -> KeySet:
        """The provider's keys, fetched anew once they are an hour old, or if the token names one they do not hold."""
        wanted = _key_named_in(token)
        with self._lock:
            keys, since = self._keys, self._keys_at
        held = keys is not None and (wanted is None or any(key.kid == wanted for key in keys.keys))
        age = at - since if since is not None else _FRESH
        if keys is not None and age < _FRESH and (held or age < _REFETCH):
            return keys
        try:
            fresh = KeySet.import_key_set(self._fetched(metadata["jwks_uri"]))  # type: ignore[arg-type]
        except (JoseError, ValueError, TypeError, KeyError):
            raise ProviderUnavailable("公钥无法读取") from None
        with self._lock:
            self._keys, self._keys_at = fresh, at
        return fresh

    def _fetched(self, address: str) -> dict[str, Any]:
        _check_address(address)
        try:
            with httpx.Client(timeout=_TIMEOUT, follow_redirects=False) as client:
                answer = client.get(address, headers={"Accept": "application/json"})
            if answer.status_code != 200 or len(answer.content) > _MOST:
                raise ProviderUnavailable("没有正常应答")
            found = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            raise ProviderUnavailable("没有应答") from None
        if not isinstance(found, dict):
            raise ProviderUnavailable("应答无法识别")
        return found


def _check_address(address: str) -> None:
    """Refuse to talk in the clear, but to this machine itself."""
    try:
        parts = urlsplit(address)
        fits = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)
    except ValueError:
        fits = False
    if not fits:
        raise ProviderUnavailable("地址须为 https")


def _key_named_in(token: str) -> str | None:
    head = token.partition(".")[0]
    try:
        told = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except ValueError:
        return None
    named = told.get("kid") if isinstance(told, dict) else None
    return named if isinstance(named, str) else None


def _number(claim: object) -> float | None:
    return float(claim) if isinstance(claim, int | float) and not isinstance(claim, bool) else None


def _ascii(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _digest(state: str) -> bytes:
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).digest()


def local_path(path: str | None) -> str:
    """`path` if it is one of this site, else `/`: nobody is sent elsewhere after signing in (open redirect)."""
    fits = (
        path is not None
        and len(path) <= 300
        and path.startswith("/")
        and not path.startswith("//")
        and "\\" not in path
        and path.isprintable()
        and " " not in path
    )
    return path if fits and path is not None and path.isascii() else "/"


def take_attempt(session: Session, state: str, at: datetime) -> SignInAttempt | None:
    """The sign-in begun with this state, which is used up; None if there is none or it took too long. The caller commits."""
    row = session.get(SignInAttempt, _digest(state), with_for_update=True)
    if row is None:
        return None
    session.delete(row)
    session.flush()
    return row if at < row.created_at + ATTEMPT else None


def person_of(session: Session, identity: Identity) -> tuple[Person, Credential]:
    """Whom of ours the provider vouches for: linked before, else linked now by login. Nobody is created. The caller commits.

    Raises `ProviderRefused`.
    """
    row = session.execute(
        select(Person, Credential)
        .join(Credential, col(Credential.person_id) == col(Person.id))
        .where(
            col(Credential.oidc_issuer) == identity.issuer, col(Credential.oidc_subject) == identity.subject
        )
    ).first()
    if row is not None:
        person, credential = row
    else:
        person, credential = _linked(session, identity)
    unit = session.get(OrgUnit, person.unit_id) if person.unit_id is not None else None
    if not person.active or (unit is not None and not unit.active):
        raise ProviderRefused("oidc_inactive")
    return person, credential


def _linked(session: Session, identity: Identity) -> tuple[Person, Credential]:
    person = (
        session.execute(
            select(Person).where(col(Person.login) == identity.login).with_for_update()
        ).scalar_one_or_none()
        if identity.login is not None and "\x00" not in identity.login
        else None
    )
    if person is None:
        raise ProviderRefused("oidc_unknown_person")
    credential = session.get(Credential, person.id, with_for_update=True)
    if credential is None:
        credential = Credential(person_id=person.id, must_change=False)
    if credential.oidc_subject is not None:
        raise ProviderRefused("oidc_linked_otherwise")
    if person.active:
        credential.oidc_issuer, credential.oidc_subject = identity.issuer, identity.subject
        session.add(credential)
        try:
            session.flush()
        except IntegrityError:
            raise ProviderRefused("oidc_linked_otherwise") from None
    return person, credential


def forget_old(session: Session, as_of: datetime) -> int:
    """Drop sign-ins nobody came back from; returns how many. The caller commits."""
    dropped = session.execute(delete(SignInAttempt).where(col(SignInAttempt.created_at) < as_of - ATTEMPT))
    return int(dropped.rowcount)  # type: ignore[attr-defined]
