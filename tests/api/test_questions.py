"""What units owe the knowledge base: questions asked of them, and what follows an inquiry. Art. 23."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlmodel import Session, col

from hotline import supervision
from hotline.models import Clock, OutboxEvent, Ticket
from knowledge_base import indicators, questions
from knowledge_base.models import ArticleStep, ArticleVersion, UnitQuestion
from tests import world as w
from tests.api.conftest import Api
from tests.knowledge_base import shelf
from workflow.errors import PackInvalid
from workflow.statute import load, parse
from workflow.vocabulary import ClockKind, VersionState

ASKED = {"unit": "ZJJ", "question": "加装电梯补贴标准？", "background": "来电人13900000001多次询问。"}
ELEMENTS = {"quality": True, "process": True, "content": True, "completeness": True}


def ask(api: Api, login: str = "agent", **changes: Any) -> Any:
    return api.post("/knowledge/questions", login, ASKED | changes)


def events(api: Api, kind: str) -> list[dict[str, Any]]:
    with Session(api.world.engine) as session:
        rows = select(OutboxEvent).where(col(OutboxEvent.type) == kind).order_by(col(OutboxEvent.id))
        return [row.data for row in session.execute(rows).scalars()]


def swept(api: Api, times: int = 1) -> int:
    def sweep(_: int) -> int:
        with Session(api.world.engine) as session:
            count = questions.lapse_due(session, api.world.office, api.now)
            session.commit()
            return count

    with ThreadPoolExecutor(min(times, 6)) as pool:
        return sum(pool.map(sweep, range(times)))


# --- questions ---------------------------------------------------------------------------------------------------------


def test_a_question_is_due_in_two_working_days_of_the_units_calendar(api: Api) -> None:
    asked = ask(
        api.at("2026-02-13 10:00")
    )  # a Friday before the Spring Festival; 14 February is a working Saturday
    assert asked.status_code == 201, asked.text
    body = asked.json()
    assert (body["due_on"], body["due_at"]) == ("2026-02-24", "2026-02-24T16:00:00Z")
    assert body["state"] == "asked"
    assert "13900000001" not in body["background"]
    assert load().number("knowledge_question_days") == 2
    (event,) = events(api, questions.ASKED)
    assert event["question"] == body["id"]
    assert "补贴" not in str(event)


def test_only_ones_own_platforms_units_are_asked(api: Api) -> None:
    refused = ask(api, unit="HDJ")
    assert (refused.status_code, refused.json()["field"]) == (422, "unit")
    assert ask(api, login="b-agent", unit="HDJ").status_code == 201
    assert ask(api, unit="NONE").status_code == 422
    assert ask(api, login="ZJJ").status_code == 403


def test_a_question_and_its_ticket_are_seen_where_they_belong(api: Api) -> None:
    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "JTJ"})
    body = ask(api, ticket=number).json()
    assert body["ticket"] == number
    (theirs,) = api.get("/knowledge/questions", "ZJJ").json()
    assert theirs["ticket"] is None  # the unit was not given that ticket
    for login in ("JTJ", "b-agent", "HDJ"):
        assert api.get("/knowledge/questions", login).json() == []
        answer = api.post(f"/knowledge/questions/{body['id']}/answer", "JTJ", {"answer": "越权"})
        assert answer.status_code == 404
    assert ask(api, login="b-agent", unit="HDJ", ticket=number).status_code == 404


def test_answered_in_time_and_adopted_in_one_call(api: Api) -> None:
    key = ask(api).json()["id"]
    answered = api.at("2026-03-03 10:00").post(
        f"/knowledge/questions/{key}/answer", "ZJJ", {"answer": "每台补贴20万元。"}
    )
    assert answered.status_code == 200, answered.text
    assert (answered.json()["state"], answered.json()["overdue"]) == ("answered", False)
    assert events(api, questions.ANSWERED)[0]["asked_by"].startswith("person:")
    again = api.post(f"/knowledge/questions/{key}/answer", "ZJJ", {"answer": "再答"})
    assert again.status_code == 422
    adopted = api.post(f"/knowledge/questions/{key}/adopt", "editor", {"categories": ["010101"]})
    assert adopted.status_code == 200, adopted.text
    name = adopted.json()["article"]
    with Session(api.world.engine) as session:
        version = session.execute(select(ArticleVersion)).scalar_one()
        assert name == f"{version.article_id}@1"
        assert (version.state, version.answer) == (VersionState.DRAFT, "每台补贴20万元。")
    assert events(api, questions.ADOPTED)[0]["article"] == name
    assert api.post(f"/knowledge/questions/{key}/adopt", "editor", {}).status_code == 422
    assert swept(api.at("2026-03-20 09:00")) == 0


def test_the_unit_adopts_its_own_answer(api: Api) -> None:
    key = ask(api).json()["id"]
    assert api.post(f"/knowledge/questions/{key}/adopt", "ZJJ", {}).status_code == 422
    api.post(f"/knowledge/questions/{key}/answer", "ZJJ", {"answer": "每台补贴20万元。"})
    assert api.post(f"/knowledge/questions/{key}/adopt", "ZJJ", {}).status_code == 200
    with Session(api.world.engine) as session:
        assert session.execute(select(ArticleStep.unit_id)).scalar_one() == api.world.units["ZJJ"]  # type: ignore[call-overload]


def test_a_lapse_is_stamped_once_as_of_its_instant(api: Api) -> None:
    keys = [ask(api).json()["id"] for _ in range(7)]
    assert swept(api.at("2026-03-04 23:59"), 3) == 0
    assert swept(api.at("2026-03-09 09:00"), 12) == len(keys)
    assert len(events(api, questions.DUE)) == len(keys)
    with Session(api.world.engine) as session:
        stamps = session.execute(select(UnitQuestion.lapsed_at)).scalars()  # type: ignore[call-overload]
        assert set(stamps) == {w.china("2026-03-05 00:00")}
    assert all(row["overdue"] for row in api.get("/knowledge/questions", "agent").json())
    late = api.post(f"/knowledge/questions/{keys[0]}/answer", "ZJJ", {"answer": "迟到的答复。"})
    assert (late.status_code, late.json()["overdue"]) == (200, True)


def test_an_answer_after_the_instant_stamps_the_lapse_itself(api: Api) -> None:
    key = ask(api).json()["id"]
    assert len(api.at("2026-03-06 09:00").get("/knowledge/questions?overdue=true", "agent").json()) == 1
    late = api.post(f"/knowledge/questions/{key}/answer", "ZJJ", {"answer": "迟到的答复。"}).json()
    assert late["lapsed_at"] == "2026-03-04T16:00:00Z"
    assert len(events(api, questions.DUE)) == 1
    assert swept(api, 3) == 0


def test_who_closes_a_question(api: Api) -> None:
    key = ask(api).json()["id"]
    assert api.post(f"/knowledge/questions/{key}/close", "agent2").status_code == 403
    assert api.post(f"/knowledge/questions/{key}/close", "agent").json()["state"] == "closed"
    assert api.post(f"/knowledge/questions/{key}/close", "editor").status_code == 422
    assert api.post(f"/knowledge/questions/{key}/answer", "ZJJ", {"answer": "晚了"}).status_code == 422
    assert swept(api.at("2026-03-20 09:00")) == 0


# --- after an inquiry --------------------------------------------------------------------------------------------------


def verified(
    api: Api, reply: str = "尊敬的测试甲：您好！凭身份证办理，5个工作日。感谢您的支持！", **changes: Any
) -> str:
    """An inquiry answered by ZJJ and verified on Monday, 2 March 2026."""
    number = api.at("2026-03-02 09:00").take(title="测试甲（13900000001）咨询：公积金怎么提取", **changes)
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    api.act(number, "sign", "ZJJ", {})
    body = {"content": reply, "citizen_answered_at": "2026-03-02T09:00:00+08:00"}
    api.act(number, "reply", "ZJJ", body)
    api.act(number, "review_pass", "reviewer", {"elements": ELEMENTS})
    return number


def test_a_draft_is_proposed_without_personal_data(api: Api) -> None:
    number = verified(api)
    draft = api.get(f"/tickets/{number}/knowledge-draft", "ZJJ")
    assert draft.status_code == 200, draft.text
    body = draft.json()
    assert body["article"]["answer"] == "凭身份证办理，5个工作日。"
    assert "公积金怎么提取" in body["article"]["question"]
    for secret in ("测试甲", "13900000001", "测试路"):
        assert secret not in draft.text
    assert body["due_on"] == "2026-03-04"
    assert body["article"]["unit"] == "ZJJ"
    assert api.get(f"/tickets/{number}/knowledge-draft", "JTJ").status_code == 404
    assert api.get(f"/tickets/{number}/knowledge-draft", "b-editor").status_code == 404
    assert api.get(f"/tickets/{number}/knowledge-draft", "editor").status_code == 200


def test_the_draft_names_what_there_is_already(api: Api) -> None:
    name = shelf.publish(api.world, w.china("2026-03-01 09:00"), "公积金怎么提取", "老口径。", unit="ZJJ")
    body = api.get(f"/tickets/{verified(api)}/knowledge-draft", "ZJJ").json()
    assert [each["name"] for each in body["similar"]] == [name]


def test_a_ticket_without_a_reply_gives_no_draft(api: Api) -> None:
    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    assert api.get(f"/tickets/{number}/knowledge-draft", "ZJJ").status_code == 422


def test_the_unit_hands_in_and_its_clock_is_met_at_once(api: Api) -> None:
    number = verified(api)
    assert [duty["number"] for duty in api.get("/knowledge/duties", "ZJJ").json()] == [number]
    draft = api.get(f"/tickets/{number}/knowledge-draft", "ZJJ").json()["article"]
    given = {key: value for key, value in draft.items() if value not in (None, [], {}, False)}
    done = api.post(f"/tickets/{number}/knowledge", "ZJJ", given)
    assert done.status_code == 201, done.text
    assert done.json()["state"] == "unit_review"
    with Session(api.world.engine) as session:
        version = session.execute(select(ArticleVersion)).scalar_one()
        ticket = session.execute(select(Ticket).where(col(Ticket.number) == number)).scalar_one()
        assert version.ticket_id == ticket.id
        clock = session.execute(
            select(Clock).where(col(Clock.kind) == ClockKind.KNOWLEDGE_UPDATE)
        ).scalar_one()
        assert clock.met_at == w.china("2026-03-02 09:00")
    assert api.get("/knowledge/duties", "ZJJ").json() == []
    entry = api.get(f"/tickets/{number}/timeline", "agent").json()["entries"][-1]
    assert (entry["act"], entry["payload"]["outcome"]) == ("update_knowledge", "submitted")
    assert api.post(f"/tickets/{number}/knowledge", "ZJJ", given).status_code == 422
    with Session(api.world.engine) as session:  # and nothing of the refused one stays
        assert session.execute(select(func.count()).select_from(ArticleVersion)).scalar_one() == 1


def test_an_update_of_an_article_meets_it_too(api: Api) -> None:
    name = shelf.publish(api.world, w.china("2026-03-01 09:00"), "公积金怎么提取", "老口径。", unit="ZJJ")
    number = verified(api)
    order = {"article": int(name.split("@")[0]), "question": "公积金怎么提取", "answer": "新口径。"}
    done = api.post(f"/tickets/{number}/knowledge", "ZJJ", order)
    assert done.status_code == 201, done.text
    assert done.json()["name"] == name.replace("@1", "@2")
    payload = api.get(f"/tickets/{number}/timeline", "agent").json()["entries"][-1]["payload"]
    assert (payload["outcome"], payload["article"]) == ("updated", name.replace("@1", "@2"))
    other = verified(api)
    assert api.post(f"/tickets/{other}/knowledge", "JTJ", order).status_code == 404


def test_the_update_rate_counts_open_overdue_duties(api: Api) -> None:
    in_time, late, never, not_yet = (verified(api) for _ in range(4))
    no_change = {"outcome": "no_change", "reason": "现有知识已涵盖。"}
    api.at("2026-03-04 23:59").act(in_time, "update_knowledge", "ZJJ", no_change)
    api.at("2026-03-05 00:00").act(late, "update_knowledge", "ZJJ", no_change)
    with Session(api.world.engine) as session:
        while supervision.lapse_due(session, api.world.office, api.now):
            session.commit()
    since, until = w.china("2026-03-01 00:00"), w.china("2026-04-01 00:00")
    with Session(api.world.engine) as session:
        units, platforms = api.world.units, api.world.platforms
        rate = indicators.knowledge_update_rate(session, since, until, unit_id=units["ZJJ"])
        assert (rate.counted, set(rate.of)) == ((in_time,), {in_time, late, never, not_yet})
        assert rate.value == pytest.approx(0.25)
        same = indicators.knowledge_update_rate(session, since, until, platform_id=platforms["01"])
        assert same == rate
        other = indicators.knowledge_update_rate(session, since, until, unit_id=units["JTJ"])
        assert other.value is None
    overdue = [duty for duty in api.get("/knowledge/duties", "ZJJ").json() if duty["overdue"]]
    assert {duty["number"] for duty in overdue} == {never, not_yet}
    assert "测试甲" not in str(overdue)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("knowledge_question_days", 1, True),
        ("knowledge_question_days", 3, False),
        ("recall_days", 60, True),
        ("recall_days", 7, False),
    ],
)
def test_a_prefecture_may_only_tighten(name: str, value: int, allowed: bool) -> None:
    pack = (
        '[pack]\nid = "test"\nname = "测试实施细则"\ndocument = "测试"\nsince = 2026-01-01\nextends = "qinghai-2022"\n'
        f'[[parameter]]\nname = "{name}"\nvalue = {value}\ntighter = "any"\narticle = "40"\ntext = "测试"\n'
    )
    if allowed:
        assert parse(pack).number(name) == value
    else:
        with pytest.raises(PackInvalid, match="放宽"):
            parse(pack)


# --- calendars that change ---------------------------------------------------------------------------------------------


def due_days(api: Api) -> list[str]:
    return [row["due_on"] for row in api.get("/knowledge/questions", "agent").json()]


def test_local_days_off_move_what_is_open_and_say_so(api: Api) -> None:
    answered, lapsed = (ask(api.at("2026-07-06 09:00")).json()["id"] for _ in range(2))
    api.post(f"/knowledge/questions/{answered}/answer", "ZJJ", {"answer": "每台补贴20万元。"})
    assert swept(api.at("2026-07-09 09:00")) == 1
    ask(api)
    assert due_days(api) == ["2026-07-13", "2026-07-08", "2026-07-08"]
    days = {"days": {"2026-07-10": "自治州州庆", "2026-07-08": "自治州州庆"}}
    assert api.post("/calendar/local-days", "supervisor", days).status_code == 200
    assert due_days(api) == ["2026-07-14", "2026-07-08", "2026-07-08"], "what is answered or lapsed stays"
    (told,) = events(api, questions.MOVED)
    assert (told["from_due_on"], told["due_on"]) == ("2026-07-13", "2026-07-14")
    with Session(api.world.engine) as session:
        assert questions.move_due(session, api.world.office, api.now) == 0
        assert session.get_one(UnitQuestion, lapsed).lapsed_at == w.china("2026-07-09 00:00")
    assert swept(api.at("2026-07-14 23:59")) == 0
    assert swept(api.at("2026-07-15 00:01")) == 1


def test_none_is_moved_into_the_past(api: Api) -> None:
    days = {"days": {"2026-07-08": "自治州州庆"}}
    assert api.at("2026-07-06 09:00").post("/calendar/local-days", "supervisor", days).status_code == 200
    ask(api)
    assert due_days(api) == ["2026-07-09"]
    assert (
        api.at("2026-07-09 09:00").post("/calendar/local-days", "supervisor", {"days": {}}).status_code == 200
    )
    assert due_days(api) == ["2026-07-09"]
    assert events(api, questions.MOVED) == []


def test_a_years_notice_moves_questions_too(api: Api) -> None:
    ask(api.at("2026-12-30 09:00"))
    (known,) = due_days(api)
    notice = {
        "year": 2027,
        "papers": ["https://www.gov.cn/zhengce/content/test.htm"],
        "days": [{"name": "元旦", "date": f"2027-01-0{n}", "isOffDay": True} for n in range(1, 9)],
    }
    preview = api.post("/calendar/notices", "admin", notice)
    assert preview.status_code == 200, preview.text
    assert due_days(api) == [known]
    assert api.post("/calendar/notices?preview=false", "admin", notice).status_code == 200
    assert due_days(api) == ["2027-01-11"]
    assert events(api, questions.MOVED)[0]["from_due_on"] == known
