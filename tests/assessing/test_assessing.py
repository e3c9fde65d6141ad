"""Assessment: points follow from figures by their curves; samples can be drawn again; exclusions change figures, cube and raw alike; an appeal's
change is recorded; what is final stays."""

import copy
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from hotline.assessing import assessments, samples
from hotline.assessing.scoring import Curve, Step, share_of
from hotline.assessing.systems import shipped
from tests.api.conftest import Api
from tests.api.conftest import api as api
from tests.api.test_lists import dispatched
from tests.reporting.conftest import count
from tests.reporting.test_counting import found

MARCH = "2026-03"


def _done(api: Api, numbers: list[str], unit: str, at: str) -> None:
    for number in numbers:
        api.at(at).act(number, "sign", unit)
        api.act(number, "answer_citizen", unit)
        api.act(number, "reply", unit, {"content": "测试答复"})


@pytest.fixture
def march(api: Api) -> Api:
    """ZJJ answers six of March, one late; JTJ five, all in time; HZQ one. Now it is the 1st of April, counted."""
    late = dispatched(api, "2026-03-02 09:00", "inquiry", "ZJJ")
    _done(api, [late], "ZJJ", "2026-03-09 10:00")
    for unit, many in (("ZJJ", 5), ("JTJ", 5), ("HZQ", 1)):
        numbers = [dispatched(api, "2026-03-10 09:00", "inquiry", unit) for _ in range(many)]
        _done(api, numbers, unit, "2026-03-11 10:00")
    api.at("2026-04-01 09:00")
    count(api)
    return api


def _draft(api: Api, login: str = "supervisor") -> Any:
    answer = api.post("/assessments", login, {"title": "三月考核", "period": MARCH})
    assert answer.status_code == 201, answer.text
    return answer.json()


def _step(api: Api, key: int, step: str, status: int = 200) -> Any:
    answer = api.post(f"/assessments/{key}/{step}", "supervisor")
    assert answer.status_code == status, answer.text
    return answer.json()


def _subject(told: Any, code: str) -> Any:
    return next(each for each in told["result"]["subjects"] if each["code"] == code)


def _item(subject: Any, key: str) -> Any:
    return next(item for item in subject["items"] if item["key"] == key)


def _late_clock(api: Api) -> tuple[str, int]:
    items = api.get(
        "/reports/indicators/overdue/tickets",
        "supervisor",
        params={"period": MARCH, "unit": "ZJJ", "side": "numerator"},
    ).json()["items"]
    assert len(items) == 1
    return items[0]["number"], items[0]["ref"]


def test_every_point_says_how_it_came_about(march: Api) -> None:
    told = _draft(march)
    zjj, jtj, hzq = (_subject(told, code) for code in ("ZJJ", "JTJ", "HZQ"))
    timely = _item(zjj, "reply_timely")
    assert (timely["numerator"], timely["denominator"]) == (5, 6)
    assert timely["points"] == "3.70"  # (5/6 - 0.8) / 0.18 x 20
    assert timely["why"] == "及时答复率83.33%（5/6）；80%得0分、98%得满分，其间按比例：20分×0.1852＝3.70分"
    assert _item(jtj, "reply_timely")["points"] == "20.00"
    assert _item(jtj, "satisfied")["points"] is None
    assert jtj["total"] == "100.00"
    assert [(each["rank"], each["of"]) for each in (jtj, zjj)] == [(1, 2), (2, 2)]
    assert (hzq["rank"], hzq["tier"]) == (None, "county")  # too few to be ranked
    assert [each["code"] for each in told["result"]["commended"]] == ["JTJ"]
    assert "ZJJ" in [each["code"] for each in told["result"]["accountable"]]


