"""What `hotline call` does: report a call as the telephony platform's machine."""

import secrets
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from api.operations import database_url, now
from hotline.access import Actor
from hotline.case import Desk
from hotline.desks import calls
from hotline.office import open_office
from hotline.organisation import Person
from hotline.privacy.masking import mask_phone
from hotline.settings import load_settings
from hotline.storage.store import make_engine
from workflow.errors import NotFound, OrderInvalid
from workflow.vocabulary import CallState, Role


def ring(
    agent: str, number: str | None, line: str, call_id: str | None, *, answered: bool, ended: bool
) -> tuple[dict[str, Any], str]:
    """Let a call ring at an agent, be answered or end; as data and as text. Raises `NotFound`, `OrderInvalid`."""
    settings = load_settings()
    at = now()
    engine = make_engine(database_url(settings), pool_size=1)
    try:
        with Session(engine, expire_on_commit=False) as session:
            home = session.execute(
                select(col(Person.platform_id)).where(col(Person.login) == agent)
            ).scalar_one_or_none()
            if home is None:
                raise NotFound(f"没有登录名为 {agent} 的平台人员。", field="agent")
            simulator = Actor(
                "system", None, "模拟来电", frozenset({Role.AGENT}), home, None, frozenset({home}), home
            )
            order = _order(agent, number, line, call_id)
            told = {"answered_at": at} if answered else {}
            told |= {"ended_at": at} if ended else {}
            call = calls.report(
                Desk(session, simulator, at, open_office(settings)), order.model_copy(update=told)
            )
            session.commit()
    finally:
        engine.dispose()
    state: CallState = calls.state_of(call)
    data = {"id": call.id, "call_id": order.call_id, "agent": agent, "state": state.value}
    return data, f"{state.label}：{mask_phone(number) or '隐藏号码'} → {agent}，通话标识 {order.call_id}"


def _order(agent: str, number: str | None, line: str, call_id: str | None) -> calls.CallReport:
    try:
        return calls.CallReport(
            call_id=call_id or f"simulated-{secrets.token_hex(6)}", number=number, line=line, agent=agent
        )
    except ValueError:
        raise OrderInvalid("号码、线路、登录名或通话标识的格式不正确，请核对。") from None
