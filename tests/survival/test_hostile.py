"""Hostile bytes on the way in: each is refused with a 4xx or comes back as it was sent; afterwards the doctor finds nothing.

What of this single fields, files and heads have to bear stands in `tests/api/test_errors.py`, `test_fields.py`, `test_files.py` and
`tests/hotline/test_uploads.py`; here it comes all at once, to registration, reply and upload, and mislabelled.
"""

import io
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Api
from tests.api.refusals import new_ticket, nothing_stored, problem
from tests.survival.afterwards import all_is_well, hotline
from tests.survival.log import Log

pytestmark = pytest.mark.processes
LABELS = ("application/json", "application/json; charset=utf-8", "application/json; charset=gb18030")
ENCODINGS = ("utf-8", "gb18030", "big5", "utf-16")
TEXTS = (
    "暖气不热",
    "𠮷野家😀👨‍👩‍👧",
    "\u202eزمرد\u202c\u200b零\u200d宽\ufeff",
    "甲\x00乙",
    "\ud800",
    "\udfff甲",
    "a\u0300" * 5000,
    "暖" * 350_000,  # a mebibyte
)
NESTED: tuple[bytes, ...] = (
    b"[" * 100_000,
    b'{"demand":' * 100_000 + b"1" + b"}" * 100_000,
    b'{"demand": NaN}',
    b'{"demand": ' + b"9" * 100_000 + b"}",
    b'{"demand": {"title": 1, "title": 2, "title": null}}',
    b"\x00\x00\xfe\xff",
)


def _bomb() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", b"0" * 80_000_000)
    return content.getvalue()


FILES: tuple[tuple[str, bytes], ...] = (
    ("报告.docx", _bomb()),
    ("空.pdf", b""),
    ("图.png", b"GIF89a<script>alert(1)</script>"),
    ("两面.pdf", b"%PDF-1.7\nPK\x03\x04<html><script>alert(1)</script>"),
    ("../../../etc/cron.d/x.pdf", b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"),
    ("长" * 300 + ".pdf", b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"),
    ("a\r\nX-Evil: 1.pdf", b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"),
    ("壳.pdf", b"\x7fELF" + b"\0" * 100),
)


def _sent(api: Api, path: str, login: str, body: bytes, label: str = LABELS[0]) -> Any:
    headers: dict[str, Any] = api.headers(login) | {"Content-Type": label}
    return api.client.post(f"/api/v1{path}", headers=headers, content=body)


def _judged(answer: Any, counts: Counter[str]) -> bool:
    """Whether it was taken; what was not is a problem that names a field, or says that nothing can be read."""
    counts["taken" if answer.status_code < 300 else "refused"] += 1
    if answer.status_code < 300:
        return True
    body = problem(answer, answer.status_code)
    assert answer.status_code in (400, 413, 422), answer.text[:300]
    assert answer.status_code != 422 or body["field"]
    return False


def _encoded(order: dict[str, Any], encoding: str) -> bytes:
    try:
        return json.dumps(order, ensure_ascii=False).encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(order).encode("ascii")  # \\ud800 and its like


def _signed(api: Api) -> str:
    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    api.act(number, "sign", "ZJJ")
    return number


def _registrations(api: Api, counts: Counter[str]) -> None:
    for text in TEXTS:
        mislabelled = [(e, label) for e in ENCODINGS for label in LABELS] if text in TEXTS[:2] else []
        for encoding, label in mislabelled or [(ENCODINGS[0], LABELS[0])]:
            body = _encoded(new_ticket(title="测试", content=text), encoding)
            answer = _sent(api, "/tickets", "agent", body, label)
            if _judged(answer, counts):
                told = api.get(f"/tickets/{answer.json()['number']}", "agent").json()
                assert (told["title"], told["content"]) == ("测试", text), (encoding, label)


def _depths(api: Api, counts: Counter[str]) -> None:
    number = _signed(api)
    with nothing_stored(api):
        for body in NESTED:
            for path, login in (("/tickets", "agent"), (f"/tickets/{number}/reply", "ZJJ")):
                assert not _judged(_sent(api, path, login, body), counts)


def _replies(api: Api, counts: Counter[str]) -> None:
    for text in TEXTS:
        mine = _signed(api)
        body = json.dumps({"content": text}).encode()
        if _judged(_sent(api, f"/tickets/{mine}/reply", "ZJJ", body), counts):
            assert api.get(f"/tickets/{mine}", "agent").json()["replies"][0]["content"] == text
        else:
            assert api.get(f"/tickets/{mine}", "agent").json()["replies"] == []


def _files(api: Api, counts: Counter[str]) -> None:
    number = api.take()
    for name, content in FILES:
        files = {"file": (name, content, "application/pdf")}
        before = api.get(f"/tickets/{number}", "agent").json()["attachments"]
        answer = api.client.post(
            f"/api/v1/tickets/{number}/attachments", headers=api.headers("agent"), files=files
        )
        if _judged(answer, counts):
            got = api.get(f"/tickets/{number}/attachments/{answer.json()['id']}", "agent")
            assert got.content == content
            assert not {"/", "\\", "\r", "\n"} & set(answer.json()["name"])
        else:
            assert api.get(f"/tickets/{number}", "agent").json()["attachments"] == before


def test_what_is_taken_comes_back_as_it_was_sent_and_the_rest_leaves_nothing(
    house: Api, tmp_path: Path, survival_log: Log
) -> None:
    api, counts = house.at("2026-03-02 09:00"), Counter[str]()
    for part in (_registrations, _depths, _replies, _files):
        part(api, counts)
    url = api.world.engine.url.render_as_string(hide_password=False)
    (tmp_path / "blobs").symlink_to(api.world.office.blobs.folder)
    assert hotline(tmp_path, url, "schedule", "--once").returncode == 0  # real time has gone on since
    all_is_well(tmp_path, url)
    survival_log("hostile bytes", **counts)
