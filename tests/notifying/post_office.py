"""A real SMTP server in a thread (aiosmtpd): keeps what came, and answers each step as it is told. And one that only drips."""

import asyncio
import datetime
import email
import email.policy
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOGIN = LoginPassword(b"hotline", b"a secret of the tests")


@dataclass
class Letter:
    """One e-mail as it came."""

    sender: str
    to: list[str]
    message: EmailMessage
    encrypted: bool

    @property
    def id(self) -> str:
        return str(self.message["Message-ID"])

    @property
    def text(self) -> str:
        part = self.message.get_body(("plain",))
        assert part is not None
        return str(part.get_content())

    @property
    def html(self) -> str:
        part = self.message.get_body(("html",))
        assert part is not None
        return str(part.get_content())


@dataclass
class PostOffice:
    """The server: `letters` that were accepted, and what it answers to a recipient (`at_rcpt`) and to a letter (`at_data`): 250 by default."""

    port: int = 0
    letters: list[Letter] = field(default_factory=list)
    at_mail: list[str] = field(default_factory=list)
    at_rcpt: list[str] = field(default_factory=list)
    at_data: list[str] = field(default_factory=list)
    logins: list[bool] = field(default_factory=list)
    data_seconds: float = 0.0

    async def handle_MAIL(  # noqa: N802 - aiosmtpd calls it
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if self.at_mail:
            return self.at_mail.pop(0)
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if self.at_rcpt:
            return self.at_rcpt.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd calls it
        if self.at_data:
            return self.at_data.pop(0)
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        self.letters.append(
            Letter(
                envelope.mail_from,
                list(envelope.rcpt_tos),
                parsed,
                server.transport.get_extra_info("ssl_object") is not None,
            )
        )
        if self.data_seconds:
            await asyncio.sleep(self.data_seconds)
        return "250 OK"

    def wait(self, count: int, seconds: float = 20.0) -> list[Letter]:
        """Until that many letters have come."""
        end = time.monotonic() + seconds
        while len(self.letters) < count:
            assert time.monotonic() < end, f"{len(self.letters)} of {count} letters after {seconds} s"
            time.sleep(0.02)
        return self.letters

    def authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any
    ) -> AuthResult:
        good = data == LOGIN
        self.logins.append(good)
        return AuthResult(success=good, handled=False)


@contextmanager
def open_office(**options: Any) -> Iterator[PostOffice]:
    """An SMTP server on a port of its own until the end of the block; `options` are aiosmtpd's."""
    office = PostOffice()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        office.port = free.getsockname()[1]
    controller = Controller(office, hostname="127.0.0.1", port=office.port, **options)
    controller.start()
    try:
        yield office
    finally:
        controller.stop()


@contextmanager
def encrypted_office(
    folder: Path, *, implicit: bool, login: bool = False
) -> Iterator[tuple[PostOffice, Path]]:
    """A server with a certificate of its own making, and the file of whom to trust for it."""
    authority, context = certificate(folder)
    office = PostOffice()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        office.port = free.getsockname()[1]
    options: dict[str, Any] = {"ssl_context": context} if implicit else {"tls_context": context}
    if login:
        options |= {
            "auth_required": True,
            "authenticator": office.authenticate,
            "auth_require_tls": not implicit,
        }
    controller = Controller(office, hostname="127.0.0.1", port=office.port, **options)
    controller.start()
    try:
        yield office, authority
    finally:
        controller.stop()


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate of 127.0.0.1: the file to trust, and the server's context."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "post.example.test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, secret = folder / "post.pem", folder / "post.key"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, secret)
    return file, context


@contextmanager
def dripping() -> Iterator[int]:
    """A server that greets for ever, a byte at a time; its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def drip() -> None:
        with suppress(OSError):
            line, _ = listening.accept()
            line.sendall(b"220-")
            while not over.wait(0.05):
                line.sendall(b"x")

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        over.set()
        listening.close()
        thread.join(5)
