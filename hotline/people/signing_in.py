"""登录: a login and a password, then perhaps a code, earn a session. Every try is recorded; what was tried never is."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.auditing import audit
from hotline.case import Office
from hotline.organisation import OrgUnit, Person
from hotline.people import lockout, passwords, second_factor, sessions
from hotline.people.accounts import actor_for
from hotline.people.identity import Credential, LoginSession
from hotline.people.lockout import LockedOut
from hotline.people.second_factor import Enrolment
from hotline.settings import Settings
from workflow.errors import OrderInvalid, RuleBroken
from workflow.vocabulary import AuditKind


class SignInFailed(RuleBroken):
    """A login, password or code that is not right; which of them is not said."""

    code = "sign_in_failed"


class OutOfTurn(RuleBroken):
    """A step of signing in that this session does not owe, or not yet."""

    code = "out_of_turn"


@dataclass(frozen=True, slots=True)
class Browser:
    """Where a sign-in comes from."""

    address: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class Counter:
    """Where people sign in: the transaction, the instant, the office and the settings."""

    session: Session
    at: datetime
    office: Office
    settings: Settings


def sign_in(
    counter: Counter, *, login: str, password: str, code: str | None, browser: Browser
) -> str | RuleBroken:
    """A new session's cookie, or why there is none: `SignInFailed`, `LockedOut`. The caller commits either way.

    An unknown login costs the same time, counts and locks the same, and earns the same words as a wrong password.
    """
    session, at = counter.session, counter.at
    count = lockout.take(session, login, at)
    person, credential = _known(session, login)
    if (locked := lockout.refusal(count, at)) is not None:
        _record_failure(counter, person, login, "locked", browser)
        return locked
    fits, fresh = passwords.verify(password, credential.password_hash if credential else None)
    if person is None or credential is None or not fits:
        return _denied(counter, count, person, login, "password", browser)
    if not _may_come_in(session, person):
        return _denied(counter, count, person, login, "inactive", browser)
    proof = None
    if second_factor.is_enrolled(credential) and code is not None:
        proof = second_factor.accept(credential, counter.office.sealer, code, at)
        if proof is None:
            return _denied(counter, count, person, login, "code", browser)
    if fresh is not None:
        credential.password_hash = fresh
    session.add(credential)
    return open_for(counter, person, credential, method="password", proof=proof, browser=browser)


def open_for(
    counter: Counter,
    person: Person,
    credential: Credential,
    *,
    method: str,
    proof: str | None,
    browser: Browser,
) -> str:
    """A session of a person who proved who they are; `proof` says how they proved a second factor too. The caller commits."""
    session, at = counter.session, counter.at
    if proof is not None or not second_factor.is_enrolled(credential):
        lockout.clear(session, person.login)  # else a code is still owed, and its failures still count
    cookie = sessions.open_session(
        session,
        person,
        method=method,
        at=at,
        settings=counter.settings,
        address=browser.address,
        user_agent=browser.user_agent,
        second_factor=proof is not None,
    )
    audit.record(
        session,
        AuditKind.SIGNED_IN,
        at=at,
        actor=actor_for(session, person),
        address=browser.address,
        what={"login": person.login, "method": method, "second_factor": proof},
    )
    return cookie


def _known(session: Session, login: str) -> tuple[Person | None, Credential | None]:
    found = session.execute(
        select(Person, Credential)
        .outerjoin(Credential, col(Credential.person_id) == col(Person.id))
        .where(col(Person.login) == login)
        .execution_options(populate_existing=True)
    ).first()
    return (found[0], found[1]) if found is not None else (None, None)


def _may_come_in(session: Session, person: Person) -> bool:
    return person.active and (person.unit_id is None or session.get_one(OrgUnit, person.unit_id).active)


def _denied(
    counter: Counter,
    count: lockout.Count,
    person: Person | None,
    login: str,
    reason: str,
    browser: Browser,
) -> RuleBroken:
    until = lockout.failed(counter.session, count, counter.at)
    _record_failure(counter, person, login, reason, browser, locked_until=until)
    return SignInFailed(
        "登录名、口令或动态验证码不正确。" + ("连续失败次数过多，已暂时锁定。" if until else "")
    )


def _record_failure(
    counter: Counter,
    person: Person | None,
    login: str,
    reason: str,
    browser: Browser,
    locked_until: datetime | None = None,
) -> None:
    what: dict[str, object] = {"reason": reason}
    if person is None:
        what["login_sha256"] = hashlib.sha256(login.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    else:
        what["login"] = person.login
    if locked_until is not None:
        what["locked_until"] = locked_until.isoformat()
    audit.record(
        counter.session,
        AuditKind.SIGN_IN_FAILED,
        at=counter.at,
        actor=None,
        platform_id=actor_for(counter.session, person).home_id if person else None,
        address=browser.address,
        what=what,
    )


# --- the steps of a session ------------------------------------------------------------------------------------------


def give_code(counter: Counter, actor: Actor, row: LoginSession, code: str) -> str | RuleBroken:
    """Finish a sign-in with a code: the session's new cookie, or why not. The caller commits either way. Raises `OutOfTurn`."""
    person, credential, count = _own(counter, row)
    if row.second_factor_at is not None or not second_factor.is_enrolled(credential):
        raise OutOfTurn("本次登录不需要再输入动态验证码。")
    if (locked := lockout.refusal(count, counter.at)) is not None:
        return _locked_code(counter, person, row, locked)
    proof = second_factor.accept(credential, counter.office.sealer, code, counter.at)
    if proof is None:
        return _denied(counter, count, person, person.login, "code", _browser(row))
    counter.session.add(credential)
    lockout.clear(counter.session, person.login)
    cookie = sessions.renew(counter.session, row, counter.at, second_factor=True)
    _record(counter, AuditKind.SIGNED_IN, actor, {"login": person.login, "second_factor": proof})
    return cookie


