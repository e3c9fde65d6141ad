"""通知联系人: who is told what by which means; kept by administrators and by the unit's own lead. Addresses are sealed and shown masked."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import func, select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.auditing import audit
from hotline.case import Desk
from hotline.notifying import wording
from hotline.notifying.tables import Contact, Notification
from hotline.organisation import OrgUnit, Person, Platform
from hotline.privacy.masking import mask_email, mask_phone
from hotline.privacy.sealing import Sealer, of_contact
from hotline.settings import MAIL_ADDRESS
from workflow.errors import OrderInvalid, OutOfSight
from workflow.vocabulary import AuditKind, Means, NoticeState, Role

MOST: Final = 20
"""Contacts a unit or a platform may have."""
TESTS_AN_HOUR: Final = 5
"""Test messages one contact may be sent within an hour."""
_ADDING: Final = 12345_009
_MOBILE: Final = re.compile(r"1[3-9]\d{9}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A contact with the codes of its platform and unit, and the login of its person."""

    contact: Contact
    platform: str
    unit: str | None
    person: str | None


def add(
    desk: Desk,
    *,
    label: str,
    means: Means,
    address: str,
    kinds: Iterable[str] = (),
    unit: OrgUnit | None = None,
    platform: Platform | None = None,
    person: str | None = None,
) -> Entry:
    """A new contact of a unit or of a platform; no kinds: the usual ones. `person` is the login of the member of staff it is.

    Raises `OrderInvalid` (field), `OutOfSight`.
    """
    if (unit is None) == (platform is None):
        raise OrderInvalid("联系人须属于一个承办单位或一个热线平台。", field="unit")
    home = unit.platform_id if unit is not None else platform.id if platform is not None else 0
    unit_id = unit.id if unit is not None else None
    if not _reaches(desk.actor, home, unit_id):
        raise OutOfSight("该平台或单位不在您的管理范围内。", field="unit" if unit_id else "platform")
    given = checked_address(means, address)
    chosen = _checked_kinds(kinds, unit=unit is not None)
    desk.session.execute(select(func.pg_advisory_xact_lock(_ADDING, home % 2**31)))
    others = _of(desk.session, home, unit_id)
    if len(others) >= MOST:
        raise OrderInvalid(f"联系人至多 {MOST} 个，请先删除不再使用的。", field="unit")
    _check_new(desk.office.sealer, others, given)
    contact = Contact(
        platform_id=home,
        unit_id=unit_id,
        person_id=_member(desk.session, person, home, unit_id) if person is not None else None,
        label=label,
        means=means,
        shown=_masked(means, given),
        kinds=chosen,
        created_at=desk.at,
        changed_at=desk.at,
        changed_by=desk.actor.name,
    )
    desk.session.add(contact)
    desk.session.flush()
    contact.address = desk.office.sealer.seal(given, of_contact(contact.id))
    desk.session.flush()
    _record(desk, contact, "contact_added", means=means.value, kinds=chosen)
    return _entry(desk.session, contact)


def checked_address(means: Means, address: str) -> str:
    """An address as it is kept: a mobile's eleven digits, or an e-mail address. Raises `OrderInvalid` (field `address`)."""
    said = address.strip()
    if means is Means.SMS:
        digits = re.sub(r"[\s\-]", "", said).removeprefix("+86")
        if not _MOBILE.fullmatch(digits) or not digits.isascii():
            raise OrderInvalid("手机号应为 11 位数字。", field="address")
        return digits
    if len(said) > 254 or not re.fullmatch(MAIL_ADDRESS, said):
        raise OrderInvalid("电子邮件地址应写作 name@example.gov.cn。", field="address")
    return said


def _masked(means: Means, address: str) -> str:
    return (mask_phone(address) if means is Means.SMS else mask_email(address)) or ""


