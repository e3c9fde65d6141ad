"""人员管理: create, change, grant, disable, unlock, and hand a leaver's tickets over. Every step is audited.

An administrator's reach is their platform and those below it (`Actor.platform_ids`); a unit's head sees and adds its own handlers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from hotline import aftercare
from hotline.access import Actor
from hotline.auditing import audit
from hotline.case import Desk
from hotline.models import Ticket
from hotline.orders import HandOverOrder
from hotline.organisation import OrgUnit, Person, Platform
from hotline.people import accounts, clients, lockout, passwords, second_factor, sessions
from hotline.people.accounts import NameTaken
from hotline.people.identity import Credential
from workflow.errors import AccessRefused, OrderInvalid, OutOfSight, RuleBroken
from workflow.lifecycle import LIVE
from workflow.vocabulary import AuditKind, Role

MOST_AT_ONCE: Final = 500
"""Tickets handed over in one transaction."""


class StillInCharge(RuleBroken):
    """The person still owns tickets that are not archived; `extra.tickets` says how many (art. 14(1))."""

    code = "still_in_charge"


@dataclass(frozen=True, slots=True)
class Found:
    """A person with where they belong. `home` is the platform's key, for a unit's staff that of their unit."""

    person: Person
    platform: str
    unit: str | None
    home: int


@dataclass(frozen=True, slots=True)
class Roll:
    """Which people to list."""

    platform: str | None = None
    unit: str | None = None
    role: Role | None = None
    text: str | None = None
    active: bool | None = None
    after: int = 0
    limit: int = 50


# --- seeing ----------------------------------------------------------------------------------------------------------


def _within(actor: Actor) -> ColumnElement[bool]:
    if actor.is_unit:
        return col(Person.unit_id) == actor.unit_id
    return col(Platform.id).in_(sorted(actor.platform_ids))


def _people() -> Select[Person, str, str, int]:
    home = func.coalesce(col(Person.platform_id), col(OrgUnit.platform_id))
    return (
        select(Person, col(Platform.code), col(OrgUnit.code), col(Platform.id))
        .outerjoin(OrgUnit, col(OrgUnit.id) == col(Person.unit_id))
        .join(Platform, col(Platform.id) == home)
    )


def listed(session: Session, actor: Actor, roll: Roll) -> list[Found]:
    """The people within the actor's reach, in the order they came; one more than `limit` if there are more."""
    statement = _people().where(_within(actor), col(Person.id) > roll.after)
    if roll.platform is not None:
        statement = statement.where(col(Platform.code) == roll.platform)
    if roll.unit is not None:
        statement = statement.where(col(OrgUnit.code) == roll.unit)
    if roll.role is not None:
        statement = statement.where(col(Person.roles).contains([roll.role.value]))
    if roll.active is not None:
        statement = statement.where(col(Person.active).is_(roll.active))
    if roll.text is not None:
        tests = (
            col(Person.login).icontains(roll.text, autoescape=True),
            col(Person.name).icontains(roll.text, autoescape=True),
        )
        statement = statement.where(or_(*tests))
    return [Found(*row) for row in session.execute(statement.order_by(col(Person.id)).limit(roll.limit + 1))]


def find(session: Session, actor: Actor, login: str, *, locked: bool = False) -> Found:
    """The person with this login. Raises `OutOfSight`."""
    statement = _people().where(_within(actor), col(Person.login) == login)
    if locked:
        statement = statement.with_for_update(of=Person.__table__).execution_options(  # type: ignore[attr-defined]
            populate_existing=True
        )
    row = session.execute(statement).first()
    if row is None:
        raise OutOfSight(f"没有登录名为 {login} 的人员，或不在您的管理范围内。", field="login")
    return Found(*row)


def colleagues(
    session: Session, actor: Actor, *, role: Role | None = None, unit: str | None = None, most: int
) -> list[Found]:
    """Who is at work within the actor's reach, at most `most`, the own platform's first. A unit's staff are shown to their own unit and
    to administrators alone."""
    statement = _people().where(_within(actor), col(Person.active))
    if not actor.is_unit and Role.ADMIN not in actor.roles:
        statement = statement.where(col(Person.unit_id).is_(None))
    if role is not None:
        statement = statement.where(col(Person.roles).contains([role.value]))
    if unit is not None:
        statement = statement.where(col(OrgUnit.code) == unit)
    own_first = (col(Person.platform_id).is_distinct_from(actor.home_id), col(Person.id))
    return [Found(*row) for row in session.execute(statement.order_by(*own_first).limit(most))]


