"""Places, categories and units for forms over HTTP: whole lists with an ETag, and what somebody typing a name may mean."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, Field, RootModel
from sqlalchemy import select, text
from sqlmodel import col

from api.names import MOST_TYPED, Named, found
from api.problems import PROBLEMS
from api.wiring import Edge, ReadDep
from hotline.organisation import Area, Category, OrgUnit, Platform
from hotline.reference import area_prefix
from workflow.vocabulary import Level, UnitKind

router = APIRouter(prefix="/api/v1", tags=["词汇与日历"], responses=PROBLEMS)

_UNCHANGED: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "自上次（If-None-Match）以来没有变化"}
}
IfNoneMatch = Annotated[
    str | None, Header(max_length=500, description="上次得到的 ETag；没有变化时返回 304，不再传内容")
]
Typed = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=MOST_TYPED,
        description="输入的名称：汉字、全拼、简拼或混合，可分几段，如 湟中 多巴、hzdb、duoba；按相符程度排列",
        examples=["hzdb"],
    ),
]
Limit = Annotated[int, Query(ge=1, le=100, description="按名称查找时至多返回几条")]


class AreaView(BaseModel):
    """One administrative division."""

    code: str
    name: str
    level: Level
    parent: str | None
    path: list[str] = Field(
        description="自省起的各级名称", examples=[["青海省", "西宁市", "湟中区", "多巴镇"]]
    )


class CategoryView(BaseModel):
    """One node of the category tree."""

    code: str
    name: str
    level: int
    parent: str | None
    path: list[str] = Field(examples=[["公用事业与城乡建设", "供热", "室温不达标"]])


class UnitView(BaseModel):
    """One handling unit."""

    code: str
    name: str
    level: Level
    kind: UnitKind
    area: str
    platform: str
    in_charge: str | None


# --- a list as it stands, made once a process and content -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Listed:
    """All rows of one list, as they are shown and as they are found by name."""

    rows: list[Any]
    names: list[Named]
    body: bytes

    @classmethod
    def of(cls, rows: list[Any], names: Iterable[Named]) -> "_Listed":
        return cls(rows, list(names), RootModel[list[Any]](rows).model_dump_json().encode())


_KEPT: Final = 12
_lists: OrderedDict[tuple[str, str], _Listed] = OrderedDict()
_lock = Lock()


def _listed(kind: str, version: str, make: Callable[[], _Listed]) -> _Listed:
    """The list in this version of its content; versions of several databases are kept side by side."""
    with _lock:
        if (kind, version) in _lists:
            _lists.move_to_end((kind, version))
            return _lists[kind, version]
    made = make()
    with _lock:
        _lists[kind, version] = made
        if len(_lists) > _KEPT:
            _lists.popitem(last=False)
    return made


_VERSIONS: Final = {
    "areas": "concat_ws('|', code, name, level, parent_code) AS row FROM areas",
    "categories": "concat_ws('|', code, name, level, parent_code) AS row FROM categories WHERE active",
    "units": "concat_ws('|', u.code, u.name, u.level, u.kind, u.area_code, u.in_charge_id, p.code) AS row"
    " FROM units u JOIN platforms p ON p.id = u.platform_id WHERE u.active",
}


def _version(edge: Edge, kind: str) -> str:
    """A digest of a list's content, made by the database: cheaper than to fetch it."""
    told = f"SELECT count(*) || ':' || coalesce(sum(hashtextextended(row, 0)), 0) FROM (SELECT {_VERSIONS[kind]}) listed"  # noqa: S608 - names of this module
    return str(edge.session.execute(text(told)).scalar_one())


def _answer(version: str, seen: str | None, asked: Sequence[object], body: Callable[[], bytes]) -> Response:
    digest = hashlib.sha256("\n".join([version, *map(repr, asked)]).encode("utf-8", "replace")).hexdigest()
    etag = f'"{digest[:24]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    known = {each.strip().removeprefix("W/") for each in (seen or "").split(",")}
    if known & {etag, "*"}:
        return Response(status_code=304, headers=headers)
    return Response(body(), media_type="application/json", headers=headers)


def _shown(rows: Sequence[Any]) -> bytes:
    return RootModel[list[Any]](list(rows)).model_dump_json().encode()


def _by_name(listed: _Listed, typed: str, limit: int, near: str, fits: Callable[[Any], bool]) -> bytes:
    by_code = {row.code: row for row in listed.rows if fits(row)}
    names = [name for name in listed.names if name.code in by_code]
    return _shown([by_code[name.code] for name in found(typed, names, limit, near)])


def _paths(parents: Mapping[str, tuple[str, str | None]]) -> dict[str, list[str]]:
    """The names from the top down of each code, from its name and its parent's code."""
    paths: dict[str, list[str]] = {}

    def path(code: str) -> list[str]:
        if code not in paths:
            name, parent = parents[code]
            paths[code] = [*(path(parent) if parent is not None and parent in parents else []), name]
        return paths[code]

    for code in parents:
        path(code)
    return paths


# --- places ------------------------------------------------------------------------------------------------------------


