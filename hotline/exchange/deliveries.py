"""投递: who takes what waits, how it went, what is tried again and when, and what nobody tries any more.

Everything two deliverers must agree on is in the database. A lane (one subscription, one ticket) is taken with SKIP LOCKED and a
short lease, which its deliverer renews while it lives; its deliveries go out one after the other, so that a failing one holds up its
own ticket only. A deliverer that dies has its lanes taken by another once the lease is over: at least once, with the same ids, in
the same order. The order needs no lease: whoever sends an event has seen the one before it delivered. A lease lost too early costs
something sent twice, nothing else.
"""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from sqlalchemy import bindparam, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.types import BigInteger, DateTime
from sqlmodel import Session, col

from hotline.access import SYSTEM
from hotline.auditing import audit
from hotline.case import Office
from hotline.exchange.envelopes import Fact
from hotline.exchange.feed import facts_of, facts_query
from hotline.exchange.subscriptions import secrets_of
from hotline.exchange.tables import Subscription
from hotline.models import OutboxEvent
from hotline.privacy.sealing import SealBroken
from hotline.storage.constant import Constant
from workflow.vocabulary import AuditKind, DeliveryState, SubscriptionState

LEASE: Final = timedelta(seconds=12)
"""How long a deliverer keeps a lane it has taken without renewing: the most that one which dies delays what it held."""
RENEW: Final = timedelta(seconds=3)
"""How often it renews."""
TRIAL: Final = timedelta(seconds=30)
"""How long one trial of an endpoint whose breaker is open keeps others from it."""
GIVE_UP: Final = timedelta(days=3)
"""How long a delivery is tried, from when it was made."""
WAITS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 21600)
"""Seconds before the next try after that many failures, ± a fifth; the last one again and again."""
REFUSED_WAITS: Final = (10, 60, 300)
"""The same for a delivery that the receiver refuses (4xx): after these it is dead."""
BREAKER: Final = 10
"""Failures in a row after which an endpoint is left alone but for one trial at a time."""
LONGEST_BREAK: Final = 600.0
LONGEST_RETRY_AFTER: Final = 6 * 3600.0
_PER_LANE: Final = 10
"""Deliveries of one lane taken at once."""


class Verdict(Enum):
    """What an answer means."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REFUSED = "refused"
    GONE = "gone"


def judge(status: int | None) -> Verdict:
    """What a status (None: no answer) means: 2xx delivered, 410 gone, 408, 425, 429 and 5xx worth another try, the rest refused."""
    if status is None or status in (408, 425, 429) or status >= 500:
        return Verdict.RETRY
    if 200 <= status < 300:
        return Verdict.DELIVERED
    return Verdict.GONE if status == 410 else Verdict.REFUSED


@dataclass(frozen=True, slots=True)
class Item:
    """One delivery to send; `refusals` are the tries that the receiver refused so far."""

    id: int
    fact: Fact
    created_at: datetime
    refusals: int = 0


@dataclass(slots=True)
class Taken:
    """A lane taken by this deliverer until `until`, with the deliveries to send in this order."""

    subscription_id: int
    lane: int
    claim: int
    failures: int
    url: str
    secrets: Sequence[str]
    until: datetime
    items: list[Item] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt: when, the status (None: no answer), how long it took, what went wrong, and Retry-After in seconds."""

    item: Item
    at: datetime
    status: int | None
    ms: int
    problem: str | None = None
    retry_after: float | None = None
    refused: bool = False

    @property
    def verdict(self) -> Verdict:
        """What it means; a target that must not be reached is refused like one that refuses."""
        return Verdict.REFUSED if self.refused else judge(self.status)


@dataclass(slots=True)
class Outcome:
    """What became of a lane taken: its tries in order, the last of which may have failed."""

    taken: Taken
    tries: list[Try] = field(default_factory=list)


# --- taking ------------------------------------------------------------------------------------------------------------


