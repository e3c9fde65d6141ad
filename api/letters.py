"""督办函 over HTTP: letters to many units at once, listed, and each as a PDF (art. 14(8))."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from api.hotspots import KeyPage
from api.problems import PROBLEMS
from api.wiring import EdgeDep, ReadDep, with_example
from hotline.fields import KeyPath
from hotline.letters import issuing, printing
from hotline.letters.issuing import Issued, LettersOrder
from hotline.letters.tables import Letter
from workflow.vocabulary import AuditKind, ReminderForm

router = APIRouter(prefix="/api/v1/letters", tags=["督办"], responses=PROBLEMS)


class LetterView(BaseModel):
    """One letter. As a PDF: GET /letters/{id}/pdf."""

    id: int
    written: str = Field(description="发文字号", examples=["督办函〔2026〕12号"])
    unit: str = Field(description="承办单位代码")
    unit_name: str
    form: ReminderForm
    words: str | None = Field(description="督办意见")
    items: list[dict[str, Any]] = Field(
        description="逐项：number 工单、kind 时限、article 条款、due_on 届满日、late 是否逾期"
    )
    issued_by: str
    issued_at: datetime


class LettersView(BaseModel):
    """The letters of one order."""

    letters: list[LetterView]
    left_out: list[str] = Field(description="未发函的工单：没有承办单位仍在办理，或不属本平台")


class LetterPage(BaseModel):
    """One page of letters, the newest first."""

    items: list[LetterView]
    next: int | None


def _view(letter: Letter) -> LetterView:
    told = letter.content
    return LetterView(
        id=letter.id,
        written=printing.number_of(letter),
        unit=told["unit_code"],
        unit_name=told["unit"],
        form=ReminderForm(told["form"]),
        words=told["words"],
        items=told["items"],
        issued_by=letter.issued_by,
        issued_at=letter.issued_at,
    )


def _issued(done: Issued) -> LettersView:
    return LettersView(letters=[_view(letter) for letter in done.letters], left_out=done.left_out)


@router.post(
    "",
    status_code=201,
    summary="批量督办",
    operation_id="issue_letters",
    response_model=LettersView,
    openapi_extra=with_example(
        {
            "form": "written_notice",
            "filter": {"overdue": True, "owed_by": "XN-ZJJ"},
            "content": "请于两日内办结并反馈。",
        }
    ),
)
def issue_letters(order: LettersOrder, edge: EdgeDep) -> Response:
    """One letter to each unit that owes something on these tickets; every ticket's ledger, the unit's events and notices say so."""
    return edge.perform(order, lambda desk: issuing.issue(desk, order), _issued, status=201)


@router.get("", summary="督办函列表", operation_id="list_letters", response_model=LetterPage)
def list_letters(query: Annotated[KeyPage, Query()], edge: ReadDep) -> LetterPage:
    """The letters to the actor's unit, or of the platforms the actor sees, the newest first."""
    page, following = issuing.listed(edge.session, edge.actor, limit=query.limit, before=query.before)
    return LetterPage(items=[_view(letter) for letter in page], next=following)


@router.get(
    "/{letter}/pdf",
    summary="下载督办函",
    operation_id="print_letter",
    response_class=Response,
    responses={**PROBLEMS, 200: {"content": {"application/pdf": {}}, "description": "督办函"}},
)
def print_letter(letter: Annotated[KeyPath, Path()], edge: ReadDep) -> Response:
    """The letter as a PDF, the same bytes each time; the download is recorded."""
    found = issuing.found(edge.session, edge.actor, letter)
    edge.audit(AuditKind.FILE_READ, platform_id=found.platform_id, what={"letter": found.id})
    edge.session.commit()  # nothing of the database is held while it is printed
    content = printing.pdf(found, edge.runtime.settings.font_dir)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(printing.number_of(found), safe='')}.pdf",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store",
    }
    return Response(content, media_type="application/pdf", headers=headers)
