"""Invented contacts (通知联系人) of the demo's units, and what they would have been told in the last days: on record, sent to nobody."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline.access import SYSTEM
from hotline.case import Desk, Office
from hotline.exchange import feed
from hotline.notifying import contacts, deriving
from hotline.notifying.senders import open_senders
from hotline.notifying.tables import NotifiedUpTo
from hotline.organisation import OrgUnit, Platform
from hotline.settings import Settings
from workflow.vocabulary import Means

SPAN: Final = timedelta(days=5)
"""How far back the demo's notices go."""

_OF_UNITS: Final = (
    ("QH-RSJ", "值班室", Means.EMAIL, "zhiban@qh-rsj.example"),
    ("XN-RSJ", "热线工单专员", Means.EMAIL, "rexian@xn-rsj.example"),
    ("XN-RSJ", "值班手机", Means.SMS, "13900000011"),
    ("XN-GYJ", "热线工单专员", Means.EMAIL, "rexian@xn-gyj.example"),
    ("XN-GYJ", "分管负责人", Means.SMS, "13900000012"),
)
_OF_PLATFORMS: Final = (
    ("01", "督办组", Means.EMAIL, "duban@xn-12345.example", ("clock.lapsed", "accountability.issued")),
)


def tell(session: Session, office: Office, settings: Settings, now: datetime) -> int:
    """Open the contact book, and put on record what its contacts would have been told in the five days up to `now` (aware), each at its
    own instant; how many notices. Commits."""
    while feed.sort(session, now):
        session.commit()
    before = session.execute(text(_BEFORE), {"since": now - SPAN}).scalar_one()
    session.merge(NotifiedUpTo(id=1, position=before))
    _open_book(session, office, now)
    session.commit()
    senders = open_senders(settings)
    while deriving.derive(session, senders, now, public_url=settings.public_url, stale=SPAN):
        session.commit()
    told = session.execute(text(_RECORD))
    session.commit()
    return int(told.rowcount)  # type: ignore[attr-defined]


def _open_book(session: Session, office: Office, now: datetime) -> None:
    desk = Desk(session, SYSTEM, now, office)
    for code, label, means, address in _OF_UNITS:
        unit = session.execute(select(OrgUnit).where(col(OrgUnit.code) == code)).scalar_one()
        contacts.add(desk, label=label, means=means, address=address, unit=unit)
    for code, label, means, address, kinds in _OF_PLATFORMS:
        platform = session.execute(select(Platform).where(col(Platform.code) == code)).scalar_one()
        contacts.add(desk, label=label, means=means, address=address, kinds=kinds, platform=platform)
    session.execute(text("UPDATE contacts SET created_at = :since"), {"since": now - SPAN})


_BEFORE: Final = "SELECT coalesce(min(position) - 1, 0) FROM outbox WHERE occurred_at > :since"
_RECORD: Final = """
UPDATE notifications n SET state = 'recorded', created_at = o.occurred_at, settled_at = o.occurred_at + interval '1 s',
    give_up_at = o.occurred_at + interval '3 d', next_at = NULL,
    tries = jsonb_build_array(jsonb_build_object('at', o.occurred_at + interval '1 s', 'ms', 0, 'status', NULL, 'round', 1))
FROM outbox o WHERE o.id = n.event_id AND n.state = 'waiting'
"""
