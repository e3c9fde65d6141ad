"""Who sends a request: a bearer token's person or machine, or a browser session's person, safe against forged pages (CSRF)."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from sqlmodel import Session

from api.problems import Unauthenticated
from hotline.access import Actor
from hotline.people import sessions
from hotline.people.accounts import actor_of
from hotline.people.identity import LoginSession
from hotline.settings import Settings
from workflow.errors import RuleBroken

COOKIE: Final = "__Host-hotline"
PLAIN_COOKIE: Final = "hotline"
"""The cookie's name where the address is this machine's own and not encrypted: browsers refuse `__Host-` there."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_bearer = HTTPBearer(auto_error=False, description="人员、承办单位或平台的访问令牌")
_cookie = APIKeyCookie(
    name=COOKIE, auto_error=False, description="网页登录会话；修改类请求另须带 X-CSRF-Token"
)
bearer_of: Final = _bearer
"""The credentials of a request's Authorization header, None where there are none; to be awaited."""
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
Cookie = Annotated[str | None, Depends(_cookie)]


class ForgedRequest(RuleBroken):
    """A change sent with a session's cookie but not from a page of ours."""

    code = "forged_request"


@dataclass(frozen=True, slots=True)
class Who:
    """Who sends a request; for a session also its row, its cookie and what it still owes."""

    actor: Actor
    owed: sessions.Owed | None = None
    row: LoginSession | None = None
    cookie: str | None = None


def address_of(request: Request) -> str | None:
    """The address a request came from, as far as the trusted proxies say."""
    return request.client.host[:60] if request.client else None


def cookie_of(request: Request) -> str | None:
    """The session cookie of a request. The plain name counts only where it is set: elsewhere a neighbouring host may have planted it."""
    return request.cookies.get(PLAIN_COOKIE if not wants_secure(request) else COOKIE)


def identify(
    request: Request,
    session: Session,
    bearer: HTTPAuthorizationCredentials | None,
    at: datetime,
    settings: Settings,
) -> Who:
    """Who sends this request. Raises `Unauthenticated`, `ForgedRequest`."""
    address = address_of(request)
    if bearer is not None:
        actor = actor_of(session, bearer.credentials, at)
        if actor is None:
            raise Unauthenticated("访问令牌无效、已到期或已撤销，请重新获取。")
        return Who(replace(actor, address=address))
    cookie = cookie_of(request)
    resumed = sessions.resume(session, cookie, at, settings) if cookie else None
    if resumed is None or cookie is None:
        raise Unauthenticated("请先登录，或在 Authorization 头中提供有效的访问令牌（Bearer）。")
    if request.method not in _SAFE:
        _check_own_page(request, cookie)
    if sessions.touch(resumed.row, at):
        session.add(resumed.row)
        session.commit()
    return Who(replace(resumed.actor, address=address), resumed.owed, resumed.row, cookie)


def comes_from_elsewhere(request: Request) -> bool:
    """Whether a browser says that another site's page sent this."""
    origin = request.headers.get("origin")
    strange = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    return strange or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def _check_own_page(request: Request, cookie: str) -> None:
    token = request.headers.get("x-csrf-token")
    if comes_from_elsewhere(request) or not sessions.is_csrf(cookie, token):
        raise ForgedRequest(
            "请求缺少有效的 X-CSRF-Token，或不是从本系统页面发出；请刷新页面后重试。", field="X-CSRF-Token"
        )


def wants_secure(request: Request) -> bool:
    """Whether the cookie must be `Secure`: always, but on this machine's own unencrypted address."""
    return request.url.scheme == "https" or request.url.hostname not in (
        "127.0.0.1",
        "::1",
        "localhost",
        "testserver",
    )


def set_cookie(request: Request, response: Response, cookie: str, settings: Settings) -> None:
    """Hand the browser its session: HttpOnly, SameSite=Lax, Secure; the `__Host-` name binds it to this host."""
    secure = wants_secure(request)
    response.set_cookie(
        COOKIE if secure else PLAIN_COOKIE,
        cookie,
        max_age=settings.session_hours * 3600,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def drop_cookie(request: Request, response: Response) -> None:
    """Take the session's cookie back."""
    secure = wants_secure(request)
    response.delete_cookie(
        COOKIE if secure else PLAIN_COOKIE, path="/", secure=secure, httponly=True, samesite="lax"
    )
