"""Reports are read at the replica while it is fit, at the primary while it is not; a standby that is written to is no server error.

The tests stand in the order they run in: each leaves primary and standby as it found them, but the last.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from api.main import create_app
from api.problems import answer_to
from api.wiring import AS_OF, Runtime
from deploy.drills.servers import both
from hotline.health import replication
from hotline.health.findings import Level
from hotline.settings import Settings
from hotline.storage.replica import Fitness, Replica, Standing
from hotline.storage.store import make_engine, migrate
from tests import world as w
from tests.api.conftest import UNHURRIED, Api
from tests.api.refusals import problem
from tests.deploy.conftest import Pair, driven

if TYPE_CHECKING:
    from sqlmodel import Session

NOW = w.china("2026-03-02 09:00")


@contextmanager
def served(
    pair: Pair, folder: Path, url: str, *, most: float = 3600.0, asked: str | None = None
) -> Iterator[tuple[Api, Replica]]:
    """The app on the pair, its replica at `url`; each look at the replica is a new one."""
    pair.catch_up()
    looks = itertools.count(step=1000)
    replica = Replica(driven(url), timedelta(seconds=most), monotonic=lambda: float(next(looks)))
    engine = make_engine(driven(asked or pair.primary.url))
    runtime = Runtime(Settings(data_dir=folder, **UNHURRIED), engine, pair.world.office, lambda: NOW, replica)
    with TestClient(
        create_app(runtime), raise_server_exceptions=False, client=("127.0.0.1", 40000)
    ) as client:
        yield Api(client, pair.world), replica


def received(answer: Any) -> int:
    """How many tickets a board knows of today."""
    assert answer.status_code == 200, answer.text
    return int(answer.json()["received"][-1]["received"])


def test_boards_reports_and_hot_spots_are_read_at_the_replica(pair: Pair, tmp_path: Path) -> None:
    with served(pair, tmp_path, pair.standby.url) as (api, replica):
        for path in ("/board", "/hotspots/seasons", "/reports/indicators/received/tickets?period=2026-03"):
            answer = api.get(path, "supervisor")
            assert answer.status_code in (200, 503), answer.text  # figures may still be counted
            if answer.status_code == 200:
                at = datetime.fromisoformat(answer.headers[AS_OF])
                assert NOW - timedelta(minutes=1) <= at <= NOW
        assert AS_OF in api.get("/board", "supervisor").headers
        assert AS_OF not in api.get("/tickets", "supervisor").headers
        assert api.client.get("/readyz").json()["replica"] == "fit"
        assert "hotline_replica_fit 1.0" in api.client.get("/metrics").text
        problem(api.client.get("/api/v1/board"), 401)
        with replica.session() as session, pytest.raises(DBAPIError) as refused:
            session.execute(text("CREATE TABLE t (n int)"))
        assert getattr(refused.value.orig, "sqlstate", None) == "25006"


def test_what_was_just_done_is_read_at_the_primary_and_late_at_the_replica(
    pair: Pair, tmp_path: Path
) -> None:
    with served(pair, tmp_path, pair.standby.url) as (api, replica):
        before = received(api.get("/board", "supervisor"))
        pair.standby.told("SELECT pg_wal_replay_pause()")
        try:
            number = api.take()
            assert api.get(f"/tickets/{number}", "supervisor").status_code == 200
            late = api.get("/board", "supervisor")
            assert AS_OF in late.headers
            assert received(late) == before
            replica.most = timedelta()
            fallen_back = api.get("/board", "supervisor")
            assert AS_OF not in fallen_back.headers
            assert received(fallen_back) == before + 1
            assert api.client.get("/readyz").json() | {"migration": ""} == {
                "status": "ready",
                "migration": "",
                "replica": "lagging",
            }
        finally:
            pair.standby.told("SELECT pg_wal_replay_resume()")
        replica.most = timedelta(hours=1)
        pair.catch_up()
        assert received(api.get("/board", "supervisor")) == before + 1


def test_no_free_connection_is_no_server_error() -> None:
    """What acts that wait for a lost standby leave to everybody else."""
    answer = answer_to(
        Request({"type": "http", "method": "GET", "path": "/", "headers": []}), PoolExhausted()
    )
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


def test_an_idle_primary_is_no_lag(pair: Pair, tmp_path: Path) -> None:
    replica = Replica(driven(pair.standby.url), timedelta(seconds=30))
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    now = long_ago + timedelta(days=3)
    assert replica._judged(now, 100, 7, (True, 100, long_ago, 7)) == Standing(Fitness.FIT, timedelta())
    # something more was written: what was complete three days ago by its last commit was so a moment ago by what was found then
    later = now + timedelta(seconds=20)
    assert replica._judged(later, 101, 7, (True, 100, long_ago, 7)) == Standing(
        Fitness.FIT, timedelta(seconds=20)
    )
    stuck = now + timedelta(seconds=40)
    assert replica._judged(stuck, 102, 7, (True, 100, long_ago, 7)) == Standing(
        Fitness.LAGGING, timedelta(seconds=40)
    )
    # one that was built anew and holds less than before knows nothing of that
    assert replica._judged(stuck, 102, 7, (True, 50, None, 7)) == Standing(Fitness.LAGGING)
    assert replica._judged(stuck, 102, 7, (False, 102, None, 7)) == Standing(Fitness.NO_REPLICA)
    assert replica._judged(stuck, 102, 7, (True, 102, None, 8)) == Standing(Fitness.STRANGER)
    replica.close()


def test_an_address_that_is_no_replica_of_this_database_is_not_used(
    pair: Pair, tmp_path: Path, session: "Session"
) -> None:
    for url, fitness in (
        (pair.primary.url, "no_replica"),
        ("postgresql://u@127.0.0.1:1/none", "unreachable"),
    ):
        with served(pair, tmp_path, url) as (api, _):
            assert AS_OF not in api.get("/board", "supervisor").headers
            assert api.client.get("/readyz").json()["replica"] == fitness
            assert "hotline_replica_fit 0.0" in api.client.get("/metrics").text
    settings = Settings(data_dir=tmp_path, replica_url=pair.standby.url)
    found = {
        each.check: each for each in replication.look(session, settings)
    }  # the test run's own server: another database
    assert found["只读副本"].level is Level.WARNING
    assert "另一套数据库" in found["只读副本"].told
    assert found["同步复制"].level is Level.WARNING


def test_a_url_that_names_both_finds_the_primary(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named = both(pair.standby, pair.primary, "read-write")
    settings = Settings(
        data_dir=tmp_path, database_url=named, replica_url=both(pair.primary, pair.standby, "standby")
    )
    assert settings.database_url is not None
    migrate(settings.database_url)  # Alembic too
    engine = make_engine(settings.database_url)
    with engine.begin() as connection:
        assert connection.execute(text("SHOW port")).scalar_one() == str(pair.primary.port)
        # what a newer release has migrated is left as it is
        was = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    migrate(settings.database_url)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
        connection.execute(text("UPDATE alembic_version SET version_num = :was"), {"was": was})
    for name in ("database_url", "replica_url"):
        monkeypatch.setenv(f"HOTLINE_{name.upper()}", getattr(settings, name))
    monkeypatch.setenv("HOTLINE_DATA_DIR", str(tmp_path))
    from api.operations_doctor import look

    found = {each["check"]: each for each in look(chains=False, progress=False)[0]["findings"]}
    assert found.get("只读副本", {}).get("level") == "fine", found
    assert "synchronous_standby_names" in found["同步复制"]["told"]
    assert found["数据库版本"]["level"] == "fine"
    engine.dispose()


def test_writing_where_the_primary_was_is_refused_for_a_moment_and_forgotten(
    pair: Pair, tmp_path: Path
) -> None:
    """The server behind the pool has become a standby: 503 with Retry-After, and the pool is empty."""
    with served(pair, tmp_path, pair.standby.url, asked=pair.standby.url) as (api, _):
        engine = api.client.app.state.runtime.engine  # type: ignore[attr-defined]
        assert api.get("/tickets", "agent").status_code == 200
        with engine.connect() as connection:
            pooled = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        content = w.demand().model_dump(mode="json", exclude_none=True)
        answer = api.post("/tickets", "agent", {"demand": content, "decision": {"act": "accept"}})
        told = problem(answer, 503, "store_unavailable")
        assert answer.headers["Retry-After"]
        assert "Idempotency-Key" in told["detail"]
        with engine.connect() as connection:
            assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() != pooled


def test_a_killed_server_costs_one_refusal_and_is_found_again(pair: Pair, tmp_path: Path) -> None:
    with served(pair, tmp_path, pair.standby.url) as (api, _):
        assert api.get("/tickets", "agent").status_code == 200
        assert AS_OF in api.get("/board", "supervisor").headers
        pair.standby.stop()
        assert AS_OF not in api.get("/board", "supervisor").headers
        pair.primary.kill()
        answer = api.get("/tickets", "agent")
        problem(answer, 503, "store_unavailable")
        assert answer.headers["Retry-After"]
        assert api.client.get("/readyz").status_code == 503
        pair.primary.start()
        assert api.get("/tickets", "agent").status_code == 200
