"""The console's files over HTTP: kept for good where their name says their content, asked for again where not; absent ones said."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api import console


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>工作台</title>", "utf-8")
    (tmp_path / "citizen.html").write_text("<!doctype html><title>诉求进度</title>", "utf-8")
    (tmp_path / "assets" / "main-1a2b.js").write_text("let 数 = 1", "utf-8")
    (tmp_path / "assets" / "main-1a2b.js.br").write_bytes(b"brotli")
    (tmp_path / ".source").write_text("hash")
    (tmp_path.parent / "outside.txt").write_text("outside")
    return tmp_path


@pytest.fixture
def client(bundle: Path) -> TestClient:
    app = FastAPI(redirect_slashes=False)
    console.install(app, bundle)
    return TestClient(app, follow_redirects=False)


def test_hashed_files_are_kept_for_good_and_sent_as_compressed_as_the_browser_takes(
    client: TestClient,
) -> None:
    address = "/console/assets/main-1a2b.js"
    packed = client.get(address, headers={"Accept-Encoding": "gzip, br"})
    assert packed.headers["content-encoding"] == "br"
    assert packed.headers["content-type"] == "text/javascript; charset=utf-8"
    assert packed.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert packed.headers["vary"] == "Accept-Encoding"
    plain = client.get(address, headers={"Accept-Encoding": "br;q=0, identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == "let 数 = 1"


def test_every_address_below_is_the_page_and_a_lost_file_is_none(client: TestClient) -> None:
    for path in ("/console/", "/console/tickets/012611210000425"):
        page = client.get(path)
        assert (page.status_code, page.headers["cache-control"]) == (200, "no-cache")
        assert "工作台" in page.text
    again = client.get("/console/", headers={"If-None-Match": client.get("/console/").headers["etag"]})
    assert again.status_code == 304
    assert client.get("/console/assets/old-9f9f.js").status_code == 404
    assert client.get("/console").headers["location"] == "/console/"


def test_a_citizens_page_is_the_same_for_every_link_and_kept_by_nobody(client: TestClient) -> None:
    pages = [client.get(f"/q/{token}") for token in ("3kTMd0hC0b1uVZ0y8q2wXg", "..%2f.source", "")]
    assert {page.status_code for page in pages} == {200}
    assert {page.text for page in pages} == {"<!doctype html><title>诉求进度</title>"}
    assert {page.headers["cache-control"] for page in pages} == {"no-store"}
    assert {page.headers["x-robots-tag"] for page in pages} == {"noindex"}


def test_nothing_outside_of_the_bundle_is_served(client: TestClient) -> None:
    for path in ("/console/..%2foutside.txt", "/console/.source", "/console/%2e%2e/outside.txt"):
        assert "outside" not in client.get(path).text
        assert "hash" not in client.get(path).text


def test_an_installation_without_it_says_why(tmp_path: Path) -> None:
    (tmp_path / "not-built.txt").write_text("npm ci failed <1>", "utf-8")
    app = FastAPI(redirect_slashes=False)
    console.install(app, tmp_path)
    for path in ("/console", "/console/", "/console/tickets"):
        said = TestClient(app).get(path)
        assert said.status_code == 404
        assert "本次安装不含网页工作台" in said.text
        assert "npm ci failed &lt;1&gt;" in said.text
    told = TestClient(app).get("/q/3kTMd0hC0b1uVZ0y8q2wXg")
    assert (told.status_code, told.headers["cache-control"]) == (404, "no-store")
    assert "请拨打" in told.text
    assert "npm" not in told.text  # what failed is no citizen's business


def test_a_script_may_run_as_a_worker_that_asks_only_us(client: TestClient) -> None:
    policy = client.get("/console/assets/main-1a2b.js").headers["content-security-policy"]
    assert "connect-src 'self'" in policy
    assert "default-src 'none'" in policy
