"""No address leads into this machine or its networks, however it is written, whatever its name resolves to at the moment."""

import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hotline.exchange import wire
from hotline.exchange.wire import Found, Lines, SendFailed, TargetRefused, check_url
from tests.exchange.receiver import always, receiving

CLOSED = (
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://017700000001/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[::127.0.0.1]/",
    "https://0.0.0.0/",
    "https://0/",
    "https://[::]/",
    "https://10.1.2.3/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[fe80::1]/",
    "https://[fd00:ec2::254]/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "http://8.8.8.8/",
    "https://user:secret@8.8.8.8/",
    "https://8.8.8.8\\@127.0.0.1/",
    "https://8.8.8.8 /",
    "https://8.8.8.8:0/",
    "https://8.8.8.8:99999/",
    "ftp://8.8.8.8/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_",
    "//8.8.8.8/",
    "https://",
    "https:///x",
)


@pytest.mark.parametrize("url", CLOSED)
def test_it_is_refused_when_it_is_given_and_when_it_is_used(url: str) -> None:
    with pytest.raises(TargetRefused) as refusal:
        check_url(url, allow_private=False)
    assert refusal.value.field == "url"
    lines = Lines(allow_private=False)
    with pytest.raises((TargetRefused, SendFailed)):
        lines.send("POST", url, headers={}, body=b"{}", seconds=2)


@pytest.mark.parametrize(
    "url", ["https://169.254.169.254/", "https://0.0.0.0/", "https://[fe80::1]/", "https://224.0.0.1/"]
)
def test_some_stay_closed_whatever_is_allowed(url: str) -> None:
    with pytest.raises(TargetRefused):
        check_url(url, allow_private=True)


def test_what_is_open_is_open() -> None:
    assert check_url("https://8.8.8.8/hotline?x=1", allow_private=False) is None
    assert check_url("http://127.0.0.1:9000/hotline", allow_private=True) is None
    assert check_url("http://[::1]:9000/hotline", allow_private=True) is None


def test_a_name_that_turns_to_loopback_is_refused_when_the_connection_is_opened() -> None:
    """DNS rebinding: the address that was checked is the one that is connected to; there is no second look-up."""
    with receiving() as receiver:
        port = int(receiver.url.split(":")[2].split("/")[0])
        asked: list[str] = []

        def rebound(host: str, _port: int, _seconds: float) -> list[Found]:
            asked.append(host)
            return [(socket.AF_INET, ("127.0.0.1", port))]

        lines = Lines(allow_private=False, allow_plain=True, look_up=rebound)
        with pytest.raises(TargetRefused):
            lines.send("POST", f"http://unit.example:{port}/hotline", headers={}, body=b"{}")
        assert receiver.came == []
        allowed = Lines(allow_private=True, look_up=rebound)
        assert allowed.send("POST", f"http://unit.example:{port}/x", headers={}, body=b"{}").status == 204
        assert asked == ["unit.example"] * 2
        assert receiver.came[0].headers["host"] == f"unit.example:{port}"


def test_one_bad_address_among_good_ones_is_enough() -> None:
    with pytest.raises(TargetRefused):
        wire.checked(
            [(socket.AF_INET, ("8.8.8.8", 443)), (socket.AF_INET, ("10.0.0.1", 443))], allow_private=False
        )


def test_a_redirect_is_an_answer_not_an_errand() -> None:
    with receiving() as inner, receiving(always(302, location="http://127.0.0.1:1/")) as outer:
        answer = Lines(allow_private=True).send("POST", outer.url, headers={}, body=b"{}")
        assert answer.status == 302
        assert inner.came == []


def test_a_resolver_that_does_not_answer_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **__: object) -> list[object]:
        time.sleep(3)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    began = time.monotonic()
    with pytest.raises(SendFailed, match="域名无法解析"):
        wire.look_up("unit.example", 443, 0.2)
    assert time.monotonic() - began < 1


def test_a_silent_target_and_a_dripping_head_end_with_the_deadline() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(SendFailed, match="超时"):
            Lines(allow_private=True).send(
                "POST", f"http://127.0.0.1:{silent.getsockname()[1]}/", headers={}, body=b"{}", seconds=0.5
            )
        assert time.monotonic() - began < 1.5

    def drip(_r: object, _c: object, _e: int, sock: socket.socket) -> None:
        try:
            sock.sendall(b"HTTP/1.1 200 OK\r\nx: ")
            for _ in range(100):
                sock.sendall(b"y")
                time.sleep(0.05)
        except OSError:
            return

    with receiving(drip) as receiver:
        began = time.monotonic()
        with pytest.raises(SendFailed, match="超时"):
            Lines(allow_private=True).send("POST", receiver.url, headers={}, body=b"{}", seconds=0.5)
        assert time.monotonic() - began < 1.5


def test_a_kept_connection_that_was_closed_is_opened_again() -> None:
    with receiving() as receiver:
        lines = Lines(allow_private=True)
        lines.send("POST", receiver.url, headers={}, body=b"{}")
        for kept in lines._kept.values():
            kept.sock.shutdown(socket.SHUT_RDWR)
        assert lines.send("POST", receiver.url, headers={}, body=b"{}").status == 204
        assert len(receiver.came) == 2


def test_the_certificate_is_checked_against_the_name_not_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = _certificate(tmp_path, "unit.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    wire._tls.cache_clear()
    try:
        with receiving(tls=context) as receiver:
            port = int(receiver.url.split(":")[2].split("/")[0])
            lines = Lines(allow_private=True, look_up=lambda *_: [(socket.AF_INET, ("127.0.0.1", port))])
            assert lines.send("POST", f"https://unit.example:{port}/x", headers={}, body=b"{}").status == 204
            with pytest.raises(SendFailed, match="证书"):
                lines.send("POST", f"https://other.example:{port}/x", headers={}, body=b"{}")
            with pytest.raises(SendFailed, match="证书"):
                lines.send("POST", f"https://127.0.0.1:{port}/x", headers={}, body=b"{}")
    finally:
        wire._tls.cache_clear()


def _certificate(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path
