"""Signing in and out over HTTP: the browser's session, its password, its second factor. Machines' tokens are in `api.machines`."""

from datetime import datetime
from typing import Annotated, Any, NoReturn

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field, SecretStr

from api.problems import PROBLEMS
from api.who import ForgedRequest, comes_from_elsewhere, cookie_of, drop_cookie, set_cookie
from api.wiring import Edge, ReadDep, Visit, VisitDep, with_example
from hotline import fields
from hotline.organisation import OrgUnit, Person, Platform
from hotline.people import sessions, signing_in
from hotline.people.identity import LoginSession
from hotline.people.signing_in import Browser, Counter
from workflow.errors import OutOfSight, RuleBroken
from workflow.vocabulary import Role

router = APIRouter(prefix="/api/v1", tags=["登录"], responses=PROBLEMS)
NO_CREDENTIALS: dict[str, Any] = {"security": [{}]}
"""`openapi_extra` of what needs none."""

NO_STORE = {"Cache-Control": "no-store"}


class SessionNeeded(RuleBroken):
    """What belongs to a browser's session was asked with a token."""

    code = "session_needed"


class SessionView(BaseModel):
    """A session: who, with which roles, what it still owes, and the token every change sends back in X-CSRF-Token."""

    login: str = Field(examples=["xn-agent01"])
    name: str
    roles: list[Role]
    platform: str | None = Field(description="热线平台代码")
    unit: str | None = Field(description="承办单位代码")
    owed: sessions.Owed | None = Field(description="登录还差什么：修改口令、动态验证码、绑定动态验证码")
    second_factor: bool = Field(description="本次登录是否已用第二因素")
    csrf: str
    expires_at: datetime


class SignIn(fields.Order):
    """登录. The code only where one is bound; without it the session owes it."""

    login: fields.Line = Field(examples=["xn-agent01"])
    password: SecretStr = Field(min_length=1, max_length=200)
    code: str | None = Field(default=None, min_length=6, max_length=20, description="动态验证码或恢复码")


class NewPassword(fields.Order):
    """修改口令."""

    current: SecretStr = Field(min_length=1, max_length=200)
    new: SecretStr = Field(
        min_length=1,
        max_length=200,
        description="至少 10 个字符，含大写、小写、数字、符号中的三类，不含登录名、姓名，不能是常见口令",
    )


class Code(fields.Order):
    """动态验证码, or a recovery code."""

    code: str = Field(min_length=6, max_length=20, examples=["123456"])


class EnrolOrder(fields.Order):
    """绑定动态验证码; who has bound one already gives a code of it."""

    code: str | None = Field(default=None, min_length=6, max_length=20)


class EnrolmentView(BaseModel):
    """What to scan or type into an authenticator, told once."""

    secret: str
    uri: str
    qr_svg: str = Field(description="二维码（SVG）")


class ConfirmedView(BaseModel):
    """The bound second factor: the session anew, and ten recovery codes, told once."""

    session: SessionView
    recovery_codes: list[str]


class OidcOption(BaseModel):
    """统一身份认证."""

    label: str
    begin: str


class Options(BaseModel):
    """The ways to sign in."""

    password: bool
    oidc: OidcOption | None


class SessionLine(BaseModel):
    """One of a person's live sessions."""

    id: int
    current: bool
    method: str
    address: str | None
    user_agent: str | None
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


# --- in --------------------------------------------------------------------------------------------------------------


@router.get(
    "/session/options",
    summary="登录方式",
    operation_id="sign_in_options",
    response_model=Options,
    openapi_extra=NO_CREDENTIALS,
)
def sign_in_options(visit: VisitDep) -> Options:
    """Which ways to sign in there are."""
    settings = visit.runtime.settings
    offered = settings.oidc_issuer is not None and settings.oidc_client_id is not None
    return Options(
        password=True,
        oidc=OidcOption(label=settings.oidc_label, begin="/api/v1/oidc/begin") if offered else None,
    )


