"""派单目录 and 派单建议 over HTTP: who answers for what by which basis, changed and kept in versions, and units suggested for a ticket."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, File, Form, Query, Response, UploadFile
from pydantic import BaseModel, Field

from api.acts import NumberPath
from api.problems import PROBLEMS
from api.tickets import seen
from api.wiring import EdgeDep, ReadDep, with_example
from hotline import fields
from hotline.desks import catalogue, suggestions
from hotline.desks.catalogue import Duty, Wanted
from hotline.organisation import OrgUnit
from hotline.privacy.concealment import cleaner
from workflow.errors import OrderInvalid

router = APIRouter(prefix="/api/v1", tags=["派单目录"], responses=PROBLEMS)
_FILE_MOST = 4 * 1024 * 1024


class NamedUnit(BaseModel):
    """A unit by code and name."""

    code: str = Field(examples=["XN-GYJ"])
    name: str


class CatalogueDutyView(BaseModel):
    """One version of one row."""

    id: int
    platform: str
    category: str
    area: str
    lead: NamedUnit
    co_units: list[NamedUnit]
    basis: str
    version: int
    since: datetime
    changed_by: str
    until: datetime | None = Field(description="停用或被新版替代的时间；空为现行")
    closed_by: str | None


class DutyPage(BaseModel):
    """Rows in the order of category and area; `next` goes into `offset` for the page after."""

    items: list[CatalogueDutyView]
    next: int | None


class DutyQuery(BaseModel):
    """The filters of the list."""

    model_config = {"extra": "forbid"}

    category: str | None = Field(default=None, pattern=r"^[0-9]{2,6}$", description="诉求分类代码，含下级")
    area: str | None = Field(default=None, pattern=r"^[0-9]{2,12}$", description="行政区划代码，含下级")
    unit: fields.Code | None = Field(default=None, description="牵头单位代码")
    platform: str | None = Field(default=None, pattern=r"^[0-9]{2}$")
    history: bool = Field(default=False, description="包括已停用和被替代的版本")
    at: fields.Instant | None = Field(default=None, description="只列当时有效的版本")
    offset: int = Field(default=0, ge=0, le=100_000)
    limit: int = Field(default=100, ge=1, le=500)


class ImportView(BaseModel):
    """What an import did, or would do."""

    preview: bool
    added: int
    changed: int
    unchanged: int
    closed: int


class ReasonView(BaseModel):
    """Why a unit is suggested, or what speaks against it."""

    kind: str = Field(examples=["catalogue"])
    text: str = Field(examples=["派单目录：《示例市供热管理办法》第五条"])
    warns: bool = Field(description="提醒：不利于派给该单位")
    entry: int | None = Field(description="派单目录的行")
    basis: str | None = Field(description="依据，可作派单时的 legal_basis")
    tickets: int | None
    on_time: float | None = Field(description="按期答复的比例，0—1")
    grounds: str | None = Field(description="退单时陈述的依据")


class SuggestionView(BaseModel):
    """One unit to dispatch to, with co-units."""

    lead: NamedUnit
    co_units: list[NamedUnit]
    score: float
    reasons: list[ReasonView]
    obstacle: str | None = Field(description="依办法此时不能直接派给该单位的原因")


class Suggestions(BaseModel):
    """Units for one ticket, the likeliest first; nothing is decided by it."""

    number: str
    items: list[SuggestionView]


class NoOrder(fields.Order):
    """Nothing to say."""


def _unit(unit: OrgUnit) -> NamedUnit:
    return NamedUnit(code=unit.code, name=unit.name)


def _view(duty: Duty) -> CatalogueDutyView:
    entry = duty.entry
    told = entry.model_dump(include={"id", "basis", "version", "since", "changed_by", "until", "closed_by"})
    return CatalogueDutyView(
        **told,
        platform=duty.platform,
        category=entry.category_code,
        area=entry.area_code,
        lead=_unit(duty.lead),
        co_units=[_unit(unit) for unit in duty.co_units],
    )


# --- the catalogue ---------------------------------------------------------------------------------------------------------


@router.get("/catalogue", summary="派单目录", operation_id="list_catalogue", response_model=DutyPage)
def list_catalogue(query: Annotated[DutyQuery, Query()], edge: ReadDep) -> DutyPage:
    """Which unit answers for which category and area, by which basis; the versions in force, or all."""
    wanted = Wanted(**query.model_dump(exclude={"offset", "limit"}))
    found = catalogue.listed(edge.session, edge.actor, wanted, offset=query.offset, limit=query.limit + 1)
    more = len(found) > query.limit
    return DutyPage(
        items=[_view(duty) for duty in found[: query.limit]],
        next=query.offset + query.limit if more and query.offset + query.limit <= 100_000 else None,
    )


@router.post(
    "/catalogue",
    summary="维护派单目录",
    operation_id="put_duty",
    response_model=CatalogueDutyView,
    openapi_extra=with_example(
        {
            "category": "0101",
            "lead": "XN-GYJ",
            "co_units": ["XN-ZJJ"],
            "basis": "《示例市供热管理办法》第五条；市级部门权责清单。",
        }
    ),
)
def put_duty(order: catalogue.DutyOrder, edge: EdgeDep) -> Response:
    """A new row of one's own platform, or a new version of the row for the same category and area."""
    return edge.perform(
        order,
        lambda desk: catalogue.put(desk, order),
        lambda entry: _view(catalogue.duty_of(edge.session, entry)),
    )