def _checked_kinds(kinds: Iterable[str], *, unit: bool) -> list[str]:
    asked = sorted(set(kinds))
    known = wording.kinds_to_choose(unit=unit)
    unknown = [kind for kind in asked if kind not in known]
    if unknown:
        whose = "承办单位" if unit else "热线平台"
        raise OrderInvalid(f"{whose}的联系人没有这些通知类型：{'、'.join(unknown)[:200]}。", field="kinds")
    return asked


def _check_new(sealer: Sealer, others: Sequence[Contact], address: str, but: int | None = None) -> None:
    for other in others:
        if other.id != but and sealer.open(other.address, of_contact(other.id)) == address:
            raise OrderInvalid(f"这个地址已登记为联系人“{other.label}”。", field="address")


def _member(session: Session, login: str, home: int, unit_id: int | None) -> int:
    found: Person | None = session.execute(
        select(Person).where(col(Person.login) == login)
    ).scalar_one_or_none()
    belongs = found is not None and (
        found.unit_id == unit_id if unit_id is not None else found.platform_id == home
    )
    if found is None or not belongs or not found.active:
        raise OrderInvalid("没有这名人员，或不属于该单位（平台）。", field="person")
    return found.id


# --- changing ----------------------------------------------------------------------------------------------------------


def change(
    desk: Desk,
    contact_id: int,
    *,
    label: str | None = None,
    address: str | None = None,
    kinds: Iterable[str] | None = None,
    active: bool | None = None,
) -> Entry:
    """变更: what is None stays. Another address takes effect for what waits, too. Raises `OutOfSight`, `OrderInvalid`."""
    contact = find(desk, contact_id)
    changed: dict[str, Any] = {}
    if label is not None:
        changed["label"] = "changed"
        contact.label = label
    if address is not None:
        given = checked_address(contact.means, address)
        others = _of(desk.session, contact.platform_id, contact.unit_id)
        _check_new(desk.office.sealer, others, given, but=contact.id)
        contact.address = desk.office.sealer.seal(given, of_contact(contact.id))
        contact.shown, changed["address"] = _masked(contact.means, given), "changed"
    if kinds is not None:
        changed["kinds"] = contact.kinds = _checked_kinds(kinds, unit=contact.unit_id is not None)
    if active is not None:
        changed["active"] = contact.active = active
    return _changed(desk, contact, "contact_changed", **changed)


def remove(desk: Desk, contact_id: int) -> Entry:
    """删除: the address is destroyed; what the contact was told stays on record. Raises `OutOfSight`."""
    contact = find(desk, contact_id)
    contact.address, contact.active, contact.removed_at = None, False, desk.at
    contact.shown = ""
    return _changed(desk, contact, "contact_removed")


def test(desk: Desk, contact_id: int, signature: str) -> Notification:
    """A test message to this contact; how it went is read by its number. Raises `OutOfSight`, `OrderInvalid`."""
    contact = find(desk, contact_id)
    if not contact.active:
        raise OrderInvalid("联系人已停用，请先启用。", field="contact")
    since = desk.at - timedelta(hours=1)
    recent = select(func.count()).where(
        col(Notification.contact_id) == contact.id,
        col(Notification.event_id).is_(None),
        col(Notification.created_at) > since,
    )
    if desk.session.execute(recent.select_from(Notification)).scalar_one() >= TESTS_AN_HOUR:
        raise OrderInvalid(f"每个联系人每小时至多测试 {TESTS_AN_HOUR} 次。", field="contact")
    entry = _entry(desk.session, contact)
    platform = desk.session.get_one(Platform, contact.platform_id)
    whose = desk.session.get_one(OrgUnit, contact.unit_id).name if contact.unit_id else platform.name
    made = written(
        contact,
        wording.TESTED,
        {},
        whose=whose,
        platform=platform.name,
        signature=signature,
        link=None,
    )
    notification = Notification(**made, created_at=desk.at, give_up_at=desk.at + TEST_KEPT, next_at=desk.at)
    desk.session.add(notification)
    desk.session.flush()
    _record(desk, contact, "contact_tested", notification=notification.id, means=entry.contact.means.value)
    return notification


TEST_KEPT: Final = timedelta(hours=1)
"""How long a test is tried."""


