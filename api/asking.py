"""Call-backs after a correction, the unit's duty after an inquiry, questions to units, over HTTP. Art. 23, 28."""

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.acts import NumberPath
from api.problems import PROBLEMS
from api.searching import FoundView, found_view
from api.wiring import Edge, EdgeDep, ReadDep, with_example
from hotline import fields
from hotline.shapes import ActResult
from hotline.views import Reader
from knowledge_base import articles, drafts, questions, recalls
from knowledge_base.orders import ArticleOrder
from knowledge_base.rendering import as_text
from workflow.vocabulary import QuestionState, RecallReason

router = APIRouter(prefix="/api/v1", tags=["知识库"], responses=PROBLEMS)

# --- call-backs (art. 28) ----------------------------------------------------------------------------------------------


class RecallView(BaseModel):
    """One caller who was told an answer that no longer holds; who the caller is stays with the ticket."""

    id: int
    number: str = Field(description="工单编号")
    reason: RecallReason
    reason_label: str = Field(examples=["答复已更正"])
    question: str
    told: str = Field(description="当时告知的版本", examples=["12@3"])
    told_answer: str = Field(description="当时读给来电人听的文字")
    told_by: str
    told_at: datetime
    by: str = Field(description="使其失效的版本", examples=["12@4"])
    now: str | None = Field(description="现行版本；没有则为空")
    now_answer: str | None
    listed_at: datetime
    settled_by: str | None
    settled_at: datetime | None
    reached: bool | None
    remark: str | None


def _recall_view(row: recalls.RecallRow) -> RecallView:
    recall, told, now = row.recall, row.telling, row.now
    return RecallView(
        id=recall.id,
        number=row.ticket.number,
        reason=recall.reason,
        reason_label=recall.reason.label,
        question=row.told.question,
        told=articles.reference(row.told),
        told_answer=as_text(row.told.answer),
        told_by=told.told_by,
        told_at=told.told_at,
        by=f"{told.article_id}@{recall.by_version}",
        now=articles.reference(now) if now is not None else None,
        now_answer=as_text(now.answer) if now is not None else None,
        listed_at=recall.listed_at,
        settled_by=recall.settled_by,
        settled_at=recall.settled_at,
        reached=recall.reached,
        remark=recall.remark,
    )


