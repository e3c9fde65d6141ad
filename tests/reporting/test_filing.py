"""Reports: drafted when their period ends, due by art. 27, reviewed by one and filed by another, frozen, chained, restated with a diff."""

import hashlib
import json
from datetime import date
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from hotline.organisation import Platform
from hotline.people import accounts
from hotline.reporting import duties, filing
from hotline.reporting.tables import Report
from tests import world as w
from tests.api.conftest import Api
from tests.reporting.conftest import count
from workflow.vocabulary import Role


def tick(api: Api) -> None:
    """Let the reports' jobs run at the API's time."""
    with Session(api.world.engine, expire_on_commit=False) as session:
        for job in (duties.draft_due, duties.remind):
            job(session, api.world.office, api.now)
            session.commit()


def second_supervisor(api: Api) -> str:
    with Session(api.world.engine) as session:
        platform = session.get_one(Platform, api.world.platforms["01"])
        person = accounts.add_person(
            session, login="supervisor2", name="测试督办乙", roles=[Role.SUPERVISOR], platform=platform
        )
        api.world.tokens["supervisor2"] = accounts.issue_token(
            session, label="test", at=w.BORN, person=person
        )
        session.commit()
    return "supervisor2"


def reports(api: Api, login: str = "supervisor", **query: Any) -> list[dict[str, Any]]:
    answer = api.get("/reports", login, params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def step(
    api: Api, report: int, what: str, login: str, body: Any = None, status: int = 200, **more: Any
) -> Any:
    answer = api.post(f"/reports/{report}/{what}", login, body, **more)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
def drafted(worked: Api) -> Api:
    tick(worked)
    return worked


def of_march(api: Api) -> int:
    (found,) = reports(api, kind="monthly", platform="01")
    return int(found["id"])


def test_regular_reports_draft_themselves_once_and_are_due_by_law(drafted: Api) -> None:
    tick(drafted)
    told = {(r["platform"], r["kind"]): r for r in reports(drafted, "p-supervisor")}
    assert set(told) == {("01", "monthly"), ("01", "quarterly"), ("00", "monthly"), ("00", "quarterly")}
    march = told["01", "monthly"]
    assert (march["starts"], march["ends"], march["state"]) == ("2026-03-01", "2026-03-31", "drafted")
    assert march["due_on"] == "2026-04-08", "the 5th working day of April 2026: 1, 2, 3, (清明 4-6), 7, 8"
    assert march["title"] == "测试市12345政务服务便民热线2026年3月运行情况报告"
    assert told["01", "quarterly"]["due_on"] == "2026-04-08"
    drafted.at("2027-01-04 08:00")
    tick(drafted)
    annual = reports(drafted, kind="annual")[0]
    assert (annual["starts"], annual["due_on"]) == ("2026-01-01", "2027-01-15")
    months = sorted(r["starts"] for r in reports(drafted, kind="monthly"))
    assert len(months) == 10, "what was missed while nobody ticked is made up for"


def test_supervisors_are_reminded_up_the_ladder_until_it_is_filed(drafted: Api) -> None:
    report = of_march(drafted)
    for when, kinds, reminders in (
        ("2026-04-08 08:00", [], 0),
        ("2026-04-08 09:00", ["report.due_soon"], 0),
        ("2026-04-09 00:00", ["report.due_soon", "report.lapsed"], 1),
        ("2026-04-09 09:00", ["report.due_soon", "report.lapsed"], 2),
        ("2026-04-09 20:00", ["report.due_soon", "report.lapsed"], 2),
        ("2026-04-13 09:00", ["report.due_soon", "report.lapsed"], 3),
    ):
        drafted.at(when)
        tick(drafted)
        tick(drafted)
        with drafted.world.engine.connect() as connection:
            told = connection.execute(
                text(
                    "SELECT type FROM outbox WHERE data->>'report' = :report AND type <> 'report.drafted' ORDER BY id"
                ),
                {"report": str(report)},
            )
            assert list(told.scalars()) == kinds, when
            sent = connection.execute(
                text("SELECT count(*) FROM reminders WHERE clocks @> :clock"),
                {"clock": json.dumps([{"report": report}])},
            ).scalar_one()
        assert sent == reminders, when
    shown = drafted.get("/reminders", "supervisor").json()
    assert any("2026年3月运行情况报告" in each["content"] for each in shown)
    assert drafted.get(f"/reports/{report}", "supervisor").json()["late"] is True
    step(drafted, report, "review", "supervisor")
    step(drafted, report, "file", "supervisor")
    drafted.at("2026-04-20 09:00")
    tick(drafted)
    with drafted.world.engine.connect() as connection:
        clock = {"clock": json.dumps([{"report": report}])}
        assert (
            connection.execute(
                text("SELECT count(*) FROM reminders WHERE clocks @> :clock"), clock
            ).scalar_one()
            == 3
        )


def test_one_reviews_and_another_files(drafted: Api) -> None:
    report, other = of_march(drafted), second_supervisor(drafted)
    step(drafted, report, "file", "supervisor", status=409)
    for login in ("p-supervisor", "b-supervisor"):
        step(drafted, report, "review", login, status=403 if login == "p-supervisor" else 404)
    reviewed = step(drafted, report, "review", "supervisor")
    assert (reviewed["state"], reviewed["reviewed_by"]) == ("reviewed", "测试督办主管supervisor")
    refused = step(drafted, report, "file", "supervisor", status=403)
    assert "两名" in refused["detail"]
    filed = step(drafted, report, "file", other)
    assert (filed["state"], filed["filed_by"], filed["number"]) == ("filed", "测试督办乙", 1)
    assert filed["content"]["reviewed_and_filed_by_one"] is False
    for what in ("review", "file"):
        step(drafted, report, what, other, status=409)


def test_where_there_is_one_supervisor_the_report_says_so(drafted: Api) -> None:
    report = of_march(drafted)
    step(drafted, report, "review", "supervisor")
    assert step(drafted, report, "file", "supervisor")["content"]["reviewed_and_filed_by_one"] is True


def test_whoever_acts_on_an_older_version_learns_so(drafted: Api) -> None:
    report = of_march(drafted)
    step(drafted, report, "review", "supervisor", headers={"If-Match": '"1"'})
    told = step(drafted, report, "file", "supervisor", status=412, headers={"If-Match": '"1"'})
    assert (told["version"], told["state"]) == (2, "reviewed")
    first = step(drafted, report, "file", "supervisor", headers={"Idempotency-Key": "k1", "If-Match": '"2"'})
    assert (
        step(drafted, report, "file", "supervisor", headers={"Idempotency-Key": "k1", "If-Match": '"2"'})
        == first
    )


def test_a_period_must_be_over_and_a_machine_files_nothing(worked: Api) -> None:
    made = worked.post(
        "/reports", "supervisor", {"title": "测试专题", "period": "2026-04", "view": {"by": ["matter"]}}
    )
    assert made.status_code == 201, made.text
    told = step(worked, made.json()["id"], "review", "supervisor", status=422)
    assert told["field"] == "period"
    with Session(worked.world.engine) as session:
        platform = session.get_one(Platform, worked.world.platforms["01"])
        worked.world.tokens["machine"] = accounts.issue_token(
            session, label="测试接口", at=w.BORN, platform=platform, roles=[Role.SUPERVISOR]
        )
        session.commit()
    worked.at("2026-05-04 09:00")
    step(worked, made.json()["id"], "review", "machine", status=403)


def test_a_later_answer_never_changes_what_was_filed(drafted: Api) -> None:
    late = drafted.at("2026-03-30 09:00").take("help")
    drafted.act(late, "dispatch", "dispatcher", {"lead": "ZJJ"})  # due on the 1st of April: in April's report
    early = drafted.at("2026-03-27 09:00").take("help")
    drafted.act(early, "dispatch", "dispatcher", {"lead": "ZJJ"})  # due on the 31st of March, and late
    drafted.at("2026-04-02 09:00")
    report = of_march(drafted)
    reviewed = step(drafted, report, "review", "supervisor")  # nobody counted before: the review does
    filed = step(drafted, report, "file", "supervisor")
    assert filed["content"]["figures"] == reviewed["content"]["figures"]
    drafted.at("2026-04-03 09:00")
    for number in (late, early):
        drafted.act(number, "sign", "ZJJ")
        drafted.act(number, "answer_citizen", "ZJJ")
        drafted.act(number, "reply", "ZJJ", {"content": "测试答复"})
        drafted.act(
            number,
            "review_pass",
            "reviewer",
            {"elements": dict.fromkeys(("quality", "process", "content", "completeness"), True)},
        )
    count(drafted)
    again = drafted.get(f"/reports/{report}", "supervisor").json()
    assert again["content"] == filed["content"]
    changes = drafted.get(f"/reports/{report}/diff", "supervisor").json()["changes"]
    whole = {each["indicator"]: each for each in changes if each["table"] == "whole"}
    for key in ("timely", "overdue"):
        before, after = (whole[key][side] if key in whole else {} for side in ("before", "after"))
        assert (before.get("numerator"), before.get("denominator")) == (
            after.get("numerator"),
            after.get("denominator"),
        )
    assert whole["completed"]["after"]["numerator"] == whole["completed"]["before"]["numerator"] + 2
    assert (
        whole["overdue"]["after"]["beside"]["逾期仍未办结"]
        == whole["overdue"]["before"]["beside"]["逾期仍未办结"] - 1
    )


def test_what_is_filed_is_frozen_hashed_and_chained(drafted: Api) -> None:
    first = of_march(drafted)
    (second,) = [r["id"] for r in reports(drafted, kind="quarterly", platform="01")]
    for report in (first, second):
        step(drafted, report, "review", "supervisor")
        step(drafted, report, "file", "supervisor")
    with drafted.world.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT content, prev_hash, hash FROM filed_reports ORDER BY number")
        ).all()
    assert rows[0].prev_hash == b""
    assert rows[1].prev_hash == rows[0].hash
    for row in rows:
        assert hashlib.sha256(row.prev_hash + row.content.encode()).digest() == row.hash
    content = json.loads(rows[0].content)
    assert {d["key"] for d in content["definitions"]} == set(content["figures"]["whole"])
    assert {"day_end", "citizen_clock"} <= {p["name"] for p in content["parameters"]["parameters"]}
    assert {c["what"] for c in content["cohorts"]} >= {"reply", "received", "call"}
    assert {"platform", "unit", "level", "matter", "category_2", "area_6", "channel"} <= set(
        content["figures"]["tables"]
    )
    assert (content["drafted"]["by"], content["filed"]["by"]) == ("系统", "测试督办主管supervisor")
    with drafted.world.engine.begin() as connection, pytest.raises(DBAPIError):
        connection.execute(text("UPDATE filed_reports SET content = '{}'"))
    with drafted.world.engine.begin() as connection, pytest.raises(DBAPIError):
        connection.execute(text("DELETE FROM filed_reports"))
    with Session(drafted.world.engine) as session:
        assert filing.verify(session) == []
        session.execute(text("SET LOCAL hotline.rewriting = 'meant'"))
        tampered = "UPDATE filed_reports SET content = replace(content, :old, :new) WHERE number = 1"
        session.execute(text(tampered), {"old": '"number":1,', "new": '"number":7,'})
        assert filing.verify(session) == [f"平台 {drafted.world.platforms['01']} 第 1 份报告内容与哈希不符"]
        session.rollback()


