"""知识库 over HTTP: writing, the steps of a version's life, reading, differences, files, import and export. Art. 19-23."""

import hashlib
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Body, File, Path, Query, Response, UploadFile
from pydantic import BaseModel, Field

from api.problems import PROBLEMS
from api.wiring import Edge, EdgeDep, ReadDep, with_example
from hotline import fields
from hotline.uploads import ALLOWED
from knowledge_base import articles, exporting, files, importing, lifecycle
from knowledge_base.differences import differences
from knowledge_base.models import Article, ArticleVersion
from knowledge_base.orders import ArticleOrder, StepOrder
from knowledge_base.views import (
    ArticleLine,
    ArticleView,
    KnowledgeFileView,
    Shelf,
    VersionLine,
    Wanted,
    file_view,
    listed,
)
from workflow.errors import OrderInvalid
from workflow.vocabulary import ArticleKind, KnowledgeStep, Relation, VersionState

router = APIRouter(prefix="/api/v1/knowledge", tags=["知识库"], responses=PROBLEMS)

Version = Annotated[int, Path(ge=1, le=2**31 - 1)]
ARTICLE_EXAMPLE = {
    "question": "供暖室温标准是多少度？",
    "answer": "采暖期内，居民卧室、起居室温度**不低于18℃**；不达标的，供热单位应当在接到反映后24小时内上门测温。",
    "kind": "qa",
    "legal_basis": "供热用热管理办法",
    "categories": ["010101"],
    "areas": ["630100000000"],
    "synonyms": ["暖气不热", "家里冷"],
    "valid_from": "2026-10-15",
    "valid_until": "2027-04-15",
}


def _shelf(edge: Edge) -> Shelf:
    return Shelf(edge.session, edge.actor, edge.at)


# --- lists and imports (before the addresses that name an article) -------------------------------------------------------


class ArticlePage(BaseModel):
    """One page of a list; `next` is the cursor of the page after it."""

    items: list[ArticleLine]
    next: str | None


class ArticleQuery(BaseModel):
    """The filters of a list."""

    model_config = {"extra": "forbid"}

    state: list[VersionState] = Field(
        default=[], description="一个或多个状态，缺省为已发布；草稿仅维护者可见"
    )
    kind: ArticleKind | None = None
    unit: fields.Code | None = Field(default=None, description="承办单位代码")
    platform: str | None = Field(default=None, pattern=r"^[0-9]{2}$")
    category: str | None = Field(default=None, pattern=r"^[0-9]{2,6}$", description="诉求分类代码，含下级")
    area: str | None = Field(default=None, pattern=r"^[0-9]{2,12}$", description="行政区划代码，含下级")
    relation: Relation | None = Field(default=None, description="只列本地补充或本地替代")
    source: int | None = Field(default=None, ge=1, le=2**62, description="只列补充或替代该条的")
    review_before: date | None = Field(default=None, description="复核日期不晚于")
    mine: bool = Field(default=False, description="只列本单位或本平台维护的")
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(
        default=None, pattern=r"^[0-9]{1,18}@[0-9]{1,9}$", description="上一页返回的 next"
    )


@router.get("", summary="知识列表", operation_id="list_articles", response_model=ArticlePage)
def list_articles(query: Annotated[ArticleQuery, Query()], edge: ReadDep) -> ArticlePage:
    """The articles the actor sees, newest first: province ones with what is local beside them, local ones saying so."""
    after = query.cursor.split("@") if query.cursor else None
    wanted = Wanted(
        states=tuple(query.state) or (VersionState.PUBLISHED,),
        kind=query.kind,
        unit=query.unit,
        platform=query.platform,
        category=query.category,
        area=query.area.rstrip("0") if query.area else None,
        relation=query.relation,
        source=query.source,
        due_for_review=query.review_before,
        mine=query.mine,
        after=(int(after[0]), int(after[1])) if after else None,
        limit=query.limit + 1,
    )
    rows = listed(edge.session, edge.actor, wanted)
    items = _shelf(edge).lines(rows[: query.limit])
    return ArticlePage(items=items, next=items[-1].name if len(rows) > query.limit else None)


@router.post(
    "",
    status_code=201,
    summary="新增知识",
    operation_id="write_article",
    openapi_extra=with_example(ARTICLE_EXAMPLE),
    response_model=ArticleView,
)
def write_article(order: ArticleOrder, edge: EdgeDep) -> Response:
    """A draft of a new article, by the unit answerable for it or the platform's editor (art. 22)."""
    return edge.perform(
        order,
        lambda desk: articles.write(desk.session, desk.actor, order, at=desk.at),
        _shelf(edge).whole,
        status=201,
        version=lambda version: version.version,
    )


