"""机构管理 over HTTP: units and platforms. The list of units for dispatching is `GET /units` in `api.reference`."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field, StringConstraints
from sqlmodel import Session

from api.problems import PROBLEMS
from api.wiring import EdgeDep, ReadDep, with_example
from hotline import fields
from hotline.organisation import OrgUnit, Platform
from hotline.people import structure
from workflow.errors import OrderInvalid
from workflow.vocabulary import Level, PlatformKind, UnitKind

router = APIRouter(prefix="/api/v1", tags=["机构管理"], responses=PROBLEMS)

AreaCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]
UnitName = Annotated[fields.Line, StringConstraints(max_length=100)]
PlatformCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{2}$")]


class UnitAsKept(BaseModel):
    """A unit as administrators see it."""

    code: str
    name: str
    level: Level
    kind: UnitKind
    duty: str
    area: str
    platform: str
    parent: str | None
    in_charge: str | None
    active: bool


class AddUnit(fields.Order):
    """新增承办单位."""

    code: fields.Code = Field(title="代码")
    name: UnitName = Field(title="名称")
    level: Level = Field(title="层级")
    kind: UnitKind = Field(title="单位性质")
    platform: fields.Code = Field(title="所属平台", json_schema_extra=fields.pick("platform"))
    area: AreaCode = Field(title="行政区划", json_schema_extra=fields.pick("area"))
    duty: Annotated[str, StringConstraints(pattern=r"^[a-z_]{0,40}$")] = Field(default="", title="职责代码")
    parent: fields.Code | None = Field(
        title="上级单位", json_schema_extra=fields.pick("unit"), default=None, description="上级单位代码"
    )
    in_charge: fields.Code | None = Field(
        title="业务主管部门",
        json_schema_extra=fields.pick("unit"),
        default=None,
        description="业务主管部门代码（第十三条第（四）项）",
    )


class ChangeUnit(fields.Order):
    """变更承办单位: what is left out stays."""

    name: UnitName | None = Field(default=None, title="名称")
    level: Level | None = Field(default=None, title="层级")
    kind: UnitKind | None = Field(default=None, title="单位性质")
    area: AreaCode | None = Field(default=None, title="行政区划", json_schema_extra=fields.pick("area"))
    duty: Annotated[str, StringConstraints(pattern=r"^[a-z_]{0,40}$")] | None = Field(
        default=None, title="职责代码"
    )
    parent: fields.Code | None = Field(default=None, title="上级单位", json_schema_extra=fields.pick("unit"))
    in_charge: fields.Code | None = Field(
        default=None, title="业务主管部门", json_schema_extra=fields.pick("unit")
    )
    active: bool | None = Field(
        title="启用", default=None, description="停用为 false；仍有在办工单的不能停用"
    )


class PlatformView(BaseModel):
    """A platform and the one above it."""

    code: str
    name: str
    short_name: str
    level: Level
    kind: PlatformKind
    area: str
    parent: str | None


class AddPlatform(fields.Order):
    """新增热线平台: a prefecture's, or a 双号并行 or 分中心 line beside one."""

    code: PlatformCode = Field(title="代码")
    name: UnitName = Field(title="名称")
    short_name: UnitName = Field(title="简称")
    level: Level = Field(title="层级")
    kind: PlatformKind = Field(title="平台类型")
    area: AreaCode = Field(title="行政区划", json_schema_extra=fields.pick("area"))
    parent: PlatformCode = Field(title="上级平台", json_schema_extra=fields.pick("platform"))


class ChangePlatform(fields.Order):
    """变更热线平台."""

    name: UnitName | None = Field(default=None, title="名称")
    short_name: UnitName | None = Field(default=None, title="简称")
    parent: PlatformCode | None = Field(
        default=None, title="上级平台", json_schema_extra=fields.pick("platform")
    )


_CLEARABLE = frozenset({"parent", "in_charge"})


def _given(order: fields.Order, clearable: frozenset[str] = frozenset()) -> dict[str, object]:
    given = order.model_dump(exclude_unset=True)
    for name, value in given.items():
        if value is None and name not in clearable:
            raise OrderInvalid("不变的字段请不要填写；该字段不能清空。", field=name)
    return given


