"""Bulk acts of the platform's staff, by the batch route: many dispatched, reminded, archived, each by its own right and its own answer."""

from typing import Any

from tests.api.conftest import Api


def batch(api: Api, login: str, act: str, numbers: list[str], order: Any) -> Any:
    items = [{"number": number, "act": act, "order": order, "key": f"{act}-{number}"} for number in numbers]
    answer = api.post("/batch", login, {"items": items})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_many_to_the_same_unit_one_of_which_was_dispatched_meanwhile(api: Api) -> None:
    numbers = [api.take("help") for _ in range(4)]
    api.act(numbers[1], "dispatch", "dispatcher", {"lead": "CGJ"})
    told = batch(
        api, "dispatcher", "dispatch", numbers, {"lead": "ZJJ", "instruction": "集中供热故障，请一并处理。"}
    )
    assert [each["status"] for each in told["results"]] == [200, 409, 200, 200]
    assert (told["done"], told["failed"]) == (3, 1)
    again = batch(
        api, "dispatcher", "dispatch", numbers, {"lead": "ZJJ", "instruction": "集中供热故障，请一并处理。"}
    )
    assert [each["replayed"] for each in again["results"]] == [True, False, True, True]
    reminded = batch(api, "supervisor", "remind", numbers, {"form": "network", "content": "请抓紧办理。"})
    assert reminded["done"] == 4
    assert api.get("/tickets", "supervisor", params={"unit": "ZJJ"}).json()["items"][0]["marks"] == [
        "reminded"
    ]


def test_only_ones_own_are_archived_and_units_archive_none(api: Api) -> None:
    answer = {"act": "answer_at_once", "answer": "测试"}
    mine = [api.take(decision=answer) for _ in range(2)]
    foreign = api.take(decision=answer, login="b-agent")
    told = batch(api, "agent", "archive", [*mine, foreign], {})
    assert [each["status"] for each in told["results"]] == [200, 200, 404]
    assert batch(api, "ZJJ", "archive", mine, {})["done"] == 0
    assert api.get("/queues", "agent").json()["items"][0]["count"] == 0
