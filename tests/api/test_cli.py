"""The command line as a person and as a program use it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlmodel import Session

from api import cli, docs
from hotline import casework, intake
from hotline.orders import AcceptOrder, DispatchOrder
from tests.world import World, china, demand
from workflow.vocabulary import Act

COMMANDS: tuple[list[str], ...] = (
    ["doctor"],
    [],
    ["serve"],
    ["schedule"],
    ["migrate"],
    ["demo"],
    ["due"],
    ["calendar"],
    ["calendar", "add"],
    ["calendar", "load"],
    ["calendar", "years"],
    ["ticket"],
    ["ticket", "show"],
    ["verify"],
    ["import"],
    ["import", "areas"],
    ["import", "categories"],
    ["token"],
    ["token", "issue"],
    ["token", "list"],
    ["token", "revoke"],
    ["user"],
    ["user", "create"],
    ["user", "password"],
    ["user", "disable"],
    ["user", "enable"],
    ["user", "grant"],
    ["user", "unlock"],
    ["user", "reset-second-factor"],
    ["user", "list"],
    ["client"],
    ["client", "create"],
    ["client", "rotate"],
    ["client", "revoke"],
    ["client", "list"],
    ["platform"],
    ["platform", "add"],
    ["platform", "list"],
    ["partitions"],
    ["partitions", "cool"],
    ["audit"],
    ["audit", "verify"],
    ["audit", "head"],
    ["audit", "key"],
    ["recordings"],
    ["call"],
    ["deliver"],
    ["unit-check"],
    ["subscription"],
    ["subscription", "list"],
    ["subscription", "add"],
    ["subscription", "pause"],
    ["subscription", "resume"],
    ["subscription", "disable"],
    ["subscription", "rotate"],
    ["subscription", "test"],
    ["delivery"],
    ["delivery", "list"],
    ["delivery", "show"],
    ["delivery", "replay"],
    ["notify"],
    ["notify", "status"],
    ["notify", "contacts"],
    ["notify", "add"],
    ["notify", "change"],
    ["notify", "remove"],
    ["notify", "list"],
    ["notify", "show"],
    ["notify", "retry"],
    ["notify", "test"],
    ["db"],
    ["db", "stop"],
    ["keys"],
    ["keys", "list"],
    ["keys", "rotate"],
    ["keys", "resume"],
    ["keys", "retire"],
    ["conceal"],
    ["subject-report"],
    ["docs"],
    ["reports"],
    ["reports", "list"],
    ["reports", "show"],
    ["reports", "export"],
    ["reports", "rebuild"],
    ["reports", "check"],
    ["reports", "schema"],
    ["hotspots"],
    ["assessment"],
    ["assessment", "compute"],
    ["assessment", "sample"],
    ["knowledge"],
    ["knowledge", "template"],
    ["knowledge", "import"],
    ["knowledge", "export"],
    ["knowledge", "sync"],
    ["knowledge", "peer"],
    ["knowledge", "peer", "add"],
    ["knowledge", "peer", "list"],
    ["knowledge", "peer", "switch"],
)


class Shell:
    """Runs `hotline` commands in this process, as the console script would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def where(self, **environment: str) -> None:
        """Set environment variables for the commands to come."""
        for name, value in environment.items():
            self._monkeypatch.setenv(name, value)

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """Run one command; what it printed, its errors behind it."""
        self._monkeypatch.setattr(sys, "argv", ["hotline", *arguments])
        self._monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown = self._capsys.readouterr()
        assert (ended.value.code or 0) == status, shown.out + shown.err
        return shown.out + shown.err


@pytest.fixture
def hotline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """The command line."""
    return Shell(monkeypatch, capsys)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_in_chinese(hotline: Shell, command: list[str]) -> None:
    shown = hotline(*command, "--help")
    assert "Usage:" in shown
    assert any("\u4e00" <= c <= "\u9fff" for c in shown)


def test_a_due_date_explains_each_day(hotline: Shell) -> None:
    shown = hotline("due", "--matter", "inquiry", "--dispatched", "2026-02-13T10:00+08:00").splitlines()
    assert shown[0] == "2026-02-24"
    assert "  2026-02-14 星期六  第 1 个工作日  调休上班（春节，国务院办公厅通知）" in shown
    assert sum("不计  春节放假" in line for line in shown) == 9


def test_a_due_date_as_json_is_the_certificate(hotline: Shell) -> None:
    data = json.loads(
        hotline("due", "--matter", "tipoff", "--dispatched", "2026-02-13T10:00+08:00", "--json")
    )
    assert data["article"] == "14(4)"
    assert [d["index"] for d in data["days"] if d["counted"]] == list(range(1, 16))


def test_a_year_without_notice_is_said_to_be_provisional(hotline: Shell) -> None:
    assert "暂定" in hotline("due", "--matter", "complaint", "--dispatched", "2027-03-01T10:00+08:00")
    assert json.loads(hotline("calendar", "add", "2027-03-01", "3", "--json"))["provisional"] is True


