"""What Prometheus scrapes: requests and jobs of all worker processes, and the work under way in the database.

Read by this machine itself, or with `HOTLINE_METRICS_TOKEN` as bearer token; to anybody else the address is not there. Several
workers share their counts through the folder `PROMETHEUS_MULTIPROC_DIR`, which `hotline serve` makes.
"""

import os
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from fastapi import Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlmodel import Session
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.who import address_of
from api.wiring import Runtime
from hotline.health import gauges
from workflow.errors import NotFound

PROCESS: Final = CollectorRegistry()
"""What this process counts by itself."""

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUESTS: Final = Histogram(
    "hotline_http_request_seconds",
    "Time to answer a request, by method, route and status; streams are counted when they end, in the last bucket.",
    ("method", "route", "status"),
    buckets=_BUCKETS,
    registry=PROCESS,
)
JOBS: Final = Histogram(
    "hotline_job_seconds",
    "Time one run of a periodic duty took.",
    ("job",),
    buckets=(0.01, 0.1, 0.5, 1, 5, 30, 120),
    registry=PROCESS,
)
JOB_FAILURES: Final = Counter(
    "hotline_job_failures",
    "Runs of a periodic duty that failed and are tried again.",
    ("job",),
    registry=PROCESS,
)
API: Final = "/api/v1"
_FRESH: Final = 5.0
"""Seconds for which the database's numbers are told again without asking it."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})


class Measured:
    """Times every request by its route's template, never by its address: an address names a ticket."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note how long it took and how it ended."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            REQUESTS.labels(method, _route(scope), str(status)).observe(time.perf_counter() - began)


def _route(scope: Scope) -> str:
    """The template that answered, with the prefix its router was included under, which the route itself does not tell."""
    path = getattr(scope.get("route"), "path", None)
    if isinstance(path, str):
        return path if path.startswith(API) or not scope["path"].startswith(f"{API}/") else f"{API}{path}"
    return "/console" if scope["path"].startswith("/console") else "other"


@contextmanager
def timed(job: str) -> Iterator[None]:
    """Time one run of a periodic duty; a failure is counted and goes on."""
    began = time.perf_counter()
    try:
        yield
    except Exception:
        JOB_FAILURES.labels(job).inc()
        raise
    finally:
        JOBS.labels(job).observe(time.perf_counter() - began)


class Exposition:
    """What is told to whoever scrapes; one per app."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._found: list[gauges.Gauge] = []

    def answer(self, request: Request) -> Response:
        """All numbers in Prometheus's text format. Raises `NotFound` to whoever may not see them."""
        if not self._may(request):
            raise NotFound("没有这个地址。")
        registry = CollectorRegistry()
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            counted = generate_latest(registry)
        else:
            counted = generate_latest(PROCESS)
        standing = CollectorRegistry()
        standing.register(_Standing(self._gauges()))
        return Response(counted + generate_latest(standing), media_type=CONTENT_TYPE_LATEST)

    def _may(self, request: Request) -> bool:
        token = self._runtime.settings.metrics_token
        if token is None:
            return address_of(request) in _LOOPBACK
        shown = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        return secrets.compare_digest(shown, token.get_secret_value().encode())

    def _gauges(self) -> list[gauges.Gauge]:
        """The database's numbers, read at most every few seconds however many ask."""
        with self._lock:
            if time.monotonic() - self._read_at > _FRESH:
                with Session(self._runtime.engine) as session:
                    folder, at = self._runtime.settings.data_dir, self._runtime.clock()
                    self._found = list(gauges.read(session, folder, at))
                    if self._runtime.replica is not None:
                        self._found += gauges.of_replica(self._runtime.replica.look(session.connection()))
                self._read_at = time.monotonic()
            return self._found


class _Standing(Collector):
    """The database's numbers as Prometheus's client wants them."""

    def __init__(self, found: Iterable[gauges.Gauge]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        for gauge in self._found:
            family = GaugeMetricFamily(gauge.name, gauge.told, labels=gauge.labels)
            for labels, value in gauge.values.items():
                family.add_metric(labels, value)
            yield family


def install(app: Any) -> None:
    """Time every request of an app."""
    app.add_middleware(Measured)
