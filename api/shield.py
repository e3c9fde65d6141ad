"""The shield before every route: security headers, whose Host is answered, how often somebody may ask.

Rates are counted in this process's memory: N workers let through up to N times as much, and a restart forgets. They slow a
guesser down and keep one caller from taking the whole service; what protects one account across processes is its lock-out in
the database. Time is the monotonic clock's, so that neither a corrected clock nor a test's frozen one moves a window.
"""

import hashlib
import ipaddress
import logging
import math
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Request
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import Storage
from limits.storage.base import SlidingWindowCounterSupport
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.bodies import BodyLimit
from api.who import address_of, cookie_of
from hotline.access import Actor
from hotline.settings import Settings
from workflow.errors import RuleBroken

log = logging.getLogger("hotline.shield")

# --- headers of every answer -------------------------------------------------------------------------------------------

_OFF: Final = (
    "accelerometer",
    "autoplay",
    "browsing-topics",
    "camera",
    "display-capture",
    "encrypted-media",
    "geolocation",
    "gyroscope",
    "hid",
    "idle-detection",
    "local-fonts",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "picture-in-picture",
    "publickey-credentials-create",
    "publickey-credentials-get",
    "screen-wake-lock",
    "serial",
    "usb",
    "xr-spatial-tracking",
)
_NO_PAGE: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of what is no page: whatever a browser makes of it, it loads and runs nothing."""

PAGE: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""That of pages: scripts and styles come from our own files, never from the page's text."""

_ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_FEATURES: Final = ", ".join(f"{name}=()" for name in _OFF)
_PERMISSIONS: Final = {
    False: (b"permissions-policy", f"{_FEATURES}, fullscreen=()".encode()),
    True: (b"permissions-policy", f"{_FEATURES}, fullscreen=(self)".encode()),  # the board on the wall
}
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
_OF_CONTENT: Final = frozenset({b"content-security-policy", b"permissions-policy"})
"""What depends on the kind of content, which a 304 does not tell: an API's policy in it would shut a page that was good."""

_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_HOST: Final = re.compile(rb"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:\d{1,5})?")


