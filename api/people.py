"""人员管理 over HTTP: administrators create, change, grant, disable; a unit's head sees and adds its own handlers."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field, StringConstraints

from api.problems import PROBLEMS
from api.wiring import Edge, EdgeDep, ReadDep, with_example
from hotline import fields
from hotline.people import personnel
from hotline.people.personnel import Found
from workflow.vocabulary import STAFF, Role

router = APIRouter(prefix="/api/v1/people", tags=["人员管理"], responses=PROBLEMS)

Login = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_\-]{1,39}$")]
LoginPath = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_\-]{0,39}$", description="登录名", examples=["xn-agent01"])
]
Name = Annotated[fields.Line, StringConstraints(max_length=60)]
Shift = Annotated[
    str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$")
]
OF_STAFF: Final = fields.offer(role.value for role in Role if role in STAFF)
Roles = Annotated[list[Role], Field(min_length=1, max_length=10, json_schema_extra=OF_STAFF)]


class PersonView(BaseModel):
    """A person as administrators see them: where, which roles, how they sign in. Never a secret."""

    id: int
    login: str
    name: str
    platform: str = Field(description="热线平台代码；承办单位人员为其单位所属平台")
    unit: str | None
    roles: list[Role]
    active: bool
    shift: str | None
    left_at: datetime | None
    has_password: bool
    must_change: bool = Field(description="须修改初始口令")
    second_factor: bool
    linked: bool = Field(description="已与统一身份认证绑定")
    locked_until: datetime | None


class PeoplePage(BaseModel):
    """One page; `next` is the cursor of the page after it."""

    items: list[PersonView]
    next: int | None


class PersonWithPassword(PersonView):
    """A person and the password to hand over to them, told once and changed at the first sign-in."""

    one_time_password: str


class Disabled(PersonView):
    """Somebody who left, and the tickets handed over."""

    transferred: list[str]


class Transferred(BaseModel):
    """The tickets handed over; `left` are still theirs: ask again."""

    count: int
    numbers: list[str]
    left: int


class CreatePerson(fields.Order):
    """新增人员: of a platform or of a unit, not of both."""

    login: Login = Field(title="登录名")
    name: Name = Field(title="姓名")
    platform: fields.Code | None = Field(
        default=None, title="所属平台", json_schema_extra=fields.pick("platform")
    )
    unit: fields.Code | None = Field(
        default=None, title="所属承办单位", json_schema_extra=fields.pick("unit")
    )
    roles: Roles = Field(title="角色")
    shift: Shift | None = Field(title="班次", default=None, description="班次，如 08:00-20:00（北京时间）")


class ChangePerson(fields.Order):
    """变更: what is left out stays; `shift` null is the usual hours."""

    name: Name | None = Field(default=None, title="姓名")
    shift: Shift | None = Field(default=None, title="班次")
    platform: fields.Code | None = Field(
        default=None, title="所属平台", json_schema_extra=fields.pick("platform")
    )
    unit: fields.Code | None = Field(
        default=None, title="所属承办单位", json_schema_extra=fields.pick("unit")
    )


class GrantRoles(fields.Order):
    """授权: all the roles from now on."""

    roles: Roles = Field(title="角色")


class Because(fields.Order):
    """Why."""

    reason: fields.Line = Field(title="理由")


class Disable(fields.Order):
    """停用; `transfer_to` takes the leaver's tickets over."""

    reason: fields.Line = Field(title="理由")
    transfer_to: Login | None = Field(
        default=None, title="其首接工单移交给", json_schema_extra=fields.pick("agent")
    )


class Transfer(fields.Order):
    """移交首接: to another agent of the platform."""

    to: Login = Field(title="移交给", json_schema_extra=fields.pick("agent"))
    reason: fields.Line = Field(title="理由")


class PeopleQuery(BaseModel):
    """The filters of the list."""

    model_config = {"extra": "forbid"}

    platform: fields.Code | None = None
    unit: fields.Code | None = None
    role: Role | None = None
    text: fields.Line | None = Field(default=None, description="登录名或姓名包含的文字")
    active: bool | None = None
    cursor: int = Field(default=0, ge=0, le=2**62)
    limit: int = Field(default=50, ge=1, le=200)


# --- seeing ----------------------------------------------------------------------------------------------------------


@router.get("", summary="人员列表", operation_id="list_people", response_model=PeoplePage)
def list_people(query: Annotated[PeopleQuery, Query()], edge: ReadDep) -> PeoplePage:
    """The people within reach, in keyset pages."""
    roll = personnel.Roll(
        platform=query.platform,
        unit=query.unit,
        role=query.role,
        text=query.text,
        active=query.active,
        after=query.cursor,
        limit=query.limit,
    )
    found = personnel.listed(edge.session, edge.actor, roll)
    shown = found[: query.limit]
    return PeoplePage(
        items=_views(edge, shown), next=shown[-1].person.id if len(found) > query.limit else None
    )


@router.get("/{login}", summary="人员", operation_id="read_person", response_model=PersonView)
def read_person(login: LoginPath, edge: ReadDep) -> PersonView:
    """One person."""
    return _view(edge, personnel.find(edge.session, edge.actor, login))


def _views(edge: Edge, found: list[Found]) -> list[PersonView]:
    standings = personnel.standings(edge.session, [each.person for each in found], edge.at)
    return [PersonView(**_told(each, standings[each.person.id])) for each in found]


def _view(edge: Edge, found: Found) -> PersonView:
    return _views(edge, [found])[0]


