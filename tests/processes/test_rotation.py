"""`hotline keys rotate` beside a running server, killed with -9 again and again: the server answers, and nothing is lost."""

import json
import os
import random
import subprocess
import threading
import time
from pathlib import Path

from sqlalchemy import text
from sqlmodel import Session

from hotline import intake
from hotline.orders import AcceptOrder, Caller
from tests.processes.hotlines import HOTLINE, serving, start
from tests.world import World, china, demand
from workflow.vocabulary import Act

COUNT = 1_500


def fill(world: World) -> None:
    with Session(world.engine) as session:
        desk = world.desk(session, "agent", china("2026-03-02 09:00"))
        for n in range(COUNT):
            told = demand(caller=Caller(name="测试甲", phone=f"139{n:08d}"), content=f"回电139{n:08d}")
            intake.take(desk, told, Act.ACCEPT, AcceptOrder())
        session.commit()


def run(folder: Path, url: str, *arguments: str, status: int = 0) -> str:
    settings = {"HOTLINE_DATABASE_URL": url, "HOTLINE_DATA_DIR": str(folder), "HOTLINE_CIPHER": "sm"}
    inherited = {n: v for n, v in os.environ.items() if not n.startswith("HOTLINE_")}
    done = subprocess.run(
        [HOTLINE, *arguments],
        env=inherited | settings,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_keys_are_rotated_while_the_server_answers_however_often_the_rotation_is_killed(
    world: World, database_url: str, tmp_path: Path
) -> None:
    fill(world)
    folder = tmp_path / "data"
    wrong: list[str] = []
    asked = 0
    stop = threading.Event()
    with serving(folder, database_url, world.tokens) as server:

        def ask() -> None:
            nonlocal asked
            chosen = random.Random(7)
            with server.client() as client:
                while not stop.is_set():
                    phone = f"139{chosen.randrange(COUNT):08d}"
                    found = client.post(
                        "/api/v1/callers/search", headers=server.headers("agent"), json={"phone": phone}
                    )
                    lines = found.json().get("items", [])
                    if found.status_code != 200 or len(lines) != 1:
                        wrong.append(f"search {phone}: {found.status_code} {len(lines)}")
                        continue
                    order = {"field": "phone", "purpose": "contact"}
                    path = f"/api/v1/tickets/{lines[0]['number']}/unsealings"
                    opened = client.post(path, headers=server.headers("agent"), json=order)
                    if opened.status_code != 201 or opened.json()["value"] != phone:
                        wrong.append(f"unseal {phone}: {opened.status_code} {opened.text[:200]}")
                    asked += 1

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            chosen = random.Random(11)
            for _ in range(3):
                rotating = start(folder, database_url, "keys", "rotate", "--json", HOTLINE_CIPHER="sm")
                time.sleep(3.0 + 4.0 * chosen.random())
                rotating.kill()
            done = json.loads(run(folder, database_url, "keys", "rotate", "--json"))
            assert done["suite"] == "sm"
            assert done["unopened"] == []
            keys = json.loads(run(folder, database_url, "keys", "list", "--json"))
            current = next(key for key in keys if key["current"])
            assert current["rows"] >= COUNT * 3
            for key in keys:
                if not key["current"]:
                    assert key["rows"] == 0
                    run(folder, database_url, "keys", "retire", str(key["id"]), "--yes")
            assert "这是当前密钥" in run(
                folder, database_url, "keys", "retire", str(current["id"]), "--yes", status=1
            )
            before = asked
            time.sleep(3)
            assert asked > before
        finally:
            stop.set()
            asking.join()
    assert wrong == []
    assert asked > 50
    with world.engine.connect() as connection:
        heads = (
            connection.execute(text("SELECT DISTINCT get_byte(caller_phone, 1) FROM tickets")).scalars().all()
        )
    assert list(heads) == [2]


def test_a_server_with_another_ring_does_not_start(world: World, database_url: str, tmp_path: Path) -> None:
    with Session(world.engine) as session:
        desk = world.desk(session, "agent", china("2026-03-02 09:00"))
        intake.take(desk, demand(), Act.ACCEPT, AcceptOrder())
        session.commit()
    said = run(tmp_path / "elsewhere", database_url, "serve", "--port", "0", status=1)
    assert "另一个密钥环" in said
    assert "Traceback" not in said