def test_a_correction_is_another_report_with_its_differences(drafted: Api) -> None:
    report = of_march(drafted)
    step(drafted, report, "restate", "supervisor", {"reason": "尚未报送"}, status=409)
    step(drafted, report, "review", "supervisor")
    filed = step(drafted, report, "file", "supervisor")
    number = drafted.at("2026-03-31 09:00").take("inquiry")
    drafted.at("2026-04-02 09:00")
    count(drafted)
    told = step(
        drafted, report, "restate", "supervisor", {"reason": "补录一件 13900000001 的诉求"}, status=201
    )
    assert (told["restates"], told["state"], told["due_on"]) == (report, "drafted", None)
    assert "13900000001" not in told["reason"]
    step(drafted, report, "restate", "supervisor", {"reason": "再次"}, status=409)
    step(drafted, told["id"], "review", "supervisor")
    again = step(drafted, told["id"], "file", "supervisor")
    assert (again["number"], again["content"]["restates"]) == (2, report)
    answer = drafted.get(f"/reports/{told['id']}/diff", "supervisor").json()
    changes = {(c["table"], c["key"], c["indicator"]): c for c in answer["changes"]}
    received = changes["whole", "", "received"]
    assert received["after"]["numerator"] == received["before"]["numerator"] + 1
    assert ("area_6", "630104000000", "received") in changes
    assert ("unit", "ZJJ", "assigned") not in changes
    assert drafted.get(f"/reports/{report}", "supervisor").json()["content"] == filed["content"]
    assert number


