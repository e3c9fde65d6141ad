"""`python -m bench` knows every bench there is, calls each as it understands it, and tells a missed must from a met one."""

import ast
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from bench import __main__ as all_benches
from bench.rows import BENCHES, NO_BENCHES, Row

FOLDER = Path(all_benches.__file__).parent


def programs() -> dict[str, str]:
    """The programs in bench/ and their text."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py")}
    return {
        name: text
        for name, text in texts.items()
        if 'if __name__ == "__main__":' in text and name != "__main__"
    }


def options_of(text: str) -> set[str]:
    """The options a program's parser is given."""
    calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    adding = (
        call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"
    )
    return {
        a.value
        for call in adding
        for a in call.args
        if isinstance(a, ast.Constant) and isinstance(a.value, str)
    }


def test_every_program_is_in_the_table_or_said_to_measure_nothing() -> None:
    assert set(programs()) == set(BENCHES) | set(NO_BENCHES)


@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_understands_how_it_is_called(name: str) -> None:
    known = options_of(programs()[name])
    sizes = [
        {"quick": q, "full": f, "questions": Path("q.csv")}
        for q, f in ((True, False), (False, True), (False, False))
    ]
    for size in sizes:
        given = all_benches.arguments(BENCHES[name], Namespace(**size))
        assert {each for each in given if each.startswith("--")} <= known
    assert "--json" in known


def test_the_command_tells_what_it_is_and_refuses_what_is_not_there() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], capture_output=True, text=True, cwd=FOLDER.parent
    )
    assert shown.returncode == 0
    assert "--quick" in shown.stdout
    assert "acts" in shown.stdout
    refused = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "nothing"],
        capture_output=True,
        text=True,
        cwd=FOLDER.parent,
    )
    assert refused.returncode == 2
    assert "nothing" in refused.stderr


def test_a_bench_that_needs_a_path_is_left_out_and_named() -> None:
    rows, trouble = all_benches.outcome("knowledge", Namespace(quick=True, full=False, questions=None))
    assert rows == []
    assert "--questions" in trouble


def test_the_table_says_which_must_is_missed() -> None:
    rows = {
        "acts": [
            Row("create", 400.0, 100.0, 4.0, ">= 4 x", "", True),
            Row("act", 90, 20, 4.5, ">= 5 x", "", False),
        ]
    }
    lines = list(all_benches.table(rows, {"knowledge": "left out: it needs --questions PATH"}))
    assert lines[1].startswith("create")
    assert lines[1].endswith("yes")
    assert lines[2].endswith("MISSED")
    assert lines[3].startswith("knowledge: left out")
