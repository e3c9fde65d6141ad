"""What can be set from outside: every name below is read from the environment as HOTLINE_<NAME>."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

SYSTEM_FOLDER = Path("/var/lib/hotline12345")
"""Where root keeps the hotline's data: root's embedded PostgreSQL runs as an ordinary system user, which must
be able to reach its files, and a home folder is closed to it."""

DRIVER = "postgresql+psycopg://"


def default_data_dir() -> Path:
    """The per-user data folder, or SYSTEM_FOLDER for root. It is not created here."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return SYSTEM_FOLDER
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "hotline12345"
    base = os.environ.get("XDG_DATA_HOME") or ""
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "share") / "hotline12345"


def with_driver(url: str | None) -> str | None:
    """A PostgreSQL URL with the hotline's driver named; empty means none. ValueError for another database."""
    if not url or not url.strip():
        return None
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme not in {"postgres", "postgresql", "postgresql+psycopg"}:
        raise ValueError("HOTLINE_DATABASE_URL 须以 postgresql:// 开头：本系统只使用 PostgreSQL（15 及以上）")
    return DRIVER + rest


class Settings(BaseSettings):
    """One process's settings. Durations are seconds, sizes are bytes."""

    model_config = SettingsConfigDict(
        env_prefix="HOTLINE_",
        extra="ignore",
        frozen=True,
        validate_default=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    data_dir: Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())] = Field(
        default_factory=default_data_dir
    )
    """Attachments, keys and the embedded PostgreSQL's data."""

    database_url: Annotated[str | None, AfterValidator(with_driver)] = Field(default=None, repr=False)
    """Any PostgreSQL >= 15; None is the embedded one in `data_dir`. May hold a password: never shown."""

    host: str = "127.0.0.1"
    port: int = Field(default=12345, ge=0, le=65535)

    sweep_seconds: float = Field(default=2.0, gt=0)
    """Seconds between two looks for lapsed limits."""

    attachment_max_bytes: int = Field(default=20 * 1024 * 1024, gt=0)
    """Bytes one attachment may have (20 MiB)."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


def load_settings() -> Settings:
    """The settings of this environment, read anew. Raises pydantic.ValidationError naming each wrong one."""
    return Settings()