def test_an_exclusion_changes_cube_and_raw_alike_once_another_approved_it(march: Api) -> None:
    number, clock = _late_clock(march)
    asked = {"number": number, "clock": clock, "reason": "暴雪封路，联系人13900000099"}
    assert march.post("/exclusions", "JTJ", asked).status_code == 404
    assert march.post("/exclusions", "ZJJ", asked | {"clock": None}).status_code == 403
    own = march.post("/exclusions", "supervisor", asked)
    assert own.status_code == 201, own.text
    assert "13900000099" not in own.text
    decide = f"/exclusions/{own.json()['id']}/decide"
    yes = {"approve": True, "reason": "不可抗力"}
    assert march.post(decide, "supervisor", yes).status_code == 403
    assert march.post(decide, "b-supervisor", yes).status_code == 404
    before = _draft(march)
    assert march.post(decide, "p-supervisor", yes).status_code == 200
    assert march.post(decide, "p-supervisor", yes).status_code == 409
    count(march)
    figures = march.get("/reports/figures", "supervisor", params={"period": MARCH, "unit": "ZJJ"}).json()
    timely = figures["whole"]["timely"]
    assert (timely["numerator"], timely["denominator"]) == (5, 5)
    assert found(march.world.engine).sound
    with Session(march.world.engine) as session:  # the citizen's own ledger and all the rest still counts
        there = "SELECT count(*) FROM report_facts f JOIN tickets t ON t.id = f.ticket_id WHERE t.number = :number AND f.what <> 'reply'"
        assert session.execute(text(there), {"number": number}).scalar_one() > 2
    anew = _step(march, before["id"], "compute")
    assert _item(_subject(anew, "ZJJ"), "timely")["points"] == "20.00"
    _revoked(march, decide.removesuffix("/decide") + "/revoke", number, asked)
    assert found(march.world.engine).sound
    assert _step(march, before["id"], "compute")["result"]["subjects"] == before["result"]["subjects"]


def _revoked(api: Api, revoke: str, number: str, asked: dict[str, Any]) -> None:
    """The exclusion is revoked, by a supervisor; it stands in the ledger, for its unit too, and may be asked for again and withdrawn."""
    why = {"reason": "经复核与暴雪无关"}
    assert api.post(revoke, "b-supervisor", why).status_code == 404
    assert api.post(revoke, "ZJJ-lead", why).status_code == 403
    told = api.post(revoke, "supervisor", why)
    assert told.status_code == 200, told.text
    assert (told.json()["approved"], told.json()["revocation"]) == (True, why["reason"])
    assert api.post(revoke, "supervisor", why).status_code == 409
    for login in ("supervisor", "ZJJ"):
        entries = api.get(f"/tickets/{number}/timeline", login).json()["entries"]
        noted = [(e["act"], e["article"]) for e in entries if "exclusion" in e["payload"]]
        assert noted == [("excluded", "35"), ("exclusion_revoked", "35")]
    count(api)
    again = api.post("/exclusions", "supervisor", asked).json()
    withdraw = f"/exclusions/{again['id']}/revoke"
    assert api.post(withdraw, "p-supervisor", why).status_code == 403  # hers to refuse, not to withdraw
    api.post(withdraw, "supervisor", why).raise_for_status()
    assert api.get("/exclusions", "supervisor", params={"pending": True}).json()["items"] == []
    yes = {"approve": True, "reason": "不可抗力"}
    assert api.post(withdraw.replace("revoke", "decide"), "p-supervisor", yes).status_code == 409


def test_a_ticket_excluded_whole_counts_as_demand_alone(march: Api) -> None:
    number, _ = _late_clock(march)
    row = march.post("/exclusions", "supervisor", {"number": number, "reason": "系统故障"}).json()
    march.post(
        f"/exclusions/{row['id']}/decide", "p-supervisor", {"approve": True, "reason": "属实"}
    ).raise_for_status()
    count(march)
    assert found(march.world.engine).sound
    with Session(march.world.engine) as session:
        whats = (
            "SELECT f.what FROM report_facts f JOIN tickets t ON t.id = f.ticket_id WHERE t.number = :number"
        )
        assert session.execute(text(whats), {"number": number}).scalars().all() == ["received"]


