"""What waits is sent: tried again where that is worth it, given up where not, and once more where nobody knows whether it went out."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import Session

from hotline.notifying import contacts, records, sending
from hotline.notifying.deriving import KEPT
from hotline.notifying.messages import Result, Verdict
from hotline.notifying.records import Report
from hotline.notifying.sending import id_of
from hotline.notifying.tables import Notification
from tests.exchange.conftest import until
from tests.notifying.conftest import UNIT_MAIL, UNIT_MOBILE, Notices
from tests.notifying.gateway import Gateway, open_gateway
from tests.notifying.post_office import PostOffice, open_office
from tests.processes.hotlines import start
from workflow.errors import OrderInvalid
from workflow.vocabulary import Means, NoticeState

STATES = NoticeState


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with open_office() as opened:
        yield opened


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with open_gateway() as opened:
        yield opened


def test_a_dispatch_reaches_mailbox_and_phone(notices: Notices, office: PostOffice, gateway: Gateway) -> None:
    notices.contact()
    notices.contact(means=Means.SMS)
    notices.at_work(notices.senders(office, gateway))
    number = notices.dispatched()
    (letter,) = office.wait(1)
    (text,) = gateway.wait(1)
    assert letter.to == [UNIT_MAIL]
    assert number in letter.message["Subject"]
    assert text.told["mobile"] == UNIT_MOBILE
    assert text.told["text"].startswith(f"【12345热线】热线工单{number}已派至测试市住建局")
    gateway.verify()
    until(lambda: {n.state for n in notices.notices()} == {STATES.SENT})
    mail, sms = notices.notices()
    assert letter.id == f"<{id_of(mail)}@hotline.example.test>"
    assert (text.told["id"], sms.provider_id) == (id_of(sms), "gw-1")
    assert [(t["status"], t["round"]) for t in mail.tries + sms.tries] == [(250, 1), (200, 1)]
    assert mail.settled_at is not None
    assert mail.next_at is None


def test_for_now_is_tried_again_and_arrives(notices: Notices, office: PostOffice) -> None:
    notices.contact()
    notices.dispatched()
    office.at_data += ["451 4.7.1 greylisted", "452 full"]
    senders = notices.senders(office)
    (first,) = notices.sent(senders)
    assert (first.state, first.problem) == (STATES.WAITING, "邮件服务器暂不接收（451 4.7.1）")
    assert first.next_at is not None
    notices.ahead = timedelta(seconds=2)
    assert len(notices.sent(senders)[0].tries) == 2
    notices.ahead = timedelta(seconds=10)
    (done,) = notices.sent(senders)
    assert (done.state, done.problem, len(done.tries)) == (STATES.SENT, None, 3)
    assert len(office.letters) == 1


def test_for_good_is_tried_once_and_a_person_may_try_anew(notices: Notices, office: PostOffice) -> None:
    key = notices.contact()
    notices.dispatched()
    office.at_rcpt.append("550 5.1.1 no such user")
    senders = notices.senders(office)
    (failed,) = notices.sent(senders)
    assert (failed.state, failed.problem) == (STATES.FAILED, "邮件被拒收（550 5.1.1）")
    notices.ahead = timedelta(hours=1)
    assert len(notices.sent(senders)[0].tries) == 1
    with notices.operator() as desk:
        contacts.change(desk, key, address="new@unit.example.test")
        records.retry(desk, failed.id)
    (again,) = notices.sent(senders)
    assert (again.state, again.round, again.retried_by) == (STATES.SENT, 2, "系统")
    assert office.letters[0].to == ["new@unit.example.test"]
    assert again.shown == "n***@unit.example.test"
    assert id_of(again) != id_of(failed), "a gateway or mailbox that knew the first would drop it"
    with notices.operator() as desk, pytest.raises(OrderInvalid, match="已发出"):
        records.retry(desk, failed.id)


def test_one_refusal_holds_up_nobody_else(notices: Notices, office: PostOffice) -> None:
    for n in range(12):
        notices.contact(address=f"c{n}@unit.example.test")
    notices.dispatched()
    office.at_rcpt.append("550 5.1.1 no such user")
    states = [notice.state for notice in notices.sent(notices.senders(office))]
    assert sorted(states) == [STATES.FAILED] + [STATES.SENT] * 11


def test_a_server_that_is_down_costs_each_message_nothing(notices: Notices) -> None:
    for n in range(12):
        notices.contact(address=f"c{n}@unit.example.test")
    notices.dispatched()
    with open_office() as office:
        senders = notices.senders(office)
    notifier = notices.notifier(senders)
    while notifier.derive():
        pass
    sender = senders.makers[Means.EMAIL]()
    notifier.send(Means.EMAIL, sender)
    tried = [notice for notice in notices.notices() if notice.tries]
    assert [notice.problem for notice in tried] == ["邮件服务器拒绝连接"], (
        "the first one tells; the others wait"
    )
    assert all(n.state is STATES.WAITING and n.next_at is not None for n in notices.notices())


def test_a_means_that_is_off_is_waited_for_and_given_up_in_the_end(
    notices: Notices, office: PostOffice
) -> None:
    notices.contact(means=Means.SMS)
    notices.contact()
    notices.dispatched()
    sms, mail = notices.sent(notices.senders(office))
    assert (sms.state, mail.state) == (STATES.WAITING, STATES.SENT)
    assert notices.give_up(notices.clock()) == 0
    notices.ahead = KEPT + timedelta(minutes=5)
    assert notices.give_up(notices.clock()) == 1
    given_up = notices.notices()[0]
    assert (given_up.state, given_up.next_at) == (STATES.GIVEN_UP, None)
    assert given_up.problem == "期限内未能发送：没有可用的发送方式"


def test_what_fails_for_three_days_is_given_up_with_its_last_reason(
    notices: Notices, office: PostOffice
) -> None:
    notices.contact()
    notices.dispatched()
    office.at_data += ["451 4.3.0 later"] * 60
    senders = notices.senders(office)
    for hours in (0, 1, 6, 12, 24, 48, 71, 73):
        notices.ahead = timedelta(hours=hours)
        (notice,) = notices.sent(senders)
    assert (notice.state, notice.problem) == (STATES.GIVEN_UP, "邮件服务器暂不接收（451 4.3.0）")
    assert len(notice.tries) == 8
    assert office.letters == []


def test_a_site_without_server_and_gateway_has_it_on_record(notices: Notices) -> None:
    notices.contact()
    notices.contact(means=Means.SMS)
    notices.dispatched()
    found = notices.recorded()
    assert [(n.state, n.settled_at is not None) for n in found] == [(STATES.RECORDED, True)] * 2


def test_a_contact_switched_off_meanwhile_is_not_told(notices: Notices, office: PostOffice) -> None:
    key = notices.contact()
    notices.dispatched()
    notices.derived()
    with notices.operator() as desk:
        contacts.change(desk, key, active=False)
    (notice,) = notices.sent(notices.senders(office))
    assert (notice.state, notice.problem) == (STATES.GIVEN_UP, "联系人已停用或删除")
    assert office.letters == []


def test_a_test_message_goes_out_and_not_too_often(notices: Notices, gateway: Gateway) -> None:
    key = notices.contact(means=Means.SMS)
    with notices.operator() as desk:
        contacts.test(desk, key, "12345热线")
    (told,) = notices.sent(notices.senders(gateway=gateway))
    assert (told.state, told.event_id, told.ticket_id) == (STATES.SENT, None, None)
    assert "测试" in gateway.came[0].told["text"]
    with notices.operator() as desk:
        for _ in range(contacts.TESTS_AN_HOUR - 1):
            contacts.test(desk, key, "12345热线")
    with notices.operator() as desk, pytest.raises(OrderInvalid, match="每小时至多测试"):
        contacts.test(desk, key, "12345热线")


# --- several at once, and killed ---------------------------------------------------------------------------------------


def test_several_notifiers_send_each_notice_once(
    notices: Notices, office: PostOffice, gateway: Gateway
) -> None:
    notices.contact()
    notices.contact(means=Means.SMS)
    senders = notices.senders(office, gateway)
    for _ in range(3):
        notices.at_work(senders)
    for _ in range(40):
        notices.dispatched()
    until(lambda: sum(n.state is STATES.SENT for n in notices.notices()) == 80, 60)
    assert len(office.letters) == len({letter.id for letter in office.letters}) == 40
    assert len(gateway.came) == len({text.told["id"] for text in gateway.came}) == 40


def test_whoever_lost_a_notice_to_another_does_not_undo_what_that_one_did(notices: Notices) -> None:
    notices.contact()
    notices.dispatched()
    notices.derived()
    senders = notices.senders(notices_recorded=True)
    with Session(notices.engine) as session:
        slow = sending.take(session, notices.office, senders, Means.EMAIL, notices.clock())
        session.commit()
    assert notices.sent(senders)[0].state is STATES.WAITING, "it is taken"
    notices.ahead = sending.LEASE + timedelta(seconds=1)
    assert notices.sent(senders)[0].state is STATES.RECORDED
    late = sending.Outcome(slow[0], notices.clock(), 5, Result(Verdict.REFUSED, "邮件被拒收（550）", 550))
    with Session(notices.engine) as session:
        sending.settle(session, notices.clock(), [late])
        session.commit()
    (notice,) = notices.notices()
    assert (notice.state, notice.next_at) == (STATES.RECORDED, None)
    assert len(notice.tries) == 2


@pytest.mark.processes
def test_a_notifier_killed_while_the_server_answers_sends_again_under_the_same_id(
    notices: Notices, office: PostOffice, tmp_path: Path
) -> None:
    """kill -9 between the mail server's taking it and our writing that down: at least once, and known by its Message-ID."""
    notices.contact()
    number = notices.dispatched()
    office.data_seconds = 20.0
    url = notices.engine.url.render_as_string(hide_password=False)
    process = start(
        tmp_path / "data",
        url,
        "schedule",
        HOTLINE_SMTP_HOST="127.0.0.1",
        HOTLINE_SMTP_PORT=str(office.port),
        HOTLINE_SMTP_SECURITY="none",
        HOTLINE_MAIL_FROM="noreply@hotline.example.test",
    )
    try:
        office.wait(1, 90)
    finally:
        process.kill()
    office.data_seconds = 0.0
    (left,) = notices.notices()
    assert (left.state, left.tries) == (STATES.WAITING, [])
    senders = notices.senders(office)
    assert notices.sent(senders)[0].state is STATES.WAITING, "the one killed holds it for its lease"
    notices.ahead = sending.LEASE + timedelta(seconds=1)
    assert notices.sent(senders)[0].state is STATES.SENT
    first, second = office.letters
    assert first.id == second.id
    assert number in first.message["Subject"]


