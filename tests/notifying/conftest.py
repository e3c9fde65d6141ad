"""The small world with contacts and notifiers of this process, at the time of a clock that can be moved."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from hotline.notifying import contacts, sending
from hotline.notifying.notifier import Notifier
from hotline.notifying.senders import Senders, open_senders
from hotline.notifying.tables import Notification
from hotline.organisation import OrgUnit, Platform
from hotline.settings import Settings
from tests import world as w
from tests.exchange.conftest import Exchange
from tests.notifying.gateway import SECRET, Gateway
from tests.notifying.post_office import PostOffice
from workflow.vocabulary import Means

UNIT_MAIL = "zhiban@unit.example.test"
UNIT_MOBILE = "13900000009"


class Notices(Exchange):
    """Contacts of the small world's units and platforms, and what they were sent."""

    def __init__(self, world: w.World) -> None:
        super().__init__(world)
        self.notifiers: list[Notifier] = []

    def senders(
        self, office: PostOffice | None = None, gateway: Gateway | None = None, **more: Any
    ) -> Senders:
        """The means of a site with this mail server and this gateway; texts go out at any hour unless said otherwise."""
        told: dict[str, Any] = {"sms_quiet": "none", "allow_private_targets": True} | more
        if office is not None:
            told |= {
                "smtp_host": "127.0.0.1",
                "smtp_port": office.port,
                "smtp_security": "none",
                "mail_from": "noreply@hotline.example.test",
            }
        if gateway is not None:
            told |= {"sms_url": gateway.url, "sms_secret": SECRET}
        return open_senders(Settings(**told))

    def contact(
        self, unit: str | None = "ZJJ", means: Means = Means.EMAIL, platform: str | None = None, **more: Any
    ) -> int:
        """A contact of a unit or a platform; its key."""
        address = more.pop("address", UNIT_MAIL if means is Means.EMAIL else UNIT_MOBILE)
        with self.operator() as desk:
            of_unit = desk.session.get_one(OrgUnit, self.world.units[unit]) if unit and not platform else None
            of_platform = desk.session.get_one(Platform, self.world.platforms[platform]) if platform else None
            made = contacts.add(
                desk,
                label=more.pop("label", "值班室"),
                means=means,
                address=address,
                unit=of_unit,
                platform=of_platform,
                **more,
            )
            return made.contact.id

    def notifier(self, senders: Senders) -> Notifier:
        """Another notifier, not started: its `derive` and `send` are called by hand."""
        return Notifier(
            self.engine, self.office, self.clock, senders, public_url="https://hotline.example.test"
        )

    def at_work(self, senders: Senders) -> Notifier:
        """Another notifier, at work until the test ends."""
        made = self.notifier(senders).start()
        self.notifiers.append(made)
        return made

    def derived(self, senders: Senders | None = None) -> list[Notification]:
        """Every notice, once all that has happened was looked at."""
        notifier = self.notifier(senders or self.senders())
        while notifier.derive():
            pass
        return self.notices()

    def sent(self, senders: Senders) -> list[Notification]:
        """Every notice, once what was due has been tried."""
        notifier = self.notifier(senders)
        while notifier.derive():
            pass
        for means, make in senders.makers.items():
            sender = make()
            while notifier.send(means, sender):
                pass
            sender.close()
        return self.notices()

    def recorded(self) -> list[Notification]:
        """Every notice, once what was due is on record at a site without a mail server and a gateway."""
        return self.sent(self.senders(notices_recorded=True))

    def notices(self) -> list[Notification]:
        """Every notice as it stands, the oldest first."""
        with Session(self.engine, expire_on_commit=False) as session:
            return list(session.execute(select(Notification).order_by(col(Notification.id))).scalars())

    def give_up(self, at: datetime) -> int:
        """What the ticker does about notices at `at`."""
        with Session(self.engine) as session:
            done = sending.give_up(session, at)
            session.commit()
            return done


@pytest.fixture
def notices(world: w.World) -> Iterator[Notices]:
    """The small world, its notifiers stopped at the end."""
    made = Notices(world)
    yield made
    for notifier in made.notifiers:
        notifier.stop()
    for deliverer in made.deliverers:
        deliverer.stop()