def test_from_draft_to_final_with_an_appeal(march: Api) -> None:
    draft = _draft(march)
    key = draft["id"]
    assert march.get(f"/assessments/{key}", "ZJJ").status_code == 404  # not published yet
    published = _step(march, key, "publish")
    assert published["appeals_until"] == "2026-04-09"  # five working days; the 6th is a holiday
    seen = march.get(f"/assessments/{key}", "ZJJ").json()
    assert "items" in _subject(seen, "ZJJ")
    assert "items" not in _subject(seen, "JTJ")
    assert _subject(seen, "JTJ")["rank"] == 1
    assert march.get(f"/assessments/{key}", "HDJ").status_code == 404
    appeal = {"item": "reply_timely", "reason": "该件因断路逾期"}
    assert march.post(f"/assessments/{key}/appeals", "ZJJ", appeal).status_code == 403  # its head's to file
    filed = march.post(f"/assessments/{key}/appeals", "ZJJ-lead", appeal)
    assert filed.status_code == 201, filed.text
    assert march.post(f"/assessments/{key}/appeals", "ZJJ-lead", appeal).status_code == 409
    march.at("2026-04-10 09:00")
    assert "未处理" in _step(march, key, "finalise", status=409)["detail"]
    decide = f"/assessments/appeals/{filed.json()['id']}/decide"
    too_much = {"upheld": True, "reason": "属实", "points": "20.01"}
    assert march.post(decide, "supervisor", too_much).status_code == 422
    decided = march.post(decide, "supervisor", too_much | {"points": "20"})
    assert decided.status_code == 200, decided.text
    changed = decided.json()["changed"]
    assert (changed["before"]["points"], changed["after"]["points"]) == ("3.70", "20.00")
    assert Decimal(changed["after"]["total"]) > Decimal(changed["before"]["total"])
    final = _step(march, key, "finalise")
    assert final["state"] == "final"
    assert len(final["hash"]) == 64
    assert _step(march, key, "compute", status=409)["code"] == "illegal_step"
    with Session(march.world.engine) as session:
        assert assessments.verify(session) == []
        rows = "SELECT code, total::text, rank FROM reporting.assessments WHERE kind = 'unit' AND rank IS NOT NULL"
        assert {row[0] for row in session.execute(text(rows))} == {"ZJJ", "JTJ"}
        with pytest.raises(DBAPIError, match="append-only"):
            session.execute(text("UPDATE final_assessments SET content = '{}'"))


def test_an_appeal_upheld_without_points_counts_anew(march: Api) -> None:
    number, clock = _late_clock(march)
    key = _draft(march)["id"]
    _step(march, key, "publish")
    filed = march.post(f"/assessments/{key}/appeals", "ZJJ-lead", {"item": "timely", "reason": "已申请剔除"})
    row = march.post("/exclusions", "ZJJ", {"number": number, "clock": clock, "reason": "断路"}).json()
    assert march.get("/exclusions", "ZJJ", params={"pending": True}).json()["items"][0]["id"] == row["id"]
    assert march.get("/exclusions", "JTJ").json()["items"] == []
    yes = {"approve": True, "reason": "属实"}
    march.post(f"/exclusions/{row['id']}/decide", "supervisor", yes).raise_for_status()
    decided = march.post(
        f"/assessments/appeals/{filed.json()['id']}/decide", "supervisor", {"upheld": True, "reason": "属实"}
    )
    assert decided.status_code == 200, decided.text
    assert decided.json()["changed"]["after"] == {"points": "20.00", "total": "100.00", "rank": 1}