def test_the_notifier_stops_at_once_and_gives_back_what_it_did_not_try(
    notices: Notices, office: PostOffice
) -> None:
    notices.contact()
    for _ in range(30):
        notices.dispatched()
    office.data_seconds = 0.2
    notifier = notices.at_work(notices.senders(office))
    office.wait(2)
    began = time.monotonic()
    notifier.stop()
    assert time.monotonic() - began < 5
    sent = sum(n.state is STATES.SENT for n in notices.notices())
    assert sent == len(office.letters) < 30
    assert notices.rows("SELECT count(*) AS n FROM notifications WHERE next_at > now()")[0].n == 0
    assert threading.active_count() < 20


# --- delivery reports --------------------------------------------------------------------------------------------------


def reported(notices: Notices, *reports: Report) -> int:
    with Session(notices.engine) as session:
        known = records.take_reports(session, notices.clock(), reports)
        session.commit()
        return known


def text_sent(notices: Notices, gateway: Gateway) -> Notification:
    notices.contact(means=Means.SMS)
    notices.dispatched()
    return notices.sent(notices.senders(gateway=gateway))[0]


def test_a_report_says_whether_it_arrived(notices: Notices, gateway: Gateway) -> None:
    sent = text_sent(notices, gateway)
    assert reported(notices, Report(id_of(sent), delivered=True, code="DELIVRD")) == 1
    (done,) = notices.notices()
    assert done.state is STATES.DELIVERED
    assert done.reported_at is not None
    assert reported(notices, Report(id_of(sent), delivered=False, code="UNDELIV")) == 1
    assert notices.notices()[0].state is STATES.DELIVERED, "the first report counts"


