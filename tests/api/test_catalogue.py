"""The dispatch catalogue: versions by whom and by which basis, as a table in and out; suggestions say why."""

from typing import Any

import pytest

from tests.api.conftest import Api

BASIS = "《测试市供热管理办法》第五条；测试市级部门权责清单。"
RETURN = {"grounds": "该路段由交通部门管养。", "suggestion": "建议改派交通局。", "suggested_unit": "JTJ"}


def put(api: Api, login: str = "dispatcher", status: int = 200, **order: Any) -> Any:
    answer = api.post("/catalogue", login, {"category": "0101", "lead": "ZJJ", "basis": BASIS} | order)
    assert answer.status_code == status, answer.text
    return answer.json()


def rows(api: Api, login: str = "dispatcher", **query: Any) -> list[Any]:
    answer = api.get("/catalogue", login, params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def sent(api: Api, content: str | bytes, login: str = "dispatcher", **form: Any) -> Any:
    data = content if isinstance(content, bytes) else content.encode()
    return api.client.post(
        "/api/v1/catalogue/import",
        headers=api.headers(login),
        files={"file": ("catalogue.csv", data, "text/csv")},
        data=form,
    )


def suggested(api: Api, number: str, login: str = "dispatcher") -> list[Any]:
    answer = api.get(f"/tickets/{number}/suggestions", login)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


# --- versions --------------------------------------------------------------------------------------------------------------


def test_a_change_is_a_new_version_and_the_old_one_stays(api: Api) -> None:
    first = put(api.at("2026-03-02 09:00"))
    assert (first["version"], first["area"], first["lead"]["name"]) == (1, "630100000000", "测试市住建局")
    assert put(api)["id"] == first["id"]  # the same again changes nothing
    second = put(api.at("2026-03-03 09:00"), "supervisor", lead="CGJ", co_units=["ZJJ"])
    assert second["version"] == 2
    assert [row["id"] for row in rows(api)] == [second["id"]]
    history = rows(api, history=True)
    assert [(row["version"], row["until"], row["changed_by"], row["closed_by"]) for row in history] == [
        (2, None, "测试督办主管supervisor", None),
        (1, "2026-03-03T01:00:00Z", "测试派单员dispatcher", "测试督办主管supervisor"),
    ]
    assert [row["id"] for row in rows(api, at="2026-03-02T10:00:00+08:00")] == [first["id"]]
    closed = api.post(f"/catalogue/{second['id']}/close", "dispatcher", {})
    assert closed.json()["until"] is not None
    assert rows(api) == []
    assert api.post(f"/catalogue/{second['id']}/close", "dispatcher", {}).status_code == 422
    assert put(api)["version"] == 3


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({"category": "99"}, "category"),
        ({"category": "010"}, "category"),
        ({"area": "640000000000"}, "area"),
        ({"area": "630200000000"}, "area"),
        ({"lead": "NOBODY"}, "lead"),
        ({"lead": "HEAT"}, "lead"),
        ({"co_units": ["NOBODY"]}, "co_units"),
        ({"co_units": ["ZJJ"]}, "body"),
        ({"basis": " "}, "basis"),
    ],
)
def test_what_cannot_be_in_the_catalogue(api: Api, order: Any, field: str) -> None:
    assert put(api, status=422, **order)["field"] == field


def test_each_platform_keeps_its_own(api: Api) -> None:
    mine = put(api)
    assert rows(api, "b-dispatcher") == []
    assert [row["id"] for row in rows(api, "p-supervisor")] == [mine["id"]]
    assert [row["id"] for row in rows(api, "ZJJ")] == [mine["id"]]
    assert api.post(f"/catalogue/{mine['id']}/close", "b-dispatcher", {}).status_code == 404
    assert (
        api.post("/catalogue", "ZJJ", {"category": "0101", "lead": "ZJJ", "basis": BASIS}).status_code == 403
    )


# --- as a table ------------------------------------------------------------------------------------------------------------


def test_out_and_in_again_changes_nothing(api: Api) -> None:
    put(api, co_units=["CGJ"])
    put(api, category="010101", area="630104000000", basis="=1+1；测试，含“引号”\n和换行")
    out = api.get("/catalogue/export", "dispatcher")
    assert out.headers["content-type"].startswith("text/csv")
    assert "'=1+1" in out.content.decode("utf-8-sig")
    again = sent(api, out.content, preview="false", replace="true").json()
    assert again == {"preview": False, "added": 0, "changed": 0, "unchanged": 2, "closed": 0}


