"""Places, categories and units for forms: found by what is typed, whole lists sent once."""

from typing import Any

import pytest

from api.names import Named, found
from tests.api.conftest import Api

NEAR = Named("630106105000", ("青海省", "西宁市", "湟中区", "多巴镇"))


def names(api: Api, path: str, **params: Any) -> list[str]:
    answer = api.get(path, "agent", params=params)
    assert answer.status_code == 200, answer.text
    return [row["name"] for row in answer.json()]


@pytest.mark.parametrize(
    "typed",
    ["湟中 多巴", "hzdb", "duoba", "DuoBa", "huangzhong db", "湟中duoba", "huangzongduoba", "多巴", "多吧"],
)
def test_a_place_is_found_by_characters_pinyin_initials_and_mixtures(api: Api, typed: str) -> None:
    rows = api.get("/areas", "agent", params={"q": typed}).json()
    if typed == "多吧":
        assert rows == []
        return
    assert rows[0]["code"] == NEAR.code
    assert rows[0]["path"] == list(NEAR.path)


def test_of_equal_places_those_of_the_own_platform_stand_first(api: Api) -> None:
    assert api.get("/areas", "agent", params={"q": "gonghe"}).json()[0]["path"][1] == "西宁市"
    assert [n.code for n in found("bei", [Named("2", ("北",)), Named("1", ("北",))], 5, near="2")] == [
        "2",
        "1",
    ]


def test_a_whole_name_stands_before_longer_ones_and_what_lies_below(api: Api) -> None:
    assert names(api, "/areas", q="湟中")[0] == "湟中区"
    assert names(api, "/areas", q="xining", limit=1) == ["西宁市"]
    assert names(api, "/areas", q="大通", parent="630100000000") == ["大通回族土族自治县"]


def test_categories_and_units_by_abbreviation(api: Api) -> None:
    assert names(api, "/categories", q="gongre", level=2) == ["供热"]
    first = api.get("/categories", "agent", params={"q": "室温", "level": 3}).json()[0]
    assert first["path"] == ["公用事业与城乡建设", "供热", "室温不达标"]
    assert names(api, "/units", q="住建局")[0] == "测试市住建局"
    assert names(api, "/units", q="cszjj")[0] == "测试市住建局"
    assert names(api, "/units", q="zhujianju") == ["测试市住建局", "测试二市住建局"]
    assert names(api, "/units", q="测市城") == ["测试市城管局"]
    assert names(api, "/units", q="hdj", platform="01") == []


@pytest.mark.parametrize("path", ["/areas", "/categories", "/units"])
def test_a_list_is_sent_once_and_again_when_it_changed(api: Api, path: str) -> None:
    first = api.get(path, "agent")
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    again = api.get(path, "agent", headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert api.get(path, "agent", headers={"If-None-Match": f'"x", W/{etag}'}).status_code == 304
    assert api.get(path, "agent", params={"q": "市"}, headers={"If-None-Match": etag}).status_code == 200
    with api.world.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE areas SET name = '多巴新镇' WHERE code = '630106105000'")
        connection.exec_driver_sql("UPDATE categories SET active = false WHERE code = '010102'")
        connection.exec_driver_sql("UPDATE units SET name = '测试市住建和环境局' WHERE code = 'ZJJ'")
    changed = api.get(path, "agent", headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.json() != first.json()


def test_what_cannot_be_typed_is_refused_and_odd_signs_find_nothing(api: Api) -> None:
    assert api.get("/areas", "agent", params={"q": ""}).status_code == 422
    assert api.get("/areas", "agent", params={"q": "x" * 61}).status_code == 422
    for odd in ("%", " ", "*", "\\", "（"):
        assert names(api, "/areas", q=odd) == []