def take(
    session: Session,
    office: Office,
    at: datetime,
    *,
    room: int,
    share: int,
    shares: Mapping[int, int] | None = None,
) -> list[Taken]:
    """Take up to `room` lanes that are due, of one subscription at most `share` (`shares`: of these, that many).

    Paused and disabled subscriptions and those whose breaker is open are left out; one whose breaker has been open long enough
    gets one trial. The caller commits before anything is sent.
    """
    own = dict(shares or {})
    rows = session.execute(
        _TAKE,
        {
            "at": at,
            "until": at + LEASE,
            "room": room,
            "share": share,
            "breaker": BREAKER,
            "known": list(own),
            "rooms": list(own.values()),
        },
    ).all()
    if not rows:
        return []
    ids = sorted({row.subscription_id for row in rows})
    session.execute(
        update(Subscription)
        .where(col(Subscription.id).in_(ids), col(Subscription.failures) >= BREAKER)
        .values(closed_until=at + TRIAL)
        .execution_options(synchronize_session=False)
    )
    found = session.execute(select(Subscription).where(col(Subscription.id).in_(ids))).scalars()
    targets = {each.id: (each.url, _secrets(office, each, at)) for each in found}
    taken = {
        (row.subscription_id, row.lane): Taken(
            row.subscription_id, row.lane, row.claim, row.failures, *targets[row.subscription_id], at + LEASE
        )
        for row in rows
    }
    _load(session, taken)
    return list(taken.values())


_OPEN: Final = "s.state = 'active' AND (s.closed_until IS NULL OR s.closed_until <= :at)"
WAITING: Final = Constant(
    text(
        "SELECT EXISTS (SELECT FROM outbox WHERE position IS NULL) AS unsorted,"  # noqa: S608 - constants
        f" EXISTS (SELECT FROM subscriptions s WHERE {_OPEN} AND EXISTS"
        " (SELECT FROM lanes WHERE subscription_id = s.id AND next_at <= :at)) AS due"
    ).bindparams(bindparam("at", type_=DateTime(timezone=True)))
)
"""Whether `feed.sort` might find anything, and `take`, at the instant `at`."""

_IDS: Final = ARRAY(BigInteger)
_TAKE: Final = text(f"""
WITH due AS MATERIALIZED (
    SELECT l.subscription_id, l.lane
    FROM (
        SELECT s.id, CASE WHEN s.failures >= :breaker THEN 1 ELSE coalesce(known.room, :share) END AS room
        FROM subscriptions s
        LEFT JOIN unnest(CAST(:known AS bigint[]), CAST(:rooms AS bigint[])) AS known(id, room) ON known.id = s.id
        WHERE {_OPEN}
        ORDER BY random()
    ) s CROSS JOIN LATERAL (
        SELECT subscription_id, lane FROM lanes
        WHERE subscription_id = s.id AND next_at <= :at
        ORDER BY next_at LIMIT s.room FOR UPDATE SKIP LOCKED
    ) l
    LIMIT :room
)
UPDATE lanes SET next_at = :until, claim = lanes.claim + 1
FROM due WHERE lanes.subscription_id = due.subscription_id AND lanes.lane = due.lane
RETURNING lanes.subscription_id, lanes.lane, lanes.claim, lanes.failures
""").bindparams(  # noqa: S608 - constants
    bindparam("at", type_=DateTime(timezone=True)), bindparam("until", type_=DateTime(timezone=True))
)


def _secrets(office: Office, subscription: Subscription, at: datetime) -> list[str]:
    """Its secrets; none where they cannot be opened: then nothing is sent."""
    try:
        return secrets_of(office.sealer, subscription, at)
    except SealBroken:
        return []


def _load(session: Session, taken: Mapping[tuple[int, int], Taken]) -> None:
    waiting = session.execute(
        text(_WAITING),
        {"subscriptions": [s for s, _ in taken], "lanes": [lane for _, lane in taken], "most": _PER_LANE},
    ).all()
    facts = facts_by_id(session, {row.event_id for row in waiting})
    for row in waiting:
        refusals = sum(bool(each.get("refused")) for each in row.tries)
        item = Item(row.id, facts[row.event_id], row.created_at, refusals)
        taken[row.subscription_id, row.lane].items.append(item)