def _told(found: Found, standing: personnel.Standing) -> dict[str, Any]:
    person = found.person
    told = {name: getattr(person, name) for name in ("id", "login", "name", "active", "shift", "left_at")}
    told |= {name: getattr(standing, name) for name in standing.__slots__}
    return told | {"platform": found.platform, "unit": found.unit, "roles": sorted(person.roles)}


# --- changing --------------------------------------------------------------------------------------------------------


@router.post(
    "",
    status_code=201,
    summary="新增人员",
    operation_id="create_person",
    response_model=PersonWithPassword,
    openapi_extra=with_example(
        {
            "login": "xn-agent09",
            "name": "测试己",
            "platform": "01",
            "roles": ["agent"],
            "shift": "08:00-20:00",
        }
    ),
)
def create_person(order: CreatePerson, edge: EdgeDep) -> Response:
    """A new person; the one-time password is told here and nowhere else."""
    return edge.perform(
        order,
        lambda desk: personnel.create(desk, **order.model_dump()),
        lambda made: _with_password(edge, *made),
        status=201,
        secret=True,
    )


def _with_password(edge: Edge, found: Found, password: str) -> PersonWithPassword:
    return PersonWithPassword(**_view(edge, found).model_dump(), one_time_password=password)


@router.post(
    "/{login}",
    summary="变更人员",
    operation_id="change_person",
    response_model=PersonView,
    openapi_extra=with_example({"name": "测试己", "shift": None}),
)
def change_person(login: LoginPath, order: ChangePerson, edge: EdgeDep) -> Response:
    """Change name, shift or place."""
    given = order.model_dump(exclude_unset=True)
    if given.get("name", "") is None:
        del given["name"]
    return edge.perform(
        order,
        lambda desk: personnel.change(desk, login, given),
        lambda found: _view(edge, found),
        extra_fingerprint=",".join(sorted(given)),
    )


@router.post(
    "/{login}/roles",
    summary="授权",
    operation_id="grant_roles",
    response_model=PersonView,
    openapi_extra=with_example({"roles": ["agent", "callback"]}),
)
def grant_roles(login: LoginPath, order: GrantRoles, edge: EdgeDep) -> Response:
    """The person's roles from now on; they sign in anew."""
    return edge.perform(
        order, lambda desk: personnel.grant(desk, login, order.roles), lambda found: _view(edge, found)
    )


@router.post(
    "/{login}/disable",
    summary="停用人员",
    operation_id="disable_person",
    response_model=Disabled,
    openapi_extra=with_example({"reason": "离职", "transfer_to": "xn-agent02"}),
)
def disable_person(login: LoginPath, order: Disable, edge: EdgeDep) -> Response:
    """Sessions end, tokens are revoked. Somebody who still owns tickets needs a taker."""
    return edge.perform(
        order,
        lambda desk: personnel.disable(desk, login, reason=order.reason, transfer_to=order.transfer_to),
        lambda done: Disabled(**_view(edge, done[0]).model_dump(), transferred=done[1]),
    )


@router.post(
    "/{login}/enable",
    summary="启用人员",
    operation_id="enable_person",
    response_model=PersonView,
    openapi_extra=with_example({"reason": "返岗"}),
)
def enable_person(login: LoginPath, order: Because, edge: EdgeDep) -> Response:
    """They may sign in again."""
    return edge.perform(
        order,
        lambda desk: personnel.enable(desk, login, reason=order.reason),
        lambda found: _view(edge, found),
    )


@router.post(
    "/{login}/unlock",
    summary="解除锁定",
    operation_id="unlock_person",
    response_model=PersonView,
    openapi_extra=with_example({"reason": "本人来电核实"}),
)
def unlock_person(login: LoginPath, order: Because, edge: EdgeDep) -> Response:
    """Failed sign-ins are forgotten."""
    return edge.perform(
        order,
        lambda desk: personnel.unlock(desk, login, reason=order.reason),
        lambda found: _view(edge, found),
    )


@router.post(
    "/{login}/password",
    summary="重置口令",
    operation_id="reset_password",
    response_model=PersonWithPassword,
    openapi_extra=with_example({"reason": "遗忘口令，已当面核实"}),
)
def reset_password(login: LoginPath, order: Because, edge: EdgeDep) -> Response:
    """A new one-time password, told here and nowhere else."""
    return edge.perform(
        order,
        lambda desk: personnel.reset_password(desk, login, reason=order.reason),
        lambda made: _with_password(edge, *made),
        secret=True,
    )


@router.post(
    "/{login}/second-factor",
    summary="重置第二因素",
    operation_id="reset_second_factor",
    response_model=PersonView,
    openapi_extra=with_example({"reason": "手机遗失，已当面核实"}),
)
def reset_second_factor(login: LoginPath, order: Because, edge: EdgeDep) -> Response:
    """Codes and recovery codes are gone; whoever needs a second factor binds one anew."""
    return edge.perform(
        order,
        lambda desk: personnel.reset_second_factor(desk, login, reason=order.reason),
        lambda found: _view(edge, found),
    )


@router.post(
    "/{login}/transfer",
    summary="移交工单",
    operation_id="transfer_tickets",
    response_model=Transferred,
    openapi_extra=with_example({"to": "xn-agent02", "reason": "离职移交"}),
)
def transfer_tickets(login: LoginPath, order: Transfer, edge: EdgeDep) -> Response:
    """Hand every ticket not yet archived to another agent (art. 14(1)), at most 500 at once."""
    return edge.perform(
        order,
        lambda desk: personnel.transfer(desk, login, to=order.to, reason=order.reason),
        lambda done: Transferred(count=len(done[0]), numbers=done[0], left=done[1]),
    )