class Shield:
    """Outermost of all: adds the security headers to every answer, also to a 500, and answers only to its own name.

    A route's own header wins. With `Settings.public_url` the Host must be its host or this machine's own; health probes may
    call by any name. There is no CORS: no other origin reads anything.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        public = urlsplit(settings.public_url or "")
        self.always_https = public.scheme == "https"
        own = {public.hostname, "localhost", "127.0.0.1", "[::1]"}
        self.hosts = frozenset(h.lower().encode() for h in own if h) if public.hostname else None
        self.plain = {page: self._headers(page, https=False) for page in (False, True)}
        self.https = {page: self._headers(page, https=True) for page in (False, True)}

    @staticmethod
    def _headers(page: bool, *, https: bool) -> tuple[tuple[bytes, bytes], ...]:
        policy = (b"content-security-policy", (PAGE if page else _NO_PAGE).encode())
        always = (policy, _PERMISSIONS[page], *_ALWAYS)
        return (*always, _HSTS) if https else always

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is asked in our name; dress what comes back."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        ours = self.https if self.always_https or scope["scheme"] == "https" else self.plain

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                there = {name.lower() for name, _ in headers}
                page = dict(headers).get(b"content-type", b"").startswith(b"text/html")
                if message["status"] == 304:
                    there |= _OF_CONTENT  # the browser keeps what came with the content
                headers += [pair for pair in ours[page] if pair[0] not in there]
                message["headers"] = headers
            await send(message)

        if self._is_for_us(scope):
            await self.app(scope, receive, dressed)
            return
        refused = problems.respond(
            400, "请求头无效", "请求的主机名（Host）不是本系统的地址。", "bad_header", field="Host"
        )
        await refused(scope, receive, dressed)

    def _is_for_us(self, scope: Scope) -> bool:
        if scope["path"] in _PROBES:
            return True
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        fits = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        return fits is not None and (self.hosts is None or fits[1].lower() in self.hosts)


# --- how often ---------------------------------------------------------------------------------------------------------

FAILURE_MINUTES: Final = 5
MOST_COUNTED: Final = 100_000
"""Callers counted at once per kind; beyond it the one silent for longest is forgotten, so that memory has an end."""

MOST_KNOWN: Final = 20_000


class TooManyRequests(RuleBroken):
    """More than this person, machine or address may send; `extra.retry_after` is the wait in seconds.

    `first` is true once per window: then it is worth a record.
    """

    code = "too_many_requests"

    def __init__(self, message: str, *, retry_after: int, first: bool) -> None:
        super().__init__(message, extra={"retry_after": retry_after})
        self.first = first


class _Counters(Storage, SlidingWindowCounterSupport):
    """Sliding windows in memory for `limits`: one lock, a bounded number of keys, monotonic time.

    The library's own memory store has no bound, walks all its keys in a thread it starts anew up to a hundred times a second,
    and reads the wall clock.
    """

    STORAGE_SCHEME = None

    def __init__(self, clock: Callable[[], float], most: int) -> None:
        super().__init__()
        self.clock = clock
        self.most = most
        self.lock = threading.Lock()
        self.windows: OrderedDict[str, tuple[int, int, int, int]] = OrderedDict()
        """By key: the window's number, the count of the one before it, its own count, its length in seconds."""

    def _window(self, key: str, expiry: int) -> tuple[int, int, int, float]:
        now = self.clock() / expiry
        number = int(now)
        kept, before, count, _ = self.windows.get(key, (number, 0, 0, expiry))
        if kept != number:
            before, count = (count if kept == number - 1 else 0), 0
        return number, before, count, now - number

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        with self.lock:
            number, before, count, passed = self._window(key, expiry)
            if math.floor(before * (1 - passed) + count) + amount > limit:
                return False
            self._keep(key, (number, before, count + amount, expiry))
            return True

    def _keep(self, key: str, window: tuple[int, int, int, int]) -> None:
        self.windows[key] = window
        self.windows.move_to_end(key)
        if len(self.windows) > self.most:
            self.windows.popitem(last=False)

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        with self.lock:
            _, before, count, passed = self._window(key, expiry)
        return before, (1 - passed) * expiry if before else 0.0, count, (2 - passed) * expiry

    def clear_sliding_window(self, key: str, expiry: int) -> None:  # noqa: ARG002 - the library's signature
        self.clear(key)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        with self.lock:
            number, before, count, _ = self._window(key, expiry)
            self._keep(key, (number, before, count + amount, expiry))
            return count + amount

    def get(self, key: str) -> int:
        return self.windows.get(key, (0, 0, 0, 0))[2]

    def get_expiry(self, key: str) -> float:
        """When the key's present window ends, by the same monotonic clock; now where there is none."""
        number, _, _, expiry = self.windows.get(key, (0, 0, 0, 0))
        return (number + 1) * expiry if expiry else self.clock()

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        with self.lock:
            count = len(self.windows)
            self.windows.clear()
        return count

    def clear(self, key: str) -> None:
        with self.lock:
            self.windows.pop(key, None)

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError


class _Rate:
    """One limit per name: `allows` asks, `count` counts one and says whether it fitted."""

    def __init__(self, item: RateLimitItem, clock: Callable[[], float], most: int) -> None:
        self.item = item
        self.counters = _Counters(clock, most)
        self.strategy = SlidingWindowCounterRateLimiter(self.counters)
        self.told: OrderedDict[str, float] = OrderedDict()
        self.lock = threading.Lock()
        self.clock = clock
        self.most = most

    def allows(self, name: str) -> bool:
        return self.strategy.test(self.item, name)

    def count(self, name: str) -> bool:
        return self.strategy.hit(self.item, name)

    def retry_after(self, name: str) -> int:
        """Whole seconds until one more fits, if nothing else comes."""
        length, most = self.item.get_expiry(), self.item.amount
        before, rest, count, _ = self.counters.get_sliding_window(self.item.key_for(name), length)
        if count >= most:  # this window's count must first become the one before, then fade
            left = length - (self.clock() % length)
            return math.ceil(left + length * (1 - (most - 1) / count))
        if not before:
            return 1
        return max(1, math.ceil(rest - length * (most - 1 - count) / before))

    def first(self, name: str) -> bool:
        """Whether this is the first time within a window that `name` is refused."""
        now = self.clock()
        with self.lock:
            if now - self.told.get(name, -math.inf) < self.item.get_expiry():
                return False
            self.told[name] = now
            self.told.move_to_end(name)
            if len(self.told) > self.most:
                self.told.popitem(last=False)
            return True