@router.post(
    "/catalogue/{entry}/close",
    summary="停用派单目录的一行",
    operation_id="close_duty",
    response_model=CatalogueDutyView,
    openapi_extra=with_example({}),
)
def close_duty(entry: fields.KeyPath, order: NoOrder, edge: EdgeDep) -> Response:
    """From now on the row counts no more; it stays readable."""
    return edge.perform(
        order,
        lambda desk: catalogue.close(desk, entry),
        lambda closed: _view(catalogue.duty_of(edge.session, closed)),
    )


@router.post(
    "/catalogue/import", summary="导入派单目录", operation_id="import_catalogue", response_model=ImportView
)
def import_catalogue(
    edge: EdgeDep,
    file: Annotated[
        UploadFile, File(description="CSV：category,area,lead,co_units（以 ; 分隔）,basis；UTF-8 或 GB 18030")
    ],
    replace: Annotated[bool, Form(description="停用文件中没有的行")] = False,
    preview: Annotated[bool, Form(description="只核对，不导入")] = True,
) -> Response:
    """All rows or none, each a row or a new version of one's own platform's catalogue."""
    content = _text(file.file.read(_FILE_MOST + 1))
    order = _Import(content=content, replace=replace, preview=preview)
    return edge.perform(
        order,
        lambda desk: catalogue.import_rows(desk, content, replace=replace, preview=preview),
        lambda done: ImportView(
            preview=preview,
            added=done.added,
            changed=done.changed,
            unchanged=done.unchanged,
            closed=done.closed,
        ),
    )


class _Import(BaseModel):
    content: str
    replace: bool
    preview: bool


def _text(content: bytes) -> str:
    if len(content) > _FILE_MOST:
        raise OrderInvalid("文件超过 4 MB 的上限。", field="file")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return fields.keepable(content.decode(encoding))
        except ValueError:
            continue
    raise OrderInvalid("文件不是 UTF-8 或 GB 18030 编码的文本。", field="file")


@router.get(
    "/catalogue/export",
    summary="导出派单目录",
    operation_id="export_catalogue",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}, "description": "CSV 文件，可改后再导入"}},
)
def export_catalogue(edge: ReadDep) -> Response:
    """The rows in force of one's own platform as CSV."""
    mine = [
        duty
        for duty in catalogue.listed(edge.session, edge.actor, Wanted(), offset=0, limit=catalogue.MOST_ROWS)
        if duty.entry.platform_id == edge.actor.home_id
    ]
    headers = {"Content-Disposition": "attachment; filename=catalogue.csv", "Cache-Control": "no-store"}
    return Response(
        catalogue.exported(mine).encode("utf-8-sig"), media_type="text/csv; charset=utf-8", headers=headers
    )


# --- suggestions -----------------------------------------------------------------------------------------------------------


@router.get(
    "/tickets/{number}/suggestions",
    summary="派单建议",
    operation_id="suggest_units",
    response_model=Suggestions,
)
def suggest_units(number: NumberPath, edge: ReadDep) -> Suggestions:
    """Units to dispatch a ticket to, each with its reasons: the catalogue with its basis, like tickets and how timely they were
    answered, returns and their grounds."""
    ticket = seen(edge, number)
    edge.calendars()
    clean = cleaner(edge.runtime.office.sealer, edge.actor, ticket)
    return Suggestions(
        number=ticket.number,
        items=[
            SuggestionView(
                lead=_unit(one.unit),
                co_units=[_unit(unit) for unit in one.co_units],
                score=round(one.score, 3),
                reasons=[
                    ReasonView(
                        kind=r.kind,
                        text=r.text,
                        warns=r.warns,
                        entry=r.entry,
                        basis=r.basis,
                        tickets=r.tickets,
                        on_time=r.on_time,
                        grounds=clean(r.grounds) if r.grounds else None,
                    )
                    for r in one.reasons
                ],
                obstacle=one.obstacle,
            )
            for one in suggestions.suggested(edge.desk(), ticket)
        ],
    )