@router.get(
    "/export",
    summary="导出知识",
    operation_id="export_knowledge",
    response_class=Response,
    responses={
        **PROBLEMS,
        200: {"content": {kind: {} for kind in exporting.MEDIA_TYPES.values()}, "description": "文件内容"},
    },
)
def export_knowledge(
    edge: ReadDep,
    format: Annotated[Literal["csv", "xlsx", "jsonl"], Query(description="文件格式")] = "csv",  # noqa: A002 - the parameter's own name
) -> Response:
    """The published articles the actor sees, as a file that can be imported again without loss."""
    content = exporting.export(edge.session, edge.actor, format)
    name = quote(f"知识库-{edge.at:%Y%m%d}.{format}", safe="")
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }
    return Response(content, media_type=exporting.MEDIA_TYPES[format], headers=headers)


class _Import(BaseModel):
    preview: bool
    skip_bad: bool


@router.post(
    "/import",
    summary="导入办事指南",
    operation_id="import_knowledge",
    response_model=importing.Report,
)
def import_knowledge(
    edge: EdgeDep,
    file: Annotated[UploadFile, File(description="CSV 或 Excel，表头见模板")],
    preview: Annotated[bool, Query(description="只检查并报告，不导入")] = True,
    skip_bad: Annotated[bool, Query(description="跳过有误的行，导入其余的行")] = False,
) -> Response:
    """Check or import matters as drafts of the actor's platform: each row new, changed, unchanged or bad. All or nothing, unless
    bad rows are skipped."""
    content = file.file.read(edge.runtime.office.blobs.max_bytes + 1)
    rows = importing.read_rows(content)

    def run(desk: Any) -> importing.Report:
        return importing.import_rows(
            desk.session, desk.actor, rows, at=desk.at, preview=preview, skip_bad=skip_bad
        )

    return edge.perform(
        _Import(preview=preview, skip_bad=skip_bad),
        run,
        lambda report: report,
        extra_fingerprint=hashlib.sha256(content).hexdigest(),
    )


# --- one article -------------------------------------------------------------------------------------------------------


@router.get("/{name}", summary="知识条目", operation_id="read_article", response_model=ArticleView)
def read_article(name: str, edge: ReadDep) -> Response:
    """One version by its name (`12@3`), or the standing one (`12`), rendered, with what lies beside it and the steps open to the
    actor; the ETag is the version for If-Match."""
    version = articles.find(edge.session, edge.actor, name)
    view = _shelf(edge).whole(version)
    headers = {"ETag": f'"{view.current_version or view.version}"', "Cache-Control": "private, no-store"}
    return Response(view.model_dump_json(), media_type="application/json", headers=headers)


@router.post(
    "/{article}/versions",
    status_code=201,
    summary="更新知识",
    operation_id="revise_article",
    openapi_extra=with_example(ARTICLE_EXAMPLE | {"change_note": "补充测温时限", "based_on": 1}),
    response_model=ArticleView,
)
def revise_article(article: fields.KeyPath, order: ArticleOrder, edge: EdgeDep) -> Response:
    """A new version, as a draft; the old ones stay readable (art. 22). 412 if somebody saved a newer one meanwhile."""
    return edge.perform(
        order,
        lambda desk: articles.write(
            desk.session,
            desk.actor,
            order,
            at=desk.at,
            article_id=article,
            expected_version=desk.expected_version,
        ),
        _shelf(edge).whole,
        status=201,
        version=lambda version: version.version,
    )


class History(BaseModel):
    """An article's versions, newest first."""

    versions: list[VersionLine]


@router.get(
    "/{article}/versions", summary="知识版本", operation_id="article_versions", response_model=History
)
def article_versions(article: fields.KeyPath, edge: ReadDep) -> History:
    """Every version the actor may read."""
    found = _shelf(edge).history(article)
    if not found:
        articles.find(edge.session, edge.actor, str(article))
    return History(versions=found)


class PieceView(BaseModel):
    """A passage: stays, is put in, or is taken out."""

    op: Literal["equal", "insert", "delete"]
    text: str


class FieldChangeView(BaseModel):
    """One field that differs."""

    field: str
    label: str
    before: Any
    after: Any
    pieces: list[PieceView]


class DiffView(BaseModel):
    """What differs between two versions, field by field."""

    before: str
    after: str
    changes: list[FieldChangeView]


