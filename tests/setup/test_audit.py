"""`.ci/audit` tells «vulnerable», «clean» and «nobody looked» apart, on what pip-audit and npm have really said."""

import importlib.machinery
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
OUTPUTS = Path(__file__).with_name("audit_outputs")
"""Recorded from pip-audit 2.10.1 and npm 11; hosts and paths made general."""


def _load() -> Any:
    loader = importlib.machinery.SourceFileLoader("ci_audit", str(ROOT / ".ci" / "audit"))
    spec = importlib.util.spec_from_loader("ci_audit", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


audit = _load()
End = audit.End


def said(name: str) -> tuple[int, str, str]:
    recorded = json.loads((OUTPUTS / f"{name}.json").read_text("utf-8"))
    return recorded["status"], recorded["stdout"], recorded["stderr"]


@pytest.mark.parametrize(
    ("tool", "name", "end", "told"),
    [
        ("pip", "vuln", End.FOUND, "flask 2.2.0: CVE-2023-30861"),
        ("pip", "clean", End.CLEAN, "2 packages"),
        ("pip", "no_data", End.NOT_DONE, "4 of 4 packages not audited"),
        ("pip", "down", End.NOT_DONE, "Connection refused"),
        ("npm", "vuln", End.FOUND, "minimist (critical): Prototype Pollution"),
        ("npm", "clean", End.CLEAN, "1 packages"),
        ("npm", "no_data", End.NOT_DONE, "405 Method Not Allowed"),
        ("npm", "down", End.NOT_DONE, "ECONNREFUSED"),
    ],
)
def test_what_a_tool_said_is_understood(tool: str, name: str, end: Any, told: str) -> None:
    verdict = getattr(audit, f"judge_{tool}")(*said(f"{tool}_{name}"))
    assert verdict.end is end
    assert told in verdict.lines[0]


@pytest.mark.parametrize("judge", ["judge_pip", "judge_npm"])
@pytest.mark.parametrize("output", ["", "{}", "[]", "null", "<html>proxy</html>", '{"dependencies": []}'])
@pytest.mark.parametrize("status", [0, 1])
def test_an_answer_that_is_none_is_never_clean(judge: str, output: str, status: int) -> None:
    verdict = getattr(audit, judge)(status, output, "")
    assert verdict.end is End.NOT_DONE
    assert verdict.lines[0]


def test_one_package_nobody_looked_at_is_not_clean_and_hides_no_finding() -> None:
    skipped = {"name": "x", "skip_reason": "Dependency not found on PyPI and could not be audited: x (1)"}
    clean = json.loads(said("pip_clean")[1])
    clean["dependencies"].append(skipped)
    assert audit.judge_pip(0, json.dumps(clean), "").end is End.NOT_DONE
    vulnerable = json.loads(said("pip_vuln")[1])
    vulnerable["dependencies"].insert(0, skipped)
    assert audit.judge_pip(1, json.dumps(vulnerable), "").end is End.FOUND


def test_clean_counts_only_from_who_knows_the_canary() -> None:
    clean, found = audit.judge_npm(*said("npm_clean")), audit.judge_npm(*said("npm_vuln"))
    not_done = audit.judge_npm(*said("npm_down"))
    assert audit.with_canary(clean, found).end is End.CLEAN
    assert audit.with_canary(clean, clean).end is End.NOT_DONE
    assert audit.with_canary(clean, not_done).end is End.NOT_DONE
    assert audit.with_canary(found, clean).end is End.FOUND


def test_the_run_fails_for_a_finding_and_where_it_is_required_for_want_of_an_answer() -> None:
    assert audit.exit_status([End.CLEAN, End.CLEAN], required=True) == 0
    assert audit.exit_status([End.CLEAN, End.NOT_DONE], required=False) == 0
    assert audit.exit_status([End.CLEAN, End.NOT_DONE], required=True) == 1
    assert audit.exit_status([End.CLEAN, End.FOUND], required=False) == 1


def test_what_is_told_names_no_registry_of_this_machine() -> None:
    _, output, errors = said("npm_no_data")
    assert "://" in output
    assert "://" not in " ".join(audit.judge_npm(1, output, errors).lines)
    assert (
        audit._last("error: https://user:secret@mirror.example/simple failed")
        == "error: (registry)/simple failed"
    )


def test_the_locks_name_public_places_only() -> None:
    assert audit.strangers_in_uv_lock((ROOT / "uv.lock").read_text("utf-8")) == []
    for lock in audit.package_locks():
        assert audit.strangers_in_package_lock(lock.read_text("utf-8")) == [], lock
    strange = (
        'source = { registry = "https://mirror.example/simple" }\nurl = "http://files.pythonhosted.org/x"'
    )
    assert audit.strangers_in_uv_lock(strange) == ["http://files.pythonhosted.org", "https://mirror.example"]
    lock = json.dumps({"packages": {"": {}, "node_modules/a": {"resolved": "https://mirror.example/a.tgz"}}})
    assert audit.strangers_in_package_lock(lock) == ["node_modules/a: https://mirror.example/a.tgz"]
