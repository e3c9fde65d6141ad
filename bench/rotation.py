"""What a rotation of keys costs: the fields of 100,000 callers sealed anew while a real `hotline serve` answers.

python -m bench.rotation [--quick] [--json]

One embedded PostgreSQL in a temporary folder, with its ordinary, durable settings, holds 100,000 tickets written in bulk, each
with its caller's name, phone and address and an original, sealed one by one with key 1. A server started as `hotline serve` is asked
by four clients without a pause: lists, tickets whole, searches by phone, fields opened, demands registered. Its 95th percentile is
taken before and while `hotline keys rotate --suite sm` (another process) seals everything anew. Afterwards every caller's fields are
opened again, found again by their phone, and compared. --quick takes 10,000 callers.

Exits 1 where the server answered wrongly even once, where a value does not open or is under another key, or where the server's 95th
percentile while rotating is above 1 second.
"""

import argparse
import json
import logging
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
from sqlalchemy import Engine, text
from sqlmodel import Session
from stdnum.iso7064 import mod_11_10

from hotline import reference
from hotline.people import accounts
from hotline.privacy.keyring import Suite, open_ring
from hotline.privacy.sealing import Sealer, SealerOfKey, of_caller, of_original, prefix_of
from hotline.storage import embedded
from hotline.storage.store import make_engine, migrate
from workflow.vocabulary import Level, Role

CALLERS, CALLERS_QUICK = 100_000, 10_000
CLIENTS = 4
BEFORE_SECONDS = 10.0
MUST_P95_MS = 1000.0
HOTLINE = Path(sys.executable).with_name("hotline")
AT = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass
class Asked:
    """What the clients saw in one phase."""

    milliseconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def p95(self) -> float:
        """The 95th percentile in milliseconds."""
        return statistics.quantiles(self.milliseconds, n=20)[-1] if len(self.milliseconds) > 20 else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="10,000 callers: under 45 s")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON and nothing else")
    options = parser.parse_args()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    folder = Path(tempfile.mkdtemp(prefix="hotline-bench-"))
    folder.chmod(0o755)
    try:
        figures = measured(folder, quick=options.quick)
    finally:
        embedded.stop(folder / "server")
        shutil.rmtree(folder, ignore_errors=True)
    if not options.json:
        print_table(figures)
    print(json.dumps(figures, ensure_ascii=False))
    return 0 if figures["must_met"] else 1