def test_a_report_that_it_did_not_arrive_can_be_tried_anew(notices: Notices, gateway: Gateway) -> None:
    sent = text_sent(notices, gateway)
    reported(notices, Report(id_of(sent), delivered=False, code="MK:0001"))
    assert notices.notices()[0].problem == "运营商未送达（MK:0001）"
    with notices.operator() as desk:
        records.retry(desk, sent.id)
    assert reported(notices, Report(id_of(sent), delivered=True)) == 0, "of the round before"
    (again,) = notices.sent(notices.senders(gateway=gateway))
    assert (again.state, again.reported_at) == (STATES.SENT, None)
    assert [text.told["id"] for text in gateway.came] == [id_of(sent), id_of(again)]


def test_a_report_that_comes_before_we_noted_the_sending_stands(notices: Notices, gateway: Gateway) -> None:
    notices.contact(means=Means.SMS)
    notices.dispatched()
    (waiting,) = notices.derived()
    senders = notices.senders(gateway=gateway)
    with Session(notices.engine) as session:
        items = sending.take(session, notices.office, senders, Means.SMS, notices.clock())
        session.commit()
    reported(notices, Report(id_of(waiting), delivered=True))
    sender = senders.makers[Means.SMS]()
    assert items[0].message is not None
    result = sender.send(items[0].message, notices.clock())
    sender.close()
    with Session(notices.engine) as session:
        sending.settle(session, notices.clock(), [sending.Outcome(items[0], notices.clock(), 3, result)])
        session.commit()
    (done,) = notices.notices()
    assert (done.state, done.provider_id, done.next_at) == (STATES.DELIVERED, "gw-1", None)


def test_a_report_about_nothing_of_ours_changes_nothing(notices: Notices, office: PostOffice) -> None:
    notices.contact()
    notices.dispatched()
    (mail,) = notices.sent(notices.senders(office))
    strange = ("ntf-1-1-1", "ntf-99999999999999999-1-1", "x", f"{id_of(mail)}0", id_of(mail))
    assert reported(notices, *(Report(each, delivered=False) for each in strange)) == 0
    assert notices.notices()[0].state is STATES.SENT
