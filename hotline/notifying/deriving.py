"""Events turned into notices, each exactly once: read in the feed's one order behind a cursor, which moves in the same transaction.

A position is given to an event only once it is committed (`hotline.exchange.feed`), so that no late commit slips behind the cursor. One
process derives at a time: whoever finds the cursor locked has nothing to do.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import bindparam, exists, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from hotline.exchange import feed
from hotline.exchange.envelopes import kinds_for
from hotline.models import OutboxEvent
from hotline.notifying import wording
from hotline.notifying.contacts import written
from hotline.notifying.senders import Senders
from hotline.notifying.tables import Contact, Notification, NotifiedUpTo
from hotline.storage.constant import Constant
from workflow.vocabulary import Means

STALE: Final = timedelta(days=1)
"""What happened longer ago, when nobody was looking, is told to nobody: on the ticket's page it stands all the same."""
KEPT: Final = timedelta(days=3)
"""How long a notice is tried."""
BATCH: Final = 500


NEWS: Final = Constant(
    select(
        or_(
            exists().where(
                col(OutboxEvent.position).is_(None), col(OutboxEvent.occurred_at) < bindparam("since")
            ),
            select(func.coalesce(func.max(col(OutboxEvent.position)), 0)).scalar_subquery()
            > select(func.coalesce(func.max(col(NotifiedUpTo.position)), 0)).scalar_subquery(),
        ).label("there")
    )
)
"""Whether any event has not been looked at, or has not been sorted that happened before `since`."""


def derive(
    session: Session,
    senders: Senders,
    at: datetime,
    *,
    public_url: str | None = None,
    batch: int = BATCH,
    stale: timedelta = STALE,
) -> int:
    """Write a notice for whoever is to be told of the next `batch` positions of the feed; how many positions were looked at.

    Nothing where another process is deriving. `public_url` is the hotline's own address, for links; what happened longer ago than
    `stale` is told to nobody. The caller commits.
    """
    upto = _cursor(session)
    if upto is None:
        return 0
    # a new statement, and so a snapshot from after the lock
    until = min(feed.newest(session), upto.position + batch)
    if until <= upto.position:
        return 0
    rows = session.execute(text(_TOLD), _values(upto.position, until, at - stale)).all()
    contacts = _contacts(session, {row.contact_id for row in rows})
    notices = [_notice(row, contacts[row.contact_id], senders, at, public_url) for row in rows]
    if notices:
        statement = insert(Notification.__table__).values(notices)  # type: ignore[attr-defined]
        session.execute(statement.on_conflict_do_nothing())
    looked = until - upto.position
    upto.position = until
    session.add(upto)
    session.flush()
    return looked


def _cursor(session: Session) -> NotifiedUpTo | None:
    """The cursor, locked; None where somebody else holds it. One that is missing begins at the beginning."""
    behind = select(col(NotifiedUpTo.position)).where(
        col(NotifiedUpTo.id) == 1, col(NotifiedUpTo.position) >= feed.newest(session)
    )
    if session.execute(behind).first() is not None:  # the usual case: nothing new, nothing locked
        return None
    session.execute(insert(NotifiedUpTo).values(id=1, position=0).on_conflict_do_nothing())
    locked = select(NotifiedUpTo).with_for_update(skip_locked=True).execution_options(populate_existing=True)
    return session.execute(locked).scalar_one_or_none()


def _values(after: int, until: int, since: datetime) -> dict[str, Any]:
    usual = set(wording.usual_kinds())
    return {
        "after": after,
        "until": until,
        "since": since,
        "unit_kinds": [kind for kind in kinds_for(unit=True) if kind in wording.templates()],
        "kinds": wording.kinds_to_choose(unit=False),
        "usual": sorted(usual),
        "usual_platform": sorted(usual & set(wording.kinds_to_choose(unit=False))),
    }


_WANTED: Final = """
    c.active AND c.removed_at IS NULL AND c.created_at <= o.occurred_at AND o.occurred_at > :since
    AND o.position > :after AND o.position <= :until
    AND NOT (o.type = 'ticket.reminded' AND o.data @> '{"rung": 0}' AND (c.kinds = '[]' OR c.kinds @> '["clock.lapsed"]'))
"""
# the ladder's first rung comes with the lapse itself: whoever is told of that is not told twice
_TOLD: Final = f"""
WITH told AS (
    SELECT o.id AS event_id, c.id AS contact_id
    FROM outbox o JOIN contacts c ON c.unit_id = o.unit_id
    WHERE {_WANTED} AND o.type = ANY(CAST(:unit_kinds AS text[]))
        AND (c.kinds = '[]' AND o.type = ANY(CAST(:usual AS text[])) OR c.kinds @> to_jsonb(CAST(o.type AS text)))
    UNION ALL
    SELECT o.id, c.id
    FROM outbox o JOIN contacts c ON c.platform_id = o.platform_id AND c.unit_id IS NULL
    WHERE NOT o.echo AND {_WANTED} AND o.type = ANY(CAST(:kinds AS text[]))
        AND (c.kinds = '[]' AND o.type = ANY(CAST(:usual_platform AS text[])) OR c.kinds @> to_jsonb(CAST(o.type AS text)))
)
SELECT o.id, o.type, o.ticket_id, o.ticket_seq, o.data, told.contact_id, p.name AS platform, u.name AS unit,
    t.emergency_id IS NOT NULL AS urgent
FROM told
JOIN outbox o ON o.id = told.event_id
JOIN contacts c ON c.id = told.contact_id
JOIN platforms p ON p.id = o.platform_id
LEFT JOIN units u ON u.id = o.unit_id
LEFT JOIN people m ON m.id = c.person_id
LEFT JOIN tickets t ON t.id = o.ticket_id
WHERE m.id IS NULL OR m.active
ORDER BY o.position, told.contact_id
"""  # noqa: S608 - conditions of this module


def _contacts(session: Session, ids: set[int]) -> dict[int, Contact]:
    if not ids:
        return {}
    found = session.execute(select(Contact).where(col(Contact.id).in_(sorted(ids)))).scalars()
    return {contact.id: contact for contact in found}


def _notice(
    row: Any, contact: Contact, senders: Senders, at: datetime, public_url: str | None
) -> dict[str, Any]:
    number = row.data.get("number")
    link = f"{public_url.rstrip('/')}/console/tickets/{number}" if public_url and number else None
    made = written(
        contact,
        row.type,
        row.data,
        whose=row.unit or row.platform,
        platform=row.platform,
        signature=senders.signature,
        link=link,
        urgent=row.urgent,
    )
    quiet = contact.means is Means.SMS and not made["urgent"]
    return made | {
        "event_id": row.id,
        "ticket_id": row.ticket_id,
        "ticket_seq": row.ticket_seq,
        "created_at": at,
        "give_up_at": at + KEPT,
        "next_at": senders.quiet.over_at(at) if quiet else at,
    }
