"""What `hotline deliver`, `subscription` and `delivery` do."""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from api import main as app_factory
from api.operations import configure_logging, database_url, now, prepare
from hotline.access import Actor
from hotline.case import Desk
from hotline.exchange import dead_letters, subscriptions
from hotline.exchange.dead_letters import Posted
from hotline.exchange.envelopes import envelope, id_of
from hotline.exchange.tables import Subscription
from hotline.office import open_office
from hotline.organisation import OrgUnit, Platform
from hotline.settings import load_settings
from hotline.storage.store import make_engine
from workflow.errors import OrderInvalid
from workflow.vocabulary import DeliveryState, Role, SubscriptionState


def deliver(say: Callable[[str], None]) -> None:
    """Deliver until SIGINT or SIGTERM."""
    settings = load_settings()
    configure_logging(settings)
    runtime = app_factory.make_runtime(settings, prepare(settings))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    deliverer = app_factory.make_deliverer(runtime).start()
    say("事件投递已启动，按 Ctrl-C 停止。")
    stop.wait()
    deliverer.stop()
    runtime.engine.dispose()


@contextmanager
def operator_desk() -> Iterator[Desk]:
    """A desk of the machine's operator, who reaches every subscription; commits at its end."""
    settings = load_settings()
    engine = make_engine(database_url(settings), pool_size=2)
    try:
        with Session(engine, expire_on_commit=False) as session:
            operator = Actor("system", None, "命令行", frozenset({Role.ADMIN}))
            yield Desk(session, operator, now(), open_office(settings))
            session.commit()
    finally:
        engine.dispose()


def list_subscriptions() -> list[dict[str, Any]]:
    """Every subscription."""
    with operator_desk() as desk:
        return [
            _told(found) | {"platform": platform, "unit": unit}
            for found, platform, unit in subscriptions.listed(desk.session, desk.actor)
        ]


def add_subscription(
    unit: str | None, platform: str | None, label: str, url: str, types: Iterable[str]
) -> dict[str, Any]:
    """A new subscription with its secret. Raises what `subscriptions.add` raises, `OrderInvalid` for an unknown code."""
    with operator_desk() as desk:
        made, secret = subscriptions.add(
            desk,
            label=label,
            url=url,
            types=types,
            unit=coded(desk, OrgUnit, unit, "承办单位", "unit"),
            platform=coded(desk, Platform, platform, "热线平台", "platform"),
        )
        return _told(made) | {"secret": secret}


def coded(desk: Desk, table: Any, code: str | None, what: str, field: str) -> Any:
    """The row with this code, None for no code. Raises `OrderInvalid` (field)."""
    if code is None:
        return None
    found = desk.session.execute(select(table).where(col(table.code) == code)).scalar_one_or_none()
    if found is None:
        raise OrderInvalid(f"没有代码为 {code} 的{what}。", field=field)
    return found


def turn_subscription(key: int, state: SubscriptionState) -> dict[str, Any]:
    """Activate, pause or disable."""
    with operator_desk() as desk:
        return _told(subscriptions.turn(desk, key, state))


def rotate_subscription(key: int, overlap_hours: int) -> dict[str, Any]:
    """A new secret; the old one stays good for the overlap."""
    with operator_desk() as desk:
        found, secret = subscriptions.rotate(desk, key, overlap=timedelta(hours=overlap_hours))
        return _told(found) | {"secret": secret}


def test_subscription(key: int) -> dict[str, Any]:
    """Send a test event; the delivery to look at."""
    with operator_desk() as desk:
        return _posted(dead_letters.probe(desk, key))


def list_deliveries(key: int, state: DeliveryState | None, limit: int) -> list[dict[str, Any]]:
    """A subscription's newest deliveries."""
    with operator_desk() as desk:
        return [
            _posted(each) for each in dead_letters.listed(desk, key, state=state, before=None, limit=limit)
        ]


def show_delivery(key: int) -> dict[str, Any]:
    """One delivery with its tries and what is sent."""
    with operator_desk() as desk:
        posted = dead_letters.one(desk, key)
        return _posted(posted) | {
            "tries": posted.delivery.tries,
            "envelope": envelope(posted.fact, load_settings().public_url),
        }


def replay_delivery(key: int) -> dict[str, Any]:
    """Send one event again."""
    with operator_desk() as desk:
        return _posted(dead_letters.replay(desk, key))


def replay_range(key: int, since: datetime, until: datetime, *, dead_only: bool) -> int:
    """Send a time's events again; how many."""
    with operator_desk() as desk:
        return dead_letters.replay_range(desk, key, since=since, until=until, dead_only=dead_only)


def _told(found: Subscription) -> dict[str, Any]:
    return found.model_dump(mode="json", exclude={"secret", "older_secret", "platform_id", "unit_id"})


def _posted(posted: Posted) -> dict[str, Any]:
    delivery = posted.delivery
    return {
        "id": delivery.id,
        "event": id_of(posted.fact.id),
        "type": posted.fact.type,
        "number": posted.fact.data.get("number"),
        "state": delivery.state.value,
        "attempts": len(delivery.tries),
        "created_at": delivery.created_at,
        "settled_at": delivery.settled_at,
        "problem": delivery.problem,
    }
