"""The app factory: routes under /api/v1, problems, health, and the ticker beside them."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import acts, grants, problems, reference, scheduler, supervising, tickets
from api.wiring import Runtime, system_clock
from hotline.office import open_office
from hotline.settings import Settings
from hotline.store import make_engine

log = logging.getLogger("hotline.api")
BODY_LIMIT_SLACK = 1024 * 1024


def make_runtime(settings: Settings, url: str, clock: Callable[[], datetime] = system_clock) -> Runtime:
    """A process's runtime on the database at `url`."""
    return Runtime(settings, make_engine(url), open_office(settings), clock)


def create_app(runtime: Runtime, *, ticking: bool = False) -> FastAPI:
    """The whole API. With `ticking`, the sweep and its fellows run in this process too."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        ticker = scheduler.start(runtime) if ticking else None
        yield
        if ticker is not None:
            ticker.shutdown()
        runtime.engine.dispose()

    app = FastAPI(
        title="12345 政务服务便民热线工单引擎",
        version="0.1.0",
        summary="依《青海12345政务服务便民热线管理暂行办法》的工单闭环：受理、派单、办理、延期、认定、回访、归档。",
        description=_DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        separate_input_output_schemas=False,
    )
    app.state.runtime = runtime
    problems.install(app)
    v1 = APIRouter(prefix="/api/v1")
    for part in (acts.router, tickets.router, reference.router, supervising.router):
        v1.include_router(part)
    app.include_router(v1)
    app.include_router(_health(runtime))
    app.openapi = _documented(app.openapi)  # type: ignore[method-assign]
    grants.check_complete(app)
    app.add_middleware(BodyLimit, most=runtime.settings.attachment_max_bytes + BODY_LIMIT_SLACK)
    return app


_DESCRIPTION = """
每个动作一个地址：`POST /api/v1/tickets/{number}/<动作>`，返回工单的新状态、版本和此刻可进行的动作（`acts`）。

* **版本**：详情和动作的 `ETag` 即版本，随 `If-Match` 送回；他人已更新时得到 412 和变化清单。
* **重试**：POST 带 `Idempotency-Key`，七天内同一请求得到首次的结果。
* **错误**：RFC 9457 `application/problem+json`，`detail` 为中文说明，`article` 为依据的条款，`field` 为出错的字段。
* **时间**：一律带时区；期限按国务院放假安排的工作日计算，可取《期限证明》。
"""


def _documented(generated: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """The OpenAPI document, saying of every refusal that it is a problem, and nothing but a problem."""
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}

    def document() -> dict[str, Any]:
        told = generated()
        for item in told["paths"].values():
            for operation in item.values():
                for status, response in operation["responses"].items():
                    if status >= "400":
                        response["content"] = problem
        return told

    return document


def _health(runtime: Runtime) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    def healthz() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @router.get("/readyz")
    def readyz() -> JSONResponse:
        """The database answers and is migrated."""
        try:
            with runtime.engine.connect() as connection:
                version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        except SQLAlchemyError as error:
            log.warning("not ready: %s", type(error).__name__)
            return JSONResponse(
                {"status": "unavailable", "detail": "数据库不可用或尚未迁移"}, status_code=503
            )
        return JSONResponse({"status": "ready", "migration": version})

    @router.get("/", response_class=HTMLResponse)
    def front(request: Request) -> HTMLResponse:
        """Where a person who opened the address in a browser finds the way."""
        return HTMLResponse(_FRONT.format(base=str(request.base_url).rstrip("/")))

    return router


_FRONT = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>12345 热线工单引擎</title>
<body><h1>12345 政务服务便民热线工单引擎</h1>
<p>服务正在运行。接口地址：<code>{base}/api/v1</code>，接口说明：<a href="/api/v1/openapi.json">OpenAPI 3.1</a>。</p>
<p>每个请求带 <code>Authorization: Bearer 令牌</code>；演示令牌在启动时打印在终端。</p>
<p>健康检查：<a href="/healthz">/healthz</a>、<a href="/readyz">/readyz</a></p></body></html>"""


class BodyLimit:
    """Refuses a body larger than `most` bytes before it is read into memory."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what comes in; answer 413 once it is too much."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.most:
            await self._refuse(scope, receive, send)
            return
        seen = 0
        refused = False

        async def counted() -> Message:
            nonlocal seen, refused
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.most:
                refused = True
                return {"type": "http.disconnect"}
            return message

        async def watched(message: Message) -> None:
            if not refused:
                await send(message)

        try:
            await self.app(scope, counted, watched)
        except Exception:
            if not refused:
                raise
        if refused:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = problems.respond(
            413, "请求过大", f"请求超过 {self.most // 1024 // 1024} MB 的上限。", "too_large"
        )
        await response(scope, receive, send)
