"""Hot spots: what is alike is one theme, its words are nobody's, its tickets are those the asker sees, and a rise is judged by its rule."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from api.scheduler import JOBS, run
from api.wiring import Runtime
from hotline.hotspots import naming, rises
from hotline.hotspots.clusters import Told, clustered, weights_of
from hotline.settings import Settings
from tests import world as w
from tests.api.conftest import Api
from tests.api.conftest import api as api
from tests.reporting.conftest import count

NAME, PHONE = "测试张伟明", "13900000077"


def _heating(api: Api, number: int, **changes: Any) -> str:
    """One of many about the cold in one county."""
    return api.take(
        "complaint",
        title=f"整栋楼暖气不热温度低{'一二三四五六七'[number % 7]}单元",
        content=f"小区暖气不热，经理{NAME}不管，请打{PHONE}。",
        caller={"phone": f"1390000{1000 + number}", "name": "测试甲"} | changes.pop("caller", {}),
        **changes,
    )


def _find(api: Api, login: str = "supervisor", days: tuple[str, str] = ("2026-03-01", "2026-03-07")) -> Any:
    answer = api.post("/hotspots", login, {"starts": days[0], "ends": days[1]})
    assert answer.status_code == 201, answer.text
    return answer.json()


def _of(told: Any, kind: str) -> list[Any]:
    return [each for each in told["hotspots"] if each["kind"] == kind]


def test_what_is_alike_is_a_theme_that_opens_its_tickets(api: Api) -> None:
    for day in ("2026-01-12", "2026-01-19", "2026-01-26"):
        api.at(f"{day} 09:00").take("complaint", title="小区电梯停运无人维修", caller={})
    api.at("2026-03-03 09:00")
    heating = [_heating(api, number) for number in range(8)]
    api.take("complaint", title="小区电梯停运无人维修", caller={})
    elsewhere = _heating(api, 9, area="630102000000")
    sealed = api.take("tipoff", title="整栋楼暖气不热温度低", caller={})
    below = _find(api)
    themes = _of(below, "theme")
    assert [theme["count"] for theme in themes] == [8]
    theme = themes[0]
    assert theme["content"]["previous"] == 0
    assert theme["content"]["callers"] == 8
    assert sum(theme["content"]["days"]) == 8
    assert theme["content"]["block"] == {"count": 9, "usual": 0.0, "score": 9.0, "sudden": True}
    assert "暖气" in theme["content"]["words"]
    assert below["sealed"] == 1
    seen: list[str] = []
    before = None
    while True:
        page = api.get(
            f"/hotspots/{theme['id']}/tickets",
            "supervisor",
            params={"limit": 3} | ({"before": before} if before else {}),
        ).json()
        seen += [line["number"] for line in page["items"]]
        before = page["next"]
        if before is None:
            break
    assert seen == heating[::-1]
    assert elsewhere not in seen
    assert sealed not in seen


def test_nothing_personal_is_in_a_theme(api: Api) -> None:
    api.at("2026-03-03 09:00")
    for number in range(6):
        _heating(api, number)
    _heating(api, 20, caller={"confidential": True})
    told = json.dumps(_find(api), ensure_ascii=False)
    for secret in (PHONE, NAME, "伟明", "1390000100", "测试甲"):
        assert secret not in told
    only_one = [naming.Said("王府花园暖气不热", "", 1)] * 5
    assert naming.words(only_one) == []  # five tickets of one caller: nobody else's words


def test_who_comes_again_is_told_to_supervisors_by_no_number(api: Api) -> None:
    api.at("2026-03-03 09:00")
    own = [
        api.take("help", title=title, caller={"phone": "13911112222", "name": "测试乙"})
        for title in ("路灯不亮", "公交改线", "垃圾清运")
    ]
    told = _find(api)
    (caller,) = _of(told, "caller")
    assert caller["count"] == 3
    assert "13911112222" not in json.dumps(told)
    page = api.get(f"/hotspots/{caller['id']}/tickets", "supervisor").json()
    assert sorted(line["number"] for line in page["items"]) == sorted(own)
    as_auditor = api.get(f"/hotspots/runs/{told['id']}", "auditor").json()
    assert _of(as_auditor, "caller") == []
    assert api.get(f"/hotspots/{caller['id']}/tickets", "auditor").status_code == 404


def test_a_platform_sees_its_own_and_those_below(api: Api) -> None:
    api.at("2026-03-03 09:00")
    for number in range(3):
        _heating(api, number)
    told = _find(api, "p-supervisor")
    assert told["tickets"] == 3
    assert _of(told, "theme")[0]["count"] == 3
    own = _find(api)
    assert _find(api, "b-supervisor")["tickets"] == 0
    for login in ("b-supervisor", "b-auditor"):
        assert api.get(f"/hotspots/runs/{own['id']}", login).status_code == 404
        theme = _of(own, "theme")[0]["id"]
        assert api.get(f"/hotspots/{theme}/tickets", login).status_code == 404
    listed = api.get("/hotspots", "p-supervisor").json()["items"]
    assert {line["platform"] for line in listed} == {"00", "01", "02"}


def test_what_came_again_after_its_end_is_a_problem(api: Api) -> None:
    api.at("2026-02-24 09:00")
    done = [_heating(api, number) for number in range(2)]
    for ended in done:
        api.act(ended, "withdraw", "supervisor", {"reason": "来电人撤回"})
    api.at("2026-03-03 09:00")
    for number in range(3):
        _heating(api, 10 + number)
    (problem,) = _of(_find(api), "problem")
    assert (problem["count"], problem["content"]["again"]) == (5, 3)


def test_the_window_has_a_bound(api: Api) -> None:
    answer = api.post("/hotspots", "supervisor", {"starts": "2026-01-01", "ends": "2026-12-31"})
    assert answer.status_code == 422
    assert "92" in answer.json()["detail"]


def test_it_is_made_every_day_once(api: Api) -> None:
    api.at("2026-03-03 09:00")
    for number in range(3):
        _heating(api, number)
    api.at("2026-03-04 02:00")
    world = api.world
    job = next(job for job in JOBS if job.name == "find_hotspots")
    runtime = Runtime(Settings(), world.engine, world.office, lambda: api.now)
    assert run(runtime, job) == 2 * len(world.platforms)
    assert run(runtime, job) == 0
    lines = api.get("/hotspots", "supervisor").json()["items"]
    assert {(line["starts"], line["ends"]) for line in lines} == {
        ("2026-02-25", "2026-03-03"),
        ("2026-02-02", "2026-03-03"),
    }


def test_the_season_is_known_from_past_years(api: Api) -> None:
    for week in range(2, 50, 3):
        api.at(f"2024-{1 + week // 5:02d}-{1 + 7 * (week % 4):02d} 09:00").take(
            "help", title="测试", caller={}
        )
    for day in range(1, 8):
        for hour in (10, 11, 12):
            api.at(f"2025-03-{day:02d} {hour}:00").take("help", title="测试", caller={})
    api.at("2026-02-16 09:00")
    count(api)
    told = api.get("/hotspots/seasons", "supervisor", params={"weeks": 4}).json()
    weeks = {each["starts"] for each in told["items"]}
    assert weeks == {"2026-02-23", "2026-03-02", "2026-03-09"} & weeks
    assert "2026-03-02" in weeks
    assert all(each["category"] == w.CATEGORY[:4] and each["times"] >= 1.5 for each in told["items"])


# --- the rules by themselves -------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 200), min_size=2, max_size=9), st.integers(0, 300))
def test_more_is_never_less_sudden(baseline: list[int], now: int) -> None:
    first, second = rises.judged(now, baseline), rises.judged(now + 1, baseline)
    assert first is not None
    assert second is not None
    assert second.score >= first.score
    assert second.sudden >= first.sudden
    assert not first.sudden or now >= max(rises.LEAST, first.usual * rises.TIMES)


def test_without_a_baseline_nothing_is_judged() -> None:
    assert rises.judged(100, [1]) is None


PAIRS = st.lists(st.integers(0, 30), max_size=8, unique=True).map(tuple)


@given(st.lists(st.tuples(st.sampled_from("ab"), PAIRS), max_size=40))
def test_each_ticket_is_in_one_theme_of_its_own_block(tickets: list[tuple[str, tuple[int, ...]]]) -> None:
    told = [Told(number, (block, "630104"), pairs) for number, (block, pairs) in enumerate(tickets)]
    themes = clustered(told, weights_of(told))
    placed = sorted(key for theme in themes for key in theme.tickets)
    assert placed == list(range(len(told)))
    assert all(told[key].block == theme.block for theme in themes for key in theme.tickets)
    again = clustered(told[::-1], weights_of(told))
    assert [theme.tickets for theme in again] == [theme.tickets for theme in themes]
