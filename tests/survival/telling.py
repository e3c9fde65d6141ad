"""Subscriptions of the small world's units and platform, and the proof that each event reached whom it was for."""

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session
from standardwebhooks import Webhook, WebhookVerificationError

from hotline.access import SYSTEM
from hotline.case import Desk
from hotline.exchange import subscriptions
from hotline.exchange.envelopes import kinds_for
from hotline.organisation import OrgUnit
from tests.exchange.receiver import Answer, Came, Receiver
from tests.exchange.soak import BREAKERS, SOON
from tests.world import World


def subscribe(world: World, urls: dict[str, str]) -> dict[str, str]:
    """A subscription of each unit to everything, at its address; the secrets by unit."""
    world.office.policy = replace(world.office.policy, allow_private_targets=True)
    made = {}
    with Session(world.engine, expire_on_commit=False) as session:
        desk = Desk(session, SYSTEM, datetime.now(UTC), world.office)
        for code, url in urls.items():
            unit = session.get_one(OrgUnit, world.units[code])
            _, made[code] = subscriptions.add(desk, label="测试系统", url=url, unit=unit)
        session.commit()
    return made


def verifying(secrets: dict[str, str], unit: str) -> Callable[..., Answer]:
    """What a receiver answers that takes only what is rightly signed, under a secret that is told it later."""

    def answer(_receiver: Receiver, came: Came, *_: object) -> Answer:
        try:
            Webhook(secrets[unit]).verify(came.body, came.headers)
        except WebhookVerificationError:
            return 400, {}
        return 204, {}

    return answer


def wait_until_delivered(engine: Engine, seconds: float = 90) -> None:
    """Until nothing waits any more; back-off waits are cut to a second, leases are not."""
    left = text(
        "SELECT (SELECT count(*) FROM deliveries WHERE state = 'waiting')"
        " + (SELECT count(*) FROM outbox WHERE position IS NULL)"
    )
    end = time.monotonic() + seconds
    while True:
        try:
            with engine.begin() as connection:
                waiting = connection.execute(left).scalar_one()
                connection.execute(text(SOON))
                connection.execute(text(BREAKERS))
        except DBAPIError:  # just killed
            waiting = -1
        if waiting == 0:
            return
        assert time.monotonic() < end, f"{waiting} deliveries wait"
        time.sleep(0.2)


def _due(world: World, unit: str) -> set[str]:
    """What `unit` was to be told, by the outbox alone: what happened since it subscribed."""
    with world.engine.connect() as connection:
        due = connection.execute(
            text(
                "SELECT o.id FROM outbox o JOIN subscriptions s ON s.unit_id = o.unit_id AND s.created_at <= o.occurred_at"
                " WHERE o.unit_id = :unit AND o.type = ANY(:kinds)"
            ),
            {"unit": world.units[unit], "kinds": list(kinds_for(unit=True))},
        )
        return {f"evt-{row.id}" for row in due}


def _stand(world: World) -> list[tuple[str, str, str | None]]:
    """How each event's delivery stands."""
    with world.engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT 'evt-' || o.id, o.type, d.state || ' ' || d.tries::text FROM outbox o"
                " LEFT JOIN deliveries d ON d.event_id = o.id"
            )
        )
        return [(row[0], row[1], row[2]) for row in found]


def each_delivered(world: World, unit: str, receiver: Receiver) -> dict[str, int]:
    """Everything due to `unit` came, of each ticket in order, and what came again came as the same; the counts."""
    expected = _due(world, unit)
    end = time.monotonic() + 30
    while not expected <= {came.id for came in receiver.accepted} and time.monotonic() < end:
        time.sleep(0.5)  # what a ticker has just told of
    receiver.check_order()
    bodies: dict[str, set[str]] = defaultdict(set)
    named: dict[str, set[str]] = defaultdict(set)
    for came in receiver.accepted:
        bodies[came.id].add(hashlib.sha256(came.body).hexdigest())
        named[came.event["sequence"]].add(came.id)
    missing = expected - set(bodies)
    assert not missing, [row for row in _stand(world) if row[0] in missing]
    assert set(bodies) <= _due(world, unit)
    assert all(len(each) == 1 for each in bodies.values()), "an id came with other bytes"
    assert all(len(each) == 1 for each in named.values()), "an event came under another id"
    return {"deliveries": len(expected), "delivered_again": len(receiver.accepted) - len(expected)}
