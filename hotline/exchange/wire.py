"""HTTP out of the house, to an address that was checked: names are looked up once and the connection goes to what was looked up.

Loopback, private, link-local and metadata addresses are refused (SSRF), redirects are not followed, no proxy is used. Every wait
counts against one deadline, so that a peer that drips its answer byte by byte holds nobody for longer; what is read has an end.
"""

import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Thread
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httptools

from workflow.errors import OrderInvalid

CONNECT_SECONDS: Final = 3.0
_HEAD_BYTES: Final = 64 * 1024
"""Bytes a status line and its headers may have."""
_IDLE_SECONDS: Final = 30.0
"""How long an unused connection is kept."""
_KEPT: Final = 16
"""Connections one `Lines` keeps."""
_PIECE: Final = 64 * 1024

Found = tuple[socket.AddressFamily, tuple[Any, ...]]
"""An address to connect to: its family and the socket's address."""


class TargetRefused(OrderInvalid):
    """The address must not be sent to: not http(s), with credentials, or in this machine's or a private network."""


class SendFailed(Exception):
    """Nothing, or nothing good, came back. The message is short Chinese and holds nothing of what was sent or answered.

    `met` says that a connection stood, so that the target may have done what it was asked.
    """

    def __init__(self, message: str, *, met: bool = False) -> None:
        super().__init__(message)
        self.met = met


@dataclass(frozen=True, slots=True)
class Answer:
    """What a target answered: the status, the body's bytes as far as they were wanted, the headers by lower-case names."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


# --- who may be reached ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """An address taken apart: whom to connect to and what to ask for."""

    scheme: str
    host: str
    port: int
    path: str
    authority: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What connections are kept by."""
        return self.scheme, self.host, self.port


def parse(url: str, *, allow_plain: bool) -> Target:
    """An address taken apart. Raises `TargetRefused` (field `url`): no http(s), credentials, blanks; http unless `allow_plain`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise TargetRefused("网址无法识别。", field="url") from None
    if any(c.isspace() or c == "\\" or not c.isprintable() for c in url):
        raise TargetRefused("网址不能包含空格、反斜杠或控制字符。", field="url")
    if (
        parts.scheme not in ("http", "https")
        or not host
        or parts.username is not None
        or parts.password is not None
    ):
        raise TargetRefused("网址应以 https:// 开头，且不含用户名和口令。", field="url")
    if parts.scheme == "http" and not allow_plain:
        raise TargetRefused(
            "网址应以 https:// 开头；内部网络确需使用 http 时，请由管理员设置 HOTLINE_ALLOW_PRIVATE_TARGETS=true。",
            field="url",
        )
    if port == 0:
        raise TargetRefused("网址的端口无效。", field="url")
    try:
        ascii_host = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        raise TargetRefused("网址的域名无效。", field="url") from None
    default = 443 if parts.scheme == "https" else 80
    shown = f"[{ascii_host}]" if ":" in ascii_host else ascii_host
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?") if parts.query else ""
    authority = shown if port in (None, default) else f"{shown}:{port}"
    return Target(parts.scheme, ascii_host, port or default, path + query, authority)


def look_up(host: str, port: int, seconds: float) -> list[Found]:
    """Every address of a name. Raises `SendFailed`, also after `seconds`: the resolver itself knows no deadline."""
    found: list[Found] = []

    def ask() -> None:
        try:
            for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                found.append((family, address))
        except (OSError, UnicodeError):
            found.clear()

    if _is_literal(host):
        ask()
    else:
        asking = Thread(target=ask, daemon=True, name="look-up")
        asking.start()
        asking.join(seconds)
    if not found:
        raise SendFailed("域名无法解析")
    return list(found)


def _is_literal(host: str) -> bool:
    """Whether the resolver needs nobody's help: an IPv6 address, or IPv4 however it is written (127.1, 0x7f000001)."""
    try:
        socket.inet_aton(host)
    except OSError:
        return ":" in host
    return True


