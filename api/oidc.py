"""统一身份认证 over HTTP: off to the identity provider, and back with a session."""

import hmac
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from api import shield
from api.problems import PROBLEMS
from api.session import NO_CREDENTIALS, NO_STORE, browser_of, counter_of, end_present
from api.who import set_cookie, wants_secure
from api.wiring import ReturnDep, Visit, VisitDep
from hotline.auditing import audit
from hotline.people import oidc, signing_in
from hotline.people.oidc import Provider, ProviderRefused
from workflow.vocabulary import AuditKind

router = APIRouter(prefix="/api/v1/oidc", tags=["登录"], responses=PROBLEMS)
_COOKIE = "hotline-oidc"
_REDIRECT: dict[int | str, dict[str, Any]] = {
    302: {
        "description": "转往统一身份认证，或登录后的页面",
        "headers": {"Location": {"schema": {"type": "string"}}},
    }
}


def provider_of(request: Request) -> Provider:
    """This process's provider."""
    if not hasattr(request.app.state, "oidc"):
        request.app.state.oidc = Provider(request.app.state.runtime.settings)
    provider: Provider = request.app.state.oidc
    return provider


@router.get(
    "/begin",
    summary="转往统一身份认证",
    operation_id="oidc_begin",
    status_code=302,
    response_class=Response,
    responses=_REDIRECT,
    openapi_extra=NO_CREDENTIALS,
)
def oidc_begin(
    visit: VisitDep,
    next: Annotated[str | None, Query(max_length=300, description="登录后转往的本站路径")] = None,  # noqa: A002
) -> Response:
    """Send the browser to the provider; a cookie for ten minutes binds the sign-in to this browser."""
    begun = provider_of(visit.request).begin(
        visit.session, redirect_uri=_callback(visit), next_path=oidc.local_path(next), at=visit.at
    )
    visit.session.commit()
    response = RedirectResponse(begun.address, status_code=302, headers=NO_STORE)
    secure = wants_secure(visit.request)
    response.set_cookie(
        _cookie_name(visit.request),
        begun.state,
        max_age=int(oidc.ATTEMPT.total_seconds()),
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )
    return response


def _callback(visit: Visit) -> str:
    base = visit.runtime.settings.public_url or str(visit.request.base_url)
    return base.rstrip("/") + "/api/v1/oidc/callback"


def _cookie_name(request: Request) -> str:
    return f"__Host-{_COOKIE}" if wants_secure(request) else _COOKIE


@router.get(
    "/callback",
    summary="统一身份认证返回",
    operation_id="oidc_finish",
    status_code=302,
    response_class=Response,
    responses=_REDIRECT,
    openapi_extra=NO_CREDENTIALS,
)
def oidc_finish(
    visit: ReturnDep,
    state: Annotated[str | None, Query(max_length=500)] = None,
    code: Annotated[str | None, Query(max_length=4000)] = None,
    error: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Back from the provider: on to where the person wanted to go, signed in; or to `/?error=…`, which says why not."""
    provider = provider_of(visit.request)
    provider.check_offered()
    try:
        return _signed_in(visit, provider, state, code, error)
    except ProviderRefused as refused:
        visit.session.rollback()
        _record(visit, refused.reason)
        return _gone(visit, RedirectResponse("/?" + urlencode({"error": refused.reason}), status_code=302))


def _signed_in(
    visit: Visit, provider: Provider, state: str | None, code: str | None, error: str | None
) -> Response:
    cookie = visit.request.cookies.get(_cookie_name(visit.request))
    if state is None or cookie is None or not hmac.compare_digest(_bytes(state), _bytes(cookie)):
        raise ProviderRefused("oidc_state")
    attempt = oidc.take_attempt(visit.session, state, visit.at)
    visit.session.commit()  # used once, whatever comes of it
    if attempt is None:
        raise ProviderRefused("oidc_state")
    if error is not None or code is None:
        raise ProviderRefused("oidc_denied")
    identity = provider.finish(attempt, code=code, redirect_uri=_callback(visit), at=visit.at)
    person, credential = oidc.person_of(visit.session, identity)
    end_present(visit)
    done = signing_in.open_for(
        counter_of(visit),
        person,
        credential,
        method="oidc",
        proof="provider" if identity.strong else None,
        browser=browser_of(visit),
    )
    visit.session.commit()
    response = RedirectResponse(oidc.local_path(attempt.next_path), status_code=302)
    set_cookie(visit.request, response, done, visit.runtime.settings)
    return _gone(visit, response)


def _gone(visit: Visit, response: Response) -> Response:
    """The answer without the cookie of the sign-in that is over."""
    secure = wants_secure(visit.request)
    response.delete_cookie(
        _cookie_name(visit.request), path="/", secure=secure, httponly=True, samesite="lax"
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def _record(visit: Visit, reason: str) -> None:
    audit.record(
        visit.session,
        AuditKind.SIGN_IN_FAILED,
        at=visit.at,
        actor=None,
        address=visit.address,
        what={"method": "oidc", "reason": reason},
    )
    visit.session.commit()
    shield.failed(visit.request)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
