"""Every bench, one after the other, and one table of what they found.

python -m bench [--quick | --full] [--only acts,lists] [--questions PATH] [--json]

Each runs as a process of its own, so that one that fails takes nothing with it; its own table goes to the standard error as it
comes. --quick asks each for its quick size (under a minute on two quiet cores), --full for its largest. How to read it: bench/README.md.

Exits 1 where a must is missed or a bench fails. What is left out for want of a path is named, and fails nothing.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.rows import BENCHES, Bench, Row

_HEAD = Row("what", "ours", "peer or limit", "ratio", "must", "aim")
_WIDTHS = (66, 12, 15, 9, 11, 22)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="benches: " + ", ".join(BENCHES),
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="each in its quick size")
    size.add_argument("--full", action="store_true", help="each in its largest size")
    parser.add_argument("--only", type=_names, default=list(BENCHES), help="these only, separated by commas")
    parser.add_argument("--questions", type=Path, help="real questions for the knowledge bench")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON and nothing else")
    options = parser.parse_args()
    told = [(name, *outcome(name, options)) for name in options.only]
    rows = {name: rows for name, rows, _ in told}
    troubles = {name: trouble for name, _, trouble in told if trouble}
    missed = [row.what for each in rows.values() for row in each if row.met is False]
    failed = [name for name, trouble in troubles.items() if not trouble.startswith("left out")]
    if not options.json:
        print("\n".join(table(rows, troubles)))
    told_rows = {name: [row._asdict() for row in each] for name, each in rows.items()}
    summary = {"bench": "all", "machine": machine(), "rows": told_rows, "troubles": troubles}
    print(json.dumps(summary | {"must_met": not missed and not failed}, ensure_ascii=False))
    return 1 if missed or failed else 0


def _names(given: str) -> list[str]:
    names = given.split(",")
    if unknown := [name for name in names if name not in BENCHES]:
        raise argparse.ArgumentTypeError(f"no bench is called {', '.join(unknown)}")
    return names


def arguments(bench: Bench, options: argparse.Namespace) -> list[str]:
    """What a bench is called with."""
    chosen = list((bench.quick if options.quick else bench.full if options.full else None) or ())
    return [*chosen, f"--{bench.needs}", str(getattr(options, bench.needs))] if bench.needs else chosen


def outcome(name: str, options: argparse.Namespace) -> tuple[list[Row], str]:
    """The rows of one bench, and what went wrong with it, if anything."""
    bench = BENCHES[name]
    if bench.needs and getattr(options, bench.needs) is None:
        return [], f"left out: it needs --{bench.needs} PATH"
    began, load = time.monotonic(), os.getloadavg()[0]
    print(f"--- {name} (load {load:.1f})", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", f"bench.{name}", *arguments(bench, options)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
    shown, figures = _read(done.stdout)
    print(shown, file=sys.stderr, flush=True)
    print(f"--- {name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    if figures is None:
        return [], f"failed with exit code {done.returncode}"
    try:
        rows = bench.rows(figures)
    except (KeyError, IndexError, TypeError) as error:
        return [], f"told what the table cannot read: {error!r}"
    if done.returncode and not any(row.met is False for row in rows):
        rows.append(Row(f"{name} as a whole", "missed", "", "", "as it says", "", False))
    return rows, ""


def _read(told: str) -> tuple[str, dict[str, Any] | None]:
    """What it printed before its last line, and the figures of that line."""
    shown, _, last = told.rstrip().rpartition("\n")
    try:
        figures = json.loads(last)
    except ValueError:
        return told, None
    return (shown, figures) if isinstance(figures, dict) else (told, None)


def machine() -> dict[str, Any]:
    """Where this ran."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "load_average": [round(each, 1) for each in os.getloadavg()],
    }


def table(rows: dict[str, list[Row]], troubles: dict[str, str]) -> Iterator[str]:
    """The lines of the one table."""
    yield _line(_HEAD, "met")
    for each in rows.values():
        for row in each:
            met = {True: "yes", False: "MISSED", None: ""}[row.met]
            yield _line(row, met + {True: ", aim met", False: ", aim not met", None: ""}[row.aim_met])
    for name, trouble in troubles.items():
        yield f"{name}: {trouble}"


def _line(row: Row, met: str) -> str:
    cells = zip(row, _WIDTHS, strict=False)
    first, *others = (
        (f"{cell:,}" if isinstance(cell, int | float) and not isinstance(cell, bool) else str(cell), width)
        for cell, width in cells
    )
    return f"{first[0]:<{first[1]}}" + "".join(f"{cell:>{width}}" for cell, width in others) + f"  {met}"


if __name__ == "__main__":
    sys.exit(main())
