"""Supervision over HTTP: reminders, accountability notices, emergencies. Art. 14(8), 17, 34, 35."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel
from sqlalchemy import ColumnElement, select
from sqlmodel import col

from api.problems import PROBLEMS
from api.wiring import EdgeDep, ReadDep, with_example
from hotline import fields, supervision
from hotline import orders as o
from hotline.access import Actor
from hotline.models import AccountabilityNotice, Reminder, Ticket
from hotline.organisation import Emergency, OrgUnit, Platform
from hotline.privacy.concealment import cleaned, cleaner
from workflow.vocabulary import ReminderForm

router = APIRouter(prefix="/api/v1", tags=["督办"], responses=PROBLEMS)


class ReminderView(BaseModel):
    """One reminder, covering one or more clocks."""

    id: int
    unit: str | None
    form: ReminderForm
    rung: int
    content: str
    clocks: list[dict[str, Any]]
    sent_by: str
    created_at: datetime


class NoticeView(BaseModel):
    """One accountability notice (通报) and the unit's answer."""

    id: int
    unit: str
    issued_at: datetime
    content: str
    answer: str | None
    answered_by: str | None
    answered_at: datetime | None


class EmergencyView(BaseModel):
    """A declared emergency: scope and end."""

    id: int
    title: str
    basis: str
    area: str
    declared_at: datetime
    until: datetime
    ended_at: datetime | None


EMERGENCY_EXAMPLE = {
    "title": "暴雪应急",
    "basis": "市政府启动暴雪Ⅲ级应急响应",
    "area": "630104000000",
    "until": "2026-12-01T08:00:00+08:00",
}


def _mine(table: Any, actor: Actor) -> ColumnElement[bool]:
    if actor.is_unit:
        return col(table.unit_id) == actor.unit_id
    return col(table.platform_id).in_(sorted(actor.platform_ids))


@router.get(
    "/reminders", summary="督办提醒", operation_id="list_reminders", response_model=list[ReminderView]
)
def list_reminders(edge: ReadDep, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> list[ReminderView]:
    """The newest reminders to the actor's unit, or of the platforms the actor sees."""
    rows = edge.session.execute(
        select(Reminder, col(OrgUnit.code), Ticket)
        .outerjoin(OrgUnit, col(OrgUnit.id) == col(Reminder.unit_id))
        .outerjoin(Ticket, col(Ticket.id) == col(Reminder.ticket_id))
        .where(_mine(Reminder, edge.actor))
        .order_by(col(Reminder.id).desc())
        .limit(limit)
    )
    sealer = edge.runtime.office.sealer
    return [
        ReminderView(**reminder.model_dump(), unit=code)
        if ticket is None  # composed by the program, of numbers and dates
        else cleaned(ReminderView(**reminder.model_dump(), unit=code), cleaner(sealer, edge.actor, ticket))
        for reminder, code, ticket in rows
    ]


@router.get("/accountability", summary="通报", operation_id="list_notices", response_model=list[NoticeView])
def list_notices(edge: ReadDep, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> list[NoticeView]:
    """The newest accountability notices to the actor's unit, or of the platforms the actor sees."""
    rows = edge.session.execute(
        select(AccountabilityNotice, col(OrgUnit.code))
        .join(OrgUnit, col(OrgUnit.id) == col(AccountabilityNotice.unit_id))
        .where(_mine(AccountabilityNotice, edge.actor))
        .order_by(col(AccountabilityNotice.id).desc())
        .limit(limit)
    )
    return [NoticeView(**notice.model_dump(), unit=code) for notice, code in rows]


@router.post(
    "/accountability/{notice}/answer",
    summary="说明情况",
    operation_id="answer_notice",
    openapi_extra=with_example({"reason": "已约谈责任人并整改，附整改说明。"}),
    response_model=NoticeView,
)
def answer_notice(notice: fields.KeyPath, order: o.ReasonOrder, edge: EdgeDep) -> Response:
    """The unit's answer to a notice, once (art. 35)."""
    return edge.perform(
        order,
        lambda desk: supervision.answer_notice(desk, notice, order),
        lambda found: NoticeView(
            **found.model_dump(), unit=edge.session.get_one(OrgUnit, found.unit_id).code
        ),
    )


@router.get(
    "/emergencies", summary="应急事件", operation_id="list_emergencies", response_model=list[EmergencyView]
)
def list_emergencies(edge: ReadDep) -> list[EmergencyView]:
    """The newest declared emergencies of the actor's platforms and of the one above, whose tickets may skip levels."""
    parents = select(col(Platform.parent_id)).where(col(Platform.id).in_(sorted(edge.actor.platform_ids)))
    rows = edge.session.execute(
        select(Emergency)
        .where(
            col(Emergency.platform_id).in_(sorted(edge.actor.platform_ids))
            | col(Emergency.platform_id).in_(parents)
        )
        .order_by(col(Emergency.id).desc())
        .limit(200)
    ).scalars()
    return [_emergency_view(e) for e in rows]


def _emergency_view(emergency: Emergency) -> EmergencyView:
    return EmergencyView(**emergency.model_dump(), area=emergency.area_code)


@router.post(
    "/emergencies",
    status_code=201,
    summary="宣布应急",
    operation_id="declare_emergency",
    openapi_extra=with_example(EMERGENCY_EXAMPLE),
    response_model=EmergencyView,
)
def declare_emergency(order: o.EmergencyOrder, edge: EdgeDep) -> Response:
    """Declare an emergency: from now on tickets of its area may go straight to the unit concerned (art. 17)."""
    return edge.perform(
        order, lambda desk: supervision.declare_emergency(desk, order), _emergency_view, status=201
    )


@router.post(
    "/emergencies/{emergency}/end",
    summary="结束应急",
    operation_id="end_emergency",
    response_model=EmergencyView,
)
def end_emergency(emergency: fields.KeyPath, edge: EdgeDep) -> Response:
    """End an emergency before its time (art. 17)."""
    return edge.perform(None, lambda desk: supervision.end_emergency(desk, emergency), _emergency_view)
