"""Finding and using knowledge over HTTP: search as you type, the answered contact, openings, what has to be kept fresh. Art. 14(2), 19-21, 28."""

from collections.abc import Sequence
from datetime import date
from time import perf_counter
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlmodel import col

from api.acts import NEW_TICKET_EXAMPLE
from api.problems import PROBLEMS
from api.wiring import Edge, EdgeDep, ReadDep, with_example
from hotline import fields
from hotline.organisation import Platform
from hotline.shapes import ActResult
from hotline.views import Reader
from knowledge_base import articles, finding, freshness, neighbours, telling
from knowledge_base.finding import Found, Wanted
from knowledge_base.orders import LABELS
from knowledge_base.search.entry import Range, Snippet, Validity
from workflow.vocabulary import ArticleKind, Relation, Upkeep

router = APIRouter(prefix="/api/v1/knowledge", tags=["知识库"], responses=PROBLEMS)

NamePath = Annotated[
    str,
    Path(
        description="知识条目版本，如 12@3",
        pattern=r"^[1-9][0-9]{0,17}(@[1-9][0-9]{0,8})?$",
        examples=["12@3"],
    ),
]
_VALIDITY = {Validity.VALID: "有效", Validity.EXPIRED: "已失效", Validity.FUTURE: "尚未生效"}

# --- search ------------------------------------------------------------------------------------------------------------


class Marked(BaseModel):
    """A text and what in it was looked for: character ranges [start, end)."""

    text: str
    marks: list[tuple[int, int]] = Field(examples=[[[0, 2]]])


class SnippetView(Marked):
    """The passage that fits best: characters [start, end) of `part`."""

    part: str = Field(examples=["answer"])
    part_label: str = Field(examples=["答复口径"])
    start: int
    end: int


class FoundView(BaseModel):
    """One article found."""

    name: str = Field(examples=["12@3"])
    question: Marked
    snippet: SnippetView
    kind: ArticleKind
    unit: str | None
    areas: list[str]
    categories: list[str]
    platform: str = Field(description="维护平台的代码")
    validity: Validity
    validity_label: str = Field(examples=["已失效"])
    valid_from: date | None
    valid_until: date | None
    relation: Relation | None = Field(description="对上级平台知识的本地补充或本地替代")
    relation_label: str | None
    source: int | None = Field(description="所补充或替代的上级知识编号")
    overridden_by: str | None = Field(description="本平台以哪一条替代了这条上级知识")
    popularity: int = Field(description="近 30 天用于答复的次数")
    score: float


class SearchResults(BaseModel):
    """What was found, best first, and how it was found."""

    items: list[FoundView]
    did_you_mean: str | None = Field(description="是否要找")
    popular: bool = Field(description="未输入内容：列出近期最常用的")
    source: Literal["index", "database"] = Field(description="database：索引正在建立，暂以简单方式查找")
    notice: str | None = Field(description="结果不完整时的说明")
    behind: int = Field(description="索引尚未收录的变更数")
    took_ms: float


