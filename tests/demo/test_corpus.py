"""The shipped reference data and the invented demo hang together, and hold nothing that could be a real person's."""

import csv
import json
import re
from collections import Counter
from importlib.resources import files
from itertools import combinations
from typing import Any

import pytest

from workflow.vocabulary import Flag, Level, Matter, ReviewElement, Role, TransferTarget, UnitKind

SEASONS = {"winter", "spring", "summer", "autumn", "any"}
PLACEHOLDERS = {"{area}", "{days}", "{month}"}
DEMAND_KEYS = {
    "id",
    "theme",
    "category",
    "matter",
    "seasons",
    "places",
    "title",
    "text",
    "unit_kind",
    "reply",
}
# Share of each matter among the demands: lowest and highest.
MIX = {
    Matter.INQUIRY: (0.35, 0.45),
    Matter.HELP: (0.17, 0.27),
    Matter.SUGGESTION: (0.05, 0.11),
    Matter.COMPLAINT: (0.18, 0.27),
    Matter.TIPOFF: (0.05, 0.12),
}
# A run of seven digits, spaced or dashed, is a phone, an identity card or a bank card; nobody counts that far here.
NUMBER_OF_A_PERSON = re.compile(r"\d(?:[ -]?\d){6,}")

Row = dict[str, Any]


def _json(name: str) -> Any:
    return json.loads(files("hotline").joinpath("demo", name).read_text("utf-8"))


def _csv(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(files("hotline").joinpath("data", name).read_text("utf-8").splitlines()))


@pytest.fixture(scope="module")
def demands() -> list[Row]:
    rows: list[Row] = _json("demands.json")
    return rows


@pytest.fixture(scope="module")
def organisation() -> Row:
    tree: Row = _json("organisation.json")
    return tree


@pytest.fixture(scope="module")
def phrases() -> Row:
    pools: Row = _json("phrases.json")
    return pools


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [s for item in inner for s in _strings(item)]


def _units(organisation: Row) -> list[Row]:
    return [unit for platform in organisation["platforms"] for unit in platform["units"]]


# --- reference data ----------------------------------------------------------------------------------------------


def test_every_division_has_its_parent() -> None:
    rows = _csv("divisions-qinghai.csv")
    codes = {row["code"] for row in rows}
    assert list(rows[0]) == ["code", "short_code", "name", "level", "parent"]
    assert len(codes) == len(rows) == 476
    assert all(re.fullmatch(r"63\d{10}", code) for code in codes)
    assert [row["name"] for row in rows if row["parent"] not in codes] == ["青海省"]
    assert Counter(row["level"] for row in rows) == {"省": 1, "市州": 8, "县区": 45, "乡镇街道": 422}


def test_categories_are_a_tree_of_three_levels() -> None:
    rows = _csv("categories.csv")
    codes = {row["code"] for row in rows}
    assert list(rows[0]) == ["code", "parent", "level", "name"]
    assert len(codes) == len(rows)
    assert Counter(row["level"] for row in rows) == {"1": 15, "2": 88, "3": 276}
    for row in rows:
        assert len(row["code"]) == 2 * int(row["level"])
        assert row["parent"] == row["code"][:-2]
        assert row["parent"] in codes | {""}
    names = [row["name"] for row in rows]
    assert len(set(names)) == len(names)


# --- demands -----------------------------------------------------------------------------------------------------


def test_demands_are_enough_and_spread_over_every_theme(demands: list[Row]) -> None:
    themes = {row["code"]: row["name"] for row in _csv("categories.csv") if row["level"] == "1"}
    counted = Counter(demand["theme"] for demand in demands)
    assert len(demands) >= 320
    assert set(counted) == set(themes.values())
    assert min(counted.values()) >= 20
    assert all(themes[demand["category"][:2]] == demand["theme"] for demand in demands)