def test_a_table_is_previewed_taken_whole_and_may_replace(api: Api) -> None:
    put(api, category="02")
    table = f"category,area,lead,co_units,basis\r\n0101,,ZJJ,CGJ;JTJ,{BASIS}\r\n02,,JTJ,,测试依据\r\n"
    assert sent(api, table).json() == {"preview": True, "added": 1, "changed": 1, "unchanged": 0, "closed": 0}
    assert len(rows(api)) == 1
    assert sent(api, table.encode("gb18030"), preview="false").json()["added"] == 1
    assert [unit["code"] for unit in rows(api, category="01")[0]["co_units"]] == ["CGJ", "JTJ"]
    shorter = f"category,area,lead,co_units,basis\r\n0101,,ZJJ,,{BASIS}\r\n"
    assert sent(api, shorter, preview="false", replace="true").json()["closed"] == 1
    assert [row["category"] for row in rows(api)] == ["0101"]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("99,,ZJJ,,测试", "row[3].category"),
        ("0102,x,ZJJ,,测试", "row[3].area"),
        ("0102,,NOBODY,,测试", "row[3].lead"),
        ("0102,,ZJJ,,", "row[3].basis"),
        ("0101,,JTJ,,测试", "row[3].category"),
    ],
)
def test_one_bad_row_keeps_all_out(api: Api, line: str, field: str) -> None:
    answer = sent(api, f"category,area,lead,co_units,basis\n0101,,ZJJ,,测试\n{line}\n", preview="false")
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert rows(api) == []


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00", b"category,area,lead,co_units,basis\n"]
)
def test_what_is_no_table_is_refused(api: Api, content: bytes) -> None:
    assert sent(api, content, preview="false").status_code == 422


# --- suggestions -------------------------------------------------------------------------------------------------------------


def test_the_most_specific_row_comes_first_with_its_basis(api: Api) -> None:
    put(api, category="01", lead="CGJ", basis="大类")
    put(api, category="0101", lead="JTJ", basis="全域")
    put(api, category="0101", area="630104000000", lead="ZJJ", co_units=["HEAT"], basis="本区")
    number = api.take("help")
    found = suggested(api, number)
    assert [one["lead"]["code"] for one in found] == ["ZJJ", "CGJ", "JTJ"]
    assert (found[0]["reasons"][0]["basis"], found[0]["reasons"][0]["kind"]) == ("本区", "catalogue")
    assert [unit["code"] for unit in found[0]["co_units"]] == ["HEAT"]
    order = {"lead": "ZJJ", "co_units": ["HEAT"], "legal_basis": found[0]["reasons"][0]["basis"]}
    assert api.act(number, "dispatch", "dispatcher", order)["state"] == "dispatched"


def test_like_tickets_tell_who_answered_them_and_how_timely(api: Api) -> None:
    for late in (False, False, True):
        number = api.at("2026-03-02 09:00").take("help")
        api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "co_units": ["CGJ"]})
        api.act(number, "sign", "ZJJ")
        api.at("2026-03-09 09:00" if late else "2026-03-03 09:00")
        answered = "2026-03-09T09:00:00+08:00" if late else "2026-03-03T09:00:00+08:00"
        api.act(number, "reply", "ZJJ", {"content": "测试", "citizen_answered_at": answered})
    (one,) = suggested(api, api.at("2026-03-10 09:00").take("help"))
    assert one["lead"]["code"] == "ZJJ"
    (past,) = one["reasons"]
    assert (past["kind"], past["tickets"], round(past["on_time"], 2)) == ("past", 3, 0.67)
    assert [unit["code"] for unit in one["co_units"]] == ["CGJ"]


def test_a_unit_that_returned_such_tickets_is_marked_and_the_one_named_instead_told(api: Api) -> None:
    put(api, lead="ZJJ")
    before = api.take("help")
    api.act(before, "dispatch", "dispatcher", {"lead": "ZJJ"})
    api.act(before, "propose_return", "ZJJ", RETURN)
    api.act(before, "uphold_return", "dispatcher", {"reason": "测试"})
    found = {one["lead"]["code"]: one for one in suggested(api, api.take("help"))}
    (hint,) = [reason for reason in found["ZJJ"]["reasons"] if reason["warns"]]
    assert (hint["kind"], hint["grounds"], hint["tickets"]) == ("returned", RETURN["grounds"], 1)
    assert found["JTJ"]["reasons"][0]["kind"] == "named_instead"
    own = suggested(api, before)
    assert own[0]["lead"]["code"] == "JTJ"
    warned = next(one for one in own if one["lead"]["code"] == "ZJJ")
    assert "returned_this" in [reason["kind"] for reason in warned["reasons"]]


def test_a_unit_the_law_does_not_reach_stands_last_with_why(api: Api) -> None:
    put(api, lead="SJT")
    put(api, category="01", lead="ZJJ")
    number = api.take("help")
    found = suggested(api, number)
    assert [(one["lead"]["code"], one["obstacle"] is None) for one in found] == [
        ("ZJJ", True),
        ("SJT", False),
    ]
    assert "测试省交通厅" in found[1]["obstacle"]
    api.act(number, "dispatch", "dispatcher", {"lead": "SJT"}, status=422)


def test_who_is_told(api: Api) -> None:
    number = api.take("help")
    assert suggested(api, number) == []
    assert suggested(api, number, "agent") == []
    assert api.get(f"/tickets/{number}/suggestions", "b-dispatcher").status_code == 404
    assert api.get(f"/tickets/{number}/suggestions", "ZJJ").status_code == 403