def of_actor(session: Session, actor: Actor) -> Found:
    """The person who acts, where it is one. Raises `AccessRefused` for a machine."""
    row = (
        session.execute(_people().where(col(Person.id) == actor.id)).first()
        if actor.kind == "person"
        else None
    )
    if row is None:
        raise AccessRefused("该操作只用于人员，接口客户端没有个人令牌。")
    return Found(*row)


def owned(session: Session, person_id: int) -> int:
    """How many tickets that are not archived the person is the first receiver of."""
    count = session.execute(
        select(func.count())
        .select_from(Ticket)
        .where(col(Ticket.first_receiver_id) == person_id, col(Ticket.state).in_(LIVE))
    ).scalar_one()
    return int(count)


# --- coming, changing ------------------------------------------------------------------------------------------------


def create(
    desk: Desk,
    *,
    login: str,
    name: str,
    roles: Iterable[Role],
    platform: str | None = None,
    unit: str | None = None,
    shift: str | None = None,
) -> tuple[Found, str]:
    """A new person and their one-time password, told only here. Raises `OrderInvalid`, `NameTaken`, `OutOfSight`, `AccessRefused`."""
    granted = frozenset(roles)
    if desk.actor.is_unit and granted != {Role.HANDLER}:
        raise AccessRefused("单位负责人只能新增本单位的承办经办人。")
    if not granted:
        raise OrderInvalid("请至少给出一个角色。", field="roles")
    home, of_unit = place(desk, platform, unit)
    try:
        person = accounts.add_person(
            desk.session,
            login=login,
            name=name,
            roles=granted,
            platform=None if of_unit else home,
            unit=of_unit,
        )
        person.shift = shift
        password = _new_password(desk, person)
        desk.session.flush()
    except IntegrityError:
        raise NameTaken(f"登录名 {login} 已被使用，请换一个。", field="login") from None
    found = Found(person, home.code, of_unit.code if of_unit else None, home.id)
    _record(desk, found, "created", roles={"before": [], "after": person.roles})
    return found, password


def place(desk: Desk, platform: str | None, unit: str | None) -> tuple[Platform, OrgUnit | None]:
    """Where somebody belongs: the platform, and the unit if it is one's. Raises `OrderInvalid`, `OutOfSight`."""
    if (platform is None) == (unit is None):
        raise OrderInvalid("请给出所属的热线平台或承办单位，二者其一。", field="platform")
    if unit is not None:
        of_unit = desk.session.execute(select(OrgUnit).where(col(OrgUnit.code) == unit)).scalar_one_or_none()
        own = of_unit is not None and desk.actor.unit_id == of_unit.id
        if of_unit is None or not (own or of_unit.platform_id in desk.actor.platform_ids):
            raise OutOfSight(f"没有代码为 {unit} 的承办单位，或不在您的管理范围内。", field="unit")
        if not of_unit.active:
            raise OrderInvalid(f"“{of_unit.name}”已停用。", field="unit")
        return desk.session.get_one(Platform, of_unit.platform_id), of_unit
    home = desk.session.execute(select(Platform).where(col(Platform.code) == platform)).scalar_one_or_none()
    if home is None or home.id not in desk.actor.platform_ids:
        raise OutOfSight(f"没有代码为 {platform} 的热线平台，或不在您的管理范围内。", field="platform")
    return home, None


def change(desk: Desk, login: str, given: dict[str, Any]) -> Found:
    """Change what is `given` of name, shift (None: the usual hours), platform, unit. Raises `OrderInvalid`, `StillInCharge`, `OutOfSight`."""
    found = find(desk.session, desk.actor, login, locked=True)
    person = found.person
    if "name" in given:
        person.name = given["name"]
    if "shift" in given:
        person.shift = given["shift"]
    if given.get("platform") is not None or given.get("unit") is not None:
        home, unit = place(desk, given.get("platform"), given.get("unit"))
        if (unit is None) != (person.unit_id is None):
            raise OrderInvalid("平台人员与承办单位人员不能互换，请停用后另建。", field="platform")
        if home.id != found.home:
            _owns_nothing(desk.session, person, "调离本平台")
        person.platform_id, person.unit_id = (None, unit.id) if unit else (home.id, None)
        moved = {"from": found.unit or found.platform, "to": unit.code if unit else home.code}
        found = Found(person, home.code, unit.code if unit else None, home.id)
        _record(desk, found, "moved", place=moved)
    desk.session.add(person)
    told = sorted(set(given) & {"name", "shift"})
    if told:
        _record(desk, found, "changed", fields=told)
    return found


