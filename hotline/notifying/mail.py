"""E-mail by SMTP: plain text and simple HTML, STARTTLS or TLS, one connection for many messages, every wait under one deadline."""

import html
import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, Final, Literal

from hotline.notifying.messages import Message, Result, Verdict

SECONDS: Final = 30.0
"""How long one message may take, connecting and logging in included."""
_STEP_SECONDS: Final = 10.0
"""How long one step of it may."""
_BYE_SECONDS: Final = 1.0
_NO_MORE: Final = 421
"""The server closes the connection: it is not about this message."""


@dataclass(frozen=True, slots=True)
class Post:
    """The mail server, and who mail comes from."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    sender: str
    sender_name: str
    user: str | None = None
    password: str | None = None
    ca_file: Path | None = None

    def __repr__(self) -> str:
        return f"Post({self.host}:{self.port})"


def composed(message: Message, post: Post) -> EmailMessage:
    """The e-mail: Chinese headers encoded, text and HTML. Its Message-ID is the same at every try, so that mailboxes drop a second copy."""
    letter = EmailMessage(policy=SMTP)
    letter["From"] = Address(display_name=post.sender_name, addr_spec=post.sender)
    letter["To"] = Address(addr_spec=message.to)
    letter["Subject"] = " ".join(message.subject.split())
    letter["Date"] = message.at
    letter["Message-ID"] = f"<{message.id}@{post.sender.rpartition('@')[2]}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(message.text, cte="base64")
    letter.add_alternative(_page(message.text), subtype="html", cte="base64")
    return letter


def _page(text: str) -> str:
    paragraphs = "".join(
        f"<p>{_linked(html.escape(each)).replace(chr(10), '<br>')}</p>\n"
        for each in text.strip().split("\n\n")
    )
    return f'<!doctype html>\n<html lang="zh-CN"><meta charset="utf-8">\n<body>\n{paragraphs}</body></html>\n'


def _linked(escaped: str) -> str:
    return re.sub(r"https?://[A-Za-z0-9.:/_\-\[\]]+", lambda m: f'<a href="{m[0]}">{m[0]}</a>', escaped)


class Mailer:
    """One thread's way to the mail server. The connection is kept until `close`."""

    def __init__(self, post: Post, *, seconds: float = SECONDS) -> None:
        self._post, self._seconds = post, seconds
        self._line: smtplib.SMTP | None = None
        self._ready = False

    def send(self, message: Message, at: datetime) -> Result:  # noqa: ARG002
        """Hand one message to the server; a kept connection that was closed meanwhile is opened anew, once."""
        letter = composed(message, self._post)
        with self._deadline() as late:
            kept = self._ready
            result = self._try(letter, message.to)
            if kept and result.down and not late.is_set():
                result = self._try(letter, message.to)
        if late.is_set() and result.verdict is not Verdict.SENT:
            return Result(Verdict.RETRY, "邮件服务器应答过慢", down=True)
        return result

    def close(self) -> None:
        """Say good-bye, if anybody still listens."""
        line = self._line
        if line is not None and line.sock is not None:
            with suppress(OSError, smtplib.SMTPException):
                line.sock.settimeout(_BYE_SECONDS)
                line.quit()
        self._drop()

    # --- one try -------------------------------------------------------------------------------------------------------

    def _try(self, letter: EmailMessage, to: str) -> Result:
        try:
            line = self._line if self._ready and self._line is not None else self._open()
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            self._drop()
            return _not_open(error)
        try:
            line.send_message(letter, self._post.sender, [to])
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            result = _not_sent(error)
            if result.down:
                self._drop()
            return result
        return Result(Verdict.SENT, status=250)

    def _open(self) -> smtplib.SMTP:
        post = self._post
        to: dict[str, Any] = {"host": post.host, "port": post.port, "local_hostname": _name_of_machine()}
        tls = ssl.create_default_context(cafile=post.ca_file) if post.security != "none" else None
        if post.security == "tls":
            line: smtplib.SMTP = _Encrypted(self._hold, context=tls, **to)
        else:
            line = _Plain(self._hold, **to)
        if post.security == "starttls":
            line.starttls(context=tls)
        if post.user is not None:
            line.login(post.user, post.password or "")
        self._ready = True
        return line

    def _hold(self, line: smtplib.SMTP) -> None:
        self._line = line

    def _drop(self) -> None:
        line, self._line, self._ready = self._line, None, False
        if line is not None:
            line.close()

    @contextmanager
    def _deadline(self) -> Iterator[threading.Event]:
        """A server that answers byte by byte holds nobody for longer: its socket is shut when the time is over."""
        late = threading.Event()

        def shut() -> None:
            late.set()
            line = self._line
            if line is not None and line.sock is not None:
                with suppress(OSError):
                    line.sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(self._seconds, shut)
        timer.daemon = True
        timer.start()
        try:
            yield late
        finally:
            timer.cancel()


