"""接口客户端 and tokens over HTTP: OAuth 2.0 client credentials (RFC 6749, 4.4), and people's own tokens."""

import base64
import binascii
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import unquote_plus

from fastapi import APIRouter, Form, Path, Query, Request, Response
from pydantic import BaseModel, Field, StringConstraints

from api import shield
from api.problems import PROBLEMS, respond
from api.session import NO_CREDENTIALS, NO_STORE
from api.wiring import Edge, EdgeDep, ReadDep, VisitDep, with_example
from hotline import fields
from hotline.access import Actor
from hotline.case import Desk
from hotline.fields import Whole
from hotline.organisation import AccessToken, OrgUnit, Platform
from hotline.people import clients, personnel
from hotline.people.clients import ClientRefused
from hotline.people.identity import MachineClient
from hotline.people.personnel import Found
from hotline.people.sessions import SECOND_FACTOR_ROLES
from workflow.errors import AccessRefused
from workflow.vocabulary import STAFF, Role, Scope

router = APIRouter(prefix="/api/v1", tags=["接口客户端"], responses=PROBLEMS)

ClientName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._\-]{2,59}$")]
NamePath = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9._\-]{2,59}$", description="客户端标识", examples=["xn-rsj-system"])
]
Label = Annotated[fields.Line, StringConstraints(max_length=100)]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=20)]


class TokenView(BaseModel):
    """RFC 6749, 5.1."""

    access_token: str
    token_type: str = Field(examples=["Bearer"])
    expires_in: int = Field(description="秒", examples=[3600])
    scope: str = Field(examples=["tickets:read tickets:write"])


class ClientView(BaseModel):
    """A client without its secret."""

    name: str
    label: str
    platform: str | None
    unit: str | None
    roles: list[Role]
    scopes: list[Scope]
    created_by: str
    created_at: datetime
    older_secret_until: datetime | None = Field(description="更换密钥后旧密钥仍可用到何时")
    revoked_at: datetime | None


class ClientWithSecret(ClientView):
    """A client and its secret, told once."""

    client_secret: str


class CreateClient(fields.Order):
    """新增接口客户端: of a unit (承办经办人) or of a platform (agents, dispatchers, reviewers, callback, editors)."""

    name: ClientName = Field(title="客户端名称")
    label: Label = Field(title="用途")
    platform: fields.Code | None = Field(
        default=None, title="所属平台", json_schema_extra=fields.pick("platform")
    )
    unit: fields.Code | None = Field(
        default=None, title="所属承办单位", json_schema_extra=fields.pick("unit")
    )
    roles: Annotated[list[Role], Field(min_length=1, max_length=10)] = Field(
        title="角色", json_schema_extra=fields.offer(role.value for role in Role if role in STAFF)
    )
    scopes: Scopes = Field(title="权限范围")


class RotateSecret(fields.Order):
    """更换密钥; the old one stays good for the overlap."""

    overlap_hours: Whole = Field(title="旧密钥继续有效（小时）", default=24, ge=0, le=168)


class NoOrder(fields.Order):
    """Nothing to say."""


class IssueToken(fields.Order):
    """签发个人令牌."""

    label: Label = Field(title="用途")
    scopes: Scopes = Field(title="权限范围")
    days: Whole = Field(title="有效天数", default=90, ge=1, le=365, description="有效天数")
    login: fields.Code | None = Field(
        title="为谁签发（登录名）",
        json_schema_extra=fields.pick("person"),
        default=None,
        description="为他人签发时的登录名（管理员）",
    )


class PersonalToken(BaseModel):
    """A person's token without its secret."""

    id: int
    login: str
    label: str
    scopes: list[Scope] | None = Field(description="null 为不限")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class PersonalTokenWithSecret(PersonalToken):
    """A token, told once."""

    token: str


# --- tokens for clients ----------------------------------------------------------------------------------------------


