"""What waits taken, tried and settled. Whoever takes a notice has it for a lease; if they die, another tries it again, under the same id.

At least once: what was handed over and not written down goes out a second time with the same Message-ID or id, which mailboxes and
gateways drop.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select, text, update
from sqlmodel import Session, col

from hotline.case import Office
from hotline.exchange.deliveries import WAITS
from hotline.notifying.messages import Message, Result, Verdict
from hotline.notifying.senders import Senders
from hotline.notifying.tables import Contact, Notification
from hotline.privacy.sealing import SealBroken, of_contact
from workflow.vocabulary import Means, NoticeState

LEASE: Final = timedelta(seconds=120)
"""How long a notice taken is left to who took it: the most that one who dies delays it."""
AT_ONCE: Final = 10
"""Notices one thread takes together."""
_TRIES_KEPT: Final = 40


@dataclass(frozen=True, slots=True)
class Item:
    """A notice taken until `until`: what to send, None where it can be sent to nobody any more and why."""

    id: int
    claim: int
    until: datetime
    message: Message | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a notice taken; no result: it was not tried."""

    item: Item
    at: datetime
    ms: int = 0
    result: Result | None = None


def id_of(notification: Notification) -> str:
    """The id a notice goes out under: the same at every try, another one when a person has it sent anew."""
    return f"ntf-{notification.id}-{int(notification.created_at.timestamp())}-{notification.round}"


def take(
    session: Session, office: Office, senders: Senders, means: Means, at: datetime, *, most: int = AT_ONCE
) -> list[Item]:
    """Take up to `most` notices of one means that are due. In the quiet hours only urgent texts. The caller commits before it sends."""
    quiet = means is Means.SMS and senders.quiet.at(at)
    rows = session.execute(
        text(_TAKE), {"means": means.value, "at": at, "until": at + LEASE, "most": most, "quiet": quiet}
    )
    claims = {row.id: row.claim for row in rows}
    if not claims:
        return []
    found = session.execute(
        select(Notification, Contact)
        .join(Contact, col(Contact.id) == col(Notification.contact_id))
        .where(col(Notification.id).in_(list(claims)))
        .order_by(col(Notification.id))
        .execution_options(populate_existing=True)
    )
    return [_item(office, each, contact, claims[each.id], at + LEASE) for each, contact in found]


_TAKE: Final = """
WITH due AS MATERIALIZED (
    SELECT id FROM notifications
    WHERE means = :means AND next_at <= :at AND (urgent OR NOT :quiet)
    ORDER BY next_at, id LIMIT :most FOR UPDATE SKIP LOCKED
)
UPDATE notifications n SET next_at = CAST(:until AS timestamptz), claim = n.claim + 1 FROM due WHERE n.id = due.id
RETURNING n.id, n.claim
"""


def _item(office: Office, each: Notification, contact: Contact, claim: int, until: datetime) -> Item:
    if contact.address is None or not contact.active:
        return Item(each.id, claim, until, None, "联系人已停用或删除")
    try:
        address = office.sealer.open(contact.address, of_contact(contact.id))
    except SealBroken:
        return Item(each.id, claim, until, None, "联系人的地址无法打开，请重新登记")
    message = Message(
        id_of(each), each.created_at, address, each.kind, each.subject, each.content, each.params
    )
    return Item(each.id, claim, until, message)


def settle(session: Session, at: datetime, outcomes: Sequence[Outcome]) -> None:
    """Write down how it went. The caller commits.

    What somebody else has taken meanwhile is theirs to try again; that it was sent is true all the same. A delivery report that came first stands.
    """
    for outcome in sorted(outcomes, key=lambda each: each.item.id):
        found = session.get(
            Notification, outcome.item.id, with_for_update={"key_share": True}, populate_existing=True
        )
        if found is not None:
            _settle_one(found, at, outcome)
            session.add(found)
    session.flush()


def _settle_one(found: Notification, at: datetime, outcome: Outcome) -> None:
    own = found.claim == outcome.item.claim
    result = outcome.result
    if outcome.item.message is None:
        if own:
            _end(found, at, NoticeState.GIVEN_UP, outcome.item.problem)
    elif result is None:  # not tried: it is due again at once
        if own and found.next_at is not None:
            found.next_at = at
    else:
        found.tries = [*found.tries, _told(outcome, result, found.round)][-_TRIES_KEPT:]
        found.provider_id = result.provider_id or found.provider_id
        _conclude(found, at, result, own=own)


def _conclude(found: Notification, at: datetime, result: Result, *, own: bool) -> None:
    if found.state is not NoticeState.WAITING:  # its report came first
        found.next_at = None
    elif result.verdict in (Verdict.SENT, Verdict.RECORDED):
        _end(found, at, NoticeState(result.verdict.value), None)
    elif not own:
        return
    elif result.verdict is Verdict.REFUSED:
        _end(found, at, NoticeState.FAILED, result.problem)
    elif at >= found.give_up_at:
        _end(found, at, NoticeState.GIVEN_UP, result.problem)
    else:
        found.problem = result.problem
        failed_before = sum(each["round"] == found.round for each in found.tries) - 1
        wait = WAITS[min(failed_before, len(WAITS) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        found.next_at = min(at + timedelta(seconds=wait), found.give_up_at)


def _end(found: Notification, at: datetime, state: NoticeState, problem: str | None) -> None:
    found.state, found.problem, found.settled_at, found.next_at = state, problem, at, None


def _told(outcome: Outcome, result: Result, number: int) -> dict[str, Any]:
    told: dict[str, Any] = {"at": outcome.at.isoformat(), "ms": outcome.ms, "status": result.status}
    return told | ({"problem": result.problem} if result.problem else {}) | {"round": number}


def give_up(session: Session, at: datetime, *, batch: int = 500) -> int:
    """Give up what could not even be tried for its time (a means that is off, a quiet night too long); how many. The caller commits."""
    old = (
        select(col(Notification.id))
        .where(
            col(Notification.next_at).is_not(None),
            col(Notification.give_up_at) <= at - LEASE,
            col(Notification.state) == NoticeState.WAITING,
        )
        .limit(batch)
        .with_for_update(skip_locked=True)
    )
    ended = session.execute(
        update(Notification)
        .where(col(Notification.id).in_(old))
        .values(
            state=NoticeState.GIVEN_UP,
            settled_at=at,
            next_at=None,
            problem=text("coalesce(problem, '期限内未能发送：没有可用的发送方式')"),
        )
        .execution_options(synchronize_session=False)
    )
    return int(ended.rowcount)  # type: ignore[attr-defined]