def test_a_platform_s_own_system_is_in_force_below_it_too(march: Api) -> None:
    system = shipped().model_dump(mode="json")
    broken = copy.deepcopy(system)
    broken["units"][0]["weight"] = "21"
    answer = march.post("/assessments/system", "p-supervisor", {"system": broken, "reason": "测试"})
    assert answer.status_code == 422
    assert "100" in answer.text
    system["units"] = [system["units"][0] | {"weight": "100"}]
    saved = march.post("/assessments/system", "p-supervisor", {"system": system, "reason": "年度方案"})
    assert saved.status_code == 201, saved.text
    told = _draft(march)
    assert told["system_version"] == 1
    assert [item["key"] for item in _subject(told, "JTJ")["items"]] == ["reply_timely"]
    assert march.get("/assessments/system", "ZJJ").json()["version"] == 1


def test_points_no_ledger_can_tell_are_entered_by_one_and_confirmed_by_another(march: Api) -> None:
    system = shipped().model_dump(mode="json")
    timely = system["units"][0] | {"weight": "80"}
    leadership = {"key": "leadership", "name": "组织领导", "figure": "entered", "weight": "20"}
    system["units"] = [timely, leadership | {"curve": timely["curve"]}]
    order = {"system": system, "reason": "年度方案"}
    assert march.post("/assessments/system", "supervisor", order).status_code == 422  # points have no curve
    system["units"] = [timely, leadership]
    march.post("/assessments/system", "supervisor", order).raise_for_status()
    before = _subject(_draft(march), "JTJ")
    assert (_item(before, "leadership")["points"], before["total"]) == (None, "100.00")
    given = {"period": MARCH, "kind": "unit", "code": "JTJ", "item": "leadership", "points": "12.5"}
    given |= {"reason": "专人专岗，联系人13900000099。", "document": "自评表"}
    for wrong in ({"points": "20.01"}, {"item": "reply_timely"}, {"code": "NOBODY"}, {"period": "2026-04"}):
        assert march.post("/entered-points", "supervisor", given | wrong).status_code == 422, wrong
    made = march.post("/entered-points", "supervisor", given)
    assert made.status_code == 201, made.text
    assert march.post("/entered-points", "supervisor", given).status_code == 409
    confirm = f"/entered-points/{made.json()['id']}/confirm"
    yes = {"approve": True, "reason": "属实"}
    assert march.post(confirm, "supervisor", yes).status_code == 403
    assert march.post(confirm, "b-supervisor", yes).status_code == 404
    draft = _draft(march)
    assert _subject(draft, "JTJ")["total"] == "100.00"  # not yet
    assert march.post(confirm, "p-supervisor", yes).status_code == 200
    assert march.post(confirm, "p-supervisor", yes).status_code == 409
    jtj = _subject(_step(march, draft["id"], "compute"), "JTJ")
    mine = _item(jtj, "leadership")
    assert (mine["points"], jtj["total"]) == ("12.50", "92.50")
    assert "自评表" in mine["why"]
    assert "13900000099" not in mine["why"]
    assert march.get("/entered-points", "auditor", params={"pending": True}).json()["items"] == []
    with Session(march.world.engine) as session:
        steps = "SELECT what ->> 'step', actor_name FROM audit WHERE kind = 'points_entered' ORDER BY seq"
        told = [tuple(row) for row in session.execute(text(steps))]
    assert [step for step, _ in told] == ["entered", "confirmed"]
    assert len({name for _, name in told}) == 2


