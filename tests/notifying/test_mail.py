"""E-mail to a real SMTP server: what arrives, and what a refusal, a broken line and a slow server mean."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hotline.notifying.mail import Mailer, Post
from hotline.notifying.messages import Message, Result, Verdict
from tests.notifying.post_office import LOGIN, PostOffice, dripping, encrypted_office, open_office

AT = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
MESSAGE = Message(
    id="ntf-7-1772415000-1",
    at=AT,
    to="zhiban@unit.example.test",
    kind="ticket.dispatched",
    subject="新工单 012603020000019 已派至测试市住房保障和房产管理局，3月4日24时前办结，请尽快签收并核实办理",
    text="测试市住建局：\n\n热线工单 012603020000019 请于 3月4日24时前办结 <重要> & 签收。\n\n"
    "办理入口：https://hotline.example.test/console/tickets/012603020000019（登录后查看）\n",
    params={},
)


def post(port: int, **changes: Any) -> Post:
    return replace(
        Post("127.0.0.1", port, "none", "noreply@hotline.example.test", "测试市12345热线"), **changes
    )


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with open_office() as opened:
        yield opened


@pytest.fixture
def mailer(office: PostOffice) -> Iterator[Mailer]:
    made = Mailer(post(office.port))
    yield made
    made.close()


def test_what_arrives_is_what_was_written_in_chinese_as_text_and_html(
    office: PostOffice, mailer: Mailer
) -> None:
    assert mailer.send(MESSAGE, AT) == Result(Verdict.SENT, status=250)
    letter = office.letters[0]
    assert (letter.sender, letter.to) == ("noreply@hotline.example.test", ["zhiban@unit.example.test"])
    assert letter.message["Subject"] == MESSAGE.subject
    assert str(letter.message["From"]) == "测试市12345热线 <noreply@hotline.example.test>"
    assert letter.id == "<ntf-7-1772415000-1@hotline.example.test>"
    assert letter.message["Date"].datetime == AT
    assert letter.message["Auto-Submitted"] == "auto-generated"
    assert letter.text.replace("\r\n", "\n") == MESSAGE.text
    assert "3月4日24时前办结 &lt;重要&gt; &amp; 签收" in letter.html
    link = "https://hotline.example.test/console/tickets/012603020000019"
    assert f'<a href="{link}">{link}</a>（登录后查看）' in letter.html


def test_no_header_on_the_wire_is_anything_but_ascii(office: PostOffice, mailer: Mailer) -> None:
    mailer.send(MESSAGE, AT)
    raw = office.letters[0].message.as_bytes()
    assert raw.isascii()


def test_a_line_break_in_a_name_makes_no_header(office: PostOffice) -> None:
    mailer = Mailer(post(office.port))
    sly = replace(MESSAGE, subject="新工单\r\nBcc: everybody@example.test")
    assert mailer.send(sly, AT).verdict is Verdict.SENT
    assert office.letters[0].message["Bcc"] is None
    assert office.letters[0].to == [MESSAGE.to]
    mailer.close()


def test_the_same_message_bears_the_same_id_at_every_try(office: PostOffice, mailer: Mailer) -> None:
    mailer.send(MESSAGE, AT)
    mailer.send(MESSAGE, datetime(2026, 3, 2, 5, tzinfo=UTC))
    first, second = office.letters
    assert first.id == second.id
    assert first.message["Date"] == second.message["Date"]


@pytest.mark.parametrize("step", ["at_rcpt", "at_data"])
@pytest.mark.parametrize(
    ("said", "verdict", "problem"),
    [
        ("550 5.1.1 <zhiban@unit.example.test> no such user", Verdict.REFUSED, "邮件被拒收（550 5.1.1）"),
        ("554 refused", Verdict.REFUSED, "邮件被拒收（554）"),
        ("451 4.7.1 greylisted, come again", Verdict.RETRY, "邮件服务器暂不接收（451 4.7.1）"),
        ("452 full", Verdict.RETRY, "邮件服务器暂不接收（452）"),
    ],
)
def test_for_good_and_for_now_are_told_apart(
    office: PostOffice, mailer: Mailer, step: str, said: str, verdict: Verdict, problem: str
) -> None:
    getattr(office, step).append(said)
    result = mailer.send(MESSAGE, AT)
    assert (result.verdict, result.problem, result.down) == (verdict, problem, False)
    assert "zhiban" not in str(result)
    assert mailer.send(MESSAGE, AT).verdict is Verdict.SENT, "the connection is as good as before"


def test_a_sender_refused_is_about_every_message_and_waits_to_be_mended(
    office: PostOffice, mailer: Mailer
) -> None:
    office.at_mail.append("550 5.7.1 not your domain")
    result = mailer.send(MESSAGE, AT)
    assert result == Result(Verdict.RETRY, "邮件服务器不接受发件地址（550 5.7.1）", 550, down=True)


def test_a_server_that_closes_says_nothing_about_the_message(office: PostOffice, mailer: Mailer) -> None:
    office.at_rcpt.append("421 shutting down")
    result = mailer.send(MESSAGE, AT)
    assert result == Result(Verdict.RETRY, "邮件服务器暂不接收（421）", 421, down=True)
    assert mailer.send(MESSAGE, AT).verdict is Verdict.SENT


def test_a_kept_connection_that_was_closed_is_opened_anew(office: PostOffice, mailer: Mailer) -> None:
    assert mailer.send(MESSAGE, AT).verdict is Verdict.SENT
    office.at_rcpt.append("421 idle too long")
    assert mailer.send(MESSAGE, AT).verdict is Verdict.SENT
    assert len(office.letters) == 2


def test_nobody_listens() -> None:
    with open_office() as office:
        port = office.port
    result = Mailer(post(port)).send(MESSAGE, AT)
    assert result == Result(Verdict.RETRY, "邮件服务器拒绝连接", down=True)


def test_a_name_nobody_knows() -> None:
    result = Mailer(post(25, host="post.invalid")).send(MESSAGE, AT)
    assert (result.verdict, result.problem, result.down) == (
        Verdict.RETRY,
        "邮件服务器的域名无法解析",
        True,
    )


def test_a_server_that_drips_holds_nobody_beyond_the_deadline() -> None:
    with dripping() as port:
        began = time.monotonic()
        result = Mailer(post(port), seconds=1.0).send(MESSAGE, AT)
        assert time.monotonic() - began < 10, "the deadline did not count"
    assert result == Result(Verdict.RETRY, "邮件服务器应答过慢", down=True)


def test_a_server_that_accepts_and_never_says_so_is_slow_not_lost(office: PostOffice) -> None:
    office.data_seconds = 3.0
    mailer = Mailer(post(office.port), seconds=0.5)
    result = mailer.send(MESSAGE, AT)
    assert result == Result(Verdict.RETRY, "邮件服务器应答过慢", down=True)
    office.data_seconds = 0.0
    office.wait(1)
    patient = Mailer(post(office.port))
    assert patient.send(MESSAGE, AT).verdict is Verdict.SENT
    assert len({letter.id for letter in office.wait(2)}) == 1, "the second copy is known by its id"
    mailer.close()
    patient.close()


@pytest.mark.filterwarnings(
    "ignore:Requiring AUTH:UserWarning"
)  # TLS from the start, which aiosmtpd does not count
@pytest.mark.parametrize("implicit", [True, False], ids=["tls", "starttls"])
def test_encrypted_and_logged_in(tmp_path: Path, implicit: bool) -> None:
    with encrypted_office(tmp_path, implicit=implicit, login=True) as (office, authority):
        to = post(
            office.port,
            security="tls" if implicit else "starttls",
            ca_file=authority,
            user=LOGIN.login.decode(),
            password=LOGIN.password.decode(),
        )
        mailer = Mailer(to)
        assert mailer.send(MESSAGE, AT).verdict is Verdict.SENT
        assert (office.logins, office.letters[0].encrypted) == ([True], True)
        mailer.close()
        wrong = Mailer(replace(to, password="another"))
        result = wrong.send(MESSAGE, AT)
        assert result == Result(Verdict.RETRY, "邮件服务器拒绝登录（535）", 535, down=True)
        assert len(office.letters) == 1


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_nobody_vouches_for_gets_no_mail(tmp_path: Path, security: Any) -> None:
    with encrypted_office(tmp_path, implicit=security == "tls") as (office, _):
        result = Mailer(post(office.port, security=security)).send(MESSAGE, AT)
        assert result == Result(Verdict.RETRY, "邮件服务器的证书无法验证", down=True)
        assert office.letters == []


def test_a_file_of_authorities_that_is_not_there_is_said_to_be(office: PostOffice, tmp_path: Path) -> None:
    result = Mailer(post(office.port, security="starttls", ca_file=tmp_path / "none.pem")).send(MESSAGE, AT)
    assert result == Result(Verdict.RETRY, "没有 HOTLINE_SMTP_CA_FILE 所指的文件", down=True)


def test_what_should_be_encrypted_is_never_sent_in_clear(office: PostOffice) -> None:
    result = Mailer(post(office.port, security="starttls")).send(MESSAGE, AT)
    assert result == Result(Verdict.RETRY, "邮件服务器不支持所设置的加密或登录方式", down=True)
    assert office.letters == []