@router.get("/{article}/diff", summary="版本差异", operation_id="article_diff", response_model=DiffView)
def article_diff(
    article: fields.KeyPath,
    edge: ReadDep,
    before: Annotated[int, Query(alias="from", ge=1, le=2**31 - 1, description="较早的版本号")],
    after: Annotated[int, Query(alias="to", ge=1, le=2**31 - 1, description="较晚的版本号")],
) -> DiffView:
    """What differs between two versions, down to the characters."""
    old, new = (articles.find(edge.session, edge.actor, f"{article}@{number}") for number in (before, after))
    changes = [
        FieldChangeView(
            field=change.field,
            label=change.label,
            before=change.before,
            after=change.after,
            pieces=[PieceView.model_construct(op=p.op, text=p.text) for p in change.pieces],
        )
        for change in differences(old, new)
    ]
    return DiffView(before=articles.reference(old), after=articles.reference(new), changes=changes)


# --- steps -------------------------------------------------------------------------------------------------------------


def operation_of(step: KnowledgeStep) -> str:
    """The operation's name of a step's route."""
    return f"{step.value}_article"


def _step_endpoint(step: KnowledgeStep) -> Callable[..., Response]:
    def endpoint(article: Any, order: Any, edge: Any) -> Response:
        return _take(edge, article, step, order)

    body: Any = Annotated[StepOrder, Body(default_factory=StepOrder)]
    endpoint.__annotations__ = {
        "article": fields.KeyPath,
        "order": body,
        "edge": EdgeDep,
        "return": Response,
    }
    endpoint.__name__ = operation_of(step)
    endpoint.__doc__ = (
        f"{step.label}: one step in the life of the article's newest version, done by {_who(step)}."
    )
    return endpoint


def _who(step: KnowledgeStep) -> str:
    return "、".join(role.label for role in sorted(lifecycle.roles_of(step)))


def _take(edge: Edge, article: int, step: KnowledgeStep, order: StepOrder) -> Response:
    def run(desk: Any) -> ArticleVersion:
        return lifecycle.take_step(
            desk.session,
            desk.actor,
            article,
            step,
            order,
            at=desk.at,
            expected_version=desk.expected_version,
        )

    def newest(version: ArticleVersion) -> int:
        return edge.session.get_one(Article, version.article_id).current_version

    return edge.perform(order, run, _shelf(edge).whole, version=newest)


for _step in lifecycle.BY_ROUTE:
    _owed = any(rule.reason for rule in lifecycle.STEPS if rule.step is _step)
    router.add_api_route(
        f"/{{article}}/{_step.value}",
        _step_endpoint(_step),
        methods=["POST"],
        summary=_step.label,
        operation_id=operation_of(_step),
        response_model=ArticleView,
        openapi_extra=with_example({"reason": "依据条款有误，请核对后修改。"} if _owed else {}),
    )


# --- files -------------------------------------------------------------------------------------------------------------


@router.post(
    "/{article}/versions/{version}/files",
    status_code=201,
    summary="添加知识附件",
    operation_id="attach_to_article",
    response_model=KnowledgeFileView,
)
def attach_to_article(
    article: fields.KeyPath,
    version: Version,
    edge: EdgeDep,
    file: Annotated[UploadFile, File(description="文件；类型按内容判定")],
) -> Response:
    """Add a form or a policy's text to the newest draft; stored by content hash."""
    office = edge.runtime.office
    content = file.file.read(office.blobs.max_bytes + 1)
    order = _file_order(file.filename)
    return edge.perform(
        order,
        lambda desk: files.attach(
            desk.session, desk.actor, office.blobs, article, version, order.name, content, at=desk.at
        ),
        file_view,
        status=201,
        extra_fingerprint=hashlib.sha256(content).hexdigest(),
    )


def _file_order(name: str | None) -> files.FileOrder:
    try:
        return files.FileOrder(name=name or "未命名")
    except ValueError:
        raise OrderInvalid("文件名过长或包含无法保存的字符，请改名后上传。", field="file") from None


@router.get(
    "/{article}/versions/{version}/files/{file}",
    summary="下载知识附件",
    operation_id="download_of_article",
    response_class=Response,
    responses={**PROBLEMS, 200: {"content": {kind: {} for kind in ALLOWED}, "description": "文件内容"}},
)
def download_of_article(
    article: fields.KeyPath, version: Version, file: fields.KeyPath, edge: ReadDep
) -> Response:
    """The file's bytes, always as a download, never interpreted by the browser as a page."""
    found, content = files.content_of_file(
        edge.session, edge.actor, edge.runtime.office.blobs, article, version, file
    )
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store",
        "ETag": f'"{found.sha256}"',
    }
    return Response(content, media_type=found.media_type, headers=headers)