def test_a_sample_is_drawn_once_and_its_findings_make_the_accuracy(march: Api) -> None:
    order = {"period": MARCH, "size": 4, "seed": "20260401"}
    told = march.post("/samples", "supervisor", order)
    assert told.status_code == 201, told.text
    sample = told.json()
    assert (sample["population"], sample["size"]) == (12, 4)
    with Session(march.world.engine) as session:
        every = session.execute(text("SELECT number FROM tickets ORDER BY random()")).scalars().all()
    assert [each["number"] for each in sample["tickets"]] == samples.drawn(every, "20260401", 4)
    assert march.post("/samples", "supervisor", order | {"seed": "2"}).status_code == 409
    path = f"/samples/{sample['id']}/findings"
    wrong = {"place": 1, "accurate": False}
    assert march.post(path, "reviewer", wrong).status_code == 422
    told = march.post(path, "reviewer", wrong | {"finding": "电话记为13900000088，与回访不符"})
    assert told.status_code == 200, told.text
    assert "13900000088" not in told.text
    for place in (2, 3, 4):
        march.post(path, "reviewer", {"place": place, "accurate": True}).raise_for_status()
    assert march.post(path, "reviewer", {"place": 4, "accurate": True}).status_code == 409
    assert march.get(f"/samples/{sample['id']}", "b-auditor").status_code == 404
    drafted = _draft(march)
    mine = _item(_subject(drafted, "01"), "accuracy")
    assert (mine["numerator"], mine["denominator"], mine["points"]) == (3, 4, "0.00")
    code = sample["tickets"][0]["unit"]
    assert _item(_subject(drafted, code), "accuracy")["denominator"] >= 1
    for side, of_unit in (("numerator", False), ("denominator", True)):
        cut = {"period": MARCH, "side": side, "unit": code}
        items = march.get("/reports/indicators/accuracy/tickets", "supervisor", params=cut).json()["items"]
        assert (sample["tickets"][0]["number"] in {line["number"] for line in items}) is of_unit


# --- the rules by themselves -------------------------------------------------------------------------------------------------

AMOUNTS = st.decimals(0, 2, places=3)
LINEAR = st.tuples(AMOUNTS, AMOUNTS).filter(lambda pair: pair[0] != pair[1])
VALUES = st.fractions(0, 3)
WEIGHTS = st.decimals(1, 100, places=2)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    """Any curve there may be."""
    kind = draw(st.sampled_from(["linear", "step", "deduct"]))
    if kind == "linear":
        start, target = draw(LINEAR)
        return Curve(kind="linear", start=start, target=target)
    if kind == "deduct":
        return Curve(kind="deduct", each=draw(st.decimals("0.01", 50, places=2)))
    lower = draw(st.booleans())
    values = sorted(draw(st.lists(AMOUNTS, min_size=1, max_size=5, unique=True)), reverse=not lower)
    shares = sorted(draw(st.lists(st.decimals(0, 1, places=2), min_size=len(values), max_size=len(values))))
    steps = [Step(at=at, share=share) for at, share in zip(values, reversed(shares), strict=True)]
    return Curve(kind="step", steps=steps, lower_is_better=lower)


@given(curves(), VALUES, VALUES, WEIGHTS)
def test_a_better_value_never_earns_less_and_points_stay_within_the_weight(
    curve: Curve, one: Fraction, other: Fraction, weight: Decimal
) -> None:
    worse, better = sorted((one, other))
    falls = curve.kind == "deduct" or curve.lower_is_better
    if curve.kind == "linear":
        assert curve.start is not None
        assert curve.target is not None
        falls = curve.target < curve.start
    if falls:
        worse, better = better, worse
    low, high = share_of(curve, worse, weight), share_of(curve, better, weight)
    assert 0 <= low <= high <= 1


@given(
    st.sets(st.text("0123456789", min_size=15, max_size=15), max_size=60), st.randoms(), st.text(max_size=8)
)
def test_a_sample_can_be_drawn_again(numbers: set[str], chance: Any, seed: str) -> None:
    shuffled = list(numbers)
    chance.shuffle(shuffled)
    first = samples.drawn(numbers, seed, 20)
    assert samples.drawn(shuffled, seed, 20) == first
    assert len(first) == min(20, len(numbers))
    assert set(first) <= numbers
    assert samples.drawn(numbers, seed, 5) == first[:5]


def test_steps_that_rise_again_are_refused() -> None:
    steps = [{"at": "0.9", "share": "0.5"}, {"at": "0.8", "share": "0.9"}]
    with pytest.raises(ValueError, match="由好到差"):
        Curve.model_validate({"kind": "step", "steps": steps})
