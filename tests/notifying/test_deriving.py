"""Events become notices: each once, for whoever is to be told, whatever commits late and however many look."""

import threading
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text
from sqlmodel import Session

from hotline import aftercare, casework, supervision
from hotline.notifying import contacts, wording
from hotline.notifying.deriving import STALE
from hotline.notifying.tables import Notification
from hotline.orders import FlagOrder, ReasonOrder, ReturnDecision, ReturnOrder, SignOrder
from hotline.organisation import Person
from tests.notifying.conftest import UNIT_MAIL, UNIT_MOBILE, Notices
from workflow.deadlines import CHINA
from workflow.errors import OrderInvalid, OutOfSight
from workflow.vocabulary import Flag, Means, NoticeState


def kinds(notices: list[Notification]) -> list[str]:
    return [notice.kind for notice in notices]


def test_a_contact_is_told_the_usual_kinds_in_words_that_name_the_ticket(notices: Notices) -> None:
    notices.contact()
    notices.contact(means=Means.SMS)
    number = notices.dispatched()
    notices.sign(number)
    mail, sms = notices.derived()
    assert kinds([mail, sms]) == ["ticket.dispatched"] * 2, "its own signing is nothing it need be told"
    assert (mail.shown, sms.shown) == ("z***@unit.example.test", "139****0009")
    assert mail.subject.startswith(f"新工单 {number} 已派至测试市住建局，")
    assert f"办理入口：https://hotline.example.test/console/tickets/{number}（登录后查看）" in mail.content
    assert sms.content.startswith(f"【12345热线】热线工单{number}已派至测试市住建局，")
    assert sms.params["number"] == number
    assert (mail.segments, sms.segments) == (0, 1)
    assert {notice.state for notice in (mail, sms)} == {NoticeState.WAITING}
    assert mail.ticket_seq == sms.ticket_seq == 2