def change_password(
    counter: Counter, actor: Actor, row: LoginSession, *, current: str, new: str
) -> str | RuleBroken:
    """修改口令: the session's new cookie, every other session ended; or why not. The caller commits either way.

    Raises `OrderInvalid` (field `new`), `OutOfTurn`.
    """
    session, at = counter.session, counter.at
    person, credential, count = _own(counter, row)
    if credential.password_hash is None:
        raise OutOfTurn("您通过统一身份认证登录，在本系统没有口令；如需口令请联系管理员。")
    if second_factor.is_enrolled(credential) and row.second_factor_at is None:
        raise OutOfTurn("请先输入动态验证码完成登录，再修改口令。")
    passwords.check(new, login=person.login, name=person.name)
    if (locked := lockout.refusal(count, at)) is not None:
        return _locked_code(counter, person, row, locked)
    if not passwords.verify(current, credential.password_hash)[0]:
        return _denied(counter, count, person, person.login, "password", _browser(row))
    if passwords.verify(new, credential.password_hash)[0]:
        raise OrderInvalid("新口令不能与原口令相同。", field="new")
    credential.password_hash = passwords.hashed(new)
    credential.password_changed_at, credential.must_change = at, False
    session.add(credential)
    lockout.clear(session, person.login)
    ended = sessions.end_all(session, person.id, at, but=row.id)
    cookie = sessions.renew(session, row, at)
    _record(counter, AuditKind.PASSWORD_CHANGED, actor, {"login": person.login, "sessions_ended": ended})
    return cookie


def enrol_totp(counter: Counter, actor: Actor, row: LoginSession, code: str | None) -> Enrolment | RuleBroken:
    """绑定动态验证码, first half: a secret to scan. Whoever has a second factor already gives a code of it. Raises `OutOfTurn`."""
    session = counter.session
    person, credential, count = _own(counter, row)
    if second_factor.is_enrolled(credential):
        if row.second_factor_at is None or code is None:
            raise OutOfTurn("您已绑定动态验证码；换绑须给出现用的动态验证码或恢复码。", field="code")
        if (locked := lockout.refusal(count, counter.at)) is not None:
            return _locked_code(counter, person, row, locked)
        if second_factor.accept(credential, counter.office.sealer, code, counter.at) is None:
            return _denied(counter, count, person, person.login, "code", _browser(row))
    enrolment = second_factor.enrol(credential, counter.office.sealer, person.login)
    session.add(credential)
    _record(counter, AuditKind.SECOND_FACTOR_CHANGED, actor, {"login": person.login, "change": "enrolling"})
    return enrolment


def confirm_totp(
    counter: Counter, actor: Actor, row: LoginSession, code: str
) -> tuple[str, list[str]] | RuleBroken:
    """绑定动态验证码, second half: the session's new cookie and the recovery codes, or why not. Raises `OutOfTurn`."""
    session = counter.session
    person, credential, count = _own(counter, row)
    if credential.totp_secret is None or second_factor.is_enrolled(credential):
        raise OutOfTurn("没有待确认的绑定，请先申请绑定。")
    if (locked := lockout.refusal(count, counter.at)) is not None:
        return _locked_code(counter, person, row, locked)
    codes = second_factor.confirm(credential, counter.office.sealer, code, counter.at)
    if codes is None:
        return _denied(counter, count, person, person.login, "code", _browser(row))
    session.add(credential)
    lockout.clear(session, person.login)
    sessions.end_all(session, person.id, counter.at, but=row.id)
    cookie = sessions.renew(session, row, counter.at, second_factor=True)
    _record(counter, AuditKind.SECOND_FACTOR_CHANGED, actor, {"login": person.login, "change": "confirmed"})
    return cookie, codes


def sign_out(counter: Counter, actor: Actor, row: LoginSession) -> None:
    """退出: the session is over. The caller commits."""
    row.ended_at = counter.at
    counter.session.add(row)
    _record(counter, AuditKind.SIGNED_OUT, actor, {"session": row.id})


def _own(counter: Counter, row: LoginSession) -> tuple[Person, Credential, lockout.Count]:
    """The session's person, credential and count of failures, locked, the count first. Somebody the provider vouches for may
    have no credential yet."""
    session = counter.session
    person = session.get_one(Person, row.person_id)
    count = lockout.take(session, person.login, counter.at)
    credential = session.get(Credential, row.person_id, with_for_update=True, populate_existing=True)
    return person, credential or Credential(person_id=row.person_id, must_change=False), count


def _browser(row: LoginSession) -> Browser:
    return Browser(row.address, row.user_agent)


def _locked_code(counter: Counter, person: Person, row: LoginSession, locked: LockedOut) -> RuleBroken:
    _record_failure(counter, person, person.login, "locked", _browser(row))
    return locked


def _record(counter: Counter, kind: AuditKind, actor: Actor, what: dict[str, object]) -> None:
    audit.record(counter.session, kind, at=counter.at, actor=actor, what=what)