@router.post(
    "/session",
    summary="登录",
    operation_id="sign_in",
    response_model=SessionView,
    openapi_extra=NO_CREDENTIALS
    | with_example({"login": "xn-agent01", "password": "a long Secret 7", "code": "123456"}),
)
def sign_in(order: SignIn, visit: VisitDep) -> Response:
    """A session, its cookie in the answer. A session the browser still has ends. Too many failures lock the login for a while."""
    if comes_from_elsewhere(visit.request):
        raise ForgedRequest("登录请求不是从本系统页面发出；请从登录页登录。")
    counter = counter_of(visit)
    done = signing_in.sign_in(
        counter,
        login=order.login,
        password=order.password.get_secret_value(),
        code=order.code,
        browser=browser_of(visit),
    )
    if isinstance(done, RuleBroken):
        visit.refuse(done)
    end_present(visit)
    view = _view(counter, done)
    visit.session.commit()
    return _answer(visit, done, view)


def counter_of(at: Visit | Edge) -> Counter:
    """Where this request signs in."""
    return Counter(at.session, at.at, at.runtime.office, at.runtime.settings)


def browser_of(visit: Visit) -> Browser:
    """The browser of this request."""
    return Browser(visit.address, visit.request.headers.get("user-agent"))


def end_present(visit: Visit) -> None:
    """End the session the browser had until now, if it is one."""
    cookie = cookie_of(visit.request)
    present = sessions.resume(visit.session, cookie, visit.at, visit.runtime.settings) if cookie else None
    if present is not None:
        present.row.ended_at = visit.at
        visit.session.add(present.row)


def _view(counter: Counter, cookie: str) -> SessionView:
    resumed = sessions.resume(counter.session, cookie, counter.at, counter.settings)
    assert resumed is not None
    return _told(counter, resumed, cookie)


def _told(counter: Counter, resumed: sessions.Resumed, cookie: str) -> SessionView:
    session, actor = counter.session, resumed.actor
    platform = session.get(Platform, actor.platform_id) if actor.platform_id else None
    unit = session.get(OrgUnit, actor.unit_id) if actor.unit_id else None
    return SessionView(
        login=session.get_one(Person, resumed.row.person_id).login,
        name=actor.name,
        roles=sorted(actor.roles),
        platform=platform.code if platform else None,
        unit=unit.code if unit else None,
        owed=resumed.owed,
        second_factor=resumed.row.second_factor_at is not None,
        csrf=sessions.csrf_of(cookie),
        expires_at=resumed.row.expires_at,
    )


def _answer(at: Visit | Edge, cookie: str, view: BaseModel) -> Response:
    response = Response(view.model_dump_json(), media_type="application/json", headers=NO_STORE)
    set_cookie(at.request, response, cookie, at.runtime.settings)
    return response


# --- the session one has ---------------------------------------------------------------------------------------------


def _row(edge: Edge) -> LoginSession:
    if edge.who.row is None:
        raise SessionNeeded("该操作只用于网页登录会话，访问令牌不能使用。")
    return edge.who.row


def _refuse(edge: Edge, refusal: RuleBroken) -> NoReturn:
    """Keep what was recorded of a failed try, charge it to its address."""
    Visit(edge.request, edge.runtime, edge.session, edge.at).refuse(refusal)


@router.get("/session", summary="当前会话", operation_id="read_session", response_model=SessionView)
def read_session(edge: ReadDep) -> Response:
    """Who is signed in, what is still owed, and the CSRF token."""
    row, cookie = _row(edge), edge.who.cookie or ""
    resumed = sessions.Resumed(row, edge.actor, edge.who.owed)
    view = _told(counter_of(edge), resumed, cookie)
    return Response(view.model_dump_json(), media_type="application/json", headers=NO_STORE)


@router.delete("/session", summary="退出", operation_id="sign_out", status_code=204, response_class=Response)
def sign_out(edge: ReadDep) -> Response:
    """The session is over, its cookie worth nothing."""
    signing_in.sign_out(counter_of(edge), edge.actor, _row(edge))
    edge.session.commit()
    response = Response(status_code=204)
    drop_cookie(edge.request, response)
    return response


