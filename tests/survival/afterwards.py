"""What must hold after every fault: the real `hotline doctor --chains --json` finds nothing broken."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.processes.hotlines import HOTLINE, PATIENCE

_MACHINE = frozenset({"磁盘", "密钥", "字体", "配置"})
"""Checks of the machine the test happens to run on; they judge no fault a test has caused."""


def hotline(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one real `hotline …` on this database to its end; with an empty `url` on the folder's embedded one."""
    (folder / "field.key").write_bytes(b"k" * 32)  # the small world's
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(("HOTLINE_", "PYTEST_", "COV_"))}
    settings = {"HOTLINE_DATABASE_URL": url, "HOTLINE_DATA_DIR": str(folder)}
    return subprocess.run(
        [HOTLINE, *arguments],
        env=inherited | settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def all_is_well(folder: Path, url: str) -> dict[str, Any]:
    """The doctor's findings by check, none of them a fault: every chain whole, every open ticket with its owner and a running
    clock, no act half done, nothing undelivered."""
    done = hotline(folder, url, "doctor", "--chains", "--json")
    try:
        told = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise AssertionError(
            f"the doctor did not answer ({done.returncode}): {done.stderr[-2000:]}"
        ) from None
    found = {each["check"]: each for each in told["findings"]}
    assert {"在办工单的时限", "办理动作的完整", "台账和审计的哈希链", "事件投递", "到期检查"} <= set(found), (
        found
    )
    faults = [each for each in told["findings"] if each["level"] == "fault" and each["check"] not in _MACHINE]
    assert not faults, faults
    return found