_WAITING: Final = """
SELECT d.id, d.subscription_id, d.lane, d.event_id, d.created_at, d.tries
FROM unnest(CAST(:subscriptions AS bigint[]), CAST(:lanes AS bigint[])) AS t(subscription_id, lane)
CROSS JOIN LATERAL (
    SELECT * FROM deliveries
    WHERE subscription_id = t.subscription_id AND lane = t.lane AND state = 'waiting' ORDER BY id LIMIT :most
) d
ORDER BY d.id
"""


def facts_by_id(session: Session, ids: Iterable[int]) -> dict[int, Fact]:
    """These outbox rows as facts, by their ids."""
    wanted = sorted(ids)
    if not wanted:
        return {}
    rows = session.execute(facts_query().where(col(OutboxEvent.id).in_(wanted))).all()
    return {fact.id: fact for fact in facts_of(rows)}


def renew(session: Session, at: datetime, held: Sequence[Taken]) -> None:
    """Keep these lanes for another lease from `at`; what somebody else has taken meanwhile is over at once. The caller commits."""
    keys = {"subscriptions": [each.subscription_id for each in held], "lanes": [each.lane for each in held]}
    claims = {(r.subscription_id, r.lane): r.claim for r in session.execute(text(_LOCK_LANES), keys)}
    own = [each for each in held if claims.get((each.subscription_id, each.lane)) == each.claim]
    session.execute(
        _RENEW,
        {
            "subscriptions": [each.subscription_id for each in own],
            "lanes": [each.lane for each in own],
            "until": at + LEASE,
        },
    )
    ours = {id(each) for each in own}
    for each in held:
        each.until = at + LEASE if id(each) in ours else at


_RENEW: Final = text("""
UPDATE lanes SET next_at = :until
FROM unnest(CAST(:subscriptions AS bigint[]), CAST(:lanes AS bigint[])) AS t(subscription_id, lane)
WHERE lanes.subscription_id = t.subscription_id AND lanes.lane = t.lane
""").bindparams(bindparam("until", type_=DateTime(timezone=True)))


# --- settling ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Ruling:
    """What follows from one outcome: when the lane goes on (None: at once, or it ends) and how each delivery stands."""

    states: list[tuple[Try, DeliveryState]]
    wait: float | None


def settle(session: Session, office: Office, at: datetime, outcomes: Sequence[Outcome]) -> None:
    """Write down how it went: tries, states, when lanes go on, the breakers. The caller commits.

    A lane that was taken by somebody else meanwhile is theirs; that something was delivered is true all the same.
    """
    rulings = [(outcome, _rule(outcome, at)) for outcome in outcomes]
    # before any lane, as whoever sends something again locks them: else the two could wait for each other
    session.execute(_THEIR_SUBSCRIPTIONS, {"ids": sorted({o.taken.subscription_id for o in outcomes})})
    _write_tries(session, at, [pair for _, ruling in rulings for pair in ruling.states])
    _move_lanes(session, at, rulings)
    by_subscription: dict[int, list[Try]] = {}
    for outcome in outcomes:
        by_subscription.setdefault(outcome.taken.subscription_id, []).extend(outcome.tries)
    well = sorted(
        s for s, tries in by_subscription.items() if any(t.verdict is Verdict.DELIVERED for t in tries)
    )
    if well:
        session.execute(_WENT_WELL, {"ids": well, "at": at})
    for subscription_id in sorted(by_subscription):
        failures = [t for t in by_subscription[subscription_id] if t.verdict is not Verdict.DELIVERED]
        if failures:
            _turn_breaker(session, office, at, subscription_id, failures, went_well=subscription_id in well)


_THEIR_SUBSCRIPTIONS: Final = text(
    "SELECT id FROM subscriptions WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR NO KEY UPDATE"
)


def _rule(outcome: Outcome, at: datetime) -> _Ruling:
    states: list[tuple[Try, DeliveryState]] = []
    wait = None
    for number, each in enumerate(outcome.tries):
        verdict = each.verdict
        if verdict is Verdict.DELIVERED:
            states.append((each, DeliveryState.DELIVERED))
            continue
        failed_before = outcome.taken.failures if number == 0 else 0
        wait = _wait(each, failed_before, at)
        states.append((each, DeliveryState.DEAD if wait is None else DeliveryState.WAITING))
    return _Ruling(states, wait)