@router.get(
    "/knowledge/recalls", summary="更正回访清单", operation_id="list_recalls", response_model=list[RecallView]
)
def list_recalls(
    edge: ReadDep,
    settled: Annotated[bool, Query(description="列已处理的")] = False,
    after: Annotated[int, Query(ge=0, le=2**62, description="上一页最后一条的编号")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[RecallView]:
    """Who was told an answer that was corrected, expired or withdrawn since, oldest first (art. 28)."""
    rows = recalls.owed(edge.session, edge.actor, settled=settled, after=after, limit=limit)
    return [_recall_view(row) for row in rows]


@router.post(
    "/knowledge/recalls/{recall}/settle",
    summary="更正回访结果",
    operation_id="settle_recall",
    response_model=RecallView,
    openapi_extra=with_example({"reached": True, "remark": "已电话说明更正后的办理时限。", "told": "12@4"}),
)
def settle_recall(recall: fields.KeyPath, order: recalls.SettleRecall, edge: EdgeDep) -> Response:
    """The call-back was made: reached or not, what was said, what the caller has been told now."""
    return edge.perform(order, lambda desk: recalls.settle(desk, recall, order), _recall_view)


# --- the unit's duty (art. 23) -----------------------------------------------------------------------------------------


class KnowledgeDutyView(BaseModel):
    """One unit's open knowledge duty on one ticket."""

    number: str
    title: str
    unit: str
    unit_name: str
    opened_at: datetime
    due_on: date
    due_at: datetime
    working_days_left: int
    overdue: bool


@router.get(
    "/knowledge/duties",
    summary="待完善的知识",
    operation_id="knowledge_duties",
    response_model=list[KnowledgeDutyView],
)
def knowledge_duties(
    edge: ReadDep, limit: Annotated[int, Query(ge=1, le=200)] = 100
) -> list[KnowledgeDutyView]:
    """The knowledge clocks still open of the actor's unit or platforms, those due first; overdue ones stay (art. 23)."""
    found = drafts.duties(edge.session, edge.runtime.office, edge.actor, edge.at, limit=limit)
    return [
        KnowledgeDutyView(
            number=duty.ticket.number,
            title=drafts.clean_title(edge.runtime.office.sealer, duty.ticket),
            unit=duty.unit.code,
            unit_name=duty.unit.name,
            opened_at=duty.clock.opened_at,
            due_on=duty.clock.due_on,
            due_at=duty.clock.due_at,
            working_days_left=duty.working_days_left,
            overdue=duty.overdue,
        )
        for duty in found
    ]


class ProposedDraftView(BaseModel):
    """A draft proposed from a ticket: fields ready to be handed in, and articles that may say it already."""

    number: str
    article: ArticleOrder
    unit: str
    unit_name: str
    due_on: date | None = Field(description="完善期限；没有待完成的任务则为空")
    similar: list[FoundView] = Field(description="可能已有的知识，可改为更新其中一条")
    notice: str


@router.get(
    "/tickets/{number}/knowledge-draft",
    summary="由工单整理知识草稿",
    operation_id="propose_draft",
    response_model=ProposedDraftView,
)
def propose_draft(number: NumberPath, edge: ReadDep) -> ProposedDraftView:
    """A draft from the question and the unit's reply, personal data, salutation and closing words removed (art. 23)."""
    proposal = drafts.propose(edge.desk(), edge.runtime.library, number)
    platforms, _ = articles.names_of(
        edge.session, {each.article.id: each.article for each in proposal.similar}
    )
    codes = {platform.id: platform.code for platform in platforms.values()}
    return ProposedDraftView(
        number=proposal.ticket.number,
        article=proposal.order,
        unit=proposal.unit.code,
        unit_name=proposal.unit.name,
        due_on=proposal.due_on,
        similar=[found_view(each, codes) for each in proposal.similar],
        notice="草稿由系统整理，已隐去可识别的个人信息；提交前请人工核对，并删去只与本次来电有关的内容。",
    )


class SubmittedView(BaseModel):
    """The unit's draft and the ticket whose duty it meets."""

    name: str = Field(examples=["12@1"])
    state: str
    state_label: str
    ticket: ActResult


SUBMIT_EXAMPLE: dict[str, Any] = {
    "question": "公积金异地提取需要哪些材料？",
    "answer": "凭身份证、公积金联名卡和异地购房合同原件办理，3个工作日内办结。",
    "categories": ["010101"],
    "reason": "现有知识未涵盖异地提取。",
}


@router.post(
    "/tickets/{number}/knowledge",
    status_code=201,
    summary="报送知识并完成完善任务",
    operation_id="submit_knowledge",
    response_model=SubmittedView,
    openapi_extra=with_example(SUBMIT_EXAMPLE),
)
def submit_knowledge(number: NumberPath, order: drafts.SubmitKnowledge, edge: EdgeDep) -> Response:
    """The unit's draft, tied to the ticket and submitted to its review, meets the ticket's knowledge clock, at once (art. 23)."""
    reader = Reader(edge.session, edge.actor, edge.runtime.office, edge.at)
    return edge.perform(
        order,
        lambda desk: drafts.submit(desk, number, order),
        lambda done: SubmittedView(
            name=articles.reference(done[1]),
            state=done[1].state.value,
            state_label=done[1].state.label,
            ticket=reader.result(done[0].ticket, done[0].assignments, done[0].clocks),
        ),
        status=201,
        version=lambda done: done[0].ticket.version,
    )


# --- questions to units (art. 23) --------------------------------------------------------------------------------------


class QuestionView(BaseModel):
    """One question to a unit (知识提问)."""

    id: int
    state: QuestionState
    state_label: str
    unit: str
    unit_name: str
    ticket: str | None = Field(description="由哪个工单引起；看不到该工单则为空")
    question: str
    background: str | None
    asked_by: str
    asked_at: datetime
    due_on: date
    due_at: datetime
    overdue: bool
    lapsed_at: datetime | None
    answer: str | None
    answered_by: str | None
    answered_at: datetime | None
    article: str | None = Field(description="答复所指或由答复转成的知识版本")


def _question_view(edge: Edge, asked: questions.Asked) -> QuestionView:
    question = asked.question
    return QuestionView(
        id=question.id,
        state=question.state,
        state_label=question.state.label,
        unit=asked.unit.code,
        unit_name=asked.unit.name,
        ticket=asked.ticket,
        question=question.question,
        background=question.background,
        asked_by=question.asked_by_name,
        asked_at=question.asked_at,
        due_on=question.due_on,
        due_at=question.due_at,
        overdue=question.lapsed_at is not None
        or (question.state is QuestionState.ASKED and question.due_at <= edge.at),
        lapsed_at=question.lapsed_at,
        answer=question.answer,
        answered_by=question.answered_by,
        answered_at=question.answered_at,
        article=f"{question.article_id}@{question.version}" if question.article_id is not None else None,
    )


@router.get(
    "/knowledge/questions",
    summary="知识提问",
    operation_id="list_questions",
    response_model=list[QuestionView],
)
def list_questions(
    edge: ReadDep,
    state: QuestionState | None = None,
    overdue: Annotated[bool, Query(description="只列逾期的")] = False,
    before: Annotated[int | None, Query(ge=1, le=2**62, description="上一页最后一条的编号")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[QuestionView]:
    """The questions to the actor's unit, or of the platforms the actor sees, newest first."""
    found = questions.listed(
        edge.session, edge.actor, edge.at, state=state, overdue=overdue, before=before, limit=limit
    )
    return [_question_view(edge, each) for each in found]


@router.post(
    "/knowledge/questions",
    status_code=201,
    summary="向承办单位提问",
    operation_id="ask_unit",
    response_model=QuestionView,
    openapi_extra=with_example(
        {
            "unit": "XN-ZJJ",
            "question": "老旧小区加装电梯的补贴标准是多少？",
            "background": "近期多位来电人询问，知识库无现行口径。",
        }
    ),
)
def ask_unit(order: questions.AskOrder, edge: EdgeDep) -> Response:
    """Ask a unit of one's own platform; due within the rule pack's working days (art. 23)."""
    return edge.perform(
        order,
        lambda desk: questions.ask(desk, order),
        lambda asked: _question_view(edge, asked),
        status=201,
    )


@router.post(
    "/knowledge/questions/{question}/answer",
    summary="答复知识提问",
    operation_id="answer_question",
    response_model=QuestionView,
    openapi_extra=with_example({"answer": "每台补贴20万元，由区住建局受理，10个工作日内审核。"}),
)
def answer_question(question: fields.KeyPath, order: questions.AnswerQuestion, edge: EdgeDep) -> Response:
    """The unit's answer, once; a late one is taken and stays late (art. 23)."""
    return edge.perform(
        order,
        lambda desk: questions.answer(desk, question, order),
        lambda asked: _question_view(edge, asked),
    )


@router.post(
    "/knowledge/questions/{question}/adopt",
    summary="答复转为知识草稿",
    operation_id="adopt_answer",
    response_model=QuestionView,
    openapi_extra=with_example({"categories": ["010101"]}),
)
def adopt_answer(question: fields.KeyPath, order: questions.AdoptOrder, edge: EdgeDep) -> Response:
    """The answer becomes a draft of the unit's knowledge, in one call (art. 23)."""
    return edge.perform(
        order,
        lambda desk: questions.adopt(desk, question, order),
        lambda asked: _question_view(edge, asked),
    )


@router.post(
    "/knowledge/questions/{question}/close",
    summary="关闭知识提问",
    operation_id="close_question",
    response_model=QuestionView,
)
def close_question(question: fields.KeyPath, edge: EdgeDep) -> Response:
    """The platform needs no answer any more, or makes nothing of it."""
    return edge.perform(
        None,
        lambda desk: questions.close(desk, question),
        lambda asked: _question_view(edge, asked),
    )
