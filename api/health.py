"""Whether a process lives and is ready, its numbers, and what a person finds who opens the address in a browser.

The routes are a module's like all others: whatever belongs to one app stands in its state.
"""

import logging
from typing import Any, Final

from anyio import CapacityLimiter, move_on_after, to_thread
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api import console, metrics
from api.wiring import Runtime
from hotline.people.oidc import REASONS

log = logging.getLogger("hotline.api")
router = APIRouter(include_in_schema=False)

_READY_WITHIN: Final = 3.0
"""Seconds the database has to answer whoever asks whether this process is ready."""


def install(app: Any, runtime: Runtime) -> None:
    """What the routes keep between requests: who looks at the database just now, and the numbers read last."""
    app.state.looking = CapacityLimiter(2)
    app.state.exposition = metrics.Exposition(runtime)


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process lives, whatever its threads wait for."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """What `_look` finds, in bounded time: a database that hangs is none."""
    state = request.app.state
    with move_on_after(_READY_WITHIN):
        return await to_thread.run_sync(_look, state.runtime, abandon_on_cancel=True, limiter=state.looking)
    return _not_ready()


def _look(runtime: Runtime) -> JSONResponse:
    """The database answers and is migrated; with a replica, whether reports are read there. Without it they are read at the primary."""
    replica: dict[str, str] = {}
    try:
        with runtime.engine.connect() as connection:
            version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
            if runtime.replica is not None:
                replica = {"replica": runtime.replica.look(connection).fitness.value}
    except SQLAlchemyError as error:
        log.warning("not ready: %s", type(error).__name__)
        return _not_ready()
    return JSONResponse({"status": "ready", "migration": version} | replica)


def _not_ready() -> JSONResponse:
    return JSONResponse({"status": "unavailable", "detail": "数据库不可用或尚未迁移"}, status_code=503)


@router.get("/metrics")
def watched(request: Request) -> Response:
    """Numbers for Prometheus, to this machine or whoever has the token."""
    exposition: metrics.Exposition = request.app.state.exposition
    return exposition.answer(request)


@router.get("/", response_class=HTMLResponse)
def front(error: str = "") -> Response:
    """A person who opened the address in a browser is led to the console; whoever could not sign in learns why."""
    said = REASONS.get(error)
    if said is None and console.is_there():
        return RedirectResponse("/console/")
    return HTMLResponse(_FRONT.replace("<p>", f"<p><strong>{said}</strong></p>\n<p>", 1) if said else _FRONT)


_FRONT = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>12345 热线工单引擎</title>
<body><h1>12345 政务服务便民热线工单引擎</h1>
<p>服务正在运行。接口地址：<code>/api/v1</code>，接口说明：<a href="/api/v1/openapi.json">OpenAPI 3.1</a>，网页工作台：<a href="/console/">/console/</a>。</p>
<p>每个请求带 <code>Authorization: Bearer 令牌</code>；演示令牌在启动时打印在终端。</p>
<p>健康检查：<a href="/healthz">/healthz</a>、<a href="/readyz">/readyz</a></p></body></html>"""
