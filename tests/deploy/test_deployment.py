"""Compose, image and units name only settings and commands that exist, keep no secret in sight, and let nobody be root."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from api.cli import app
from hotline.settings import SECRETS_DIR, Settings, load_settings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
KNOWN = {f"HOTLINE_{name.upper()}" for name in Settings.model_fields} | {SECRETS_DIR}
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    return found


def check_command(words: list[str]) -> None:
    """The words after `hotline` are a command of it with options it knows."""
    command = typer.main.get_command(app)
    context = command.make_context("hotline", list(words), resilient_parsing=True)
    assert words[0] in command.list_commands(context), words  # type: ignore[attr-defined]
    chosen = command.get_command(context, words[0])  # type: ignore[attr-defined]
    chosen.make_context(words[0], list(words[1:]))  # raises on an option it does not know


def test_services_set_and_run_what_exists(compose: dict[str, Any]) -> None:
    hotlines = {
        name: each for name, each in compose["services"].items() if each.get("image") == "hotline12345"
    }
    assert {"migrate", "api-1", "api-2"} <= set(hotlines)
    for service in hotlines.values():
        assert set(service["environment"]) <= KNOWN
        check_command(service["command"])
        assert service["cap_drop"] == ["ALL"]
        # longer than the program itself takes to bring what is under way to its end
        assert int(service["stop_grace_period"].rstrip("s")) > int(
            service["environment"]["HOTLINE_DRAIN_SECONDS"]
        )
        for secret in service["secrets"]:
            assert secret.upper() in KNOWN, secret


def test_what_services_need_is_declared(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert set(service.get("secrets", ())) <= set(compose["secrets"]), name
        assert set(service["networks"]) <= set(compose["networks"]), name
        assert set(service.get("depends_on", ())) <= set(compose["services"]), name
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (DEPLOY / source).is_file() if source.startswith(".") else source in compose["volumes"], (
                volume
            )
    for secret in compose["secrets"].values():
        assert secret["file"].startswith("./secrets/")  # not in the repository
    assert not (DEPLOY / "secrets").exists() or not os.environ.get("CI")


def test_the_proxy_reaches_every_machine(compose: dict[str, Any]) -> None:
    config = (DEPLOY / "nginx/hotline.conf").read_text("utf-8")
    machines = {name for name in compose["services"] if name.startswith("api-")}
    assert set(re.findall(r"server (api-\d+):12345", config)) == machines
    for secret in re.findall(r"/run/secrets/(\w+)", config):
        assert secret in compose["services"]["proxy"]["secrets"]


def test_the_image_runs_as_an_ordinary_user_with_settings_that_exist() -> None:
    content = (DEPLOY / "Dockerfile").read_text("utf-8")
    assert set(re.findall(r"\bHOTLINE_[A-Z_]+", content)) <= KNOWN
    assert "\nUSER hotline\n" in content
    assert content.index("USER hotline") < content.index("ENTRYPOINT")


def test_the_image_is_built_without_what_is_this_machines_own() -> None:
    """The whole checkout is copied into the build: not its secrets and data, nor an installation made for another Python."""
    left_out = (DEPLOY.parent / ".dockerignore").read_text("utf-8").splitlines()
    assert {"deploy/secrets", ".hotline", ".venv", ".tools", ".git", "**/node_modules"} <= set(left_out)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: str(unit.name))
def test_units_set_and_run_what_exists(unit: Path) -> None:
    content = unit.read_text("utf-8")
    assert set(re.findall(r"^Environment=(HOTLINE_[A-Z_]+)", content, re.MULTILINE)) <= KNOWN
    (started,) = re.findall(r"^ExecStart=(.+)$", content, re.MULTILINE)
    if started.startswith("/opt/hotline/bin/hotline "):
        check_command(started.split()[1:])
    else:
        script = DEPLOY / started.removeprefix("/opt/hotline/deploy/")
        assert os.access(script, os.X_OK)
        asked = set(re.findall(r"\$\{(HOTLINE_BACKUP_\w+|HOTLINE_SHARED_DIR):\?", script.read_text("utf-8")))
        assert len(asked) == 4
        assert all(name in content for name in asked)
    for hardened in ("NoNewPrivileges=yes", "ProtectSystem=strict", "User=hotline", "UMask=0077"):
        assert hardened in content.splitlines()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="没有 systemd-analyze")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    """All it may find wanting is the program, which is not installed under /opt here."""
    files = [*UNITS, *sorted((DEPLOY / "systemd").glob("*.timer"))]
    done = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if "/opt/hotline/" not in line]
    assert [line for line in told if "hotline" in line] == []


def test_secrets_may_stand_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hotline_database_url").write_text(
        "postgresql://u:p@primary,replica:5433/hotline?target_session_attrs=read-write\n"
    )
    (tmp_path / "hotline_metrics_token").write_text("from-a-file")
    monkeypatch.setenv(SECRETS_DIR, str(tmp_path))
    monkeypatch.setenv("HOTLINE_METRICS_TOKEN", "from-the-environment")
    monkeypatch.delenv("HOTLINE_DATABASE_URL", raising=False)
    settings = load_settings()
    assert settings.database_url == (
        "postgresql+psycopg://u:p@/hotline?host=primary:5432&host=replica:5433&target_session_attrs=read-write"
    )
    assert settings.metrics_token is not None
    assert settings.metrics_token.get_secret_value() == "from-the-environment"
    assert "u:p@" not in repr(settings)
