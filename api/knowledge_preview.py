"""How a knowledge article that is being written will look, and how it will be read out."""

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.problems import PROBLEMS
from api.wiring import EdgeDep, with_example
from hotline.fields import Demanded, Order
from knowledge_base import rendering
from knowledge_base.orders import Guide

router = APIRouter(prefix="/api/v1/knowledge", tags=["知识库"], responses=PROBLEMS)


class PreviewOrder(Order):
    """What is typed so far: the answer, and the guide where there is one."""

    answer: Demanded = Field(title="答复口径", description="Markdown")
    guide: Guide | None = Field(default=None, title="办事指南")


class PreviewView(BaseModel):
    """The same as of a saved version."""

    html: str = Field(description="只含少数标签的安全 HTML")
    text: str = Field(description="读给来电人听的文字")


@router.post(
    "/preview",
    summary="预览知识",
    operation_id="preview_article",
    response_model=PreviewView,
    openapi_extra=with_example({"answer": "**当场办结**，请带：\n\n1. 身份证\n2. 户口簿"}),
)
def preview_article(order: PreviewOrder, edge: EdgeDep) -> Response:
    """The answer's Markdown as the page and the telephone will have it. Nothing is kept."""
    guide = order.guide.as_data() if order.guide is not None else {}
    shown = PreviewView(html=rendering.as_html(order.answer), text=rendering.told_text(order.answer, guide))
    return edge.perform(order, lambda _desk: shown, lambda view: view)