def test_what_cannot_be_read_is_said_in_one_line(hotline: Shell) -> None:
    assert "时间 morgen 无法识别" in hotline("due", "--matter", "help", "--dispatched", "morgen", status=2)
    assert "日期 2026-13-01 无法识别" in hotline("calendar", "add", "2026-13-01", "2", status=2)
    said = hotline("due", "--matter", "help", "--dispatched", "2020-01-02T10:00+08:00", status=1)
    assert said.startswith("错误：")
    assert "Traceback" not in said


def test_a_database_that_is_not_there_is_said_plainly(hotline: Shell, tmp_path: Path) -> None:
    hotline.where(HOTLINE_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", HOTLINE_DATA_DIR=str(tmp_path))
    said = hotline("verify", status=1)
    assert "错误：数据库无法连接" in said
    hotline.where(HOTLINE_DATABASE_URL="mysql://x")
    said = hotline("verify", status=1)
    assert "PostgreSQL" in said
    assert "Traceback" not in said


@pytest.mark.usefixtures("world")
def test_partitions_are_listed_and_put_away_with_reasons(
    hotline: Shell, database_url: str, tmp_path: Path
) -> None:
    hotline.where(HOTLINE_DATABASE_URL=database_url, HOTLINE_DATA_DIR=str(tmp_path))
    shown = hotline("partitions").splitlines()
    assert any(line.startswith("ledger_first") for line in shown)
    listed = {one["name"]: one for one in json.loads(hotline("partitions", "--json"))}
    assert listed["audit_first"]["until"] in "\n".join(shown)
    assert "ledger_first：未冷存，还没有记录" in hotline("partitions", "cool", "--before", "2024-01")
    assert "本月以前" in hotline("partitions", "cool", "--before", "9999-01", status=1)
    assert "2024-01 的形式" in hotline("partitions", "cool", "--before", "去年", status=1)


def test_a_ticket_is_shown_without_its_caller(
    hotline: Shell, world: World, database_url: str, tmp_path: Path
) -> None:
    with Session(world.engine) as session:
        case = intake.take(
            world.desk(session, "agent", china("2026-03-02 09:00")), demand(), Act.ACCEPT, AcceptOrder()
        )
        number = case.ticket.number
        casework.dispatch(
            world.desk(session, "dispatcher", china("2026-03-02 10:00")), number, DispatchOrder(lead="ZJJ")
        )
        session.commit()
    hotline.where(HOTLINE_DATABASE_URL=database_url, HOTLINE_DATA_DIR=str(tmp_path))
    (tmp_path / "field.key").write_bytes(b"k" * 32)
    shown = hotline("ticket", "show", number)
    assert "已派单(待签收)" in shown
    assert "台账完整" in shown
    data = json.loads(hotline("ticket", "show", number, "--json"))
    assert data["ledger_whole"] is True
    for text in (shown, json.dumps(data, ensure_ascii=False)):
        assert "13900000001" not in text
        assert "测试甲" not in text
    wrong = str((int(number[-1]) + 1) % 10)
    assert "校验位" in hotline("ticket", "show", number[:-1] + wrong, status=1)
    assert "台账完整" in hotline("verify")


def test_a_token_is_issued_and_a_notice_previewed(
    hotline: Shell, world: World, database_url: str, tmp_path: Path
) -> None:
    hotline.where(HOTLINE_DATABASE_URL=database_url, HOTLINE_DATA_DIR=str(tmp_path))
    assert len(hotline("token", "issue", "agent").strip()) > 30
    assert "没有登录名" in hotline("token", "issue", "nobody", status=1)
    notice = tmp_path / "2027.json"
    notice.write_text(
        json.dumps(
            {
                "year": 2027,
                "papers": ["https://www.gov.cn/example"],
                "days": [{"name": "元旦", "date": "2027-01-01", "isOffDay": True}],
            }
        ),
        "utf-8",
    )
    assert "预览，变动 0 个" in hotline("calendar", "load", str(notice))
    assert "已加载" in hotline("calendar", "load", str(notice), "--yes")
    assert "无需重复加载" in hotline("calendar", "load", str(notice), "--yes", status=1)
    notice.write_text('{"year": 2027}', "utf-8")
    assert "错误：" in hotline("calendar", "load", str(notice), status=1)


def test_the_installed_script_starts_at_once_and_needs_no_database() -> None:
    script = Path(sys.executable).with_name("hotline")
    done = subprocess.run(
        [script, "calendar", "add", "2026-02-13", "2"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "2026-02-24\n"


def test_generated_documents_are_noticed_when_stale(tmp_path: Path) -> None:
    cases = Path("tests/statute")
    assert docs.stale(tmp_path, cases) == list(docs.pages(cases))
    assert {"openapi.json", "statute.md", "lifecycle.md", "units.zh-CN.md"} <= set(docs.pages(cases))
    docs.write(tmp_path, cases)
    assert docs.stale(tmp_path, cases) == []
    (tmp_path / "lifecycle.md").write_text("old", "utf-8")
    assert docs.stale(tmp_path, cases) == ["lifecycle.md"]