@router.post(
    "/session/password",
    summary="修改口令",
    operation_id="change_password",
    response_model=SessionView,
    openapi_extra=with_example({"current": "the Old secret 1", "new": "a New longer secret 2"}),
)
def change_password(order: NewPassword, edge: ReadDep) -> Response:
    """A new password; every other session of the person ends, this one goes on under a new cookie."""
    counter = counter_of(edge)
    done = signing_in.change_password(
        counter,
        edge.actor,
        _row(edge),
        current=order.current.get_secret_value(),
        new=order.new.get_secret_value(),
    )
    return _renewed(edge, counter, done)


@router.post(
    "/session/second-factor",
    summary="输入动态验证码",
    operation_id="give_code",
    response_model=SessionView,
    openapi_extra=with_example({"code": "123456"}),
)
def give_code(order: Code, edge: ReadDep) -> Response:
    """Finish signing in with a code or a recovery code, each good once."""
    counter = counter_of(edge)
    return _renewed(edge, counter, signing_in.give_code(counter, edge.actor, _row(edge), order.code))


def _renewed(edge: Edge, counter: Counter, done: str | RuleBroken) -> Response:
    if isinstance(done, RuleBroken):
        _refuse(edge, done)
    view = _view(counter, done)
    edge.session.commit()
    return _answer(edge, done, view)


@router.post(
    "/session/totp",
    summary="申请绑定动态验证码",
    operation_id="enrol_totp",
    response_model=EnrolmentView,
    openapi_extra=with_example({}),
)
def enrol_totp(order: EnrolOrder, edge: ReadDep) -> Response:
    """A secret for the person's authenticator, in force once confirmed."""
    _settled_password(edge)
    done = signing_in.enrol_totp(counter_of(edge), edge.actor, _row(edge), order.code)
    if isinstance(done, RuleBroken):
        _refuse(edge, done)
    edge.session.commit()
    view = EnrolmentView(secret=done.secret, uri=done.uri, qr_svg=done.qr_svg)
    return Response(view.model_dump_json(), media_type="application/json", headers=NO_STORE)


@router.post(
    "/session/totp/confirm",
    summary="确认绑定动态验证码",
    operation_id="confirm_totp",
    response_model=ConfirmedView,
    openapi_extra=with_example({"code": "123456"}),
)
def confirm_totp(order: Code, edge: ReadDep) -> Response:
    """The second factor is bound; ten recovery codes are told, this once. The person's other sessions end."""
    _settled_password(edge)
    counter = counter_of(edge)
    done = signing_in.confirm_totp(counter, edge.actor, _row(edge), order.code)
    if isinstance(done, RuleBroken):
        _refuse(edge, done)
    cookie, codes = done
    view = ConfirmedView(session=_view(counter, cookie), recovery_codes=codes)
    edge.session.commit()
    return _answer(edge, cookie, view)


def _settled_password(edge: Edge) -> None:
    if edge.who.owed is sessions.Owed.NEW_PASSWORD:
        raise signing_in.OutOfTurn("请先修改口令，再绑定动态验证码。")


@router.get(
    "/sessions", summary="本人的登录会话", operation_id="list_sessions", response_model=list[SessionLine]
)
def list_sessions(edge: ReadDep) -> list[SessionLine]:
    """Where the person is signed in, newest first."""
    row = _row(edge)
    return [
        SessionLine(
            **{name: getattr(each, name) for name in SessionLine.model_fields if name != "current"},
            current=each.id == row.id,
        )
        for each in sessions.live(edge.session, row.person_id, edge.at, edge.runtime.settings)
    ]


@router.delete(
    "/sessions/{session}",
    summary="结束一个登录会话",
    operation_id="end_session",
    status_code=204,
    response_class=Response,
)
def end_session(
    session: Annotated[int, Path(ge=1, le=2**63 - 1)], edge: ReadDep, request: Request
) -> Response:
    """End one of the person's own sessions, at another desk say."""
    row = _row(edge)
    mine = sessions.live(edge.session, row.person_id, edge.at, edge.runtime.settings)
    found = next((each for each in mine if each.id == session), None)
    if found is None:
        raise OutOfSight("没有这个会话，或它已经结束。", field="session")
    signing_in.sign_out(counter_of(edge), edge.actor, found)
    edge.session.commit()
    response = Response(status_code=204)
    if found.id == row.id:
        drop_cookie(request, response)
    return response