@router.get("/search", summary="检索知识", operation_id="search_knowledge", response_model=SearchResults)
def search_knowledge(
    edge: ReadDep,
    q: Annotated[str, Query(max_length=300, description="输入的文字，可以不完整；为空则列出最常用的")] = "",
    area: Annotated[str | None, Query(pattern=r"^[0-9]{2,12}$", description="行政区划代码")] = None,
    unit: Annotated[fields.Code | None, Query(description="承办单位代码")] = None,
    category: Annotated[
        str | None, Query(pattern=r"^[0-9]{2,6}$", description="诉求分类代码，含下级")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
    typing: Annotated[
        bool,
        Query(
            description="缺省为仍在输入，无结果不计数；按下回车或停顿后以 typing=false 再查一次，无结果即计入采集需求"
        ),
    ] = True,
) -> SearchResults:
    """The platform's articles and those above, local ones first, expired ones marked and never first (art. 14(2), 24).

    With `typing=false`, for what somebody meant and not for each key, a search without filters whose first hits say too little of it
    counts as 采集需求, once a person, text and day. What does have hits but none that answers is told by `report_miss`.
    """
    began = perf_counter()
    library = edge.runtime.library
    page = finding.search(edge.session, library, edge.actor, Wanted(q, area, unit, category, limit), edge.at)
    codes = _platform_codes(edge, page.found)
    if page.missed and not typing:
        finding.note_miss(edge.session, edge.actor, q, edge.at)
        edge.session.commit()
    if page.source == "database" or page.behind:
        library.follow_soon(edge.runtime.engine, edge.at)
    return SearchResults(
        items=[found_view(each, codes) for each in page.found],
        did_you_mean=page.did_you_mean,
        popular=page.popular,
        source=page.source,
        notice="知识索引正在建立，暂只按问题标题查找，结果可能不全。" if page.source == "database" else None,
        behind=page.behind,
        took_ms=round((perf_counter() - began) * 1000, 2),
    )


class MissNoted(BaseModel):
    """What was kept of it, and whether it was counted now."""

    query: str = Field(description="已隐去个人信息")
    counted: bool = Field(description="同一人同一天的同一内容只计一次")


@router.post(
    "/misses",
    summary="没有找到答案",
    operation_id="report_miss",
    response_model=MissNoted,
    openapi_extra=with_example({"query": "无人机飞行许可"}),
)
def report_miss(order: finding.Unanswered, edge: EdgeDep) -> Response:
    """Nothing found answers what was looked for: it counts as 采集需求, once a person, text and day (art. 20)."""
    return edge.perform(
        order,
        lambda desk: finding.note_miss(desk.session, desk.actor, order.query, desk.at),
        lambda miss: MissNoted(query=miss.query, counted=miss.counted),
    )


def _platform_codes(edge: Edge, found: Sequence[Found]) -> dict[int, str]:
    homes = {each.article.platform_id for each in found}
    return dict(
        edge.session.execute(
            select(col(Platform.id), col(Platform.code)).where(col(Platform.id).in_(homes))
        ).all()
    )


def found_view(found: Found, codes: dict[int, str]) -> FoundView:
    """One article found, as people and programs see it; `codes` are the platforms' by their keys."""
    article, version = found.article, found.version
    return FoundView(
        name=found.name,
        question=Marked(text=version.question, marks=_ranges(found.question_marks)),
        snippet=_snippet(found),
        kind=article.kind,
        unit=found.unit,
        areas=version.areas,
        categories=version.categories,
        platform=codes[article.platform_id],
        validity=found.validity,
        validity_label=_VALIDITY[found.validity],
        valid_from=version.valid_from,
        valid_until=version.valid_until,
        relation=article.relation,
        relation_label=article.relation.label if article.relation else None,
        source=article.source_id,
        overridden_by=found.overridden_by,
        popularity=found.popularity,
        score=found.score,
    )


def _ranges(marks: Sequence[Range]) -> list[tuple[int, int]]:
    return [(start, end) for start, end in marks]


_SNIPPET = 80


def _snippet(found: Found) -> SnippetView:
    shown = found.snippet or Snippet("answer", 0, _SNIPPET, found.version.answer[:_SNIPPET], ())
    return SnippetView(
        part=shown.part,
        part_label=LABELS.get(shown.part, shown.part),
        start=shown.start,
        end=shown.start + len(shown.text),
        text=shown.text,
        marks=_ranges(shown.marks),
    )


# --- telling -----------------------------------------------------------------------------------------------------------


class OpenedView(BaseModel):
    """An opening was counted."""

    name: str


TELL_EXAMPLE: dict[str, Any] = {"demand": NEW_TICKET_EXAMPLE["demand"], "remark": "已告知办理时间为工作日。"}


@router.post(
    "/{name}/tell",
    status_code=201,
    summary="以该知识即时答复",
    operation_id="tell_article",
    response_model=ActResult,
    openapi_extra=with_example(TELL_EXAMPLE),
)
def tell_article(name: NamePath, order: telling.TellOrder, edge: EdgeDep) -> Response:
    """One act from the article to an answered contact: the demand registered, answered, and noted who was told which version."""
    reader = Reader(edge.session, edge.actor, edge.runtime.office, edge.at)
    return edge.perform(
        order,
        lambda desk: telling.tell(desk, name, order),
        lambda case: reader.result(case.ticket, case.assignments, case.clocks, there=case.there),
        status=201,
        version=lambda case: case.ticket.version,
    )


@router.post("/{name}/opened", summary="记录查看", operation_id="open_article", response_model=OpenedView)
def open_article(name: NamePath, edge: EdgeDep) -> Response:
    """Count that an article was opened to be read."""
    return edge.perform(
        None,
        lambda desk: telling.opened(desk.session, desk.actor, name, desk.at),
        lambda version: OpenedView(name=articles.reference(version)),
    )


# --- upkeep ------------------------------------------------------------------------------------------------------------


class UpkeepItem(BaseModel):
    """One thing to look at, and who should act."""

    kind: Upkeep
    label: str = Field(examples=["即将失效"])
    detail: str
    name: str | None
    question: str | None
    other: str | None
    unit: str | None = Field(description="应由哪个单位处理；为空由平台知识库管理员处理")
    act: str = Field(examples=["知识库管理员"])
    since: date | None
    facts: dict[str, Any]


@router.get(
    "/upkeep", summary="知识维护事项", operation_id="knowledge_upkeep", response_model=list[UpkeepItem]
)
def knowledge_upkeep(
    edge: ReadDep,
    kind: Upkeep | None = None,
    days: Annotated[int, Query(ge=0, le=365, description="提前多少天提示将失效的")] = freshness.EXPIRING_DAYS,
    limit: Annotated[int, Query(ge=1, le=200, description="每类至多列出多少项")] = 100,
) -> list[UpkeepItem]:
    """What of the articles one maintains has to be looked at (art. 20, 28)."""
    found = freshness.upkeep(edge.session, edge.actor, edge.at, kind=kind, days=days, limit=limit)
    return [
        UpkeepItem(
            kind=item.kind,
            label=item.kind.label,
            detail=item.detail,
            name=item.name,
            question=item.question,
            other=item.other,
            unit=item.unit,
            act=f"承办单位 {item.unit}" if item.unit else "知识库管理员",
            since=item.since,
            facts=item.facts,
        )
        for item in found
    ]


class PairView(BaseModel):
    """Two articles somebody looked at."""

    article: int
    other: int
    kind: Upkeep
    remark: str | None
    settled_by: str | None


@router.post(
    "/upkeep/pairs/{article}/{other}/settle",
    summary="核对疑似重复或矛盾",
    operation_id="settle_pair",
    response_model=PairView,
    openapi_extra=with_example({"remark": "适用对象不同，两条均保留。"}),
)
def settle_pair(
    article: fields.KeyPath, other: fields.KeyPath, order: neighbours.SettlePair, edge: EdgeDep
) -> Response:
    """Two articles were looked at and stay as they are, with the reason."""
    return edge.perform(
        order,
        lambda desk: neighbours.settle_pair(desk, article, other, order),
        lambda pair: PairView(
            article=pair.article_id,
            other=pair.other_id,
            kind=pair.kind,
            remark=pair.remark,
            settled_by=pair.settled_by,
        ),
    )


class MissView(BaseModel):
    """A need that was dealt with: how many days' searches it stood for."""

    query: str
    days: int


@router.post(
    "/upkeep/misses/settle",
    summary="采集需求已处理",
    operation_id="settle_miss",
    response_model=MissView,
    openapi_extra=with_example({"query": "无人机飞行许可", "article": "12@3"}),
)
def settle_miss(order: freshness.SettleMiss, edge: EdgeDep) -> Response:
    """What was looked for in vain is dealt with (art. 20)."""
    return edge.perform(
        order,
        lambda desk: freshness.settle_miss(desk, order),
        lambda days: MissView(query=order.query, days=days),
    )
