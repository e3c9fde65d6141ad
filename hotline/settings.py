"""What can be set from outside: every name below is read from the environment as HOTLINE_<NAME>."""

import base64
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SYSTEM_FOLDER = Path("/var/lib/hotline12345")
"""Where root keeps the hotline's data: root's embedded PostgreSQL runs as an ordinary system user, which must
be able to reach its files, and a home folder is closed to it."""

DRIVER = "postgresql+psycopg://"
LEAST_EVENT_DAYS = 30
"""Days for which whoever pulls events is promised to find them."""

MAIL_ADDRESS = r"^[A-Za-z0-9_+][A-Za-z0-9._%+\-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}$"
"""An e-mail address as this house sends to and from: ASCII, a named host."""


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
        raise ValueError("须以 postgresql:// 开头：本系统只使用 PostgreSQL（15 及以上）")
    return DRIVER + _several_hosts(rest)


def _named_with_driver(url: str | None, info: ValidationInfo) -> str | None:
    try:
        return with_driver(url)
    except ValueError as error:
        raise ValueError(f"HOTLINE_{str(info.field_name).upper()} {error}") from None


def _several_hosts(rest: str) -> str:
    """libpq's `user@a:1,b:2/db` as SQLAlchemy reads it: each host as a parameter, its port with it."""
    place, question, parameters = rest.partition("?")
    before, slash, database = place.partition("/")
    login, at, hosts = before.rpartition("@")
    if "," not in hosts:
        return rest
    named = "&".join(f"host={host if _PORT.search(host) else f'{host}:5432'}" for host in hosts.split(","))
    return f"{login}{at}{slash}{database}?{named}{'&' if question else ''}{parameters}"


_PORT = re.compile(r":\d+$")


