"""Likely duplicates: the same matter told in other words is found, with why; nothing hidden, foreign or ended is."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from hotline.desks import likeness
from hotline.desks.grams import grams
from tests import world as w
from tests.api.conftest import Api
from tests.api.test_calls import cti as cti
from tests.api.test_calls import current, ring

PIPE = {
    "title": "虎台小区3号楼暖气管爆裂",
    "content": "测试来电：虎台小区3号楼门口暖气主管道爆裂，热水流了一地，整栋楼没有暖气，请马上派人抢修。",
}
OTHERS = (
    ("公交站台路灯不亮", "测试来电：五四大街公交站台的路灯坏了一个星期，晚上等车看不清路。"),
    ("拖欠工资", "测试来电：在城北工地干活三个月，包工头拖欠工资不给，打电话也不接。"),
    ("楼上装修噪音扰民", "测试来电：楼上邻居夜里十一点还在装修，电钻声吵得孩子睡不着觉。"),
)


@pytest.fixture
def there(api: Api) -> str:
    for title, content in OTHERS:
        api.take(title=title, content=content, caller={})
    return api.take("help", caller={}, **PIPE)


def similar(api: Api, login: str = "agent", **order: Any) -> list[Any]:
    answer = api.post("/similar-tickets", login, order)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def test_the_same_matter_in_other_words_is_found_and_says_why(api: Api, there: str) -> None:
    (found,) = similar(api, title="虎台小区没暖气", content="我们虎台小区门口的暖气管子爆了，到处是热水")
    assert found["ticket"]["number"] == there
    assert found["reasons"] == ["similar_text"]
    assert found["shared"] >= 0.3
    assert found["may_carry"]
    assert found["excerpt"].startswith("测试来电：虎台小区")


def test_the_same_place_and_matter_needs_fewer_like_words(api: Api, there: str) -> None:
    words = {
        "title": "暖气管漏水",
        "content": "小区里热水流出来了，孩子们上学路上全是水，物业不管也没有人来看一看",
    }
    assert there not in [one["ticket"]["number"] for one in similar(api, **words)]
    here = similar(api, **words, category=w.CATEGORY, area=w.AREA)
    assert [one["ticket"]["number"] for one in here] == [there]
    assert here[0]["reasons"] == ["same_place", "similar_text"]
    assert similar(api, **words, category="010102", area=w.AREA) == []
    assert similar(api, **words, category=w.CATEGORY, area="630102000000") == []


def test_the_same_caller_by_the_agents_own_call_only(api: Api, cti: str) -> None:
    mine = api.take(title="路灯不亮", content="测试来电：路灯不亮。")
    tipoff = api.take("tipoff", login="agent2", title="举报违建", content="测试来电：有人违建。")
    call = ring(api)["id"]
    found = similar(api, call=call)
    assert [(one["ticket"]["number"], one["reasons"]) for one in found] == [(mine, ["same_caller"])]
    answer = api.post("/similar-tickets", "agent2", {"call": call})
    assert (answer.status_code, answer.json()["field"]) == (422, "call")
    ring(api, "c-2", agent="agent2")
    numbers = {
        one["ticket"]["number"] for one in similar(api, "agent2", call=current(api, "agent2")["call"]["id"])
    }
    assert numbers == {mine, tipoff}


def test_ended_old_and_other_platforms_tickets_are_not_offered(api: Api, there: str) -> None:
    assert similar(api, "b-agent", **PIPE) == []
    api.act(there, "withdraw", "agent", {"reason": "测试撤回"})
    assert similar(api, **PIPE) == []
    api.take("help", **PIPE)
    assert len(similar(api, **PIPE)) == 1
    assert similar(api.at("2026-05-02 09:00"), **PIPE) == []


def test_what_is_hidden_finds_nothing(api: Api) -> None:
    number = api.take(
        title="虎台小区违建", content="来电：测某丙家在虎台小区违建，请查处。", caller={"name": "测某丙"}
    )
    assert [one["ticket"]["number"] for one in similar(api, content="虎台小区违建")] == [number]
    api.act(number, "keep_confidential", "agent", {"reason": "测试保密"})
    with api.world.engine.connect() as connection:
        (kept,) = connection.execute(text("SELECT grams FROM likeness")).scalars()
    assert not set(grams("测某丙")) & set(kept)
    assert similar(api, content="测某丙") == []


def test_units_and_odd_words(api: Api, there: str) -> None:
    assert api.post("/similar-tickets", "ZJJ", PIPE).status_code == 403
    assert similar(api) == []
    assert similar(api, title="x" * 300, content="暖") == []
    assert api.post("/similar-tickets", "agent", {"title": "\x00"}).status_code == 422


def test_pairs_lost_or_written_by_a_server_of_before_are_kept_again(api: Api, there: str) -> None:
    with Session(api.world.engine) as session:
        session.execute(text("DELETE FROM likeness"))
        assert likeness.catch_up(session, api.now) == 4
        assert likeness.catch_up(session, api.now) == 0
        session.commit()
    assert len(similar(api, **PIPE)) == 1
    with Session(api.world.engine) as session:
        session.execute(text("UPDATE likeness SET grams = '{1}', whole = false"))
        assert likeness.catch_up(session, w.china("2026-05-10 00:00")) == 4
        assert likeness.catch_up(session, w.china("2026-05-10 00:00")) == 0
        session.commit()
    assert len(similar(api, **PIPE)) == 1


def test_pairs_are_of_han_characters_side_by_side() -> None:
    assert len(grams("暖气，不热3号楼")) == 3
    assert grams("139****0001", "ab") == []
    assert grams("甲乙甲乙") == grams("甲乙") + grams("乙甲")
    assert grams("［已隐去］违建") == grams("违建")
    assert all(-(2**31) <= gram < 2**31 for gram in grams("一丁鿿鿿"))
