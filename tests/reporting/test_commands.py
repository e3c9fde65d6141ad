"""`hotline reports` on a real database, and the jobs as the ticker runs them."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import Session

from api import cli, scheduler
from api.wiring import Runtime
from hotline.reporting import duties, refresh
from hotline.settings import Settings
from tests import world as w
from tests.api.conftest import Api
from tests.reporting.lives import Lives, Step
from tests.reporting.test_counting import found
from workflow.errors import OrderInvalid


@pytest.fixture
def command(worked: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Api:
    """The command line looks at this test's database."""
    monkeypatch.setenv("HOTLINE_DATABASE_URL", worked.world.engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("HOTLINE_DATA_DIR", str(tmp_path))
    return worked


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.app(["reports", *words])
    assert ended.value.code == code
    return capsys.readouterr().out


def test_checked_spoilt_and_counted_anew(command: Api, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(run(capsys, "check", "--json"))
    assert (told["sound"], told["tickets"], told["not_yet_counted"]) == (True, 5, 0)
    with command.world.engine.begin() as connection:
        connection.execute(text("DELETE FROM report_facts WHERE what = 'received'"))
    assert "明细不符 5" in run(capsys, "check", code=1)
    run(capsys, "rebuild", "--yes")
    assert json.loads(run(capsys, "check", "--json"))["sound"] is True


def test_figures_and_reports_are_shown(command: Api, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "show", "2026-03", "--by", "unit")
    assert "及时率" in shown
    assert "测试市住建局" in shown
    data = json.loads(run(capsys, "show", "2026-03", "--platform", "01", "--json"))
    assert data["figures"]["whole"]["received"]["numerator"] == 4
    assert "还没有报告" in run(capsys, "list")
    runtime = Runtime(
        Settings(data_dir=command.world.office.blobs.folder),
        command.world.engine,
        command.world.office,
        lambda: command.now,
    )
    jobs = {job.name: job for job in scheduler.JOBS}
    assert scheduler.run(runtime, jobs["draft_reports"]) == 4
    assert "2026年3月运行情况报告" in run(capsys, "list")
    key = json.loads(run(capsys, "list", "--json"))[0]["id"]
    assert "待审核" in run(capsys, "show", str(key))
    assert "figures_daily" in run(capsys, "schema")


def test_a_report_is_made_into_files(
    command: Api, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with Session(command.world.engine, expire_on_commit=False) as session:
        duties.draft_due(session, command.world.office, command.now)
        session.commit()
    key = str(json.loads(run(capsys, "list", "--json"))[0]["id"])
    folder = tmp_path / "made"
    made = json.loads(run(capsys, "export", key, "--to", "csv,pdf", "--folder", str(folder), "--json"))
    assert [(each["format"], Path(each["path"]).stat().st_size) for each in made] == [
        (each["format"], each["bytes"]) for each in made
    ]
    assert {each["format"] for each in made} == {"pdf", "csv"}
    assert all("（未报送）" in each["path"] for each in made)
    with pytest.raises(OrderInvalid, match="pdf、docx"):
        cli.app(["reports", "export", key, "--to", "doc"])
    with command.world.engine.connect() as connection:
        kept = (
            connection.execute(text("SELECT what FROM audit WHERE kind = 'report_printed'")).scalars().all()
        )
    assert [each["format"] for each in kept] == [["pdf", "csv"]]


def test_replicas_that_count_at_once_count_everything_once(world: w.World) -> None:
    lives = Lives(world)
    for number in range(60):
        lives.live(Step("born" if number % 4 == 0 else "act", number % 5, number * 7919 % 10_000, 1))

    def replica(_number: int) -> None:
        for _ in range(30):
            with Session(world.engine, expire_on_commit=False) as session:
                refresh.count(session, world.office, lives.at, batch=5)
                session.commit()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(replica, range(4)))
    lives.count()
    assert found(world.engine).sound


def test_a_changed_calendar_counts_handling_times_anew(worked: Api) -> None:
    def workdays() -> int:
        with worked.world.engine.connect() as connection:
            return int(connection.execute(text("SELECT sum(workdays) FROM report_facts")).scalar_one())

    before = workdays()
    answer = worked.post("/calendar/local-days", "supervisor", {"days": {"2026-03-04": "测试放假"}})
    assert answer.status_code in (200, 201), answer.text
    with Session(worked.world.engine, expire_on_commit=False) as session:
        refresh.count_all(session, worked.world.office, worked.now)
        session.commit()
    assert workdays() < before
    assert found(worked.world.engine).sound
