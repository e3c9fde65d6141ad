"""提前提醒: how long before the end is the rule pack's to say, each platform's its own."""

import shutil
from importlib.resources import files
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import Session

from hotline import casework, intake
from hotline.exchange import due_soon
from hotline.orders import AcceptOrder, DispatchOrder
from tests import world as w
from workflow import statute
from workflow.errors import PackInvalid
from workflow.vocabulary import Act, Matter

EARLIER = """
[pack]
id = "test-earlier"
name = "测试实施细则"
document = "测试"
since = 2022-08-02
extends = "qinghai-2022"

[[parameter]]
name = "due_soon_hours"
value = 30
tighter = "larger"
article = "40"
text = "测试：提前 30 小时提醒。"
"""


@pytest.fixture
def packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped rule packs, and one more beside them."""
    shutil.copytree(Path(str(files("workflow").joinpath("statutes"))), tmp_path / "packs" / "statutes")
    (tmp_path / "packs" / "statutes" / "test-earlier.toml").write_text(EARLIER)
    monkeypatch.setattr(statute, "files", lambda _: tmp_path / "packs")


def dispatched(world: w.World, prefix: str, unit: str) -> None:
    """A suggestion of Monday 2026-03-02, due on the 9th at 24:00."""
    with Session(world.engine, expire_on_commit=False) as session:
        at = w.china("2026-03-02 10:00")
        case = intake.take(
            world.desk(session, f"{prefix}agent", at), w.demand(Matter.SUGGESTION), Act.ACCEPT, AcceptOrder()
        )
        desk = world.desk(session, f"{prefix}dispatcher", at)
        casework.dispatch(desk, case.ticket.number, DispatchOrder(lead=unit))
        session.commit()


def told(world: w.World, at: str) -> list[str]:
    """The units newly warned at this time."""
    with Session(world.engine) as session:
        before = set(session.execute(text(_TOLD)).scalars())
        due_soon.warn(session, world.office, w.china(at))
        session.commit()
        after = set(session.execute(text(_TOLD)).scalars())
    with Session(world.engine) as session:
        code = {id_: code for code, id_ in world.units.items()}
        rows = session.execute(
            text("SELECT unit_id FROM outbox WHERE id = ANY(:ids)"), {"ids": sorted(after - before)}
        )
        return sorted(code[unit] for unit in rows.scalars())


_TOLD = "SELECT id FROM outbox WHERE type = 'clock.due_soon'"


@pytest.mark.usefixtures("packs")
def test_each_platform_warns_as_early_as_its_pack_says(world: w.World) -> None:
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE platforms SET pack = 'test-earlier' WHERE code = '02'"))
    dispatched(world, "", "ZJJ")
    dispatched(world, "b-", "HDJ")
    assert told(world, "2026-03-08 17:59") == []
    assert told(world, "2026-03-08 18:01") == ["HDJ"], "thirty hours before the end of the 9th"
    assert told(world, "2026-03-09 08:59") == []
    assert told(world, "2026-03-09 09:01") == ["ZJJ"], "fifteen"
    assert told(world, "2026-03-09 12:00") == []


@pytest.mark.parametrize(("hours", "allowed"), [(24, True), (15, True), (8, False)])
def test_a_pack_may_warn_earlier_and_not_later(hours: int, allowed: bool) -> None:
    pack = EARLIER.replace("value = 30", f"value = {hours}")
    if allowed:
        assert statute.parse(pack).number("due_soon_hours") == hours
    else:
        with pytest.raises(PackInvalid, match="放宽"):
            statute.parse(pack)
