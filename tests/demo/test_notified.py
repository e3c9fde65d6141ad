"""The demo's contacts have been told what happened to their units in the last days, and nobody was really told."""

from pathlib import Path

from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline.demo import driver, notified
from hotline.notifying.tables import Contact, Notification
from hotline.settings import Settings
from hotline.storage.store import make_engine
from tests.demo.test_driver import NOW
from workflow.vocabulary import Means, NoticeState


def test_the_demos_notices_are_on_record_at_their_own_time(database_url: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    driver.reset_and_fill(database_url, settings, now=NOW, tickets=400, progress=False)
    engine = make_engine(database_url, pool_size=2)
    with Session(engine) as session:
        contacts = session.execute(select(Contact)).scalars().all()
        notices = session.execute(select(Notification).order_by(col(Notification.id))).scalars().all()
        told = {(n.state, n.next_at, len(n.tries)) for n in notices}
        waiting = session.execute(text("SELECT count(*) FROM outbox WHERE position IS NULL")).scalar_one()
    engine.dispose()
    assert {c.means for c in contacts} == set(Means)
    assert all(c.address and (".example" in c.shown or "*" in c.shown) for c in contacts)
    assert notices
    assert told == {(NoticeState.RECORDED, None, 1)}
    assert all(NOW - notified.SPAN < n.created_at <= NOW for n in notices)
    assert waiting == 0
