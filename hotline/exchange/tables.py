"""Handling units' and platforms' systems as rows: who subscribes, what is to be delivered, and the queue of each ticket. And who is
looking at which ticket just now.

The events themselves are the outbox (`hotline.models.OutboxEvent`).
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from hotline.storage.columns import key, long_text, ref, word
from workflow.vocabulary import DeliveryState, Presence, SubscriptionState


class Subscription(SQLModel, table=True):
    """订阅: the address of a unit's or a platform's system and what it is told. The secrets are sealed; two may be good at once.

    `platform_id` is the platform itself or the one the unit belongs to. `failures` counts the breaker's: until `closed_until`
    nobody sends anything there but one trial at a time.
    """

    __tablename__ = "subscriptions"
    id: int = key()
    platform_id: int = ref("platforms.id", index=True)
    unit_id: int | None = ref("units.id", nullable=True, index=True)
    label: str = Field(max_length=100)
    url: str = long_text()
    types: list[str] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    secret: bytes = Field(default=b"", sa_column=Column(LargeBinary, nullable=False))
    older_secret: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    older_until: datetime | None = None
    state: SubscriptionState = word(SubscriptionState)
    owner: str = Field(max_length=100)
    created_at: datetime
    changed_at: datetime
    failures: int = 0
    closed_until: datetime | None = None
    last_ok_at: datetime | None = None
    last_problem: str | None = Field(default=None, max_length=200)
    last_problem_at: datetime | None = None


class Delivery(SQLModel, table=True):
    """投递: one event to one subscription. Of one ticket they go out in order of `id`.

    `tries` are its attempts, the newest last: `at`, `status` (None: no answer), `ms`, `problem`.
    """

    __tablename__ = "deliveries"
    id: int = key()
    subscription_id: int = ref("subscriptions.id")
    event_id: int = ref("outbox.id", index=True)
    lane: int = Field(sa_column=Column(BigInteger, nullable=False))
    state: DeliveryState = word(DeliveryState)
    replayed_by: str | None = Field(default=None, max_length=100)
    tries: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    created_at: datetime
    settled_at: datetime | None = None
    problem: str | None = Field(default=None, max_length=200)

    __table_args__ = (
        Index(
            "ix_deliveries_waiting",
            "subscription_id",
            "lane",
            "id",
            postgresql_where=text("state = 'waiting'"),
        ),
        Index("ix_deliveries_old", "created_at", postgresql_where=text("state = 'waiting'")),
        Index("ix_deliveries_settled", "settled_at", postgresql_where=text("settled_at IS NOT NULL")),
        Index("ix_deliveries_listed", "subscription_id", "state", "id"),
    )


class Lane(SQLModel, table=True):
    """What waits for one subscription about one ticket (`lane` is its key, 0 for what is about none): one after the other.

    Whoever takes a lane moves `next_at` on by the lease and raises `claim`, and so knows later whether it was still theirs.
    `failures` are those of the first delivery that waits.
    """

    __tablename__ = "lanes"
    subscription_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("subscriptions.id"), primary_key=True)
    )
    lane: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    next_at: datetime
    claim: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    failures: int = 0

    __table_args__ = (Index("ix_lanes_next", "subscription_id", "next_at"),)


class FeedHorizon(SQLModel, table=True):
    """One row once events have been dropped: at or before `position` the feed is no longer whole."""

    __tablename__ = "feed_horizon"
    id: int = Field(
        default=1, sa_column=Column(BigInteger, primary_key=True, autoincrement=False, nullable=False)
    )
    position: int = Field(sa_column=Column(BigInteger, nullable=False))
    moved_at: datetime


class Present(SQLModel, table=True):
    """在场: a person has a ticket open, until they leave or say nothing more. Not logged, without foreign keys: nobody waits for it.

    A foreign key would lock the ticket's row, and so wait for whoever acts on it.
    """

    __tablename__ = "presence"
    ticket_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    person_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    unit_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    name: str = Field(max_length=100)
    doing: Presence = word(Presence)
    since: datetime
    until: datetime

    __table_args__ = ({"prefixes": ["UNLOGGED"]},)