def test_every_demand_is_well_formed(demands: list[Row], organisation: Row) -> None:
    leaves = {row["code"] for row in _csv("categories.csv") if row["level"] == "3"}
    places = {platform["place"] for platform in organisation["platforms"][1:]} | {"any"}
    for demand in demands:
        name = demand["id"]
        assert set(demand) - {"answer", "redo_reply"} == DEMAND_KEYS, name
        assert demand["category"] in leaves, name
        assert demand["matter"] in set(Matter), name
        assert demand["seasons"], name
        assert set(demand["seasons"]) <= SEASONS, name
        assert demand["places"], name
        assert set(demand["places"]) <= places, name
        assert 5 <= len(demand["title"]) <= 30, name
        assert 40 <= len(demand["text"]) <= 220, name
        assert 60 <= len(demand["reply"]) <= 220, name


def test_demands_have_unique_ids_and_titles(demands: list[Row]) -> None:
    assert len({demand["id"] for demand in demands}) == len(demands)
    assert len({demand["title"] for demand in demands}) == len(demands)


def test_an_answer_at_once_belongs_to_an_inquiry(demands: list[Row]) -> None:
    answered = [demand for demand in demands if "answer" in demand]
    assert {demand["matter"] for demand in answered} == {Matter.INQUIRY}
    assert len(answered) >= 80
    redone = [demand for demand in demands if "redo_reply" in demand]
    assert Matter.INQUIRY not in {demand["matter"] for demand in redone}
    assert len(redone) >= 20


def test_the_mix_of_matters_is_a_hotlines(demands: list[Row]) -> None:
    counted = Counter(demand["matter"] for demand in demands)
    for matter, (low, high) in MIX.items():
        assert low <= counted[matter] / len(demands) <= high, matter


def test_placeholders_are_known_and_stand_in_the_text_only(demands: list[Row], phrases: Row) -> None:
    for demand in demands:
        assert set(re.findall(r"\{[^}]*\}", demand["text"])) <= PLACEHOLDERS, demand["id"]
        rest = {key: value for key, value in demand.items() if key != "text"}
        assert not re.search(r"[{}]", "".join(_strings(rest))), demand["id"]
    for phrase in _strings(phrases):
        assert set(re.findall(r"\{[^}]*\}", phrase)) <= {"{unit}"}, phrase


@pytest.mark.parametrize(("field", "limit"), [("text", 0.6), ("reply", 0.6)])
def test_no_two_demands_are_near_duplicates(demands: list[Row], field: str, limit: float) -> None:
    pairs = {demand["id"]: _bigrams(demand[field]) for demand in demands}
    alike = [
        (a, b)
        for a, b in combinations(pairs, 2)
        if len(pairs[a] & pairs[b]) >= limit * len(pairs[a] | pairs[b])
    ]
    assert alike == []


def _bigrams(text: str) -> set[str]:
    return {text[i : i + 2] for i in range(len(text) - 1)}


def test_nothing_looks_like_a_phone_or_an_identity_number(demands: list[Row], phrases: Row) -> None:
    assert NUMBER_OF_A_PERSON.search("联系电话 139 0000 0001")
    found = [s for s in _strings(demands) + _strings(phrases) if NUMBER_OF_A_PERSON.search(s)]
    assert found == []


# --- organisation ------------------------------------------------------------------------------------------------


def test_the_platforms_are_the_provinces_and_the_eight_prefectures(organisation: Row) -> None:
    areas = {row["code"]: row for row in _csv("divisions-qinghai.csv")}
    platforms = organisation["platforms"]
    assert [platform["code"] for platform in platforms] == [f"{n:02d}" for n in range(9)]
    assert platforms[0]["name"] == "青海省12345政务服务便民热线"
    assert platforms[0]["short_name"] == "省12345热线"
    for platform in platforms[1:]:
        area = areas[platform["area"]]
        assert area["level"] == "市州"
        assert platform["name"] == f"{area['name']}12345政务服务便民热线"  # art. 4
        assert platform["short_name"] == f"{platform['place']}12345热线"
        assert platform["parent"] == "00"


def test_units_are_unique_and_placed(organisation: Row) -> None:
    areas = {row["code"] for row in _csv("divisions-qinghai.csv")}
    units = _units(organisation)
    assert 180 <= len(units) <= 260
    assert len({unit["code"] for unit in units}) == len(units)
    assert len({unit["name"] for unit in units}) == len(units)
    assert {unit["level"] for unit in units} == set(Level)
    assert {unit["kind"] for unit in units} == set(UnitKind)
    for unit in units:
        assert re.fullmatch(r"[A-Z]{2}(-[A-Z0-9]+)+", unit["code"]), unit["code"]
        assert unit["area"] in areas, unit["code"]


