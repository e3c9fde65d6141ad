"""From the article to the answered contact, and back to the caller when the answer was wrong. Art. 14(2), 24, 28."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlmodel import Session, col

from hotline import ledger
from hotline.models import LedgerEntry, OutboxEvent, Ticket
from knowledge_base import articles, indicators, lifecycle, recalls
from knowledge_base.models import ArticleUse, Recall, Telling
from knowledge_base.orders import StepOrder
from tests import world as w
from tests.api.conftest import Api
from tests.knowledge_base import shelf
from workflow.vocabulary import KnowledgeStep

QUESTION = "公积金异地提取需要哪些材料？"
ANSWER = "凭**身份证**和购房合同办理，3个工作日内办结。"
DEMAND = w.demand().model_dump(mode="json", exclude_none=True)


@pytest.fixture
def name(api: Api) -> str:
    return shelf.publish(api.world, w.china("2026-03-01 09:00"), QUESTION, ANSWER)


def tell(api: Api, name: str, login: str = "agent", **kwargs: Any) -> Any:
    return api.post(f"/knowledge/{name}/tell", login, {"demand": DEMAND}, **kwargs)


def swept(api: Api) -> int:
    """One run of the lister until it finds nothing."""
    done = 0
    while True:
        with Session(api.world.engine) as session:
            count = recalls.list_due(session, api.world.office, api.now)
            session.commit()
        if count == 0:
            return done
        done += count


def correct(api: Api, name: str, answer: str, at: str, *, corrects: bool = True) -> str:
    article = int(name.partition("@")[0])
    return shelf.publish(api.world, w.china(at), QUESTION, answer, article=article, corrects=corrects)


# --- telling -----------------------------------------------------------------------------------------------------------


def test_one_act_answers_the_contact_and_notes_the_version(api: Api, name: str) -> None:
    told = tell(api, name)
    assert told.status_code == 201, told.text
    ticket = api.get(f"/tickets/{told.json()['number']}", "agent").json()
    assert ticket["state"] == "answered"
    assert ticket["knowledge_told"] == name
    assert ticket["outcome"].startswith("凭身份证和购房合同办理")
    with Session(api.world.engine) as session:
        telling = session.execute(select(Telling)).scalar_one()
        assert (telling.article_id, telling.version) == tuple(map(int, name.split("@")))
        use = session.execute(select(ArticleUse)).scalar_one()
        assert (use.told, use.day.isoformat()) == (1, "2026-03-02")


def test_the_same_key_tells_once(api: Api, name: str) -> None:
    first = tell(api, name, headers={"Idempotency-Key": "k1"})
    again = tell(api, name, headers={"Idempotency-Key": "k1"})
    assert first.json()["number"] == again.json()["number"]
    with Session(api.world.engine) as session:
        assert session.execute(select(func.count()).select_from(Telling)).scalar_one() == 1
        assert session.execute(select(func.sum(col(ArticleUse.told)))).scalar_one() == 1


def test_what_was_said_beside_it_stands_in_the_answer(api: Api, name: str) -> None:
    body = {"demand": DEMAND, "remark": "已告知周末不办公。"}
    number = api.post(f"/knowledge/{name}/tell", "agent", body).json()["number"]
    assert api.get(f"/tickets/{number}", "agent").json()["outcome"].endswith("补充告知：已告知周末不办公。")


@pytest.mark.parametrize("pending", [{"act": "register"}, {"act": "accept"}])
def test_a_contact_already_registered_is_told_too(api: Api, name: str, pending: Any) -> None:
    number = api.take(decision=pending)
    api.act(number, "answer_at_once", "agent", {"answer": "见口径", "knowledge_version": name})
    with Session(api.world.engine) as session:
        assert session.execute(select(Telling.ticket_id)).scalar_one() is not None  # type: ignore[call-overload]


def test_taking_with_an_article_tells_it(api: Api, name: str) -> None:
    api.take(decision={"act": "answer_at_once", "answer": "见口径", "knowledge_version": name})
    api.take(decision={"act": "answer_at_once", "answer": "没有用知识"})
    with Session(api.world.engine) as session:
        assert session.execute(select(func.count()).select_from(Telling)).scalar_one() == 1


def test_an_old_version_is_refused_and_the_new_one_named(api: Api, name: str) -> None:
    newer = correct(api, name, "还需要公积金联名卡。", "2026-03-01 10:00", corrects=False)
    refused = tell(api, name)
    assert refused.status_code == 422
    assert newer in refused.json()["detail"]
    assert refused.json()["use"] == newer
    assert tell(api, newer).status_code == 201
    with Session(api.world.engine) as session:
        assert session.execute(select(func.count()).select_from(Ticket)).scalar_one() == 1


def test_an_expired_and_a_future_one_are_refused(api: Api) -> None:
    at = w.china("2026-03-01 09:00")
    over = shelf.publish(api.world, at, "旧政策", "旧口径", valid_until="2026-03-01")
    coming = shelf.publish(api.world, at, "新政策", "新口径", valid_from="2026-04-01")
    for each, why in ((over, "届满"), (coming, "生效")):
        refused = tell(api, each)
        assert refused.status_code == 422, refused.text
        assert why in refused.json()["detail"]
        assert refused.json()["use"] is None
    assert tell(api.at("2026-04-01 00:00"), coming).status_code == 201


def test_a_draft_and_another_prefectures_article_do_not_exist(api: Api) -> None:
    theirs = shelf.publish(api.world, w.china("2026-03-01 09:00"), "二市的事", "二市口径", prefix="b-")
    assert tell(api, theirs).status_code == 404
    assert tell(api, theirs, "b-agent").status_code == 201
    assert tell(api, "999@1").status_code == 404


def test_a_province_article_is_told_in_a_prefecture(api: Api) -> None:
    province = shelf.publish(api.world, w.china("2026-03-01 09:00"), "省里的事", "省口径", prefix="p-")
    assert tell(api, province).status_code == 201


def test_openings_are_counted(api: Api, name: str) -> None:
    for _ in range(3):
        assert api.post(f"/knowledge/{name}/opened", "agent").status_code == 200
    with Session(api.world.engine) as session:
        assert session.execute(select(ArticleUse.opened)).scalar_one() == 3  # type: ignore[call-overload]


def test_the_version_told_stays_readable_for_ever(api: Api, name: str) -> None:
    tell(api, name)
    shelf.withdraw(api.world, w.china("2026-03-02 10:00"), name)
    with Session(api.world.engine) as session:
        version = articles.find(session, api.world.actor(session, "agent"), name)
        assert version.answer == ANSWER


# --- 直接解答率 --------------------------------------------------------------------------------------------------------


def test_direct_answer_rate(api: Api, name: str) -> None:
    told = [tell(api, name).json()["number"] for _ in range(2)]
    accepted = api.take()
    pending = api.take(decision={"act": "register"})
    api.take(
        decision={
            "act": "refuse",
            "ground": "3",
            "explanation": "已进入信访渠道。",
            "guidance": "请向信访部门查询。",
        }
    )
    api.take(decision={"act": "transfer", "target": "120", "explanation": "已转接。"})
    later = api.take(decision={"act": "register"})
    api.act(later, "answer_at_once", "agent", {"answer": "已答复"})
    since, until = w.china("2026-03-02 00:00"), w.china("2026-03-03 00:00")
    with Session(api.world.engine) as session:
        rate = indicators.direct_answer_rate(session, api.world.platforms["01"], since, until)
        assert set(rate.counted) == {*told, later}
        assert set(rate.of) == {*told, later, accepted}
        assert pending not in rate.of
        assert rate.value == pytest.approx(0.75)
        none = indicators.direct_answer_rate(session, api.world.platforms["02"], since, until)
        assert none.value is None


# --- call-backs --------------------------------------------------------------------------------------------------------


def listed(api: Api, login: str = "callback", **params: Any) -> Any:
    answer = api.get("/knowledge/recalls", login, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_correction_lists_whom_it_concerns_once(api: Api, name: str) -> None:
    number = tell(api, name).json()["number"]
    newer = correct(api.at("2026-03-05 09:00"), name, "还须公积金联名卡，5个工作日。", "2026-03-05 09:00")
    assert swept(api) == 1
    assert swept(api) == 0
    (row,) = listed(api)
    assert (row["number"], row["told"], row["by"], row["now"]) == (number, name, newer, newer)
    assert row["reason"] == "corrected"
    assert row["told_answer"] == ANSWER.replace("**", "")  # as it was read out
    assert "测试甲" not in str(row)
    assert "13900000001" not in str(row)
    timeline = api.get(f"/tickets/{number}/timeline", "agent").json()["entries"]
    assert timeline[-1]["act"] == recalls.LISTED
    assert timeline[-1]["effective_at"].startswith("2026-03-05T01:00:00")
    for login in ("agent", "supervisor", "editor", "p-supervisor"):
        assert len(listed(api, login)) == 1
    assert listed(api, "b-callback") == []


def test_a_mere_change_lists_nobody(api: Api, name: str) -> None:
    tell(api, name)
    correct(api.at("2026-03-05 09:00"), name, "文字调整。", "2026-03-05 09:00", corrects=False)
    assert swept(api) == 0


def test_only_the_last_thirty_days(api: Api, name: str) -> None:
    tell(api.at("2026-03-01 10:00"), name)
    inside = tell(api.at("2026-03-02 10:00"), name).json()["number"]
    correct(api.at("2026-04-01 09:59"), name, "更正。", "2026-04-01 09:59")
    assert swept(api) == 1
    assert [row["number"] for row in listed(api)] == [inside]


def test_expiry_lists_at_its_instant_whenever_noticed(api: Api) -> None:
    at = w.china("2026-03-01 09:00")
    name = shelf.publish(api.world, at, "阶段性政策", "补贴到三月底。", valid_until="2026-03-31")
    number = tell(api, name).json()["number"]
    assert swept(api.at("2026-03-31 23:59")) == 0
    renewed = shelf.publish(
        api.world, w.china("2026-04-02 09:00"), "阶段性政策", "延至年底。", article=int(name.split("@")[0])
    )
    assert swept(api.at("2026-04-10 00:00")) == 1
    (row,) = listed(api)
    assert (row["reason"], row["number"], row["by"], row["now"]) == ("expired", number, name, renewed)
    entry = api.get(f"/tickets/{number}/timeline", "agent").json()["entries"][-1]
    assert entry["effective_at"].startswith("2026-03-31T16:00:00")


def test_what_was_replaced_in_time_did_not_expire(api: Api) -> None:
    at = w.china("2026-03-01 09:00")
    name = shelf.publish(api.world, at, "阶段性政策", "补贴到三月底。", valid_until="2026-03-31")
    tell(api, name)
    shelf.publish(
        api.world, w.china("2026-03-30 09:00"), "阶段性政策", "延至年底。", article=int(name.split("@")[0])
    )
    assert swept(api.at("2026-04-10 00:00")) == 0


def test_a_withdrawal_lists_every_wording_told(api: Api, name: str) -> None:
    first = tell(api, name).json()["number"]
    newer = correct(api.at("2026-03-03 09:00"), name, "文字调整。", "2026-03-03 09:00", corrects=False)
    second = tell(api, newer).json()["number"]
    shelf.withdraw(api.world, w.china("2026-03-04 09:00"), newer)
    assert swept(api.at("2026-03-04 09:01")) == 2
    rows = listed(api)
    assert {row["number"] for row in rows} == {first, second}
    assert {row["reason"] for row in rows} == {"withdrawn"}
    assert {row["now"] for row in rows} == {None}


def test_settling_tells_the_new_answer_and_is_done_once(api: Api, name: str) -> None:
    number = tell(api, name).json()["number"]
    newer = correct(api.at("2026-03-05 09:00"), name, "5个工作日。", "2026-03-05 09:00")
    swept(api)
    recall = listed(api)[0]["id"]
    old = api.post(
        f"/knowledge/recalls/{recall}/settle", "callback", {"reached": True, "remark": "已说明", "told": name}
    )
    assert old.status_code == 422
    done = api.post(
        f"/knowledge/recalls/{recall}/settle",
        "callback",
        {"reached": True, "remark": "已电话更正。", "told": newer},
    )
    assert done.status_code == 200, done.text
    assert done.json()["settled_by"] == "测试回访员callback"
    assert listed(api) == []
    assert [row["id"] for row in listed(api, settled=True)] == [recall]
    again = api.post(f"/knowledge/recalls/{recall}/settle", "agent", {"reached": False, "remark": "再次"})
    assert again.status_code == 422
    assert api.get(f"/tickets/{number}/timeline", "agent").json()["entries"][-1]["act"] == recalls.SETTLED
    correct(api.at("2026-03-06 09:00"), newer, "7个工作日。", "2026-03-06 09:00")
    assert swept(api) == 1  # the caller was told the second answer too, and that was wrong as well
    with Session(api.world.engine) as session:
        ticket = session.execute(select(Ticket).where(col(Ticket.number) == number)).scalar_one()
        entries = ledger.entries_of(session, ticket.id)
        assert (
            ledger.verify(
                number, ticket.ledger_head, ticket.ledger_seq, [entry.model_dump() for entry in entries]
            )
            == []
        )


def test_settling_is_the_platforms_own(api: Api, name: str) -> None:
    tell(api, name)
    correct(api.at("2026-03-05 09:00"), name, "更正。", "2026-03-05 09:00")
    swept(api)
    recall = listed(api)[0]["id"]
    body = {"reached": True, "remark": "越权"}
    assert api.post(f"/knowledge/recalls/{recall}/settle", "b-callback", body).status_code == 404
    assert api.post(f"/knowledge/recalls/{recall}/settle", "ZJJ", body).status_code == 403


def test_many_tickers_list_each_telling_once(api: Api, name: str) -> None:
    for _ in range(12):
        assert tell(api, name).status_code == 201
    correct(api.at("2026-03-05 09:00"), name, "更正。", "2026-03-05 09:00")

    def sweep(_: int) -> int:
        with Session(api.world.engine) as session:
            count = recalls.list_due(session, api.world.office, api.now, batch=5)
            session.commit()
            return count

    with ThreadPoolExecutor(6) as pool:
        total = sum(pool.map(sweep, range(30)))
    assert total + swept(api) == 12, (
        "what a sweeper passed over, being taken by another, waits for the next sweep"
    )
    with Session(api.world.engine) as session:
        assert session.execute(select(func.count()).select_from(Recall)).scalar_one() == 12
        entries = select(func.count()).select_from(LedgerEntry).where(col(LedgerEntry.act) == recalls.LISTED)
        assert session.execute(entries).scalar_one() == 12
        events = select(func.count()).where(col(OutboxEvent.type) == "knowledge.recall_listed")
        assert session.execute(events).scalar_one() == 12


def test_a_withdrawal_under_way_is_waited_for(api: Api, name: str) -> None:
    with Session(api.world.engine) as session, ThreadPoolExecutor(1) as pool:
        lifecycle.take_step(
            session,
            api.world.actor(session, "editor"),
            int(name.partition("@")[0]),
            KnowledgeStep.WITHDRAW,
            StepOrder(reason="口径有误。"),
            at=api.now,
        )
        telling = pool.submit(tell, api, name)
        with pytest.raises(TimeoutError):
            telling.result(timeout=1)
        session.commit()
        assert telling.result(timeout=60).status_code == 422
