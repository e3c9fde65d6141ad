"""The demo's one password: derived from the installation's key, hashed once, never over one that somebody chose."""

from sqlalchemy import func, select
from sqlmodel import Session, col

from hotline.demo import organisation
from hotline.organisation import Person
from hotline.people import passwords
from hotline.people.identity import Credential


def _hashes(session: Session) -> set[str | None]:
    return set(session.execute(select(col(Credential.password_hash))).scalars())


def test_everybody_of_the_demo_signs_in_with_one_password(session: Session) -> None:
    organisation.create(session)
    organisation.give_password(session, b"a" * 32)
    people = session.execute(select(func.count()).select_from(Person)).scalar_one()
    assert session.execute(select(func.count()).select_from(Credential)).scalar_one() == people > 500
    (kept,) = _hashes(session)
    assert passwords.verify(organisation.password_of(b"a" * 32), kept)[0]
    organisation.give_password(session, b"a" * 32)
    assert _hashes(session) == {kept}
    passwords.check(organisation.password_of(b"a" * 32), login="xn-agent01", name="演示·王示例")


def test_another_key_gives_another_password_but_not_to_who_changed_theirs(session: Session) -> None:
    organisation.create(session)
    organisation.give_password(session, b"a" * 32)
    chosen = session.execute(select(Credential).limit(1)).scalar_one()
    chosen.password_hash, chosen.password_changed_at = "chosen", func.now()
    session.add(chosen)
    session.flush()
    organisation.give_password(session, b"b" * 32)
    (kept,) = _hashes(session) - {"chosen"}
    assert passwords.verify(organisation.password_of(b"b" * 32), kept)[0]
    assert organisation.password_of(b"a" * 32) != organisation.password_of(b"b" * 32)
