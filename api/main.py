"""The app factory: routes under /api/v1, problems, and the ticker beside them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from fastapi import FastAPI

from api import (
    acts,
    asking,
    assessment,
    auditing,
    batch,
    board,
    callers,
    calls,
    catalogue,
    colleagues,
    console,
    entered_points,
    events,
    exclusions,
    exporting,
    grants,
    health,
    hotspots,
    knowledge,
    knowledge_batches,
    knowledge_preview,
    letters,
    likeness,
    live,
    lookups,
    machines,
    metrics,
    notifying,
    oidc,
    people,
    problems,
    public,
    reference,
    report_filing,
    report_printing,
    reports,
    scheduler,
    searching,
    session,
    shield,
    structure,
    subscriptions,
    supervising,
    syncing,
    tickets,
    webhooks,
    worklists,
)
from api.wiring import Runtime, system_clock
from hotline.exchange.deliverer import Deliverer
from hotline.notifying.notifier import Notifier
from hotline.notifying.senders import open_senders
from hotline.office import open_office
from hotline.privacy.rotation import check_ring
from hotline.settings import Settings
from hotline.storage.replica import open_replica
from hotline.storage.store import make_engine

BODY_LIMIT_SLACK = 1024 * 1024


def make_runtime(settings: Settings, url: str, clock: Callable[[], datetime] = system_clock) -> Runtime:
    """A process's runtime on the database at `url`. Raises `KeyRingBroken` where its key ring is not that database's,
    SQLAlchemy's `OperationalError` where the database is away."""
    replica = open_replica(settings.replica_url, settings.replica_lag_seconds)
    runtime = Runtime(settings, make_engine(url), open_office(settings), clock, replica)
    try:
        check_ring(runtime.engine, runtime.office.sealer)
    except BaseException:
        runtime.engine.dispose()
        raise
    return runtime


def make_deliverer(runtime: Runtime) -> Deliverer:
    """What sends the events of this process's database to whoever subscribed; not started yet."""
    return Deliverer(
        runtime.engine,
        runtime.office,
        runtime.clock,
        public_url=runtime.settings.public_url,
        threads=runtime.settings.delivery_threads,
    )


def make_notifier(runtime: Runtime) -> Notifier:
    """What tells units and people without a system, by the means these settings give; not started yet."""
    return Notifier(
        runtime.engine,
        runtime.office,
        runtime.clock,
        open_senders(runtime.settings),
        public_url=runtime.settings.public_url,
    )


def create_app(runtime: Runtime, *, ticking: bool = False) -> FastAPI:
    """The whole API. With `ticking`, the sweep and its fellows run in this process too."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        ticker = scheduler.start(runtime) if ticking else None
        deliverer = make_deliverer(runtime).start() if ticking else None
        notifier = make_notifier(runtime).start() if ticking else None
        yield
        live.stop(app.state)
        if ticker is not None:
            ticker.shutdown()
        if deliverer is not None:
            deliverer.stop(2.0)
        if notifier is not None:
            notifier.stop(2.0)
        scheduler.count_refusals(runtime)
        runtime.library.close()
        runtime.engine.dispose()
        if runtime.replica is not None:
            runtime.replica.close()

    app = FastAPI(
        title="12345 政务服务便民热线工单引擎",
        version="0.1.0",
        summary="依《青海12345政务服务便民热线管理暂行办法》的工单闭环：受理、派单、办理、延期、认定、回访、归档。",
        description=_DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        webhooks=webhooks.described(),
        separate_input_output_schemas=False,
    )
    app.state.runtime = runtime
    health.install(app, runtime)
    problems.install(app)
    # The routes themselves, not `include_router`: that would make each of them anew for every app of a process, keep both, and look
    # for the fitting one through every level of routers with each request.
    for part in _PARTS:
        app.router.routes.extend(part.router.routes)
    console.install(app)
    app.openapi = _documented(app.openapi)  # type: ignore[method-assign]
    grants.check_complete(app)
    metrics.install(app)
    shield.install(app, runtime.settings, runtime.settings.attachment_max_bytes + BODY_LIMIT_SLACK)
    return app


_SIGNING_IN = (session, oidc, machines)
_KNOWLEDGE = (searching, asking, syncing, knowledge_batches, knowledge_preview)
_REPORTING = (hotspots, assessment, exclusions, entered_points, reports)
_DESKS = (lookups, calls, likeness, catalogue, worklists, public)
_OFFICE = (auditing, exporting, people, colleagues, structure, callers)
_PARTS = (
    *(acts, tickets, *_KNOWLEDGE, knowledge, reference, supervising, letters, board, *_SIGNING_IN),
    *(*_OFFICE, *_DESKS, *_REPORTING, report_printing, report_filing),
    *(subscriptions, notifying, events, live, batch),
    health,
)
"""The modules with the routes, all but those of `health` under /api/v1. The first route that fits is taken: what has a name comes before what is named by a key."""


_DESCRIPTION = """
每个动作一个地址：`POST /api/v1/tickets/{number}/<动作>`，返回工单的新状态、版本和此刻可进行的动作（`acts`）。

* **版本**：详情和动作的 `ETag` 即版本，随 `If-Match` 送回；他人已更新时得到 412 和变化清单。
* **重试**：POST 带 `Idempotency-Key`，七天内同一请求得到首次的结果。
* **错误**：RFC 9457 `application/problem+json`，`detail` 为中文说明，`article` 为依据的条款，`field` 为出错的字段。
* **事件**：订阅后按 Standard Webhooks 签名推送（见 `webhooks`），没有服务器的可用 `GET /events` 拉取，两者内容相同。
* **副本**：统计、看板的回答带 `X-As-Of` 的，由只读副本读出，不早于所示时刻；其余一律为最新。
* **时间**：一律带时区；期限按国务院放假安排的工作日计算，可取《期限证明》。
"""


_told: dict[str, Any] = {}


def _documented(generated: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """The OpenAPI document, saying of every refusal that it is a problem, and nothing but a problem.

    It is the same for every app of a process, and generating it takes a second: it is made once.
    """
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}

    def document() -> dict[str, Any]:
        if not _told:
            told = generated()
            for item in told["paths"].values():
                for operation in item.values():
                    for status, response in operation["responses"].items():
                        if status >= "400":
                            response["content"] = problem
            _told.update(told)
        return _told

    return document
