"""知识维护: what has to be looked at, and by whom. Art. 20, 23, 28."""

from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import Session

from api import scheduler
from api.wiring import Runtime
from knowledge_base import freshness, sources
from knowledge_base.models import ArticleUse, SourceLink
from tests import world as w
from tests.api.conftest import Api
from tests.knowledge_base import shelf

AT = w.china("2026-03-01 09:00")


def upkeep(api: Api, kind: str | None = None, login: str = "editor", **params: Any) -> list[dict[str, Any]]:
    answer = api.get("/knowledge/upkeep", login, params=({"kind": kind} if kind else {}) | params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def tick(api: Api, *names: str) -> None:
    """Run these jobs of the ticker until they find nothing."""
    runtime: Runtime = api.client.app.state.runtime  # type: ignore[attr-defined]
    for name in names:
        scheduler.run(runtime, next(job for job in scheduler.JOBS if job.name == name))


def compare(api: Api) -> None:
    tick(api, "follow_knowledge", "compare_articles")


# --- dates -------------------------------------------------------------------------------------------------------------


def test_review_dates_and_expiry_are_told_to_who_maintains_it(api: Api) -> None:
    publish = shelf.publish
    review = publish(api.world, AT, "要复核的", "口径。", unit="ZJJ", review_on="2026-03-10")
    soon = publish(api.world, AT, "将失效的", "口径。", unit="JTJ", valid_until="2026-03-20")
    later = publish(api.world, AT, "还早的", "口径。", valid_until="2026-09-01")
    over = publish(api.world, AT, "已失效的", "口径。", valid_until="2026-03-05")
    theirs = publish(api.world, AT, "二市的", "口径。", prefix="b-", valid_until="2026-03-20")
    api.at("2026-03-10 09:00")
    found = {(item["kind"], item["name"]): item for item in upkeep(api)}
    assert set(found) == {("review_due", review), ("expiring", soon), ("expired", over)}
    assert found["review_due", review]["act"] == "承办单位 ZJJ"
    assert found["expired", over]["act"] == "知识库管理员"
    assert found["expiring", soon]["since"] == "2026-03-20"
    assert [item["name"] for item in upkeep(api, login="ZJJ")] == [review]
    assert [item["name"] for item in upkeep(api, login="b-editor")] == [theirs]
    assert [item["name"] for item in upkeep(api, "expiring", days=200)] == [soon, later]
    assert upkeep(api, "expiring", days=9) == []


def test_reviewed_without_a_change_is_settled_for_a_year(api: Api) -> None:
    review = shelf.publish(api.world, AT, "要复核的", "口径。", review_on="2026-03-10")
    api.at("2026-03-10 09:00")
    assert len(upkeep(api, "review_due")) == 1
    shelf.step(api.world, api.now, int(review.split("@")[0]), shelf.K.REVIEWED, "editor")
    assert upkeep(api, "review_due") == []


# --- links -------------------------------------------------------------------------------------------------------------


class _Page(BaseHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012, one server a test
    gone: set[str] = set()  # noqa: RUF012

    def _answer(self) -> None:
        type(self).asked.append(f"{self.command} {self.path}")
        self.send_response(404 if self.path in type(self).gone else 405 if self.command == "HEAD" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = _answer  # noqa: N815, the names http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    _Page.asked, _Page.gone = [], {"/gone"}
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def look(api: Api, *, allow_private: bool = True) -> int:
    done = 0
    while True:
        with Session(api.world.engine) as session:
            count = sources.check_link(session, api.now, allow_private=allow_private)
            session.commit()
        if count == 0:
            return done
        done += count


def test_each_source_is_looked_at_once_a_day(api: Api, site: str) -> None:
    dead = shelf.publish(api.world, AT, "来源没了", "口径。", unit="ZJJ", source_url=f"{site}/gone")
    for question in ("来源还在", "来源相同"):
        shelf.publish(api.world, AT, question, "口径。", source_url=f"{site}/there")
    assert look(api) == 2
    assert look(api) == 0
    assert sorted(_Page.asked) == ["GET /gone", "GET /there", "HEAD /gone", "HEAD /there"]
    (item,) = upkeep(api, "dead_link")
    assert (item["name"], item["unit"], item["since"]) == (dead, "ZJJ", "2026-03-02")
    assert "404" in item["detail"]
    api.now += timedelta(hours=25)
    assert look(api) == 2
    assert upkeep(api, "dead_link")[0]["since"] == "2026-03-02"
    _Page.gone = set()
    api.now += timedelta(hours=25)
    look(api)
    assert upkeep(api, "dead_link") == []


def test_a_source_in_ones_own_network_is_not_asked(api: Api, site: str) -> None:
    shelf.publish(api.world, AT, "内网来源", "口径。", source_url=f"{site}/secret")
    assert look(api, allow_private=False) == 1
    assert _Page.asked == []
    with Session(api.world.engine) as session:
        link = session.execute(select(SourceLink)).scalar_one()
        assert link.status is None
        assert "内部网络" in (link.problem or "")


# --- like and contradicting --------------------------------------------------------------------------------------------


def test_two_answers_to_one_question_that_differ_in_a_limit(api: Api) -> None:
    one = shelf.publish(api.world, AT, "公积金提取需要什么材料？", "身份证，5个工作日办结。", unit="ZJJ")
    other = shelf.publish(api.world, AT, "提取公积金需要哪些材料", "身份证，十个工作日办结。", unit="JTJ")
    shelf.publish(api.world, AT, "公积金贷款额度", "最高60万元。")
    compare(api)
    (item,) = upkeep(api, "contradiction")
    assert (item["name"], item["other"]) == (one, other)
    assert item["facts"]["differs"] == [{"what": "工作日", "one": ["5"], "other": ["10"]}]
    assert "工作日：5 与 10" in item["detail"]
    assert item["act"] == "知识库管理员"
    assert upkeep(api, "duplicate") == []
    assert len(upkeep(api, "contradiction", "ZJJ")) == 1
    assert upkeep(api, "contradiction", "CGJ") == []


def test_a_duplicate_is_told_and_settled(api: Api) -> None:
    text = "凭身份证到任一派出所办理，二十个工作日。"
    one = shelf.publish(api.world, AT, "身份证丢失怎么补办？", text)
    other = shelf.publish(api.world, AT, "身份证丢失如何补办", text)
    compare(api)
    (item,) = upkeep(api, "duplicate")
    assert {item["name"], item["other"]} == {one, other}
    path = "/knowledge/upkeep/pairs/{}/{}/settle".format(*item["facts"]["pair"])
    assert api.post(path, "b-editor", {"remark": "越权"}).status_code == 404
    assert api.post(path, "editor", {"remark": "保留两条。"}).status_code == 200
    assert api.post(path, "editor", {"remark": "再来"}).status_code == 422
    compare(api)
    assert upkeep(api, "duplicate") == []
    shelf.publish(api.world, AT, "身份证丢失如何补办", text + "可邮寄。", article=int(other.split("@")[0]))
    compare(api)
    assert len(upkeep(api, "duplicate")) == 1  # worded anew, it is looked at anew


def test_what_was_settled_in_the_wording_is_gone(api: Api) -> None:
    shelf.publish(api.world, AT, "公积金提取需要什么材料？", "5个工作日办结。")
    other = shelf.publish(api.world, AT, "提取公积金需要哪些材料", "10个工作日办结。")
    compare(api)
    assert len(upkeep(api, "contradiction")) == 1
    shelf.publish(
        api.world, AT, "提取公积金需要哪些材料", "材料清单见网站。", article=int(other.split("@")[0])
    )
    compare(api)
    assert upkeep(api, "contradiction") == []


def test_other_areas_other_platforms_and_a_local_override_do_not_contradict(api: Api) -> None:
    shelf.publish(api.world, AT, "供暖时间是几号？", "每年180天。", areas=["630104000000"])
    shelf.publish(api.world, AT, "供暖时间几号", "每年150天。", areas=["630123000000"])
    shelf.publish(api.world, AT, "供暖时间是几号？", "每年120天。", prefix="b-")
    province = shelf.publish(api.world, AT, "低保标准是多少？", "每月600元。", prefix="p-")
    shelf.publish(
        api.world,
        AT,
        "低保标准多少",
        "每月700元。",
        source=int(province.split("@")[0]),
        relation="overrides",
    )
    compare(api)
    assert upkeep(api, "contradiction") == []
    shelf.publish(api.world, AT, "低保标准是多少", "每月800元。", prefix="b-")
    compare(api)
    assert len(upkeep(api, "contradiction", "b-editor")) == 1  # said beside the province's, not in its place


# --- used and missed ---------------------------------------------------------------------------------------------------


def test_often_opened_and_hardly_told(api: Api) -> None:
    unclear = shelf.publish(api.world, AT, "看不明白的", "口径。", unit="ZJJ")
    good = shelf.publish(api.world, AT, "好用的", "口径。")
    rare = shelf.publish(api.world, AT, "很少看的", "口径。")
    with Session(api.world.engine) as session:
        for name, opened, told in ((unclear, 50, 1), (good, 50, 20), (rare, 3, 0)):
            key = int(name.split("@")[0])
            session.add(ArticleUse(article_id=key, day=AT.date(), opened=opened, told=told))
        session.commit()
    (item,) = upkeep(api, "unused")
    assert (item["name"], item["act"]) == (unclear, "承办单位 ZJJ")
    assert item["facts"] == {"opened": 50, "told": 1}
    assert upkeep(api.at("2026-07-01 09:00"), "unused") == []


def search(api: Api, query: str, login: str = "agent") -> None:
    """As it is meant, not while it is typed."""
    found = api.get("/knowledge/search", login, params={"q": query, "typing": False})
    assert found.status_code == 200, found.text


def test_searches_without_a_result_become_needs_until_settled(api: Api) -> None:
    name = shelf.publish(api.world, AT, "供暖室温标准", "不低于18℃。")
    tick(api, "follow_knowledge")
    for day in ("2026-03-02", "2026-03-03"):
        for login in ("agent", "editor"):
            search(api.at(f"{day} 10:00"), "无人驾驶飞艇", login)
    search(api, "二市缺的", "b-agent")
    (item,) = upkeep(api, "missing")
    assert (item["question"], item["facts"], item["since"]) == ("无人驾驶飞艇", {"times": 4}, "2026-03-02")
    assert upkeep(api, "missing", "ZJJ") == []
    body = {"query": "无人驾驶飞艇", "article": name}
    assert api.post("/knowledge/upkeep/misses/settle", "b-editor", body).status_code == 404
    assert api.post("/knowledge/upkeep/misses/settle", "editor", body).json()["days"] == 2
    assert upkeep(api, "missing") == []
    search(api.at("2026-03-04 10:00"), "无人驾驶飞艇")
    assert upkeep(api, "missing")[0]["facts"] == {"times": 1}
    assert freshness.MISSING_DAYS == 90
