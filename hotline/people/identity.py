"""How people and machines prove who they are, as rows: passwords, second factors, sessions, machine clients."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from hotline.storage.columns import key, ref


class Credential(SQLModel, table=True):
    """A person's means of signing in. The password is an Argon2id hash; the TOTP secret is sealed like a caller's fields."""

    __tablename__ = "credentials"
    person_id: int = Field(sa_column=Column(BigInteger, ForeignKey("people.id"), primary_key=True))
    password_hash: str | None = Field(default=None, max_length=200)
    password_changed_at: datetime | None = None
    must_change: bool = True
    totp_secret: bytes | None = None
    totp_confirmed_at: datetime | None = None
    totp_last_step: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    recovery_digests: list[str] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    oidc_issuer: str | None = Field(default=None, max_length=300)
    oidc_subject: str | None = Field(default=None, max_length=300)

    __table_args__ = (UniqueConstraint("oidc_issuer", "oidc_subject", name="ux_credentials_oidc"),)


class SignInFailures(SQLModel, table=True):
    """Wrong passwords and codes since the last success, by login: also of logins nobody has, so that a lock tells nothing.

    Only the login's SHA-256 is kept. `locked_until` grows with `failures`; `tried_at` is the last try of any kind.
    """

    __tablename__ = "sign_in_failures"
    login_digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    failures: int = 0
    failed_at: datetime | None = None
    locked_until: datetime | None = None
    tried_at: datetime = Field(index=True)


class LoginSession(SQLModel, table=True):
    """A person's session in a browser. Only the cookie's SHA-256 is kept. Until `second_factor_at` is set where it is asked for,
    nothing but finishing the sign-in is open."""

    __tablename__ = "login_sessions"
    id: int = key()
    digest: bytes = Field(sa_column=Column(LargeBinary, unique=True, nullable=False))
    person_id: int = ref("people.id", index=True)
    method: str = Field(max_length=20)
    address: str | None = Field(default=None, max_length=60)
    user_agent: str | None = Field(default=None, max_length=300)
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    second_factor_at: datetime | None = None
    ended_at: datetime | None = None

    __table_args__ = (
        Index("ix_login_sessions_live", "expires_at", postgresql_where=text("ended_at IS NULL")),
    )


class MachineClient(SQLModel, table=True):
    """接口客户端: a unit's or platform's system, which earns short-lived tokens with its secret (OAuth 2.0 client credentials).

    Two secrets may be valid at once, so that one can be changed without a gap.
    """

    __tablename__ = "machine_clients"
    id: int = key()
    name: str = Field(unique=True, max_length=60)
    label: str = Field(max_length=100)
    unit_id: int | None = ref("units.id", nullable=True)
    platform_id: int | None = ref("platforms.id", nullable=True)
    roles: list[str] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    scopes: list[str] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    secret_digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    older_digest: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    older_until: datetime | None = None
    created_by: str = Field(max_length=100)
    created_at: datetime
    revoked_at: datetime | None = None


class SignInAttempt(SQLModel, table=True):
    """One sign-in at the identity provider under way (OpenID Connect): state, nonce and PKCE verifier, used once."""

    __tablename__ = "sign_in_attempts"
    state_digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    nonce: str = Field(max_length=100)
    verifier: str = Field(max_length=200)
    next_path: str = Field(max_length=300)
    created_at: datetime = Field(index=True)