def written(
    contact: Contact,
    kind: str,
    data: dict[str, Any],
    *,
    whose: str,
    platform: str,
    signature: str,
    link: str | None,
    urgent: bool = False,
) -> dict[str, Any]:
    """What a notification to `contact` about one event says, as columns of `Notification`; it waits to be sent."""
    said = wording.say(kind, data, whose=whose)
    by_sms = contact.means is Means.SMS
    text = (
        wording.with_signature(said.sms, signature)
        if by_sms
        else wording.letter(said, whose=whose, platform=platform, link=link)
    )
    return {
        "contact_id": contact.id,
        "kind": kind,
        "platform_id": contact.platform_id,
        "unit_id": contact.unit_id,
        "means": contact.means,
        "recipient": contact.label,
        "shown": contact.shown,
        "subject": "" if by_sms else said.subject,
        "content": text,
        "params": said.params if by_sms else {},
        "urgent": urgent or wording.templates()[kind].urgent,
        "segments": wording.segments(text) if by_sms else 0,
        "state": NoticeState.WAITING,
        "tries": [],
        "round": 1,
        "claim": 0,
    }


def _changed(desk: Desk, contact: Contact, change: str, **more: Any) -> Entry:
    contact.changed_at, contact.changed_by = desk.at, desk.actor.name
    desk.session.add(contact)
    desk.session.flush()
    _record(desk, contact, change, **more)
    return _entry(desk.session, contact)


def _record(desk: Desk, contact: Contact, change: str, **more: Any) -> None:
    audit.record(
        desk.session,
        AuditKind.ACCOUNT_CHANGED,
        at=desk.at,
        actor=desk.actor,
        platform_id=contact.platform_id,
        what={"change": change, "contact": contact.id} | more,
    )


# --- who sees which ----------------------------------------------------------------------------------------------------


def find(desk: Desk, contact_id: int) -> Contact:
    """The contact, locked. Raises `OutOfSight` if there is none within the actor's reach, or it was removed."""
    found = desk.session.get(Contact, contact_id, with_for_update={"key_share": True}, populate_existing=True)
    if (
        found is None
        or found.removed_at is not None
        or not _reaches(desk.actor, found.platform_id, found.unit_id)
    ):
        raise OutOfSight("没有这个联系人，或不在您的管理范围内。", field="contact")
    return found


def listed(session: Session, actor: Actor) -> list[Entry]:
    """The contacts within reach, but for those that were removed."""
    statement = _joined().where(col(Contact.removed_at).is_(None)).order_by(col(Contact.id))
    if actor.is_unit:
        statement = statement.where(col(Contact.unit_id) == actor.unit_id)
    elif actor.kind != "system":
        statement = statement.where(col(Contact.platform_id).in_(sorted(actor.platform_ids)))
    return [Entry(*row) for row in session.execute(statement)]


def _entry(session: Session, contact: Contact) -> Entry:
    return Entry(*session.execute(_joined().where(col(Contact.id) == contact.id)).one())


def _joined() -> Any:
    return (
        select(Contact, col(Platform.code), col(OrgUnit.code), col(Person.login))
        .join(Platform, col(Platform.id) == col(Contact.platform_id))
        .outerjoin(OrgUnit, col(OrgUnit.id) == col(Contact.unit_id))
        .outerjoin(Person, col(Person.id) == col(Contact.person_id))
    )


def _of(session: Session, home: int, unit_id: int | None) -> Sequence[Contact]:
    statement = select(Contact).where(
        col(Contact.platform_id) == home,
        col(Contact.unit_id).is_not_distinct_from(unit_id),
        col(Contact.removed_at).is_(None),
    )
    return session.execute(statement).scalars().all()


def _reaches(actor: Actor, platform_id: int, unit_id: int | None) -> bool:
    if actor.kind == "system":
        return True
    if actor.is_unit:
        return Role.UNIT_LEAD in actor.roles and unit_id == actor.unit_id
    return platform_id in actor.platform_ids
