"""Divisions and categories: shipped whole, importable, all rows or none."""

import pytest
from sqlalchemy import func, select
from sqlmodel import Session, col

from hotline import reference
from hotline.organisation import Area, Category
from tests.world import World
from workflow.errors import OrderInvalid
from workflow.vocabulary import Level


def test_the_shipped_files_are_whole(world: World) -> None:
    with Session(world.engine) as session:
        levels = dict(session.execute(select(col(Area.level), func.count()).group_by(col(Area.level))).all())
        assert levels == {Level.PROVINCE: 1, Level.PREFECTURE: 8, Level.COUNTY: 45, Level.TOWN: 422}
        depths = dict(
            session.execute(select(col(Category.level), func.count()).group_by(col(Category.level))).all()
        )
        assert depths[1] == 15
        assert depths[3] > 200


def test_villages_can_be_imported_and_renamed(world: World) -> None:
    rows = "code,name,level,parent\n630104001001,测试社区,村社区,630104001000\n"
    with Session(world.engine) as session:
        assert reference.import_areas(session, rows) == 1
        assert reference.import_areas(session, rows.replace("测试社区", "测试新社区")) == 1
        assert session.get_one(Area, "630104001001").name == "测试新社区"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("code,name\n", "缺少列"),
        ("code,name,level,parent\n63,青海,省,\n", "第 2 行"),
        ("code,name,level,parent\n630104001001,测试,村社区,639999999999\n", "上级"),
        (
            "code,name,level,parent\n630104001001,测试,村社区,630104001000\n630104001002,,村社区,630104001000\n",
            "第 3 行",
        ),
        (
            "code,name,level,parent\n630104001001,甲,村社区,630104001000\n630104001001,乙,村社区,630104001000\n",
            "重复",
        ),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_imported(world: World, rows: str, said: str) -> None:
    with Session(world.engine) as session:
        with pytest.raises(OrderInvalid, match=said):
            reference.import_areas(session, rows)
        session.rollback()
        assert session.get(Area, "630104001001") is None


@pytest.mark.parametrize(
    "row", ["0199,,2,无上级", "99999,99,3,长度不对", "AA,,1,不是数字", "9901,99,2,上级不存在"]
)
def test_a_category_must_fit_its_level_and_parent(world: World, row: str) -> None:
    with Session(world.engine) as session, pytest.raises(OrderInvalid):
        reference.import_categories(session, f"code,parent,level,name\n{row}\n")


@pytest.mark.parametrize(
    ("code", "prefix"),
    [
        ("630000000000", "63"),
        ("630100000000", "6301"),
        ("630110000000", "630110"),
        ("630104001000", "630104001"),
        ("630104", "630104"),
        ("630104001001", "630104001001"),
    ],
)
def test_a_division_s_prefix_is_cut_at_its_level(code: str, prefix: str) -> None:
    assert reference.area_prefix(code) == prefix