def _unit_view(session: Session, unit: OrgUnit) -> UnitAsKept:
    def code(key: int | None) -> str | None:
        return session.get_one(OrgUnit, key).code if key is not None else None

    return UnitAsKept(
        code=unit.code,
        name=unit.name,
        level=unit.level,
        kind=unit.kind,
        duty=unit.duty,
        area=unit.area_code,
        platform=session.get_one(Platform, unit.platform_id).code,
        parent=code(unit.parent_id),
        in_charge=code(unit.in_charge_id),
        active=unit.active,
    )


@router.post(
    "/units",
    status_code=201,
    summary="新增承办单位",
    operation_id="add_unit",
    response_model=UnitAsKept,
    openapi_extra=with_example(
        {
            "code": "XN-XXJ",
            "name": "西宁市示例局",
            "level": "prefecture",
            "kind": "department",
            "platform": "01",
            "area": "630100000000",
        }
    ),
)
def add_unit(order: AddUnit, edge: EdgeDep) -> Response:
    """A new unit that tickets can be dispatched to."""
    return edge.perform(
        order,
        lambda desk: structure.add_unit(desk, **order.model_dump()),
        lambda unit: _unit_view(edge.session, unit),
        status=201,
    )


@router.post(
    "/units/{code}",
    summary="变更承办单位",
    operation_id="change_unit",
    response_model=UnitAsKept,
    openapi_extra=with_example({"name": "西宁市示例局", "active": True}),
)
def change_unit(
    code: Annotated[fields.Code, Path(description="单位代码", examples=["XN-ZJJ"])],
    order: ChangeUnit,
    edge: EdgeDep,
) -> Response:
    """Change or disable a unit; its people cannot sign in while it is disabled."""
    given = _given(order, _CLEARABLE)
    return edge.perform(
        order,
        lambda desk: structure.change_unit(desk, code, given),
        lambda unit: _unit_view(edge.session, unit),
        extra_fingerprint=",".join(sorted(given)),
    )


def _platform_view(platform: Platform, parent: str | None) -> PlatformView:
    told = {name: getattr(platform, name) for name in ("code", "name", "short_name", "level", "kind")}
    return PlatformView(**told, area=platform.area_code, parent=parent)


@router.get(
    "/platforms", summary="热线平台", operation_id="list_platforms", response_model=list[PlatformView]
)
def list_platforms(edge: ReadDep) -> list[PlatformView]:
    """The platforms within reach, a tree by `parent`."""
    return [_platform_view(*row) for row in structure.platforms(edge.session, edge.actor)]


@router.post(
    "/platforms",
    status_code=201,
    summary="新增热线平台",
    operation_id="add_platform",
    response_model=PlatformView,
    openapi_extra=with_example(
        {
            "code": "21",
            "name": "示例供热服务热线",
            "short_name": "供热热线",
            "level": "prefecture",
            "kind": "parallel",
            "area": "630100000000",
            "parent": "01",
        }
    ),
)
def add_platform(order: AddPlatform, edge: EdgeDep) -> Response:
    """A platform below one within reach."""
    return edge.perform(
        order,
        lambda desk: structure.add_platform(desk, **order.model_dump()),
        lambda platform: _platform_view(platform, order.parent),
        status=201,
    )


@router.post(
    "/platforms/{code}",
    summary="变更热线平台",
    operation_id="change_platform",
    response_model=PlatformView,
    openapi_extra=with_example({"short_name": "供热热线"}),
)
def change_platform(
    code: Annotated[PlatformCode, Path(description="平台代码", examples=["01"])],
    order: ChangePlatform,
    edge: EdgeDep,
) -> Response:
    """Rename a platform or put it below another."""
    given = _given(order)
    return edge.perform(
        order,
        lambda desk: structure.change_platform(desk, code, given),
        lambda platform: _platform_view(
            platform,
            edge.session.get_one(Platform, platform.parent_id).code if platform.parent_id else None,
        ),
        extra_fingerprint=",".join(sorted(given)),
    )
