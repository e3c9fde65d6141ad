"""`acts` tells the truth: at every step of several lives, for everybody concerned, what is offered works and what is not fails."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select, text
from sqlmodel import Session, col

from api.acts import ACT_ROUTES
from hotline import fields
from hotline.models import Ticket
from hotline.views import Reader
from tests.api.conftest import Api
from workflow.errors import RuleBroken
from workflow.lifecycle import MOVES
from workflow.vocabulary import Act, ClockKind, Role

ALL_OK = {"elements": {"quality": True, "process": True, "content": True, "completeness": True}}
ASKERS = ("agent", "agent2", "dispatcher", "reviewer", "callback", "supervisor", "auditor", "ZJJ", "JTJ")
NOT_OPEN = {"illegal_move", "act_not_granted", "access_refused", "not_found", "too_late", "order_invalid"}


GRANTED: dict[Act, frozenset[Role]] = {
    act: frozenset().union(*(move.roles for move in MOVES if move.act is act)) for act in Act
}


class Step(NamedTuple):
    """One act of a life, at a time in Asia/Shanghai."""

    at: str
    act: str
    login: str
    order: dict[str, Any]


def life(*steps: tuple[str, str, str, dict[str, Any]]) -> list[Step]:
    return [Step(*step) for step in steps]


ANSWERED = "2026-03-02T10:30:00+08:00"
LEAD_ALONE = {"lead": "ZJJ"}
WITH_CO = {"lead": "ZJJ", "co_units": ["JTJ"]}
LIVES: dict[str, tuple[str, str, list[Step]]] = {
    "an inquiry to its archive": ("inquiry", "accept", life(
        ("2026-03-02 10:00", "dispatch", "dispatcher", LEAD_ALONE),
        ("2026-03-02 11:00", "sign", "ZJJ", {}),
        ("2026-03-03 11:00", "convert_to_complex", "ZJJ", {"reason": "测试"}),
        ("2026-03-04 10:00", "request_extension", "ZJJ", {"reason": "complex", "explanation": "测试", "days": 3}),
        ("2026-03-04 11:00", "approve_extension", "supervisor", {}),
        ("2026-03-04 12:00", "notify_extension", "agent", {"reached": True, "remark": "测试"}),
        ("2026-03-05 10:00", "answer_citizen", "ZJJ", {}),
        ("2026-03-05 11:00", "reply", "ZJJ", {"content": "测试"}),
        ("2026-03-05 12:00", "review_pass", "reviewer", ALL_OK),
        ("2026-03-05 13:00", "record_callback", "callback", {"outcome": "unreachable"}),
        ("2026-03-06 13:00", "record_callback", "callback", {"outcome": "satisfied", "solved": True}),
        ("2026-03-06 14:00", "update_knowledge", "ZJJ", {"outcome": "no_change", "reason": "测试"}),
        ("2026-03-06 15:00", "archive", "agent", {}),
    )),
    "three returns and a lead by designation": ("complaint", "accept", life(
        *[
            step
            for k in range(3)
            for step in (
                (f"2026-03-0{2 + 2 * k} 10:00" if k < 1 else f"2026-03-{9 + k:02d} 10:00", "dispatch", "dispatcher", LEAD_ALONE),
                (f"2026-03-0{2 + 2 * k} 11:00" if k < 1 else f"2026-03-{9 + k:02d} 11:00", "propose_return", "ZJJ", {"grounds": "测试", "suggestion": "测试"}),
                (f"2026-03-0{2 + 2 * k} 12:00" if k < 1 else f"2026-03-{9 + k:02d} 12:00", "uphold_return", "dispatcher", {"reason": "测试"}),
            )
        ],
        ("2026-03-12 10:00", "designate", "supervisor", WITH_CO | {"basis": "测试"}),
        ("2026-03-12 11:00", "sign", "JTJ", {}),
        ("2026-03-12 12:00", "sign", "ZJJ", {}),
        ("2026-03-12 13:00", "reply", "JTJ", {"content": "测试"}),
    )),
    "a co-unit returns, is released, the lead goes on": ("complaint", "accept", life(
        ("2026-03-02 10:00", "dispatch", "dispatcher", WITH_CO),
        ("2026-03-02 11:00", "propose_return", "JTJ", {"grounds": "测试", "suggestion": "测试"}),
        ("2026-03-02 12:00", "reject_return", "dispatcher", {"reason": "测试"}),
        ("2026-03-02 13:00", "sign", "ZJJ", {}),
        ("2026-03-02 14:00", "reply", "ZJJ", {"content": "测试", "citizen_answered_at": "2026-03-02T13:30:00+08:00"}),
        ("2026-03-02 15:00", "release_unit", "dispatcher", {"unit": "JTJ", "reason": "测试"}),
        ("2026-03-02 16:00", "review_send_back", "reviewer", {"findings": {"content": "测试"}, "days": 2}),
    )),
    "dissatisfied, redone, dissatisfied, dismissed": ("complaint", "accept", life(
        ("2026-03-02 10:00", "dispatch", "dispatcher", WITH_CO),
        ("2026-03-02 10:10", "sign", "ZJJ", {}),
        ("2026-03-02 10:20", "sign", "JTJ", {}),
        ("2026-03-02 10:30", "reply", "JTJ", {"content": "测试"}),
        ("2026-03-02 10:40", "reply", "ZJJ", {"content": "测试", "citizen_answered_at": ANSWERED}),
        ("2026-03-02 10:50", "review_pass", "reviewer", ALL_OK),
        ("2026-03-03 10:00", "record_callback", "callback", {"outcome": "dissatisfied", "solved": False, "remark": "测试"}),
        ("2026-03-03 11:00", "uphold_dissatisfaction", "reviewer", {"reason": "测试", "days": 5}),
        ("2026-03-04 10:00", "reply", "ZJJ", {"content": "测试", "citizen_answered_at": "2026-03-04T09:00:00+08:00"}),
        ("2026-03-04 11:00", "review_pass", "reviewer", ALL_OK),
        ("2026-03-05 10:00", "record_callback", "callback", {"outcome": "dissatisfied", "solved": False, "remark": "测试"}),
        ("2026-03-05 11:00", "dismiss_dissatisfaction", "reviewer", {"reason": "测试"}),
    )),
    "registered, reported up, decided, coordinated, withdrawn": ("help", "register", life(
        ("2026-03-02 10:00", "report_up", "agent", {"reason": "测试"}),
        ("2026-03-02 11:00", "decide", "supervisor", {"outcome": "accept", "reason": "测试"}),
        ("2026-03-02 12:00", "coordinate", "supervisor", {"note": "测试"}),
        ("2026-03-02 13:00", "designate", "supervisor", LEAD_ALONE | {"basis": "测试"}),
        ("2026-04-02 13:00", "sign", "ZJJ", {}),  # long after every limit
        ("2026-04-02 14:00", "withdraw", "agent", {"reason": "测试"}),
        ("2026-04-02 15:00", "archive", "agent", {"no_material_reason": "测试"}),
    )),
    "merged into one that is answered": ("complaint", "accept", life(
        ("2026-03-02 10:00", "dispatch", "dispatcher", LEAD_ALONE),
        ("2026-03-02 10:10", "merge", "dispatcher", {"into": "MAIN", "reason": "测试"}),
        ("2026-03-02 10:40", "MAIN reply", "ZJJ", {"content": "测试", "citizen_answered_at": ANSWERED}),
        ("2026-03-02 11:00", "MAIN review_pass", "reviewer", ALL_OK),
        ("2026-03-02 12:00", "answer_citizen", "agent", {}),
        ("2026-03-02 13:00", "record_callback", "callback", {"outcome": "dissatisfied", "solved": False, "remark": "测试"}),
        ("2026-03-02 14:00", "uphold_dissatisfaction", "reviewer", {"reason": "测试", "days": 5}),
    )),
}  # fmt: skip


def sound_orders(api: Api, into: str, owing: str) -> dict[Act, fields.Order]:
    """For each act an order that nothing is wrong with, wherever the act is open."""
    now = api.now.isoformat()
    content: dict[str, dict[str, Any]] = {route.act.value: dict(route.example) for route in ACT_ROUTES}
    content |= {
        "dispatch": LEAD_ALONE,
        "designate": LEAD_ALONE | {"basis": "测试"},
        "propose_return": {"grounds": "测试", "suggestion": "测试"},
        "merge": {"into": into, "reason": "测试"},
        "hand_over": {"to": "agent2", "reason": "测试"},
        "release_unit": {"unit": "JTJ", "reason": "测试"},
        "approve_extension": {},
        "request_extension": {"reason": "complex", "explanation": "测试", "days": 1},
        "answer_citizen": {"answered_at": now},
        "reply": {"content": "测试"},
        "flag": {"flag": "overdue", "explanation": "测试", "unit": "ZJJ"},
        "archive": {"no_material_reason": "测试"},
        "remind": {"form": "network", "content": "测试", "unit": owing},
    }
    return {route.act: route.order.model_validate(content[route.act.value]) for route in ACT_ROUTES}


def tried(
    api: Api, login: str, number: str, command: Callable[..., Any], order: fields.Order
) -> tuple[str, str] | None:
    """What happens when this person does it now: None if it works, else the code and the words. Nothing is kept."""
    with Session(api.world.engine) as session:
        try:
            command(api.world.desk(session, login, api.now), number, order)
        except RuleBroken as broken:
            return broken.code, broken.message
        finally:
            session.rollback()
    return None


def offered(api: Api, login: str, number: str) -> set[Act]:
    with Session(api.world.engine) as session:
        ticket = session.execute(select(Ticket).where(col(Ticket.number) == number)).scalar_one()
        reader = Reader(session, api.world.actor(session, login), api.world.office, api.now)
        return set(reader.whole(ticket).acts)


def lies(api: Api, number: str, into: str) -> list[str]:
    """Where `acts` and what happens differ, at this moment, for everybody."""
    found = []
    parts = api.get(f"/tickets/{number}", "supervisor").json()["parts"]
    owing = next((p["unit"] for p in parts if p["status"] in ("open", "return_proposed")), "ZJJ")
    orders = sound_orders(api, into, owing)
    for login in ASKERS:
        open_acts = offered(api, login, number)
        roles = {Role.HANDLER} if login in api.world.units else {Role(login.removesuffix("2"))}
        for route in ACT_ROUTES:
            if not roles & GRANTED[route.act]:
                assert route.act not in open_acts, (login, route.act)
                continue
            outcome = tried(api, login, number, route.command, orders[route.act])
            if route.act in open_acts and outcome is not None and outcome[0] in NOT_OPEN:
                found.append(f"{login} is offered {route.act.value}, but: {outcome}")
            if route.act not in open_acts and outcome is None:
                found.append(f"{login} is not offered {route.act.value}, but it works")
    return found


@pytest.mark.parametrize("name", LIVES)
def test_what_is_offered_works_and_what_is_not_fails(api: Api, name: str) -> None:
    matter, decision, steps = LIVES[name]
    main = api.at("2026-03-02 08:00").take("complaint")
    for act, login, order in (("dispatch", "dispatcher", LEAD_ALONE), ("sign", "ZJJ", {})):
        api.at("2026-03-02 08:30").act(main, act, login, order)
    number = api.at("2026-03-02 09:00").take(matter, decision={"act": decision})
    found = [f"at first: {lie}" for lie in lies(api, number, main)]
    for step in steps:
        order = {k: main if v == "MAIN" else v for k, v in step.order.items()}
        act = step.act.removeprefix("MAIN ")
        api.at(step.at).act(main if act != step.act else number, act, step.login, order)
        found += [f"after {step.act} at {step.at}: {lie}" for lie in lies(api, number, main)]
    assert found == [], "\n".join(found)


def test_a_new_tickets_periods_are_numbered_in_the_order_they_were_opened_in(api: Api) -> None:
    number = api.take()
    with api.world.engine.connect() as connection:
        kinds = list(
            connection.execute(
                text(
                    "SELECT c.kind FROM clocks c JOIN tickets t ON t.id = c.ticket_id WHERE t.number = :n ORDER BY c.id"
                ),
                {"n": number},
            ).scalars()
        )
    assert len(kinds) > 1
    assert kinds == sorted(kinds, key=[kind.value for kind in ClockKind].index)