def checked(found: list[Found], *, allow_private: bool) -> list[Found]:
    """The addresses of a target, if every one may be reached. Raises `TargetRefused` (field `url`).

    `allow_private` opens loopback and private networks; link-local (cloud metadata), unspecified and multicast stay closed.
    """
    for _, address in found:
        parsed = _unwrapped(ipaddress.ip_address(str(address[0]).partition("%")[0]))
        reserved = parsed.is_reserved and not parsed.is_loopback
        if parsed.is_link_local or parsed.is_unspecified or parsed.is_multicast or reserved:
            raise TargetRefused("该网址指向链路本地、保留或组播地址，不能作为接收地址。", field="url")
        if not allow_private and not parsed.is_global:
            raise TargetRefused(
                "该网址指向本机或内部网络。确需访问时，请由管理员设置 HOTLINE_ALLOW_PRIVATE_TARGETS=true。",
                field="url",
            )
    return found


_NAT64: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


def _unwrapped(
    parsed: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address inside an IPv6 one, where packets would go to it."""
    if isinstance(parsed, ipaddress.IPv4Address):
        return parsed
    if any(parsed in network for network in _NAT64) or 1 < int(parsed) < 2**32:
        return ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    return parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo[1] if parsed.teredo else parsed)


def check_url(url: str, *, allow_private: bool, seconds: float = 2.0) -> str | None:
    """Whether a subscriber may have this address. Raises `TargetRefused`; a remark where its name is not known now.

    It is checked again whenever a connection is opened: names change.
    """
    target = parse(url, allow_plain=allow_private)
    try:
        found = look_up(target.host, target.port, seconds)
    except SendFailed as failure:
        return str(failure)
    checked(found, allow_private=allow_private)
    return None


# --- sending -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Certificates are checked against the system's authorities (SSL_CERT_FILE counts), else those that come with certifi."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and not (paths.capath and any(os.scandir(paths.capath))):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


class _Reading:
    """The parser's callbacks: one answer coming in."""

    def __init__(self, most: int, *, headless: bool) -> None:
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.most = most
        self.received = 0
        self.begun = self.complete = self.over = False
        self._headless = headless
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self.parser.get_status_code() >= 200:
            self.begun = True
            self.complete = self.complete or self._headless
        else:
            self.headers.clear()

    def on_body(self, body: bytes) -> None:
        if len(self.body) + len(body) > self.most:
            self.over = True
        else:
            self.body += body

    def on_message_complete(self) -> None:
        self.complete = self.begun


@dataclass(slots=True)
class _Connection:
    sock: socket.socket
    used_at: float
    fresh: bool = True


class Lines:
    """One thread's connections, kept alive, each to an address that was checked when it was opened."""

    def __init__(
        self,
        *,
        allow_private: bool,
        allow_plain: bool | None = None,
        look_up: Callable[[str, int, float], list[Found]] = look_up,
    ) -> None:
        """`allow_plain` opens http:// too; None: as `allow_private`."""
        self.allow_private = allow_private
        self.allow_plain = allow_private if allow_plain is None else allow_plain
        self._look_up = look_up
        self._kept: dict[tuple[str, str, int], _Connection] = {}

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        seconds: float = 10.0,
        most: int = 16 * 1024,
        whole: bool = True,
    ) -> Answer:
        """One request and its answer within `seconds`. Raises `TargetRefused`, `SendFailed`.

        With `whole`, more than `most` bytes of body is a failure, as is a body that does not end; without, the status counts, and
        as much of the body is read as comes within a second, so that the connection can be kept.
        """
        target = parse(url, allow_plain=self.allow_plain)
        end = time.monotonic() + seconds
        head = [f"{method} {target.path} HTTP/1.1", f"host: {target.authority}"]
        if body or method not in ("GET", "HEAD"):
            head.append(f"content-length: {len(body)}")
        head += ["accept-encoding: identity", *(f"{name}: {value}" for name, value in headers.items())]
        message = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body
        while True:
            line = self._take(target, end)
            try:
                return self._exchange(target, line, message, end, method, most, whole=whole)
            except SendFailed as failure:
                if line.fresh or failure.met:
                    raise  # only a kept connection that was closed meanwhile is worth another try

    def close(self) -> None:
        """Close every connection."""
        for line in self._kept.values():
            line.sock.close()
        self._kept.clear()

    def _take(self, target: Target, end: float) -> _Connection:
        now = time.monotonic()
        line = self._kept.pop(target.origin, None)
        if line is not None and now - line.used_at < _IDLE_SECONDS:
            line.fresh = False
            return line
        if line is not None:
            line.sock.close()
        while len(self._kept) >= _KEPT:
            self._kept.pop(next(iter(self._kept))).sock.close()
        return _Connection(self._connect(target, end), now)

    def _connect(self, target: Target, end: float) -> socket.socket:
        until = min(end, time.monotonic() + CONNECT_SECONDS)
        found = self._look_up(target.host, target.port, max(until - time.monotonic(), 0.01))
        addresses = checked(found, allow_private=self.allow_private)[:4]
        for number, (family, address) in enumerate(addresses):
            left = (until - time.monotonic()) / (len(addresses) - number)
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(max(left, 0.01))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if target.scheme == "https":
                    sock.settimeout(max(until - time.monotonic(), 0.01))
                    return _tls().wrap_socket(sock, server_hostname=target.host)
            except ssl.SSLCertVerificationError:
                sock.close()
                raise SendFailed("对方的证书无效") from None
            except (OSError, ValueError) as error:
                sock.close()
                problem = _named(error)
            else:
                return sock
        raise SendFailed(problem)

    def _exchange(
        self,
        target: Target,
        line: _Connection,
        message: bytes,
        end: float,
        method: str,
        most: int,
        *,
        whole: bool,
    ) -> Answer:
        reading = _Reading(most, headless=method == "HEAD")
        keep = False
        try:
            _send_all(line.sock, message, end)
            _read(line.sock, reading, end, patient=whole)
            keep = reading.complete and reading.parser.should_keep_alive()
        except TimeoutError:
            if whole or not reading.begun:
                raise SendFailed("对方超时未答复", met=True) from None
        except httptools.HttpParserError:
            raise SendFailed("对方的应答不是 HTTP", met=True) from None
        except OSError as error:
            if whole or not reading.begun:
                raise SendFailed(_named(error), met=reading.received > 0) from None
        finally:
            if keep:
                line.used_at = time.monotonic()
                self._kept[target.origin] = line
            else:
                line.sock.close()
        return _answer(reading, whole=whole)