@router.post(
    "/oauth/token",
    summary="换取访问令牌",
    operation_id="issue_client_token",
    response_model=TokenView,
    openapi_extra=NO_CREDENTIALS,
    description="OAuth 2.0 客户端凭据方式（RFC 6749 第 4.4 节）。密钥可用 HTTP Basic 或表单提交；"
    "出错时为 problem+json，另含 RFC 6749 第 5.2 节的 `error`。",
)
def issue_client_token(
    visit: VisitDep,
    grant_type: Annotated[str | None, Form(max_length=100, examples=["client_credentials"])] = None,
    client_id: Annotated[str | None, Form(max_length=100)] = None,
    client_secret: Annotated[str | None, Form(max_length=200)] = None,
    scope: Annotated[str | None, Form(max_length=500, description="缩小范围，空格分隔")] = None,
) -> Response:
    """A machine's token, good for an hour."""
    if grant_type is None:
        return _refused(visit.request, "invalid_request", "缺少 grant_type。")
    if grant_type != "client_credentials":
        return _refused(visit.request, "unsupported_grant_type", "只支持 client_credentials。")
    told = _credentials(visit.request, client_id, client_secret)
    if isinstance(told, ClientRefused):
        return _refused(visit.request, told.error, told.message)
    done = clients.earn_token(
        visit.session, name=told[0], secret=told[1], scope=scope, at=visit.at, address=visit.address
    )
    visit.session.commit()
    if isinstance(done, ClientRefused):
        if done.error == "invalid_client":
            shield.failed(visit.request)
        return _refused(visit.request, done.error, done.message)
    token, scopes = done
    view = TokenView(
        access_token=token,
        token_type="Bearer",  # noqa: S106 - a word, no secret
        expires_in=clients.TOKEN_SECONDS,
        scope=" ".join(sorted(scopes)),
    )
    return Response(view.model_dump_json(), media_type="application/json", headers=NO_STORE)