class Gate:
    """One process's counts. Failures are charged to the address, but who has shown a good credential here is not kept out by
    a neighbour's failures: behind one office's address sit a hundred agents."""

    def __init__(
        self, settings: Settings, clock: Callable[[], float] = time.monotonic, most: int = MOST_COUNTED
    ) -> None:
        self._person = _Rate(RateLimitItemPerMinute(settings.requests_per_minute), clock, most)
        self._machine = _Rate(RateLimitItemPerMinute(settings.machine_requests_per_minute), clock, most)
        failures = RateLimitItemPerMinute(settings.failures_per_address, FAILURE_MINUTES)
        self._address = _Rate(failures, clock, most)
        self._public = _Rate(RateLimitItemPerMinute(settings.public_requests_per_minute), clock, most)
        self._stale = _Rate(failures, clock, most)
        self._known: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._salt = secrets.token_bytes(32)

    def check_actor(self, actor: Actor) -> None:
        """Count one request of a person or machine. Raises `TooManyRequests`."""
        rate = self._person if actor.kind == "person" else self._machine
        if not rate.count(actor.key):
            raise self._refusal(rate, actor.key, "请求过于频繁，已超过每分钟的上限")

    def check_address(self, address: str | None, credential: str | None = None) -> None:
        """Whether an address (with this credential) may try once more. Raises `TooManyRequests`."""
        if credential is not None:
            name = self._name(credential)
            if not self._stale.allows(name):
                raise self._refusal(self._stale, name, "该令牌或会话早已失效，请重新登录或获取令牌")
            if name in self._known:
                return
        place = network_of(address)
        if not self._address.allows(place):
            raise self._refusal(self._address, place, "该网络地址登录或验证失败次数过多")

    def check_public(self, address: str | None) -> None:
        """Count one request for a page that needs no credentials. Raises `TooManyRequests`."""
        self.check_address(address)
        place = network_of(address)
        if not self._public.count(place):
            raise self._refusal(self._public, place, "该网络地址的访问过于频繁")

    def failed(self, address: str | None, stale: str | None = None) -> None:
        """Count one failure: of the address, or, of a credential that was good once, of that credential alone."""
        if stale is not None:
            name = self._name(stale)
            with self._lock:
                self._known.pop(name, None)
            self._stale.count(name)
        else:
            self._address.count(network_of(address))

    def passed(self, credential: str) -> None:
        """Remember that this credential was good just now."""
        name = self._name(credential)
        with self._lock:
            self._known[name] = None
            self._known.move_to_end(name)
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)

    def _name(self, credential: str) -> str:
        content = credential.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(content, key=self._salt, digest_size=16).hexdigest()

    def _refusal(self, rate: _Rate, name: str, told: str) -> TooManyRequests:
        wait = rate.retry_after(name)
        first = rate.first(name)
        if first:
            log.warning("too many requests or failures of %s: refused for %d s", name, wait)
        return TooManyRequests(f"{told}，请 {wait} 秒后再试。", retry_after=wait, first=first)


def network_of(address: str | None) -> str:
    """What failures are charged to: an IPv4 address, or an IPv6 address's /64, which is one customer's."""
    if address is None or ":" not in address:
        return address or "unknown"
    try:
        full = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if full.ipv4_mapped is not None:
        return str(full.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(full) >> 64 << 64, 64)))


def gate_of(request: Request) -> Gate:
    """This process's gate."""
    gate: Gate = request.app.state.gate
    return gate


def credential_of(request: Request) -> str | None:
    """The bearer token or session cookie a request shows."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if token and scheme.lower() == "bearer" else cookie_of(request)


def check_credential(request: Request) -> None:
    """Before a token or session is looked up: whether it, from this address, may be. Raises `TooManyRequests`."""
    gate_of(request).check_address(address_of(request), credential_of(request))


def check_address(request: Request) -> None:
    """Before a sign-in or a client's secret is tried: whether this address may. Raises `TooManyRequests`."""
    gate_of(request).check_address(address_of(request))


def check_public(request: Request) -> None:
    """Before a citizen's link is looked up: whether this address may, and how often. Raises `TooManyRequests`."""
    gate_of(request).check_public(address_of(request))


def check_actor(request: Request, actor: Actor) -> None:
    """Who asks is known: count the request, and remember the credential as good. Raises `TooManyRequests`."""
    gate = gate_of(request)
    credential = credential_of(request)
    if credential is not None:
        gate.passed(credential)
    gate.check_actor(actor)


def failed(request: Request, stale: str | None = None) -> None:
    """Credentials were wrong; `stale` is one that was issued once and is over, which is no guess."""
    gate_of(request).failed(address_of(request), stale)


def install(app: Any, settings: Settings, most_body: int) -> None:
    """Put the shield around an app: headers outside of everything, also of the answer to a failure nobody foresaw."""
    app.state.gate = Gate(settings)
    app.add_middleware(BodyLimit, most=most_body)
    built = app.build_middleware_stack
    app.build_middleware_stack = lambda: Shield(built(), settings)