def test_a_special_report_is_drafted_from_a_saved_view(worked: Api) -> None:
    view = {
        "slice": {"matter": "inquiry", "unit": "ZJJ"},
        "by": ["area", "month"],
        "indicators": ["timely", "assigned"],
    }
    saved = worked.post("/reports/views", "supervisor", {"name": "住建咨询", "view": view})
    assert saved.status_code == 201, saved.text
    assert [each["name"] for each in worked.get("/reports/views", "p-supervisor").json()] == ["住建咨询"]
    assert worked.get("/reports/views", "b-supervisor").json() == []
    body = {"title": "住建咨询专题", "period": "2026-03", "saved_view": saved.json()["id"]}
    made = worked.post("/reports", "supervisor", body).json()
    assert set(made["content"]["figures"]["whole"]) == {"timely", "assigned"}
    assert set(made["content"]["figures"]["tables"]) == {"area", "month"}
    query = {"period": "2026-03", "unit": "ZJJ", "matter": "inquiry", "indicators": ["timely", "assigned"]}
    assert (
        made["content"]["figures"]["whole"]
        == worked.get("/reports/figures", "supervisor", params=query).json()["whole"]
    )
    step(worked, made["id"], "review", "supervisor")
    assert step(worked, made["id"], "file", "supervisor")["due_on"] is None
    for wrong, field in (
        ({"view": {}}, "view"),
        ({"saved_view": None}, "view"),
        ({"saved_view": None, "view": {"slice": {"unit": "NONE"}}}, "unit"),
        ({"saved_view": None, "view": {"indicators": ["none"]}}, "indicators"),
        ({"saved_view": None, "view": {"slice": {"platform": "02"}}}, "platform"),
    ):
        answer = worked.post("/reports", "supervisor", body | wrong)
        assert answer.status_code in (404, 422), answer.text
        assert answer.json()["field"] == field, answer.text
    assert worked.post("/reports", "b-supervisor", body).status_code == 404


def test_reports_are_read_by_those_whose_platform_it_is_or_above(drafted: Api) -> None:
    report = of_march(drafted)
    for login, status in (
        ("auditor", 200),
        ("p-auditor", 200),
        ("b-supervisor", 404),
        ("agent", 403),
        ("ZJJ", 403),
    ):
        assert drafted.get(f"/reports/{report}", login).status_code == status, login
        assert drafted.get(f"/reports/{report}/diff", login).status_code in (status, 409), login
    assert reports(drafted, "b-supervisor") == []
    page = drafted.get("/reports", "p-supervisor", params={"limit": 1}).json()
    following = drafted.get("/reports", "p-supervisor", params={"limit": 1, "before": page["next"]}).json()
    assert page["items"][0]["id"] > following["items"][0]["id"]


def test_nothing_is_owed_for_a_time_in_which_nothing_was_counted(api: Api) -> None:
    api.at("2026-04-01 09:00").take("inquiry")
    count(api)
    tick(api)
    with Session(api.world.engine) as session:
        assert session.execute(select(Report)).first() is None
    api.at("2026-05-01 09:00")
    tick(api)
    (only,) = reports(api, kind="monthly")
    assert date.fromisoformat(only["starts"]) == date(2026, 4, 1)