def _credentials(request: Request, name: str | None, secret: str | None) -> tuple[str, str] | ClientRefused:
    """The client's name and secret, from the header or from the form, not from both (RFC 6749, 2.3)."""
    scheme, _, told = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        if name and secret and "\x00" not in name:
            return name, secret
        return ClientRefused("invalid_client", "请提供客户端标识和密钥。")
    if secret is not None:
        return ClientRefused("invalid_request", "客户端密钥只能用一种方式提供。")
    try:
        pair = base64.b64decode(told.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return ClientRefused("invalid_client", "Authorization 头无法识别。")
    left, colon, right = pair.partition(":")
    name, secret = unquote_plus(left), unquote_plus(right)
    if not colon or "\x00" in name or any("\ud800" <= c <= "\udfff" for c in name):
        return ClientRefused("invalid_client", "Authorization 头无法识别。")
    return name, secret


def _refused(request: Request, error: str, detail: str) -> Response:
    status = 401 if error == "invalid_client" else 400
    response = respond(status, "未签发令牌", detail, "client_refused", extra={"error": error})
    response.headers["Cache-Control"] = "no-store"
    if status == 401 and request.headers.get("authorization", "").lower().startswith("basic"):
        response.headers["WWW-Authenticate"] = 'Basic realm="hotline12345", charset="UTF-8"'
    return response


# --- clients ---------------------------------------------------------------------------------------------------------


def _client_view(client: MachineClient, platform: str | None, unit: str | None) -> ClientView:
    kept = ("name", "label", "roles", "scopes", "created_by", "created_at", "revoked_at")
    told: dict[str, Any] = {name: getattr(client, name) for name in kept}
    return ClientView(**told, platform=platform, unit=unit, older_secret_until=client.older_until)


def _placed(edge: Edge, client: MachineClient) -> ClientView:
    platform = edge.session.get(Platform, client.platform_id) if client.platform_id else None
    unit = edge.session.get(OrgUnit, client.unit_id) if client.unit_id else None
    return _client_view(client, platform.code if platform else None, unit.code if unit else None)


def _with_secret(edge: Edge, client: MachineClient, secret: str) -> ClientWithSecret:
    return ClientWithSecret(**_placed(edge, client).model_dump(), client_secret=secret)


@router.get("/clients", summary="接口客户端", operation_id="list_clients", response_model=list[ClientView])
def list_clients(edge: ReadDep) -> list[ClientView]:
    """The clients within reach."""
    return [_client_view(*row) for row in clients.listed(edge.session, edge.actor)]


@router.post(
    "/clients",
    status_code=201,
    summary="新增接口客户端",
    operation_id="create_client",
    response_model=ClientWithSecret,
    openapi_extra=with_example(
        {
            "name": "xn-rsj-system",
            "label": "西宁市人社局业务系统",
            "unit": "XN-RSJ",
            "roles": ["handler"],
            "scopes": ["tickets:read", "tickets:write"],
        }
    ),
)
def create_client(order: CreateClient, edge: EdgeDep) -> Response:
    """A new client; its secret is told here and nowhere else."""

    def create(desk: Desk) -> tuple[MachineClient, str]:
        platform, unit = personnel.place(desk, order.platform, order.unit)
        return clients.create(
            desk,
            name=order.name,
            label=order.label,
            roles=order.roles,
            scopes=order.scopes,
            unit=unit,
            platform=platform if unit is None else None,
        )

    return edge.perform(order, create, lambda made: _with_secret(edge, *made), status=201, secret=True)


@router.post(
    "/clients/{name}/rotate",
    summary="更换客户端密钥",
    operation_id="rotate_client",
    response_model=ClientWithSecret,
    openapi_extra=with_example({"overlap_hours": 24}),
)
def rotate_client(name: NamePath, order: RotateSecret, edge: EdgeDep) -> Response:
    """A new secret, told here and nowhere else; the old one stays good for the overlap."""
    return edge.perform(
        order,
        lambda desk: clients.rotate(desk, name, overlap=timedelta(hours=order.overlap_hours)),
        lambda made: _with_secret(edge, *made),
        secret=True,
    )


@router.post(
    "/clients/{name}/revoke",
    summary="停用接口客户端",
    operation_id="revoke_client",
    response_model=ClientView,
    openapi_extra=with_example({}),
)
def revoke_client(name: NamePath, order: NoOrder, edge: EdgeDep) -> Response:
    """Its secrets and its tokens are worth nothing from now on."""
    return edge.perform(
        order, lambda desk: clients.revoke_client(desk, name), lambda client: _placed(edge, client)
    )


# --- people's tokens -------------------------------------------------------------------------------------------------


def _token_view(row: AccessToken, login: str) -> PersonalToken:
    kept = ("id", "label", "scopes", "created_at", "expires_at", "revoked_at")
    return PersonalToken(**{name: getattr(row, name) for name in kept}, login=login)


def _whose(edge: Edge | Desk, login: str | None, *, issuing: bool = False) -> Found:
    """The person themselves, or, for an administrator, another within reach. Raises `AccessRefused`, `OutOfSight`."""
    actor: Actor = edge.actor
    own = personnel.of_actor(edge.session, actor)
    if login is None or login == own.person.login:
        return own
    if Role.ADMIN not in actor.roles:
        raise AccessRefused("他人的令牌由管理员管理。")
    found = personnel.find(edge.session, actor, login)
    if issuing and {Role(role) for role in found.person.roles} & SECOND_FACTOR_ROLES:
        raise AccessRefused("督办主管、管理员、审计员的令牌只能由本人登录后签发。")
    return found


@router.get("/tokens", summary="个人令牌", operation_id="list_tokens", response_model=list[PersonalToken])
def list_tokens(
    edge: ReadDep, login: Annotated[fields.Code | None, Query(description="他人的登录名（管理员）")] = None
) -> list[PersonalToken]:
    """One's own tokens in force, newest first; an administrator may ask for another's."""
    found = _whose(edge, login)
    return [
        _token_view(row, found.person.login) for row in clients.tokens_of(edge.session, found.person, edge.at)
    ]


@router.post(
    "/tokens",
    status_code=201,
    summary="签发个人令牌",
    operation_id="issue_token",
    response_model=PersonalTokenWithSecret,
    openapi_extra=with_example({"label": "值班看板", "scopes": ["tickets:read"], "days": 90}),
)
def issue_token(order: IssueToken, edge: EdgeDep) -> Response:
    """A token for one's own programs, told here and nowhere else; never wider than the token one asks with."""

    def issue(desk: Desk) -> tuple[Found, AccessToken, str]:
        found = _whose(desk, order.login, issuing=True)
        row, plain = clients.issue_personal(
            desk,
            found.person,
            label=order.label,
            scopes=order.scopes,
            expires_at=desk.at + timedelta(days=order.days),
            home=found.home,
        )
        return found, row, plain

    return edge.perform(
        order,
        issue,
        lambda made: PersonalTokenWithSecret(
            **_token_view(made[1], made[0].person.login).model_dump(), token=made[2]
        ),
        status=201,
        secret=True,
    )


@router.post(
    "/tokens/{token}/revoke",
    summary="撤销个人令牌",
    operation_id="revoke_token",
    response_model=PersonalToken,
    openapi_extra=with_example({}),
)
def revoke_token(
    token: Annotated[fields.KeyPath, Path()],
    order: NoOrder,
    edge: EdgeDep,
    login: Annotated[fields.Code | None, Query(description="他人的登录名（管理员）")] = None,
) -> Response:
    """It is worth nothing from now on."""

    def revoke(desk: Desk) -> tuple[Found, AccessToken]:
        found = _whose(desk, login)
        return found, clients.revoke_personal(desk, found.person, token, home=found.home)

    return edge.perform(
        order,
        revoke,
        lambda done: _token_view(done[1], done[0].person.login),
        extra_fingerprint=login or "",
    )
