"""What `hotline notify` does."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import func, select
from sqlmodel import col

from api.operations import now
from api.operations_exchange import coded, operator_desk
from hotline.exchange import feed
from hotline.notifying import contacts, records, wording
from hotline.notifying.contacts import Entry
from hotline.notifying.messages import Message, Verdict
from hotline.notifying.records import Noted
from hotline.notifying.senders import open_senders
from hotline.notifying.tables import Notification, NotifiedUpTo
from hotline.organisation import OrgUnit, Platform
from hotline.settings import load_settings
from workflow.errors import OrderInvalid
from workflow.vocabulary import Means, NoticeState

_RESULTS = {
    Verdict.SENT: "已发出",
    Verdict.RECORDED: "仅记录，没有发出",
    Verdict.RETRY: "暂未发出",
    Verdict.REFUSED: "被拒绝",
}


def status() -> dict[str, Any]:
    """Which means there are, how many notices stand how, how many events are still to be looked at."""
    settings = load_settings()
    how = open_senders(settings).how
    with operator_desk() as desk:
        rows = desk.session.execute(
            select(col(Notification.means), col(Notification.state), func.count()).group_by(
                col(Notification.means), col(Notification.state)
            )
        ).all()
        upto = desk.session.execute(select(col(NotifiedUpTo.position))).scalar_one_or_none() or 0
        behind = max(0, feed.newest(desk.session) - upto)
    counts = {(means, state): count for means, state, count in rows}
    return {
        "means": [
            {
                "means": means.value,
                "label": means.label,
                "how": how[means],
                "counts": {
                    state.value: counts[means, state] for state in NoticeState if (means, state) in counts
                },
            }
            for means in Means
        ],
        "quiet": settings.sms_quiet,
        "behind": behind,
    }


# --- the contact book --------------------------------------------------------------------------------------------------


def list_contacts() -> list[dict[str, Any]]:
    """Every contact."""
    with operator_desk() as desk:
        return [_contact(entry) for entry in contacts.listed(desk.session, desk.actor)]


def add_contact(
    unit: str | None,
    platform: str | None,
    *,
    label: str,
    means: Means,
    address: str,
    kinds: Iterable[str],
    person: str | None,
) -> dict[str, Any]:
    """A new contact. Raises what `contacts.add` raises, `OrderInvalid` for an unknown code."""
    with operator_desk() as desk:
        return _contact(
            contacts.add(
                desk,
                label=label,
                means=means,
                address=address,
                kinds=kinds,
                unit=coded(desk, OrgUnit, unit, "承办单位", "unit"),
                platform=coded(desk, Platform, platform, "热线平台", "platform"),
                person=person,
            )
        )


def change_contact(
    key: int, *, label: str | None, address: str | None, kinds: list[str] | None, active: bool | None
) -> dict[str, Any]:
    """Change what is given."""
    with operator_desk() as desk:
        return _contact(
            contacts.change(desk, key, label=label, address=address, kinds=kinds or None, active=active)
        )


def remove_contact(key: int) -> dict[str, Any]:
    """Remove it; its address is destroyed."""
    with operator_desk() as desk:
        return _contact(contacts.remove(desk, key))


def _contact(entry: Entry) -> dict[str, Any]:
    shown = entry.contact.model_dump(
        mode="json", exclude={"address", "shown", "platform_id", "unit_id", "person_id"}
    )
    return shown | {
        "address": entry.contact.shown,
        "platform": entry.platform,
        "unit": entry.unit,
        "person": entry.person,
    }


# --- what was sent -----------------------------------------------------------------------------------------------------


def list_notifications(state: NoticeState | None, limit: int) -> list[dict[str, Any]]:
    """The newest notices."""
    with operator_desk() as desk:
        return [_told(each) for each in records.listed(desk, state=state, limit=limit)]


def show_notification(key: int) -> dict[str, Any]:
    """One notice with its tries and what it said."""
    with operator_desk() as desk:
        noted = records.one(desk, key)
        kept = (
            "subject",
            "content",
            "segments",
            "tries",
            "recipient",
            "provider_id",
            "reported_at",
            "urgent",
        )
        return _told(noted) | noted.notification.model_dump(mode="json", include=set(kept))


def retry_notification(key: int) -> dict[str, Any]:
    """Send one anew."""
    with operator_desk() as desk:
        return _told(records.retry(desk, key))


def _told(noted: Noted) -> dict[str, Any]:
    found = noted.notification
    kept = ("id", "kind", "means", "state", "created_at", "next_at", "settled_at", "problem", "round")
    return found.model_dump(mode="json", include=set(kept)) | {
        "number": noted.number,
        "address": found.shown,
        "attempts": len(found.tries),
    }


def try_sending(to: str) -> dict[str, Any]:
    """Send a test to an address by the settings as they are, without the database. Raises `OrderInvalid` where that means is off."""
    means = Means.EMAIL if "@" in to else Means.SMS
    address = contacts.checked_address(means, to)
    senders = open_senders(load_settings())
    if senders.how[means] == "off":
        names = (
            "HOTLINE_SMTP_HOST、HOTLINE_MAIL_FROM"
            if means is Means.EMAIL
            else "HOTLINE_SMS_URL、HOTLINE_SMS_SECRET"
        )
        raise OrderInvalid(f"没有设置{means.label}的发送方式：{names}。", field="to")
    at = now()
    said = wording.say(wording.TESTED, {}, whose="本单位")
    text = (
        wording.with_signature(said.sms, senders.signature)
        if means is Means.SMS
        else wording.letter(said, whose="您好", platform=senders.signature, link=None)
    )
    message = Message(
        f"test-{int(at.timestamp())}", at, address, wording.TESTED, said.subject, text, said.params
    )
    sender = senders.makers[means]()
    result = sender.send(message, at)
    sender.close()
    return {
        "means": means.value,
        "how": senders.how[means],
        "verdict": result.verdict.value,
        "result": _RESULTS[result.verdict],
        "status": result.status,
        "problem": result.problem,
        "provider_id": result.provider_id,
    }
