"""订阅: which system of a unit or platform is told what, under which secret; managed by administrators and the unit's own lead."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.auditing import audit
from hotline.case import Desk
from hotline.exchange import outbox
from hotline.exchange.envelopes import CATALOGUE, kinds_for
from hotline.exchange.tables import Subscription
from hotline.exchange.wire import check_url
from hotline.organisation import OrgUnit, Platform
from hotline.privacy.sealing import Sealer, of_subscription
from workflow.errors import OrderInvalid, OutOfSight
from workflow.vocabulary import AuditKind, Role, SubscriptionState

MOST: Final = 10
"""Subscriptions a unit or a platform may have."""
OVERLAP: Final = timedelta(days=1)
"""How long the old secret stays good beside a new one, unless said otherwise."""


def add(
    desk: Desk,
    *,
    label: str,
    url: str,
    types: Iterable[str] = (),
    unit: OrgUnit | None = None,
    platform: Platform | None = None,
    secret: str | None = None,
) -> tuple[Subscription, str]:
    """A new subscription and its secret, told only here. No types: everything.

    Raises `OrderInvalid` (field), `TargetRefused` for an address that must not be reached, `OutOfSight`.
    """
    if (unit is None) == (platform is None):
        raise OrderInvalid("订阅须属于一个承办单位或一个热线平台。", field="unit")
    home = unit.platform_id if unit is not None else platform.id if platform is not None else 0
    _check_reach(desk.actor, home, unit.id if unit is not None else None)
    remark = check_url(url, allow_private=desk.office.policy.allow_private_targets)
    if secret is not None:
        outbox.check_secret(secret)
    made = secret or outbox.make_secret()
    desk.session.execute(select(func.pg_advisory_xact_lock(_ADDING, home % 2**31)))
    if _count(desk.session, home, unit) >= MOST:
        raise OrderInvalid(f"订阅至多 {MOST} 个，请先停用不再使用的。", field="unit")
    subscription = Subscription(
        platform_id=home,
        unit_id=unit.id if unit is not None else None,
        label=label,
        url=url,
        types=_checked_types(types, unit=unit is not None),
        state=SubscriptionState.ACTIVE,
        owner=desk.actor.name,
        created_at=desk.at,
        changed_at=desk.at,
        last_problem=remark,
        last_problem_at=desk.at if remark else None,
    )
    desk.session.add(subscription)
    desk.session.flush()
    subscription.secret = desk.office.sealer.seal(made, of_subscription("secret", subscription.id))
    _record(desk, subscription, "subscription_added", types=subscription.types)
    return subscription, made


_ADDING: Final = 12345_006


def _count(session: Session, home: int, unit: OrgUnit | None) -> int:
    mine = col(Subscription.unit_id).is_(None) if unit is None else col(Subscription.unit_id) == unit.id
    statement = select(func.count()).where(
        mine,
        col(Subscription.platform_id) == home,
        col(Subscription.state) != SubscriptionState.DISABLED,
    )
    return int(session.execute(statement.select_from(Subscription)).scalar_one())


def _checked_types(types: Iterable[str], *, unit: bool) -> list[str]:
    asked = sorted(set(types))
    unknown = [kind for kind in asked if kind not in kinds_for(unit=unit)]
    if unknown:
        known = "承办单位没有" if all(kind in CATALOGUE for kind in unknown) else "没有"
        raise OrderInvalid(f"{known}这些事件类型：{'、'.join(unknown)[:200]}。", field="types")
    return asked


def secrets_of(sealer: Sealer, subscription: Subscription, at: datetime) -> list[str]:
    """The secrets good at `at`, the newest first: each message is signed with all of them."""
    secrets = [sealer.open(subscription.secret, of_subscription("secret", subscription.id))]
    older = subscription.older_secret
    if older is not None and subscription.older_until is not None and at < subscription.older_until:
        secrets.append(sealer.open(older, of_subscription("older_secret", subscription.id)))
    return secrets


# --- changing ----------------------------------------------------------------------------------------------------------


def change(
    desk: Desk,
    subscription_id: int,
    *,
    label: str | None = None,
    url: str | None = None,
    types: Iterable[str] | None = None,
) -> Subscription:
    """变更: what is None stays. Raises `OutOfSight`, `OrderInvalid`, `TargetRefused`."""
    find(desk, subscription_id, lock=False)
    remark = (
        check_url(url, allow_private=desk.office.policy.allow_private_targets) if url is not None else None
    )
    subscription = find(desk, subscription_id)  # locked only now: looking a name up may take a while
    changed: dict[str, Any] = {}
    if label is not None:
        changed["label"] = subscription.label = label
    if url is not None:
        subscription.url, changed["url"] = url, "changed"
        forget_failures(subscription)
        subscription.last_problem, subscription.last_problem_at = remark, desk.at if remark else None
    if types is not None:
        changed["types"] = subscription.types = _checked_types(types, unit=subscription.unit_id is not None)
    return _changed(desk, subscription, "subscription_changed", **changed)


def rotate(
    desk: Desk, subscription_id: int, *, overlap: timedelta = OVERLAP, secret: str | None = None
) -> tuple[Subscription, str]:
    """A new secret, told only here; messages are signed with the old one too for `overlap`. Raises `OutOfSight`, `OrderInvalid`."""
    subscription = find(desk, subscription_id)
    if secret is not None:
        outbox.check_secret(secret)
    made = secret or outbox.make_secret()
    sealer = desk.office.sealer
    current = sealer.open(subscription.secret, of_subscription("secret", subscription.id))
    subscription.older_secret = sealer.seal(current, of_subscription("older_secret", subscription.id))
    subscription.older_until = desk.at + overlap
    subscription.secret = sealer.seal(made, of_subscription("secret", subscription.id))
    _changed(desk, subscription, "subscription_rotated", older_until=subscription.older_until.isoformat())
    return subscription, made


def turn(desk: Desk, subscription_id: int, state: SubscriptionState) -> Subscription:
    """启用、暂停、停用. What waits while it is paused goes out once it is active again. Raises `OutOfSight`."""
    subscription = find(desk, subscription_id)
    if subscription.state is state:
        return subscription
    subscription.state = state
    if state is SubscriptionState.ACTIVE:
        forget_failures(subscription)
    return _changed(desk, subscription, f"subscription_{state.value}")


def forget_failures(subscription: Subscription) -> None:
    """Close the breaker: the next delivery is tried at once."""
    subscription.failures, subscription.closed_until = 0, None


def _changed(desk: Desk, subscription: Subscription, change: str, **more: Any) -> Subscription:
    subscription.changed_at = desk.at
    desk.session.add(subscription)
    desk.session.flush()
    _record(desk, subscription, change, **more)
    return subscription


def _record(desk: Desk, subscription: Subscription, change: str, **more: Any) -> None:
    audit.record(
        desk.session,
        AuditKind.ACCOUNT_CHANGED,
        at=desk.at,
        actor=desk.actor,
        platform_id=subscription.platform_id,
        what={"change": change, "subscription": subscription.id} | more,
    )


# --- who sees which ----------------------------------------------------------------------------------------------------


def find(desk: Desk, subscription_id: int, *, lock: bool = True) -> Subscription:
    """The subscription, locked. Raises `OutOfSight` if there is none within the actor's reach."""
    found = desk.session.get(
        Subscription, subscription_id, with_for_update=lock or None, populate_existing=True
    )
    if found is None or not _reaches(desk.actor, found.platform_id, found.unit_id):
        raise OutOfSight("没有这个订阅，或不在您的管理范围内。", field="subscription")
    return found