@router.get(
    "/areas", summary="行政区划", operation_id="areas", response_model=list[AreaView], responses=_UNCHANGED
)
def areas(
    edge: ReadDep,
    q: Typed = None,
    parent: Annotated[str | None, Query(pattern=r"^[0-9]{12}$", description="只列其下一级")] = None,
    limit: Limit = 20,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """All divisions, those directly below one, or those a typed name may mean: of equal ones those of the actor's platform first."""
    version = _version(edge, "areas")
    near = _near(edge) if q else ""
    return _answer(
        version,
        if_none_match,
        (q, parent, limit, near),
        lambda: _areas(edge, version, q, parent, limit, near),
    )


def _areas(edge: Edge, version: str, q: str | None, parent: str | None, limit: int, near: str) -> bytes:
    listed = _listed("areas", version, lambda: _all_areas(edge))
    if q:
        return _by_name(listed, q, limit, near, lambda row: parent is None or row.parent == parent)
    if parent is not None:
        return _shown([row for row in listed.rows if row.parent == parent])
    return listed.body


def _all_areas(edge: Edge) -> _Listed:
    rows = list(edge.session.execute(select(Area).order_by(col(Area.code))).scalars())
    paths = _paths({row.code: (row.name, row.parent_code) for row in rows})
    shown = [
        AreaView(code=a.code, name=a.name, level=a.level, parent=a.parent_code, path=paths[a.code])
        for a in rows
    ]
    return _Listed.of(shown, (Named(row.code, tuple(row.path)) for row in shown))


def _near(edge: Edge) -> str:
    """The digits with which the codes of the actor's own area begin."""
    home = edge.session.get(Platform, edge.actor.home_id) if edge.actor.home_id is not None else None
    return area_prefix(home.area_code) if home is not None else ""


# --- categories --------------------------------------------------------------------------------------------------------


@router.get(
    "/categories",
    summary="诉求分类",
    operation_id="categories",
    response_model=list[CategoryView],
    responses=_UNCHANGED,
)
def categories(
    edge: ReadDep,
    q: Typed = None,
    level: Annotated[int | None, Query(ge=1, le=3, description="只列这一级；工单用第三级")] = None,
    limit: Limit = 20,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The active category tree in order of code, or what a typed name may mean."""
    version = _version(edge, "categories")
    return _answer(
        version, if_none_match, (q, level, limit), lambda: _categories(edge, version, q, level, limit)
    )


def _categories(edge: Edge, version: str, q: str | None, level: int | None, limit: int) -> bytes:
    listed = _listed("categories", version, lambda: _all_categories(edge))
    if q:
        return _by_name(listed, q, limit, "", lambda row: level is None or row.level == level)
    return listed.body if level is None else _shown([row for row in listed.rows if row.level == level])


def _all_categories(edge: Edge) -> _Listed:
    rows = list(
        edge.session.execute(
            select(Category).where(col(Category.active)).order_by(col(Category.code))
        ).scalars()
    )
    paths = _paths({row.code: (row.name, row.parent_code) for row in rows})
    shown = [
        CategoryView(code=c.code, name=c.name, level=c.level, parent=c.parent_code, path=paths[c.code])
        for c in rows
    ]
    return _Listed.of(shown, (Named(row.code, tuple(row.path), loose=True) for row in shown))


# --- units -------------------------------------------------------------------------------------------------------------


@router.get(
    "/units", summary="承办单位", operation_id="units", response_model=list[UnitView], responses=_UNCHANGED
)
def units(
    edge: ReadDep,
    q: Typed = None,
    platform: Annotated[str | None, Query(pattern=r"^[0-9]{2}$", description="只列这个平台的单位")] = None,
    limit: Limit = 20,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The active units that tickets are dispatched to, or those a typed name, its abbreviation (住建局, zjj) or its code may mean."""
    version = _version(edge, "units")
    home = edge.session.get(Platform, edge.actor.home_id) if q and edge.actor.home_id is not None else None
    near = home.code if home is not None else ""
    return _answer(
        version,
        if_none_match,
        (q, platform, limit, near),
        lambda: _units(edge, version, q, platform, limit, near),
    )


def _units(edge: Edge, version: str, q: str | None, platform: str | None, limit: int, near: str) -> bytes:
    listed = _listed("units", version, lambda: _all_units(edge))
    if q:
        fitting = [row for row in listed.rows if platform is None or row.platform == platform]
        by_code = {row.code: row for row in fitting}
        names = found(q, (name for name in listed.names if name.code in by_code), len(fitting) or 1)
        names.sort(key=lambda name: by_code[name.code].platform != near)
        return _shown([by_code[name.code] for name in names[:limit]])
    return listed.body if platform is None else _shown([r for r in listed.rows if r.platform == platform])


def _all_units(edge: Edge) -> _Listed:
    rows = edge.session.execute(
        select(OrgUnit, col(Platform.code))
        .join(Platform, col(Platform.id) == col(OrgUnit.platform_id))
        .where(col(OrgUnit.active))
        .order_by(col(OrgUnit.code))
    ).all()
    codes = {unit.id: unit.code for unit, _ in rows}
    shown = [
        UnitView(
            code=u.code,
            name=u.name,
            level=u.level,
            kind=u.kind,
            area=u.area_code,
            platform=code,
            in_charge=codes.get(u.in_charge_id) if u.in_charge_id else None,
        )
        for u, code in rows
    ]
    return _Listed.of(shown, (Named(row.code, (row.name,), loose=True) for row in shown))