def test_a_units_superior_is_above_it_and_none_goes_round(organisation: Row) -> None:
    order = list(Level)
    units = {unit["code"]: unit for unit in _units(organisation)}
    assert [code for code, unit in units.items() if unit["parent"] is None] == ["QH-GOV"]
    for code, unit in units.items():
        steps = 0
        while unit["parent"] is not None:
            superior = units[unit["parent"]]
            assert order.index(Level(superior["level"])) <= order.index(Level(unit["level"])), code
            unit, steps = superior, steps + 1
            assert steps <= len(order) + 2, code


def test_enterprises_schools_and_institutions_have_a_department_in_charge(organisation: Row) -> None:
    through = {UnitKind.ENTERPRISE, UnitKind.SCHOOL, UnitKind.INSTITUTION}  # art. 13(4)
    for platform in organisation["platforms"]:
        units = {unit["code"]: unit for unit in platform["units"]}
        for code, unit in units.items():
            if unit["kind"] not in through:
                assert unit["in_charge"] is None, code
                continue
            assert units[unit["in_charge"]]["kind"] == UnitKind.DEPARTMENT, code
            assert unit["name"].endswith("（虚构）"), code


def test_every_demand_finds_a_unit_on_every_platform(demands: list[Row], organisation: Row) -> None:
    wanted = {demand["unit_kind"] for demand in demands}
    for platform in organisation["platforms"]:
        units = {unit["code"]: unit for unit in platform["units"]}
        fallback = units[platform["fallback"]]
        level = "province" if platform["code"] == "00" else "county"
        assert (fallback["kind"], fallback["level"]) == (UnitKind.GOVERNMENT, level), platform["code"]
        departments = Counter(
            unit["unit_kind"]
            for unit in units.values()
            if unit["kind"] == UnitKind.DEPARTMENT and unit["level"] == platform["level"]
        )
        assert max(departments.values()) == 1, platform["code"]
        assert len(departments) >= 12, platform["code"]
        assert set(departments) <= wanted, platform["code"]
    everywhere = {unit["unit_kind"] for unit in _units(organisation) if unit["kind"] == UnitKind.DEPARTMENT}
    assert everywhere == wanted


def test_every_platform_is_staffed(organisation: Row) -> None:
    labels = organisation["people"]["labels"]
    assert set(labels) == set(Role) - {Role.CITIZEN, Role.SYSTEM}
    for platform in organisation["platforms"]:
        staff = platform["people"]
        assert {"agent", "dispatcher", "reviewer", "callback", "supervisor", "editor"} <= set(staff)
        assert set(staff) <= set(labels)
        assert 3 <= staff["agent"] <= 6
    assert {"auditor", "admin"} <= set(organisation["platforms"][0]["people"])


# --- phrases -----------------------------------------------------------------------------------------------------


def test_phrases_cover_the_words_of_the_law(phrases: Row) -> None:
    assert set(phrases["extensions"]) == {
        "complex",
        "difficult",
        "many_parties",
        "hard_to_verify",
        "objective",
    }
    assert set(phrases["refusals"]) == set("1234567")
    assert set(phrases["transfers"]) == set(TransferTarget)
    assert set(phrases["send_back"]) == set(ReviewElement)
    assert set(phrases["flags"]) == set(Flag)


def test_every_pool_has_six_to_twelve_different_phrases(phrases: Row) -> None:
    for name, pool in phrases.items():
        for key, entries in (pool if isinstance(pool, dict) else {name: pool}).items():
            assert 6 <= len(entries) <= 12, (name, key)
            assert len({json.dumps(entry) for entry in entries}) == len(entries), (name, key)


def test_a_suggested_return_names_another_kind_of_unit(phrases: Row, demands: list[Row]) -> None:
    kinds = {demand["unit_kind"] for demand in demands}
    for ground in phrases["return_grounds"]:
        assert {ground["from"], ground["to"]} <= kinds
        assert ground["from"] != ground["to"]
        assert "{unit}" in ground["suggestion"]
