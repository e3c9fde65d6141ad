"""Text messages to a real HTTP gateway: what is handed in, what its answers mean, and when it is quiet."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from hotline.notifying.messages import Message, Result, Verdict
from hotline.notifying.sms import Account, Quiet, read_codes
from hotline.notifying.sms import Gateway as Sender
from tests import world as w
from tests.notifying.gateway import SECRET, Gateway, open_gateway
from tests.notifying.test_mail import AT
from workflow.errors import PackInvalid

MESSAGE = Message(
    id="ntf-7-1772415000-1",
    at=AT,
    to="13900000001",
    kind="ticket.dispatched",
    subject="",
    text="【测试热线】热线工单012603020000019已派至测试市住建局，请签收。",
    params={"number": "012603020000019", "unit": "测试市住建局"},
)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with open_gateway() as opened:
        yield opened


def sender(gateway: Gateway, codes: dict[str, str] | None = None) -> Sender:
    return Sender(Account(gateway.url, SECRET, "测试热线", codes, allow_private=True))


def now() -> datetime:
    return datetime.now(w.CHINA)


def test_a_text_is_handed_in_signed_with_template_and_words(gateway: Gateway) -> None:
    result = sender(gateway, {"ticket.dispatched": "SMS_0001"}).send(MESSAGE, now())
    assert result == Result(Verdict.SENT, status=200, provider_id="gw-1")
    assert gateway.came[0].told == {
        "id": "ntf-7-1772415000-1",
        "mobile": "13900000001",
        "signature": "测试热线",
        "template": "SMS_0001",
        "params": {"number": "012603020000019", "unit": "测试市住建局"},
        "text": MESSAGE.text,
    }
    assert gateway.came[0].headers["webhook-id"] == MESSAGE.id
    assert "测试市住建局" in gateway.came[0].body.decode()
    gateway.verify()


def test_without_a_table_of_codes_the_kind_is_the_code(gateway: Gateway) -> None:
    sender(gateway).send(MESSAGE, now())
    assert gateway.came[0].told["template"] == "ticket.dispatched"


def test_a_kind_without_a_code_is_not_handed_in(gateway: Gateway) -> None:
    result = sender(gateway, {"clock.lapsed": "SMS_0002"}).send(MESSAGE, now())
    assert result == Result(Verdict.REFUSED, "短信模板表没有这类通知的模板号")
    assert gateway.came == []


@pytest.mark.parametrize(
    ("answer", "verdict", "problem", "down"),
    [
        ((200, '{"code": "0", "id": 88}'), Verdict.SENT, None, False),
        ((202, "{}"), Verdict.SENT, None, False),
        ((200, '{"code": "isv.BLACK_LIST"}'), Verdict.REFUSED, "短信网关拒绝（200 isv.BLACK_LIST）", False),
        ((400, '{"code": "BAD_MOBILE"}'), Verdict.REFUSED, "短信网关拒绝（400 BAD_MOBILE）", False),
        ((200, '{"code": "13900000001 无效"}'), Verdict.REFUSED, "短信网关拒绝（200）", False),
        ((200, '{"code": "BAD.13900000001"}'), Verdict.REFUSED, "短信网关拒绝（200）", False),
        ((200, "<html>welcome</html>"), Verdict.RETRY, "短信网关的应答无法识别（200）", True),
        ((200, "[" * 5000), Verdict.RETRY, "短信网关的应答无法识别（200）", True),
        ((401, '{"code": "BAD_SIGN"}'), Verdict.RETRY, "短信网关不接受本系统的请求（401 BAD_SIGN）", True),
        ((404, ""), Verdict.RETRY, "短信网关不接受本系统的请求（404）", True),
        ((429, '{"code": "LIMIT"}'), Verdict.RETRY, "短信网关暂不接收（429 LIMIT）", True),
        ((500, "13900000001"), Verdict.RETRY, "短信网关暂不接收（500）", True),
    ],
)
def test_what_an_answer_means(
    gateway: Gateway, answer: tuple[int, str], verdict: Verdict, problem: str | None, down: bool
) -> None:
    gateway.answers.append(answer)
    result = sender(gateway).send(MESSAGE, now())
    assert (result.verdict, result.problem, result.down) == (verdict, problem, down)
    assert "13900000001" not in str(result)


def test_nobody_listens() -> None:
    with open_gateway() as gateway:
        pass
    result = sender(gateway).send(MESSAGE, now())
    assert result == Result(Verdict.RETRY, "短信网关：对方拒绝连接", down=True)


def test_a_gateway_inside_is_reached_only_where_that_is_allowed(gateway: Gateway) -> None:
    shut = Sender(Account(gateway.url, SECRET, "测试热线"))
    assert shut.send(MESSAGE, now()) == Result(Verdict.RETRY, "短信网关的地址不允许访问", down=True)
    assert gateway.came == []


def test_neither_secret_nor_number_is_shown() -> None:
    account = Account("https://sms.example.test", SECRET, "测试热线")
    assert SECRET not in f"{account!r}{replace(account, signature='另一个')!r}"
    assert "13900000001" not in repr(MESSAGE)


def test_the_table_of_codes(tmp_path: Path) -> None:
    file = tmp_path / "codes.toml"
    file.write_text('[templates]\n"ticket.dispatched" = "SMS_0001"\n', "utf-8")
    assert read_codes(file) == {"ticket.dispatched": "SMS_0001"}
    for wrong in ("", "[templates]\nx = 1\n", "templates = 3", "[templates"):
        file.write_text(wrong, "utf-8")
        with pytest.raises(PackInvalid, match="HOTLINE_SMS_TEMPLATES_FILE"):
            read_codes(file)
    with pytest.raises(PackInvalid):
        read_codes(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("hours", "at", "out_at"),
    [
        ("21:00-08:00", "2026-03-02 20:59", "2026-03-02 20:59"),
        ("21:00-08:00", "2026-03-02 21:00", "2026-03-03 08:00"),
        ("21:00-08:00", "2026-02-28 23:59", "2026-03-01 08:00"),
        ("21:00-08:00", "2026-03-02 00:00", "2026-03-02 08:00"),
        ("21:00-08:00", "2026-03-02 07:59", "2026-03-02 08:00"),
        ("21:00-08:00", "2026-03-02 08:00", "2026-03-02 08:00"),
        ("12:00-14:00", "2026-03-02 13:00", "2026-03-02 14:00"),
        ("12:00-14:00", "2026-03-02 14:00", "2026-03-02 14:00"),
        ("12:00-14:00", "2026-03-02 02:00", "2026-03-02 02:00"),
        ("00:00-06:00", "2026-03-02 05:00", "2026-03-02 06:00"),
        ("08:00-08:00", "2026-03-02 08:00", "2026-03-02 08:00"),
        ("none", "2026-03-02 03:00", "2026-03-02 03:00"),
    ],
)
def test_the_quiet_hours_are_those_of_china(hours: str, at: str, out_at: str) -> None:
    quiet = Quiet.parse(hours)
    assert quiet.over_at(w.china(at)) == w.china(out_at)
    assert quiet.at(w.china(at)) is (at != out_at)
