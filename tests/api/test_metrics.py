"""/metrics: who may read it, that what happened is counted, that no ticket or person stands in it, and that alerts and dashboard name what exists."""

import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from api import scheduler
from api.main import create_app
from api.wiring import Runtime
from hotline.health import gauges
from hotline.settings import Settings
from hotline.storage.replica import Fitness, Standing
from tests import world as w
from tests.api.conftest import UNHURRIED, Api
from tests.api.refusals import problem
from tests.processes.hotlines import serving

NOW = w.china("2026-03-02 09:00")
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
Numbers = dict[str, dict[tuple[str, ...], float]]


def client_of(world: w.World, folder: Path, address: str = "127.0.0.1", **settings: Any) -> TestClient:
    runtime = Runtime(
        Settings(data_dir=folder, **UNHURRIED, **settings), world.engine, world.office, lambda: NOW
    )
    return TestClient(create_app(runtime), raise_server_exceptions=False, client=(address, 40000))


def numbers(text: str) -> Numbers:
    """Every sample by name and the values of its labels."""
    found: Numbers = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_only_this_machine_reads_it_unless_a_token_is_set(world: w.World, tmp_path: Path) -> None:
    with client_of(world, tmp_path) as near:
        assert near.get("/metrics").status_code == 200
        assert near.get("/metrics", headers={"X-Forwarded-For": "198.51.100.7"}).status_code == 200
    with client_of(world, tmp_path, "198.51.100.7") as far:
        problem(far.get("/metrics"), 404)
    with client_of(world, tmp_path, metrics_token="a-long-test-token") as near:
        problem(near.get("/metrics"), 404)
        problem(near.get("/metrics", headers={"Authorization": "Bearer another"}), 404)
    with client_of(world, tmp_path, "198.51.100.7", metrics_token="a-long-test-token") as far:
        assert far.get("/metrics", headers={"Authorization": "Bearer a-long-test-token"}).status_code == 200


def test_requests_and_the_work_under_way_are_counted_without_naming_anybody(
    world: w.World, tmp_path: Path
) -> None:
    with client_of(world, tmp_path) as client:
        before = numbers(client.get("/metrics").text)
        api = Api(client, world)
        number = api.take()
        api.get(f"/tickets/{number}", "agent")
        api.get("/tickets/999", "agent")
    with client_of(world, tmp_path) as client:
        told = client.get("/metrics").text
    after = numbers(told)

    def more(method: str, route: str, status: str) -> float:
        of = "hotline_http_request_seconds_count"
        labels = (method, route, status)
        return after[of][labels] - before.get(of, {}).get(labels, 0)

    assert more("POST", "/api/v1/tickets", "201") == 1
    assert more("GET", "/api/v1/tickets/{number}", "200") == 1
    assert after["hotline_tickets_open"][("01", "accepted")] == 1
    assert after["hotline_calendar_last_year"][()] >= 2026
    assert after["hotline_disk_free_bytes"][()] > 0
    assert number not in told
    assert "测试" not in told
    assert world.tokens["agent"] not in told


def test_duties_are_timed_and_their_failures_counted(world: w.World, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, **UNHURRIED)
    runtime = Runtime(settings, world.engine, world.office, lambda: NOW)
    good = next(job for job in scheduler.JOBS if job.name == "lapse_due")
    bad = scheduler.Job("lapse_due", None, lambda *_: 1 // 0)
    with client_of(world, tmp_path) as client:
        before = numbers(client.get("/metrics").text)
        scheduler._guarded(runtime, good)
        scheduler._guarded(runtime, bad)
        after = numbers(client.get("/metrics").text)
    for name, grown in (("hotline_job_seconds_count", 2), ("hotline_job_failures_total", 1)):
        assert after[name][("lapse_due",)] - before.get(name, {}).get(("lapse_due",), 0) == grown


def test_the_workers_of_one_server_count_together(world: w.World, database_url: str, tmp_path: Path) -> None:
    with (
        serving(tmp_path, database_url, world.tokens, "--workers", "2") as house,
        house.client() as client,
    ):
        for _ in range(40):
            with house.client() as fresh:  # a connection of its own: either worker may take it
                assert fresh.get("/api/v1/me", headers=house.headers("agent")).status_code == 200
        counted = numbers(client.get("/metrics").text)["hotline_http_request_seconds_count"]
    assert counted[("GET", "/api/v1/me", "200")] == 40


NAME = re.compile(r"\bhotline_[a-z_]+")


@pytest.mark.parametrize("file", ["prometheus/alerts.yml", "grafana/hotline.json"])
def test_alerts_and_dashboard_name_only_what_is_told(world: w.World, tmp_path: Path, file: str) -> None:
    content = (DEPLOY / file).read_text("utf-8")
    parsed = yaml.safe_load(content) if file.endswith("yml") else json.loads(content)
    asked = set(NAME.findall(json.dumps(parsed)))
    assert len(asked) >= 5
    with client_of(world, tmp_path) as client:
        told = {
            name
            for line in client.get("/metrics").text.splitlines()
            if line.startswith("# TYPE")
            for name in (line.split()[2],)
        }
    told |= {
        each.name for each in gauges.of_replica(Standing(Fitness.FIT, timedelta()))
    }  # where there is one
    told |= {f"{name}{end}" for name in told for end in ("_bucket", "_count", "_sum")}
    assert asked <= told, asked - told


def test_every_alert_says_what_to_do() -> None:
    groups = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text("utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) >= 6
    for rule in rules:
        assert rule["expr"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert re.search("[\u4e00-\u9fff]", rule["annotations"]["summary"])
        assert re.search("[\u4e00-\u9fff]", rule["annotations"]["action"])


def test_counting_costs_no_folder_where_there_is_one_worker(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import api.metrics as m; print(type(m.REQUESTS).__name__)"],
        cwd=DEPLOY.parent,
        env={"PATH": "/usr/bin:/bin", "HOTLINE_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "Histogram"
    assert not list(tmp_path.iterdir())