class _Plain(smtplib.SMTP):
    """A connection its mailer knows of before it is made, so that it can be shut while it still greets."""

    def __init__(self, hold: Callable[[smtplib.SMTP], None], **to: Any) -> None:
        hold(self)
        super().__init__(timeout=_STEP_SECONDS, **to)


class _Encrypted(smtplib.SMTP_SSL):
    """The same, TLS from the start."""

    def __init__(self, hold: Callable[[smtplib.SMTP], None], **to: Any) -> None:
        hold(self)
        super().__init__(timeout=_STEP_SECONDS, **to)


def _name_of_machine() -> str:
    """How this machine greets: by its name, or as an address; never by asking the name server, which may take long."""
    name = socket.gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"


# --- what went wrong ---------------------------------------------------------------------------------------------------


def _not_open(error: Exception) -> Result:
    """The server could not be used at all: it is not about the message, whatever its number."""
    status = error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else None
    if isinstance(error, smtplib.SMTPAuthenticationError):
        problem = f"邮件服务器拒绝登录（{status}）"
    elif isinstance(error, smtplib.SMTPNotSupportedError):
        problem = "邮件服务器不支持所设置的加密或登录方式"
    elif status is not None:
        problem = f"邮件服务器暂不服务（{status}）"
    else:
        problem = _trouble(error)
    return Result(Verdict.RETRY, problem, status, down=True)


def _not_sent(error: Exception) -> Result:
    """4xx is worth another try; 5xx refuses this message, or, said of the sender, every message: then it waits to be mended."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        status, said = next(iter(error.recipients.values()))
    elif isinstance(error, smtplib.SMTPResponseException):
        status, said = error.smtp_code, _bytes(error.smtp_error)
    else:
        return Result(Verdict.RETRY, _trouble(error), down=True)
    number = f"{status}{_detail(said)}"
    if isinstance(error, smtplib.SMTPSenderRefused):
        return Result(Verdict.RETRY, f"邮件服务器不接受发件地址（{number}）", status, down=True)
    if 500 <= status < 600:
        return Result(Verdict.REFUSED, f"邮件被拒收（{number}）", status)
    return Result(Verdict.RETRY, f"邮件服务器暂不接收（{number}）", status, down=status == _NO_MORE)


def _bytes(said: bytes | str) -> bytes:
    return said if isinstance(said, bytes) else said.encode()


def _detail(said: bytes) -> str:
    """The enhanced status code (RFC 3463), and nothing else of what was said: it may repeat the address."""
    found = re.match(rb"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)", said)
    return f" {found[0].decode()}" if found else ""


def _trouble(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "邮件服务器拒绝连接"
    if isinstance(error, TimeoutError):
        return "邮件服务器应答超时"
    if isinstance(error, FileNotFoundError):
        return "没有 HOTLINE_SMTP_CA_FILE 所指的文件"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "邮件服务器的证书无法验证"
    if isinstance(error, ssl.SSLError):
        return "与邮件服务器无法建立加密连接"
    if isinstance(error, socket.gaierror):
        return "邮件服务器的域名无法解析"
    return "与邮件服务器的连接中断"