def _wait(failed: Try, failed_before: int, at: datetime) -> float | None:
    """Seconds until the next try, None where there is none: refused too often, or tried for three days."""
    if failed.verdict is Verdict.GONE:
        return 0.0
    if failed.verdict is Verdict.REFUSED:
        before = failed.item.refusals
        return REFUSED_WAITS[before] if before < len(REFUSED_WAITS) else None
    left = (failed.item.created_at + GIVE_UP - at).total_seconds()
    if left <= 0:
        return None
    wait = WAITS[min(failed_before, len(WAITS) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
    if failed.retry_after is not None:
        wait = max(wait, failed.retry_after)
    return min(wait, left)


def _write_tries(session: Session, at: datetime, tries: Sequence[tuple[Try, DeliveryState]]) -> None:
    if not tries:
        return
    session.execute(
        _TRIES,
        {
            "at": at,
            "ids": [each.item.id for each, _ in tries],
            "states": [state.value for _, state in tries],
            "tries": [_told(each) for each, _ in tries],
            "problems": [None if state is DeliveryState.DELIVERED else each.problem for each, state in tries],
        },
    )


_TRIES: Final = text("""
UPDATE deliveries SET tries = deliveries.tries || CAST(done.try AS jsonb), state = done.state, problem = done.problem,
    settled_at = CASE WHEN done.state = 'waiting' THEN NULL ELSE CAST(:at AS timestamptz) END
FROM unnest(:ids, :states, :tries, :problems) AS done(id, state, try, problem)
WHERE deliveries.id = done.id AND deliveries.state <> 'delivered'
""").bindparams(
    bindparam("ids", type_=_IDS),
    bindparam("states", type_=ARRAY(TEXT)),
    bindparam("tries", type_=ARRAY(TEXT)),
    bindparam("problems", type_=ARRAY(TEXT)),
)


def _told(each: Try) -> str:
    told: dict[str, Any] = {"at": each.at.isoformat(), "status": each.status, "ms": each.ms}
    if each.problem:
        told["problem"] = each.problem
    if each.verdict is Verdict.REFUSED:
        told["refused"] = True
    return json.dumps(told, ensure_ascii=False)


def _move_lanes(session: Session, at: datetime, rulings: Sequence[tuple[Outcome, _Ruling]]) -> None:
    keys = {
        "subscriptions": [outcome.taken.subscription_id for outcome, _ in rulings],
        "lanes": [outcome.taken.lane for outcome, _ in rulings],
    }
    # locked in one order, then looked at anew: a delivery made meanwhile is seen, or its maker waits and makes a new lane
    held = {(r.subscription_id, r.lane): r.claim for r in session.execute(text(_LOCK_LANES), keys)}
    moved: dict[str, list[Any]] = {"subscriptions": [], "lanes": []}
    failed: dict[str, list[Any]] = {"subscriptions": [], "lanes": [], "nexts": [], "failures": []}
    for outcome, ruling in rulings:
        key = (outcome.taken.subscription_id, outcome.taken.lane)
        if held.get(key) != outcome.taken.claim:
            continue
        into = moved if ruling.wait is None else failed
        into["subscriptions"].append(key[0])
        into["lanes"].append(key[1])
        if ruling.wait is not None:
            failed["nexts"].append(at + timedelta(seconds=ruling.wait))
            failed["failures"].append(1 + (outcome.taken.failures if len(outcome.tries) == 1 else 0))
    if moved["lanes"]:
        session.execute(text(_END_LANES), moved)
        session.execute(text(_GO_ON), moved | {"at": at})
    if failed["lanes"]:
        session.execute(_TRY_LATER, failed)


_LOCK_LANES: Final = """
SELECT lanes.subscription_id, lanes.lane, lanes.claim FROM lanes
JOIN unnest(CAST(:subscriptions AS bigint[]), CAST(:lanes AS bigint[])) AS t(subscription_id, lane)
    ON lanes.subscription_id = t.subscription_id AND lanes.lane = t.lane
ORDER BY lanes.subscription_id, lanes.lane FOR UPDATE OF lanes
"""
_END_LANES: Final = """
DELETE FROM lanes USING unnest(CAST(:subscriptions AS bigint[]), CAST(:lanes AS bigint[])) AS t(subscription_id, lane)
WHERE lanes.subscription_id = t.subscription_id AND lanes.lane = t.lane AND NOT EXISTS (
    SELECT FROM deliveries d WHERE d.subscription_id = t.subscription_id AND d.lane = t.lane AND d.state = 'waiting'
)
"""
_GO_ON: Final = """
UPDATE lanes SET next_at = :at, failures = 0
FROM unnest(CAST(:subscriptions AS bigint[]), CAST(:lanes AS bigint[])) AS t(subscription_id, lane)
WHERE lanes.subscription_id = t.subscription_id AND lanes.lane = t.lane
"""
_TRY_LATER: Final = text("""
UPDATE lanes SET next_at = t.next_at, failures = t.failures
FROM unnest(CAST(:subscriptions AS bigint[]), CAST(:lanes AS bigint[]), :nexts, CAST(:failures AS int[]))
    AS t(subscription_id, lane, next_at, failures)
WHERE lanes.subscription_id = t.subscription_id AND lanes.lane = t.lane
""").bindparams(bindparam("nexts", type_=ARRAY(DateTime(timezone=True))))


_WENT_WELL: Final = text("""
UPDATE subscriptions SET last_ok_at = :at, failures = 0, closed_until = CASE WHEN failures = 0 THEN closed_until END
FROM (
    SELECT id FROM subscriptions
    WHERE id = ANY(:ids) AND (failures > 0 OR last_ok_at IS NULL OR last_ok_at < CAST(:at AS timestamptz) - interval '5 s')
    ORDER BY id FOR NO KEY UPDATE
) well
WHERE subscriptions.id = well.id
""").bindparams(bindparam("ids", type_=_IDS))
# that an endpoint asked to be left alone (Retry-After) stands: then it counts no failures


def _turn_breaker(
    session: Session,
    office: Office,
    at: datetime,
    subscription_id: int,
    failures: Sequence[Try],
    *,
    went_well: bool,
) -> None:
    """Count an endpoint's failures, leave it alone for a while, obey its Retry-After, or disable it for good (410)."""
    subscription = session.get(
        Subscription, subscription_id, with_for_update={"key_share": True}, populate_existing=True
    )
    assert subscription is not None
    down = [each for each in failures if each.verdict is Verdict.RETRY and each.retry_after is None]
    if down and not went_well:
        subscription.failures += len(down)
        if subscription.failures >= BREAKER:
            length = min(LONGEST_BREAK, 30.0 * 2 ** min(10, (subscription.failures - BREAKER) // BREAKER))
            subscription.closed_until = at + timedelta(seconds=length * random.uniform(0.8, 1.2))  # noqa: S311
    elif subscription.failures >= BREAKER and not went_well:
        subscription.failures, subscription.closed_until = 0, None  # it refuses, but it answers
    asked = [each.retry_after for each in failures if each.retry_after is not None]
    if asked:
        until = at + timedelta(seconds=max(asked))
        subscription.closed_until = max(subscription.closed_until or until, until)
    subscription.last_problem, subscription.last_problem_at = failures[-1].problem, at
    session.add(subscription)
    session.flush()
    if any(each.verdict is Verdict.GONE for each in failures):
        _disable(session, office, at, subscription)


def _disable(session: Session, office: Office, at: datetime, subscription: Subscription) -> None:
    subscription.state, subscription.changed_at = SubscriptionState.DISABLED, at
    session.add(subscription)
    session.flush()
    audit.record(
        session,
        AuditKind.ACCOUNT_CHANGED,
        at=at,
        actor=SYSTEM,
        platform_id=subscription.platform_id,
        what={"change": "subscription_gone", "subscription": subscription.id, "status": 410},
        algorithm=office.policy.algorithm,
    )