def _is_signing_secret(secret: str) -> bool:
    try:
        content = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return False
    return secret.startswith("whsec_") and len(content) >= 24


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

    database_url: Annotated[str | None, AfterValidator(_named_with_driver)] = Field(default=None, repr=False)
    """Any PostgreSQL >= 15; None is the embedded one in `data_dir`. May hold a password: never shown. With a standby to fail over to,
    both are named: `postgresql://user:password@a,b/hotline?target_session_attrs=read-write` (docs/operations.md)."""

    replica_url: Annotated[str | None, AfterValidator(_named_with_driver)] = Field(default=None, repr=False)
    """A streaming replica of that database from which reports and boards are read; None: everything is read at the primary."""

    replica_lag_seconds: float = Field(default=30.0, gt=0)
    """How far the replica may be behind; beyond it, reports are read at the primary until it has caught up."""

    host: str = "127.0.0.1"
    port: int = Field(default=12345, ge=0, le=65535)

    drain_seconds: int = Field(default=10, ge=0, le=600)
    """How long a server that is told to end goes on with the requests under way before it hangs up; it takes no new ones meanwhile."""

    sweep_seconds: float = Field(default=2.0, gt=0)
    """Seconds between two looks for lapsed limits."""

    attachment_max_bytes: int = Field(default=20 * 1024 * 1024, gt=0)
    """Bytes one attachment may have (20 MiB)."""

    keyring_file: Annotated[
        Path | None, AfterValidator(lambda path: path and path.expanduser().absolute())
    ] = None
    """The key ring of personal fields; None is `keyring.json` in `data_dir`. Replicas on several machines share one."""

    signing_key_file: Annotated[
        Path | None, AfterValidator(lambda path: path and path.expanduser().absolute())
    ] = None
    """The key that signs the audit trail's daily heads; None is `signing.key` in `data_dir`. Replicas on several machines share one."""

    cipher: Literal["aes", "sm"] = "aes"
    """What new keys are made for: AES-256-GCM with SHA-256, or SM4-GCM with SM3 (国密). Old keys go on opening what they sealed."""

    public_url: str | None = None
    """Where people reach the hotline, `https://12345.example.gov.cn`: for OpenID Connect and for cookies."""

    trusted_proxies: str = "127.0.0.1"
    """Addresses whose X-Forwarded-For is believed, comma-separated."""

    session_idle_minutes: int = Field(default=30, ge=1, le=24 * 60)
    session_hours: int = Field(default=12, ge=1, le=72)
    password_max_days: int = Field(default=90, ge=0)
    """Days after which a password must be changed; 0 is never."""

    second_factor: Literal["required", "offered"] = "required"
    """Whether supervisors, administrators and auditors must sign in with a second factor, or may."""

    oidc_issuer: str | None = None
    """The identity provider (统一身份认证) of OpenID Connect; None: sign-in by password only."""

    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    oidc_login_claim: str = "preferred_username"
    """The claim that names the login of a person already known here."""

    oidc_label: str = "统一身份认证"

    requests_per_minute: int = Field(default=3000, ge=10)
    """Requests a person may send, counted per process."""

    machine_requests_per_minute: int = Field(default=60_000, ge=10)
    public_requests_per_minute: int = Field(default=300, ge=10)
    """Requests one address may send to citizens' pages, counted per process."""

    failures_per_address: int = Field(default=50, ge=5)
    """Failed sign-ins and bad tokens one address may send in five minutes, counted per process."""

    unseal_minutes: int = Field(default=10, ge=1, le=8 * 60)
    """How long an opened personal field stays open to who opened it."""

    alert_unseals_per_hour: int = Field(default=30, ge=1)
    shift: str = Field(default="07:00-21:00", pattern=r"^\d\d:\d\d-\d\d:\d\d$")
    """The usual working hours (Asia/Shanghai) of whoever has no shift of their own."""

    export_hours: int = Field(default=72, ge=1, le=24 * 30)
    """How long an approved export may be downloaded."""

    allow_private_targets: bool = False
    """Whether units' systems and other platforms' engines may be reached over http, at loopback and private addresses (a government intranet): off, against SSRF."""

    delivery_threads: int = Field(default=16, ge=1, le=256)
    """Requests to units' and platforms' systems a delivering process sends at once."""

    event_days: int = Field(default=180, ge=LEAST_EVENT_DAYS)
    """Days events are kept for whoever pulls them; what is still to be delivered stays longer."""

    smtp_host: str | None = None
    """The mail server that notices to units without a system go out by; None: no e-mail."""

    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is encrypted: STARTTLS (587), TLS from the start (465), or not at all: then nobody logs in."""

    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_ca_file: Annotated[
        Path | None, AfterValidator(lambda path: path and path.expanduser().absolute())
    ] = None
    """Authorities that the mail server's certificate is checked against; None: the system's."""

    mail_from: str | None = Field(default=None, validate_default=True, pattern=MAIL_ADDRESS)
    """The address e-mail comes from: must be given with `smtp_host`."""

    sms_url: str | None = None
    """The SMS gateway (短信网关) that text messages are handed to; None: none are sent."""

    sms_secret: SecretStr | None = Field(default=None, validate_default=True)
    """What requests to the gateway and its delivery reports (状态报告) are signed with: `whsec_` and at least 24 bytes of Base64."""

    sms_signature: str = Field(default="12345热线", min_length=2, max_length=20)
    """The 短信签名 that stands in 【】 before every text."""

    sms_templates_file: Annotated[
        Path | None, AfterValidator(lambda path: path and path.expanduser().absolute())
    ] = None
    """TOML: the gateway's template code of each kind of event (see docs/decisions/0018); None: the kind itself is the code."""

    sms_quiet: str = Field(
        default="21:00-08:00", pattern=r"^(none|([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d)$"
    )
    """When no text is sent but urgent ones (Asia/Shanghai); `none`: at any hour."""

    notices_recorded: bool = False
    """Whether notices for which there is no mail server or gateway are written down as told to nobody, instead of waiting three days."""

    @field_validator("mail_from")
    @classmethod
    def _sender_named(cls, value: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("smtp_host") and value is None:
            raise ValueError("设置了 HOTLINE_SMTP_HOST，还须设置发件地址 HOTLINE_MAIL_FROM")
        if info.data.get("smtp_user") and info.data.get("smtp_security") == "none":
            raise ValueError("不加密的连接（HOTLINE_SMTP_SECURITY=none）不能发送用户名和口令")
        return value

    @field_validator("sms_secret")
    @classmethod
    def _gateway_trusted(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None and info.data.get("sms_url"):
            raise ValueError("设置了 HOTLINE_SMS_URL，还须设置签名密钥 HOTLINE_SMS_SECRET")
        if value is not None and not _is_signing_secret(value.get_secret_value()):
            raise ValueError("HOTLINE_SMS_SECRET 应为 whsec_ 开头、至少 24 字节的 Base64")
        return value

    font_dir: Annotated[Path | None, AfterValidator(lambda path: path and path.expanduser().absolute())] = (
        None
    )
    """A folder with the Chinese fonts that reports are printed with (仿宋, 黑体, …), and no others; None: those of this system."""

    metrics_token: SecretStr | None = None
    """The bearer token `/metrics` asks for; None: only this machine itself may read it."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


SECRETS_DIR = "HOTLINE_SECRETS_DIR"
"""Names a folder in which settings stand as files, `hotline_database_url` and so on: secrets of a container, credentials of systemd."""


def load_settings() -> Settings:
    """The settings of this environment, read anew, and of the folder of secrets it names; the environment goes first.

    Raises pydantic.ValidationError naming each wrong one.
    """
    folder = os.environ.get(SECRETS_DIR)
    return Settings(_secrets_dir=folder) if folder else Settings()