def _read(sock: socket.socket, reading: _Reading, end: float, *, patient: bool) -> None:
    """Until the answer is complete or too long, or the other side closes."""
    until = end
    while not reading.complete and not reading.over:
        piece = _receive(sock, until)
        if not piece:
            return
        reading.received += len(piece)
        reading.parser.feed_data(piece)
        if not reading.begun and reading.received > _HEAD_BYTES:
            reading.over = True
        elif reading.begun and not patient:
            until = min(until, time.monotonic() + 1.0) if until == end else until


def _answer(reading: _Reading, *, whole: bool) -> Answer:
    if not reading.begun:
        failure = "对方的应答过长" if reading.over else "对方没有答复即断开"
        raise SendFailed(failure, met=reading.received > 0)
    ended = reading.complete or not {"content-length", "transfer-encoding"} & set(reading.headers)
    if whole and (reading.over or not ended):
        raise SendFailed("对方的应答过长或不完整", met=True)
    return Answer(reading.parser.get_status_code(), bytes(reading.body), reading.headers)


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _send_all(sock: socket.socket, message: bytes, end: float) -> None:
    view = memoryview(message)
    while view:
        sock.settimeout(_left(end))
        view = view[sock.send(view) :]


def _receive(sock: socket.socket, end: float) -> bytes:
    sock.settimeout(_left(end))
    return sock.recv(_PIECE)


def _named(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "连接超时"
    if isinstance(error, ConnectionRefusedError):
        return "对方拒绝连接"
    if isinstance(error, ssl.SSLError):
        return "无法建立加密连接"
    return "连接失败或中断"