def listed(session: Session, actor: Actor) -> list[tuple[Subscription, str, str | None]]:
    """The subscriptions within reach, each with its platform's and its unit's code."""
    statement = (
        select(Subscription, col(Platform.code), col(OrgUnit.code))
        .join(Platform, col(Platform.id) == col(Subscription.platform_id))
        .outerjoin(OrgUnit, col(OrgUnit.id) == col(Subscription.unit_id))
        .order_by(col(Subscription.id))
    )
    if actor.is_unit:
        statement = statement.where(col(Subscription.unit_id) == actor.unit_id)
    elif actor.kind != "system":
        statement = statement.where(col(Subscription.platform_id).in_(sorted(actor.platform_ids)))
    return [(found, platform, unit) for found, platform, unit in session.execute(statement)]


def _check_reach(actor: Actor, platform_id: int, unit_id: int | None) -> None:
    if not _reaches(actor, platform_id, unit_id):
        raise OutOfSight("该平台或单位不在您的管理范围内。", field="unit" if unit_id else "platform")


def _reaches(actor: Actor, platform_id: int, unit_id: int | None) -> bool:
    if actor.kind == "system":
        return True
    if actor.is_unit:
        return Role.UNIT_LEAD in actor.roles and unit_id == actor.unit_id
    return platform_id in actor.platform_ids