def test_an_event_is_told_once_however_often_and_by_however_many_it_is_looked_at(notices: Notices) -> None:
    notices.contact()
    numbers = [notices.dispatched() for _ in range(40)]
    senders = notices.senders()
    looking = [notices.notifier(senders) for _ in range(4)]
    looked: list[int] = []

    def look(n: int) -> None:
        looked.extend(looking[n].derive() for _ in range(30))

    threads = [threading.Thread(target=look, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = notices.derived()
    assert len({notice.event_id for notice in found}) == len(found) == len(numbers)
    assert sum(looked) == notices.rows("SELECT count(*) AS n FROM outbox WHERE position IS NOT NULL")[0].n
    notices.rows_written("UPDATE notified_up_to SET position = 0")
    assert len(notices.derived()) == len(found), "even a cursor set back tells nobody twice"


def test_what_commits_late_under_a_smaller_id_is_told(notices: Notices) -> None:
    notices.contact(kinds=["ticket.signed"])
    one, two = notices.dispatched(), notices.dispatched()
    with Session(notices.engine, expire_on_commit=False) as slow:
        casework.sign(notices.desk(slow, "ZJJ"), one, SignOrder())  # written, not committed
        notices.sign(two)
        assert [two in notice.content for notice in notices.derived()] == [True]
        slow.commit()
    found = notices.derived()
    assert [one in notice.content for notice in found] == [False, True]
    assert found[0].event_id > found[1].event_id  # type: ignore[operator]


def test_each_unit_is_told_of_its_own_part_and_a_platform_of_what_it_chose(notices: Notices) -> None:
    notices.contact("ZJJ")
    notices.contact("JTJ", address="jtj@unit.example.test")
    notices.contact("HDJ", address="hdj@unit.example.test")
    notices.contact(
        platform="01", address="dubanzhuguan@hotline.example.test", kinds=["return.proposed", "clock.lapsed"]
    )
    number = notices.dispatched("ZJJ", ("JTJ",))
    notices.do(
        "JTJ",
        lambda desk: casework.propose_return(
            desk, number, ReturnOrder(grounds="不属本单位职责。", suggestion="请另派。")
        ),
    )
    told = {(notice.unit_id, notice.kind, notice.shown) for notice in notices.derived()}
    units = notices.world.units
    assert told == {
        (units["ZJJ"], "ticket.dispatched", "z***@unit.example.test"),
        (units["JTJ"], "ticket.dispatched", "j***@unit.example.test"),
        (None, "return.proposed", "d***@hotline.example.test"),
    }


def test_a_platform_is_told_when_a_period_lapses_and_of_its_own_by_its_name(notices: Notices) -> None:
    notices.contact(platform="01", kinds=["clock.lapsed"])
    notices.dispatched()
    notices.ahead = timedelta(days=30)
    with Session(notices.engine) as session:
        supervision.lapse_due(session, notices.office, notices.clock())
        session.commit()
    found = notices.derived()
    assert any("测试市住建局立即办理" in notice.content for notice in found)
    assert all(notice.kind == "clock.lapsed" for notice in found)


def test_a_lapse_is_told_once_and_each_later_rung_of_the_ladder_again(notices: Notices) -> None:
    notices.contact()
    notices.contact(address="only@unit.example.test", kinds=["ticket.reminded"])
    notices.dispatched()
    for days in (10, 20):
        notices.ahead = timedelta(days=days)
        for job in (supervision.lapse_due, supervision.remind_overdue):
            with Session(notices.engine) as session:
                job(session, notices.office, notices.clock())
                session.commit()
        notices.derived()
    rungs = [
        row.data["rung"] for row in notices.rows("SELECT data FROM outbox WHERE type = 'ticket.reminded'")
    ]
    told = [(n.kind, n.shown[0]) for n in notices.derived()]
    assert told.count(("clock.lapsed", "z")) == 1
    assert told.count(("ticket.reminded", "z")) == sum(rung > 0 for rung in rungs)
    assert told.count(("ticket.reminded", "o")) == len(rungs) > 0


def test_the_third_flag_is_an_accountability_notice_and_is_told(notices: Notices) -> None:
    notices.contact(kinds=["accountability.issued"])
    for _ in range(3):
        number = notices.dispatched()
        order = FlagOrder(flag=Flag.IMPROPER_RETURN, explanation="说明。")
        notices.do("dispatcher", partial(supervision.flag, number=number, order=order))
    (told,) = notices.derived()
    notice = notices.rows("SELECT id FROM accountability_notices")[0].id
    assert f"通报编号 {notice}" in told.content
    assert told.subject == "通报：测试市住建局办理热线工单的问题"


def test_nothing_of_the_caller_and_nothing_that_was_typed_is_in_any_notice(notices: Notices) -> None:
    everything = wording.kinds_to_choose(unit=True)
    notices.contact(kinds=everything)
    notices.contact(means=Means.SMS, kinds=everything)
    number = notices.dispatched(title="测试标题", content="测试内容：测试甲，电话13900000001，住测试路1号。")
    notices.do(
        "ZJJ",
        lambda desk: casework.propose_return(
            desk, number, ReturnOrder(grounds="测试甲的房子不归我们。", suggestion="请派测试处。")
        ),
    )
    notices.do(
        "dispatcher", lambda desk: casework.reject_return(desk, number, ReturnDecision(reason="理由四字。"))
    )
    notices.do("agent", lambda desk: aftercare.withdraw(desk, number, ReasonOrder(reason="测试甲撤回了。")))
    found = notices.derived()
    assert set(kinds(found)) == {
        "ticket.dispatched",
        "return.proposed",
        "return.rejected",
        "ticket.withdrawn",
    }
    for row in notices.rows("SELECT n::text AS whole FROM notifications n"):
        for word in ("测试甲", "13900000001", "测试路", "测试标题", "测试内容", "理由四字", "请派", "不归"):
            assert word not in row.whole


def test_who_is_off_removed_or_has_left_is_told_nothing(notices: Notices) -> None:
    off = notices.contact()
    gone = notices.contact(means=Means.SMS)
    notices.contact("JTJ", person="JTJ", address="jtj@unit.example.test")
    with notices.operator() as desk:
        contacts.change(desk, off, active=False)
        contacts.remove(desk, gone)
        person = desk.session.get_one(Person, notices.world.people["JTJ"])
        person.active = False
        desk.session.add(person)
    notices.dispatched("ZJJ", ("JTJ",))
    assert notices.derived() == []


def test_what_happened_before_somebody_was_a_contact_is_not_told(notices: Notices) -> None:
    notices.dispatched()
    notices.contact()
    assert notices.derived() == []


def test_what_nobody_looked_at_for_a_day_is_told_to_nobody(notices: Notices) -> None:
    notices.contact()
    notices.dispatched()
    notices.ahead = STALE + timedelta(minutes=1)
    assert notices.derived() == []
    notices.dispatched()
    assert len(notices.derived()) == 1


def test_at_night_a_text_waits_for_the_morning_and_an_urgent_one_does_not(notices: Notices) -> None:
    notices.contact(means=Means.SMS)
    notices.contact()
    begins = notices.clock().astimezone(CHINA).replace(second=0, microsecond=0)
    quiet = f"{(begins - timedelta(hours=1)):%H:%M}-{(begins + timedelta(hours=2)):%H:%M}"
    number = notices.dispatched()
    senders = notices.senders(sms_quiet=quiet, notices_recorded=True)
    sms, mail = notices.sent(senders)
    assert sms.next_at == begins + timedelta(hours=2)
    assert (sms.state, mail.state) == (NoticeState.WAITING, NoticeState.RECORDED)
    notices.rows_written(
        f"INSERT INTO emergencies (platform_id, title, basis, area_code, declared_at, until)"
        f" VALUES ({notices.world.platforms['01']}, '测试', '测试', '630104000000', now(), now() + interval '1 day')"
    )
    notices.rows_written("UPDATE tickets SET emergency_id = (SELECT max(id) FROM emergencies)")
    notices.do("agent", lambda desk: aftercare.withdraw(desk, number, ReasonOrder(reason="不需要办理了。")))
    urgent = notices.sent(senders)[2]
    assert (urgent.kind, urgent.urgent, urgent.state) == ("ticket.withdrawn", True, NoticeState.RECORDED)
    notices.ahead = timedelta(hours=2, minutes=1)
    assert notices.sent(senders)[0].state is NoticeState.RECORDED


# --- the contact book --------------------------------------------------------------------------------------------------


def test_an_address_lies_sealed_and_is_shown_masked(notices: Notices) -> None:
    notices.contact()
    notices.contact(means=Means.SMS, address="+86 139-0000-0009")
    dumped = str(notices.rows("SELECT c::text AS whole, encode(address, 'escape') AS bytes FROM contacts c"))
    for clear in (UNIT_MAIL, UNIT_MOBILE, "zhiban", "00000009"):
        assert clear not in dumped
    audit = str(notices.rows("SELECT what::text FROM audit"))
    assert "contact_added" in audit
    assert "zhiban" not in audit
    assert "139" not in audit


@pytest.mark.parametrize(
    ("means", "address"),
    [
        (Means.SMS, "0971-1234567"),
        (Means.SMS, "12900000001"),
        (Means.SMS, "１３９０００００００１"),
        (Means.SMS, UNIT_MAIL),
        (Means.EMAIL, "nobody"),
        (Means.EMAIL, "a@b"),
        (Means.EMAIL, "a b@example.test"),
        (Means.EMAIL, "a@example.test\r\nBcc: b@example.test"),
        (Means.EMAIL, "-oX@example.test"),
        (Means.EMAIL, "测试@example.test"),
        (Means.EMAIL, UNIT_MOBILE),
    ],
)
def test_what_is_no_address_is_refused(notices: Notices, means: Means, address: str) -> None:
    with pytest.raises(OrderInvalid) as refusal:
        notices.contact(means=means, address=address)
    assert refusal.value.field == "address"
    assert address not in refusal.value.message


def test_the_book_refuses_a_second_of_the_same_a_kind_nobody_tells_and_a_stranger(notices: Notices) -> None:
    notices.contact()
    with pytest.raises(OrderInvalid, match="已登记为联系人"):
        notices.contact(address=UNIT_MAIL)
    notices.contact("JTJ")
    with pytest.raises(OrderInvalid, match="没有这些通知类型"):
        notices.contact("CGJ", kinds=["call.ringing"])
    with pytest.raises(OrderInvalid, match="热线平台的联系人没有这些通知类型"):
        notices.contact(platform="01", kinds=["ticket.dispatched"])
    with pytest.raises(OrderInvalid, match="不属于该单位"):
        notices.contact("CGJ", person="ZJJ")
    for n in range(contacts.MOST):
        notices.contact("CGJ", address=f"c{n}@unit.example.test")
    with pytest.raises(OrderInvalid, match="至多 20 个"):
        notices.contact("CGJ", address="one.more@unit.example.test")


def test_a_removed_contact_leaves_no_address_and_cannot_be_changed(notices: Notices) -> None:
    key = notices.contact()
    with notices.operator() as desk:
        contacts.remove(desk, key)
    (row,) = notices.rows("SELECT address, shown, active FROM contacts")
    assert (row.address, row.shown, row.active) == (None, "", False)
    with notices.operator() as desk, pytest.raises(OutOfSight):
        contacts.change(desk, key, active=True)
    notices.contact()  # the same address may come again


def test_the_cursor_begins_behind_what_there_was_before_the_contact_book(notices: Notices) -> None:
    with notices.engine.connect() as connection:
        assert connection.execute(text("SELECT position FROM notified_up_to")).scalar_one() == 0
