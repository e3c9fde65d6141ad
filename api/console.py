"""The web console's bundle: hashed files kept for a year, its one page for every address below /console; and the citizen's page, which
is built with it and loads nothing of it."""

import html
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

BUNDLE: Final = Path(__file__).parent / "web"
_FOR_GOOD: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"
_WORKER: Final = (
    "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of scripts: one that runs as a worker has its own, and the live updates' asks us."""
_ENCODINGS: Final = {"br": ".br", "gzip": ".gz"}

_MISSING: Final = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>12345 热线工作台</title>
<body><h1>本次安装不含网页工作台</h1>
<p>接口照常运行：<code>/api/v1</code>。工作台在安装时由 Node 建成；安装时设置了
<code>HOTLINE_CONSOLE=skip</code> 或构建失败时没有它，重新安装即可补上。</p><pre>{why}</pre></body></html>"""

_NO_CITIZEN_PAGE: Final = """<!doctype html><html lang="zh-CN"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>12345 政务服务便民热线</title>
<body><h1>网页查询暂未开通</h1><p>请拨打 <a href="tel:12345">12345</a> 查询办理进度。</p></body></html>"""


class Bundle(StaticFiles):
    """The bundle's files, compressed where a copy lies beside; what is no file is the page, which routes by itself."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, or the page; a hashed file that is not there any more is a 404."""
        found = path if await self._is_file(path) else "index.html"
        if found != path and path.startswith("assets/"):
            raise HTTPException(404)
        response = await self._encoded(found, scope)
        response.headers["cache-control"] = _FOR_GOOD if found.startswith("assets/") else _ASK_AGAIN
        if found.endswith(".js"):
            response.headers["content-security-policy"] = _WORKER
        return response

    async def _is_file(self, path: str) -> bool:
        _, stat = self.lookup_path(path)
        return stat is not None and not path.startswith(".") and (Path(self.directory or "") / path).is_file()

    async def _encoded(self, path: str, scope: Scope) -> Response:
        accepted = dict(scope["headers"]).get(b"accept-encoding", b"").decode("latin-1")
        words = {
            one.split(";")[0].strip() for one in accepted.split(",") if ";q=0" not in one.replace(" ", "")
        }
        for encoding, ending in _ENCODINGS.items():
            if encoding in words and await self._is_file(path + ending):
                response = await super().get_response(path + ending, scope)
                self._tell(response.headers, path, encoding)
                return response
        return await super().get_response(path, scope)

    @staticmethod
    def _tell(headers: MutableHeaders, path: str, encoding: str) -> None:
        kinds = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
        kind = kinds.get(Path(path).suffix, "application/json")
        headers["content-type"] = f"{kind}; charset=utf-8"
        headers["content-encoding"] = encoding
        headers["vary"] = "Accept-Encoding"


def _citizen_page(page: Path) -> Callable[[], Response]:
    """来电人查询页: one and the same file for every link; what the link opens, its script asks. The browser keeps none of it,
    and no address that holds a link goes to anybody else (`Referrer-Policy: no-referrer`, api/shield.py)."""
    headers = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}

    def citizen() -> Response:
        if page.is_file():
            return HTMLResponse(page.read_bytes(), headers=headers)
        return HTMLResponse(_NO_CITIZEN_PAGE, status_code=404, headers=headers)

    return citizen


def is_there(bundle: Path = BUNDLE) -> bool:
    """Whether this installation has the console."""
    return (bundle / "index.html").is_file()


def install(app: FastAPI, bundle: Path = BUNDLE) -> None:
    """Serve the console under /console and the citizen's page under /q, or pages that say why they are not there."""
    app.get("/q/{token:path}", include_in_schema=False)(_citizen_page(bundle / "citizen.html"))
    if is_there(bundle):
        app.mount("/console", Bundle(directory=bundle), name="console")

        @app.get("/console", include_in_schema=False)
        def page() -> RedirectResponse:
            """The page's own address."""
            return RedirectResponse("/console/", status_code=308)

        return

    @app.get("/console{_:path}", include_in_schema=False)
    def missing() -> HTMLResponse:
        """Why there is no console here."""
        why = bundle / "not-built.txt"
        said = why.read_text("utf-8") if why.is_file() else ""
        return HTMLResponse(_MISSING.format(why=html.escape(said)), status_code=404)
