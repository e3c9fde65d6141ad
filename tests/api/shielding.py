"""The headers every answer has, and the same app asked from elsewhere."""

from typing import Any

from fastapi.testclient import TestClient

from tests.api.conftest import Api

EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


KEPT = {f"/api/v1/{words}": "no-" for words in ("areas", "categories", "units")} | {"/console/": "no-cache"}
"""What a browser may keep if it asks each time whether it is still so: public words, the console's page."""


def check_headers(answer: Any) -> None:
    headers = answer.headers
    for name, value in EVERYWHERE.items():
        assert headers.get_list(name) == [value], (answer.request.url, name)
    policy = headers["content-security-policy"]
    assert len(headers.get_list("content-security-policy")) == 1
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    if headers.get("content-type", "").startswith("text/html"):
        assert "default-src 'self'" in policy
        assert "fullscreen=(self)" in headers["permissions-policy"]  # the board on the wall
    else:
        assert "default-src 'none'" in policy
        assert "fullscreen=()" in headers["permissions-policy"]
    assert KEPT.get(answer.request.url.path, "no-store") in headers["cache-control"]
    for feature in ("microphone", "camera", "geolocation", "payment", "usb", "display-capture"):
        assert f"{feature}=()" in headers["permissions-policy"]
    assert not [name for name in headers if name.startswith("access-control-")]
    assert "server" not in headers
    assert "x-powered-by" not in headers


def from_address(api: Api, address: str) -> Api:
    """The same app, asked from another address."""
    return Api(TestClient(api.client.app, raise_server_exceptions=False, client=(address, 40000)), api.world)