def grant(desk: Desk, login: str, roles: Iterable[Role]) -> Found:
    """授权: the person's roles from now on; their sessions end. Raises `OrderInvalid`, `AccessRefused` for oneself, `OutOfSight`."""
    found = _another(desk, login, "调整自己的角色")
    after = frozenset(roles)
    if not after:
        raise OrderInvalid("请至少保留一个角色；不再使用的账号请停用。", field="roles")
    accounts.check_roles(after, of_unit=found.unit is not None)
    person = found.person
    if Role.AGENT.value in person.roles and Role.AGENT not in after:
        _owns_nothing(desk.session, person, "取消话务员角色")
    before, person.roles = person.roles, sorted(role.value for role in after)
    desk.session.add(person)
    ended = sessions.end_all(desk.session, person.id, desk.at) if before != person.roles else 0
    _record(desk, found, "granted", roles={"before": before, "after": person.roles}, sessions_ended=ended)
    return found


# --- getting in again ------------------------------------------------------------------------------------------------


def reset_password(desk: Desk, login: str, *, reason: str) -> tuple[Found, str]:
    """A new one-time password, told only here; sessions end, a lock is undone. Raises `OutOfSight`, `AccessRefused` for oneself."""
    found = _another(desk, login, "重置自己的口令，请用修改口令")
    lockout.clear(desk.session, login)
    password = _new_password(desk, found.person)
    ended = sessions.end_all(desk.session, found.person.id, desk.at)
    _record(desk, found, "password_reset", reason=reason, sessions_ended=ended)
    return found, password


def unlock(desk: Desk, login: str, *, reason: str) -> Found:
    """解锁: failures are forgotten. Raises `OutOfSight`."""
    found = find(desk.session, desk.actor, login)
    lockout.clear(desk.session, login)
    _record(desk, found, "unlocked", reason=reason)
    return found


def reset_second_factor(desk: Desk, login: str, *, reason: str) -> Found:
    """The second factor and its recovery codes are gone, sessions end. Raises `OutOfSight`, `AccessRefused` for oneself."""
    found = _another(desk, login, "重置自己的第二因素")
    credential = desk.session.get(Credential, found.person.id, with_for_update=True)
    if credential is not None:
        second_factor.reset(credential)
        desk.session.add(credential)
    ended = sessions.end_all(desk.session, found.person.id, desk.at)
    desk.session.flush()
    audit.record(
        desk.session,
        AuditKind.SECOND_FACTOR_CHANGED,
        at=desk.at,
        actor=desk.actor,
        platform_id=found.home,
        what={"login": login, "change": "reset", "reason": reason, "sessions_ended": ended},
    )
    return found


def _new_password(desk: Desk, person: Person) -> str:
    password = passwords.one_time()
    credential = desk.session.get(Credential, person.id, with_for_update=True) or Credential(
        person_id=person.id
    )
    credential.password_hash = passwords.hashed(password)
    credential.password_changed_at, credential.must_change = desk.at, True
    desk.session.add(credential)
    return password


# --- leaving ---------------------------------------------------------------------------------------------------------


def disable(
    desk: Desk, login: str, *, reason: str, transfer_to: str | None = None
) -> tuple[Found, list[str]]:
    """停用: sessions end, tokens are revoked; the numbers of the tickets handed over to `transfer_to`.

    Raises `StillInCharge` while they own tickets and nobody is named to take them (art. 14(1)), `OutOfSight`, `AccessRefused`.
    """
    found = _another(desk, login, "停用自己的账号")
    person = found.person
    if transfer_to is None:
        _owns_nothing(desk.session, person, "停用")
        moved: list[str] = []
    else:
        moved = _hand_over_all(desk, found, transfer_to, reason)
        _owns_nothing(desk.session, person, "停用")
    if person.active:
        person.active, person.left_at = False, desk.at
        desk.session.add(person)
    ended = sessions.end_all(desk.session, person.id, desk.at)
    revoked = clients.revoke_all(desk.session, person.id, desk.at)
    counts = {"sessions_ended": ended, "tokens_revoked": revoked, "transferred": len(moved)}
    _record(desk, found, "disabled", reason=reason, **counts)
    return found, moved


