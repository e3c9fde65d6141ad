"""What every refusal is: an RFC 9457 problem in Chinese that leaves nothing behind."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from tests import world as w
from tests.api.conftest import Api
from tests.api.tables import fingerprint

CHINESE = re.compile("[\u4e00-\u9fff]")


@contextmanager
def nothing_stored(api: Api) -> Iterator[None]:
    """No table may differ afterwards."""
    before = fingerprint(api.world.engine)
    yield
    assert fingerprint(api.world.engine) == before


def problem(response: httpx2.Response, status: int, code: str | None = None) -> Any:
    """The body of a well-formed problem with this status and code."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert {"type", "title", "status", "detail", "code"} <= set(body)
    assert body["status"] == status
    assert body["type"] == f"urn:hotline12345:problem:{body['code']}"
    assert CHINESE.search(body["title"])
    assert CHINESE.search(body["detail"])
    if code is not None:
        assert body["code"] == code
    if "article" in body:
        assert body["article_cited"].startswith("第")
        assert CHINESE.search(body["article_text"])
    return body


def raw(api: Api, path: str, content: bytes, login: str = "agent", **headers: str | bytes) -> httpx2.Response:
    """A POST of these very bytes, called JSON."""
    sent: dict[str, Any] = api.headers(login) | {"Content-Type": "application/json"} | headers
    response: httpx2.Response = api.client.post(f"/api/v1{path}", headers=sent, content=content)
    return response


def new_ticket(**changes: Any) -> dict[str, Any]:
    return {"demand": w.demand().model_dump(mode="json", exclude_none=True) | changes}