def measured(folder: Path, *, quick: bool) -> dict[str, Any]:
    url = embedded.find_or_start(folder / "server")
    migrate(url)
    count = CALLERS_QUICK if quick else CALLERS
    data = folder / "data"
    sealer = Sealer(open_ring(data / "keyring.json", data / "field.key", Suite.AES))
    engine = make_engine(url, pool_size=4)
    token = people(engine)
    fill(engine, sealer.pinned(), count)
    environment = {n: v for n, v in os.environ.items() if not n.startswith("HOTLINE_")}
    environment |= {
        "HOTLINE_DATABASE_URL": url,
        "HOTLINE_DATA_DIR": str(data),
        "HOTLINE_REQUESTS_PER_MINUTE": "1000000",
    }
    environment |= {
        "HOTLINE_ALERT_UNSEALS_PER_HOUR": "1000000",
        "HOTLINE_SHIFT": "00:00-00:00",
        "HOTLINE_LOG_LEVEL": "ERROR",
    }
    port = 20000 + os.getpid() % 20000
    server = subprocess.Popen(
        [HOTLINE, "serve", "--port", str(port)], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_ready(address, server)
        before, during = Asked(), Asked()
        with asking(address, token, count, before):
            time.sleep(BEFORE_SECONDS / (3 if quick else 1))
        with asking(address, token, count, during):
            rotated = json.loads(
                subprocess.run(
                    [HOTLINE, "keys", "rotate", "--suite", "sm", "--json"],
                    env=environment,
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
            )
    finally:
        server.terminate()
        server.wait(30)
    broken = unsound(engine, Sealer(open_ring(data / "keyring.json", data / "field.key", Suite.AES)), count)
    engine.dispose()
    wrong = before.wrong + during.wrong
    met = not wrong and not broken and rotated["unopened"] == [] and during.p95() <= MUST_P95_MS
    return {
        "bench": "rotation",
        "quick": quick,
        "callers": count,
        "rows": rotated["rows"],
        "seconds": rotated["seconds"],
        "rows_per_second": round(rotated["rows"] / rotated["seconds"]),
        "requests": {"before": len(before.milliseconds), "during": len(during.milliseconds)},
        "median_ms": {"before": median(before), "during": median(during)},
        "p95_ms": {"before": round(before.p95(), 1), "during": round(during.p95(), 1)},
        "must_p95_ms": MUST_P95_MS,
        "errors": len(wrong),
        "first_errors": wrong[:3],
        "not_opening": broken,
        "must_met": met,
    }


def median(asked: Asked) -> float:
    return round(statistics.median(asked.milliseconds or [0.0]), 1)


# --- what lies there ---------------------------------------------------------------------------------------------------


def people(engine: Engine) -> str:
    """A platform and one agent on it; the agent's token."""
    with Session(engine) as session:
        reference.load_shipped(session)
        platform = accounts.add_platform(
            session,
            code="01",
            name="测试市12345热线",
            short_name="测试热线",
            level=Level.PREFECTURE,
            area_code="630100000000",
        )
        agent = accounts.add_person(
            session, login="agent", name="测试话务员", roles=[Role.AGENT], platform=platform
        )
        token = accounts.issue_token(session, label="bench", at=AT, person=agent)
        session.commit()
    return token


def caller(n: int) -> dict[str, str]:
    """The n-th invented caller."""
    return {
        "caller_name": f"测试{n}",
        "caller_phone": f"139{n:08d}",
        "caller_address": f"测试路{n}号3单元502室",
    }


def number_of(n: int) -> str:
    body = f"01260302{n:06d}"
    return body + str(mod_11_10.calc_check_digit(body))


def fill(engine: Engine, sealer: SealerOfKey, count: int) -> None:
    """Write the tickets and their originals, a thousand at a time."""
    for start in range(0, count, 1000):
        rows = []
        for n in range(start, min(start + 1000, count)):
            number, known = number_of(n), caller(n)
            row: dict[str, Any] = {"number": number, "received": AT + timedelta(seconds=n)}
            row |= {name: sealer.seal(value, of_caller(name, number)) for name, value in known.items()}
            row["index"] = sealer.index(known["caller_phone"])
            row["original"] = sealer.seal(
                json.dumps({"demand.content": f"回电139{n:08d}"}), of_original(number, 1)
            )
            rows.append(row)
        with engine.begin() as connection:
            connection.execute(text(_TICKETS), rows)
            connection.execute(text(_ORIGINALS), rows)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE)"))


_TICKETS = """
INSERT INTO tickets (number, platform_id, state, version, matter, channel, category_code, area_code, title, content,
    received_at, created_at, caller_name, caller_phone, caller_address, phone_index, confidential, complex, episode, episode_no,
    upheld_returns, ledger_seq, ledger_head)
SELECT :number, min(id), 'accepted', 1, 'help', 'phone', '010101', '630104000000', '暖气不热，室温只有14度', '请回电139****0000。',
    :received, :received, :caller_name, :caller_phone, :caller_address, :index, false, false, 'first', 0, 0, 0, '' FROM platforms
"""
_ORIGINALS = "INSERT INTO originals (ticket_id, seq, sealed) SELECT id, 1, :original FROM tickets WHERE number = :number"


def unsound(engine: Engine, sealer: Sealer, count: int) -> int:
    """How many callers' values do not open to what they were, are not found by their phone, or are not under the current key."""
    statement = text(
        "SELECT t.number, t.caller_name, t.caller_phone, t.caller_address, t.phone_index, o.sealed FROM tickets t "
        "JOIN originals o ON o.ticket_id = t.id AND o.seq = 1 ORDER BY t.id LIMIT :count"
    )
    current = prefix_of(sealer.pinned().key)
    broken = 0
    with engine.connect() as connection:
        for n, row in enumerate(connection.execute(statement, {"count": count})):
            known = caller(n)
            sealed = [getattr(row, name) for name in known] + [row.sealed]
            opened = {name: sealer.open(getattr(row, name), of_caller(name, row.number)) for name in known}
            original = json.loads(sealer.open(row.sealed, of_original(row.number, 1)))
            right = opened == known and original == {"demand.content": f"回电139{n:08d}"}
            right = right and row.phone_index == sealer.index(known["caller_phone"])
            broken += not (right and all(value[:4] == current for value in sealed))
    return broken + (count - n - 1)


# --- who asks ----------------------------------------------------------------------------------------------------------


def wait_until_ready(address: str, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        try:
            if httpx.get(f"{address}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            if server.poll() is not None:
                raise RuntimeError("hotline serve ended early") from None
        time.sleep(0.1)
    raise RuntimeError("hotline serve is not ready")


class asking:  # noqa: N801 - used as a with statement
    """Clients that ask without a pause as long as the block runs."""

    def __init__(self, address: str, token: str, count: int, asked: Asked) -> None:
        self._address, self._headers = address + "/api/v1", {"Authorization": f"Bearer {token}"}
        self._count, self._asked, self._stop = count, asked, threading.Event()
        self._pool = ThreadPoolExecutor(CLIENTS)

    def __enter__(self) -> None:
        for n in range(CLIENTS):
            self._pool.submit(self._client, n)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()

    def _client(self, seed: int) -> None:
        chosen = random.Random(seed)
        try:
            with httpx.Client(headers=self._headers, timeout=60) as client:
                while not self._stop.is_set():
                    n = chosen.randrange(self._count)
                    for method, path, body, expected in self._round(n):
                        self._one(client, method, path, body, expected)
        except Exception as error:
            self._asked.wrong.append(f"{type(error).__name__}: {error}")

    def _round(self, n: int) -> list[tuple[str, str, Any, str]]:
        number, phone = number_of(n), caller(n)["caller_phone"]
        new = {
            "matter": "help",
            "category": "010101",
            "area": "630104000000",
            "title": "测试",
            "content": "测试13900000001",
        }
        return [
            ("GET", "/tickets?limit=20", None, "items"),
            ("GET", f"/tickets/{number}", None, f"139****{phone[-4:]}"),
            ("POST", "/callers/search", {"phone": phone}, number),
            ("POST", f"/tickets/{number}/unsealings", {"field": "phone", "purpose": "contact"}, phone),
            (
                "POST",
                "/tickets",
                {"demand": new | {"caller": {"name": "测试新", "phone": "13800000001"}}},
                "accepted",
            ),
        ]

    def _one(self, client: httpx.Client, method: str, path: str, body: Any, expected: str) -> None:
        began = time.perf_counter()
        response = client.request(method, self._address + path, json=body)
        self._asked.milliseconds.append((time.perf_counter() - began) * 1000)
        if response.status_code not in (200, 201) or expected not in response.text:
            self._asked.wrong.append(f"{method} {path.split('?')[0]}: {response.status_code}")


def print_table(figures: dict[str, Any]) -> None:
    print(
        f"{figures['rows']:,} rows of {figures['callers']:,} callers sealed anew in {figures['seconds']} s, {figures['rows_per_second']:,} rows/s"
    )
    print(f"{'':>10}{'requests':>10}{'median ms':>11}{'p95 ms':>9}")
    for phase in ("before", "during"):
        print(
            f"{phase:>10}{figures['requests'][phase]:>10,}{figures['median_ms'][phase]:>11}{figures['p95_ms'][phase]:>9}"
        )
    print(f"errors {figures['errors']}, values that do not open or are elsewhere {figures['not_opening']}")


if __name__ == "__main__":
    sys.exit(main())