def enable(desk: Desk, login: str, *, reason: str) -> Found:
    """启用: they may sign in again; old tokens stay revoked. Raises `OutOfSight`, `AccessRefused` for oneself."""
    found = _another(desk, login, "启用自己的账号")
    found.person.active, found.person.left_at = True, None
    desk.session.add(found.person)
    _record(desk, found, "enabled", reason=reason)
    return found


def transfer(desk: Desk, login: str, *, to: str, reason: str) -> tuple[list[str], int]:
    """移交: the numbers of the tickets handed over to `to`, and how many are left if there were more than `MOST_AT_ONCE`.

    Each is a ledger entry of its ticket (移交首接, art. 14(1)). Raises `OrderInvalid` (field `to`), `OutOfSight`.
    """
    found = find(desk.session, desk.actor, login, locked=True)
    moved = _hand_over_all(desk, found, to, reason)
    _record(desk, found, "tickets_transferred", to=to, transferred=len(moved))
    return moved, owned(desk.session, found.person.id)


def _hand_over_all(desk: Desk, found: Found, to: str, reason: str) -> list[str]:
    heir = find(desk.session, desk.actor, to).person if to != found.person.login else None
    suited = heir is not None and heir.active and heir.platform_id == found.person.platform_id
    if heir is None or not suited or Role.AGENT.value not in heir.roles:
        raise OrderInvalid("接手人须是同一平台在岗的另一名话务员。", article="14(1)", field="to")
    numbers = desk.session.execute(
        select(col(Ticket.number))
        .where(col(Ticket.first_receiver_id) == found.person.id, col(Ticket.state).in_(LIVE))
        .order_by(col(Ticket.id))  # the order in which tickets are locked (decision 0010)
        .limit(MOST_AT_ONCE)
    ).scalars()
    by = Actor(
        kind="system",
        id=None,
        name=f"系统（{desk.actor.name}办理）"[:100],
        roles=frozenset({Role.SUPERVISOR}),
        home_id=found.home,
    )
    acting = Desk(desk.session, by, desk.at, desk.office)
    order = HandOverOrder(to=to, reason=reason)
    return [aftercare.hand_over(acting, number, order).ticket.number for number in numbers.all()]


def _owns_nothing(session: Session, person: Person, what: str) -> None:
    count = owned(session, person.id)
    if count:
        raise StillInCharge(
            f"该人员仍是 {count} 件未归档工单的首接人员，不能{what}；请先移交（transfer），或停用时指明接手人（transfer_to）。",
            article="14(1)",
            extra={"tickets": count},
        )


def _another(desk: Desk, login: str, what: str) -> Found:
    found = find(desk.session, desk.actor, login, locked=True)
    if desk.actor.kind == "person" and desk.actor.id == found.person.id:
        raise AccessRefused(f"不能{what}；请由另一名管理员办理。")
    return found


def _record(desk: Desk, found: Found, change: str, **more: Any) -> None:
    desk.session.flush()
    audit.record(
        desk.session,
        AuditKind.ACCOUNT_CHANGED,
        at=desk.at,
        actor=desk.actor,
        platform_id=found.home,
        what={"change": change, "login": found.person.login} | more,
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """How a person signs in, and whether they can just now."""

    has_password: bool = False
    must_change: bool = False
    second_factor: bool = False
    linked: bool = False
    locked_until: datetime | None = None


def standings(session: Session, people: Iterable[Person], at: datetime) -> dict[int, Standing]:
    """The sign-in standing of each of `people`, by key."""
    known = list(people)
    locked = lockout.locks(session, [person.login for person in known], at)
    rows = session.execute(
        select(Credential).where(col(Credential.person_id).in_([person.id for person in known]))
    ).scalars()
    credentials = {row.person_id: row for row in rows}
    return {person.id: _standing(credentials.get(person.id), locked.get(person.login)) for person in known}


def _standing(credential: Credential | None, locked_until: datetime | None) -> Standing:
    if credential is None:
        return Standing(locked_until=locked_until)
    return Standing(
        has_password=credential.password_hash is not None,
        must_change=credential.must_change,
        second_factor=second_factor.is_enrolled(credential),
        linked=credential.oidc_subject is not None,
        locked_until=locked_until,
    )
