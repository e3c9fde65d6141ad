"""Files: what is taken is told by its content, comes back as a download only, is kept once, and recordings end in time."""

import hashlib
import io
import zipfile
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlmodel import Session, SQLModel

from hotline import recordings
from hotline.models import Attachment
from tests import world as w
from tests.api.conftest import Api
from tests.api.refusals import nothing_stored, problem
from tests.api.tables import rows

PDF = b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00@\x1f\x00\x00@\x1f\x00\x00\x01\x00\x08\x00data\x00\x00\x00\x00"
HTML = b"<!doctype html><html><script>alert(1)</script></html>"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'


def office_file(part: str) -> bytes:
    """A minimal Word or Excel file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("_rels/.rels", "<Relationships/>")
        archive.writestr(part, "<x/>")
    return content.getvalue()


def upload(
    api: Api, number: str, content: bytes, name: str = "测试.pdf", login: str = "agent", **form: str
) -> Any:
    headers = api.headers(login)
    return api.client.post(
        f"/api/v1/tickets/{number}/attachments",
        headers=headers,
        files={"file": (name, content, "application/pdf")},
        data=form,
    )


def kept(
    api: Api, number: str, content: bytes, name: str = "测试.pdf", login: str = "agent", **form: str
) -> Any:
    response = upload(api, number, content, name, login, **form)
    assert response.status_code == 201, response.text
    return response.json()


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (PDF, "application/pdf"),
        (PNG, "image/png"),
        (WAV, "audio/wav"),
        ("测试文本，没有标记。\n".encode(), "text/plain"),
        (
            office_file("word/document.xml"),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (
            office_file("xl/workbook.xml"),
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ),
    ],
    ids=["pdf", "png", "wav", "txt", "docx", "xlsx"],
)
def test_what_is_taken_comes_back_whole_as_a_download(api: Api, content: bytes, media_type: str) -> None:
    number = api.take()
    file = kept(api, number, content, "附件")
    assert file["media_type"].replace("x-wav", "wav").replace("wave", "wav") == media_type
    assert (file["size"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    got = api.get(f"/tickets/{number}/attachments/{file['id']}", "dispatcher")
    assert got.content == content
    assert got.headers["content-disposition"].startswith("attachment;")
    assert got.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in got.headers["content-security-policy"]
    assert got.headers["cache-control"] == "private, no-store"
    assert got.headers["content-type"].split(";")[0] == file["media_type"]


@pytest.mark.parametrize(
    "content",
    [
        HTML,
        SVG,
        b"\n\n  " + HTML,
        b"\xef\xbb\xbf" + HTML,
        "测试".encode() + b" " * 1000 + HTML,
        b"MZ" + b"\x00" * 200,
        b"\x7fELF" + b"\x00" * 200,
        b"PK\x03\x04" + b"\x00" * 100,
        b"\x00" * 100,
        b"\xff\xfe<\x00h\x00t\x00m\x00l\x00>\x00",
        HTML.decode().encode("utf-16"),
        b"<?php system($_GET['c']); ?>",
        b"\x1f\x8b\x08\x00" + b"\x00" * 50,
    ],
    ids=["html", "svg", "html spaced", "html bom", "html late", "exe", "elf", "zip", "zeros", "utf16", "utf16 bom", "php", "gzip"],
)  # fmt: skip
def test_content_that_is_not_taken_is_refused_whatever_it_is_called(api: Api, content: bytes) -> None:
    number = api.take()
    with nothing_stored(api):
        for name in ("报告.pdf", "图片.png", "说明.txt"):
            assert problem(upload(api, number, content, name), 422)["field"] == "file"


@pytest.mark.parametrize("content", [b"%PDF-1.7\n" + HTML, PNG + HTML], ids=["pdf", "png"])
def test_markup_behind_another_types_head_is_never_served_as_markup(api: Api, content: bytes) -> None:
    number = api.take()
    response = upload(api, number, content)
    if response.status_code == 422:
        return
    got = api.get(f"/tickets/{number}/attachments/{response.json()['id']}", "agent")
    assert got.headers["content-type"] in ("application/pdf", "image/png")
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-disposition"].startswith("attachment")


def test_empty_and_too_large_files_are_refused(api: Api) -> None:
    number = api.take()
    most = api.world.office.blobs.max_bytes
    with nothing_stored(api):
        assert "空" in problem(upload(api, number, b""), 422)["detail"]
        body = problem(upload(api, number, PDF + b" " * most), 422, "limit_exceeded")
        assert (body["field"], "MB" in body["detail"]) == ("file", True)
        problem(api.post(f"/tickets/{number}/attachments", "agent", {"file": "x"}), 422, "validation")
        for broken in (b"", b"--x", b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--", b"\xff" * 100):
            answer = api.client.post(
                f"/api/v1/tickets/{number}/attachments",
                headers=api.headers("agent") | {"Content-Type": "multipart/form-data; boundary=x"},
                content=broken,
            )
            assert answer.status_code in (400, 422)
            problem(answer, answer.status_code)
    assert kept(api, number, PDF + b" " * (most - len(PDF)))["size"] == most


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("../../etc/passwd", "passwd.pdf"),
        ("C:\\windows\\system32\\报告.pdf", "报告.pdf"),
        ("/", "未命名.pdf"),
        ("..", "未命名.pdf"),
        (".htaccess", "htaccess.pdf"),
        ("...隐藏.pdf", "隐藏.pdf"),
        (
            "关于测试小区暖气不热问题的情况说明" * 8 + ".pdf",
            "关于测试小区暖气不热问题的情况说明" * 8 + ".pdf",
        ),
        ("长" * 196 + ".pdf", "长" * 196 + ".pdf"),
        ("长" * 200, "长" * 196 + ".pdf"),
        ("a\u202efdp.exe", "afdp.exe.pdf"),
        ("通知\u200b\ufeff\u2066.pdf", "通知.pdf"),
        ("a.pdf.exe", "a.pdf.exe.pdf"),
        ("a.html", "a.html.pdf"),
        ("报告.PDF", "报告.PDF"),
        ("报告.pdf. . ", "报告.pdf"),
        ("CON", "_CON.pdf"),
        ("nul.pdf", "_nul.pdf"),
        ("COM1.报告.pdf", "_COM1.报告.pdf"),
        ("合同.pdf", "合同.pdf"),
        ("😀 emoji 空 格.pdf", "😀 emoji 空 格.pdf"),
        ("<img src=x onerror=alert(1)>.png", "_img src=x onerror=alert(1)_.png.pdf"),
        ("a'; DROP TABLE x;--.pdf", "a'; DROP TABLE x;--.pdf"),
    ],
)
def test_a_files_name_is_safe_to_save_under_and_never_breaks_the_header(
    api: Api, sent: str, name: str
) -> None:
    number = api.take()
    file = kept(api, number, PDF, sent)
    assert file["name"] == name
    header = api.get(f"/tickets/{number}/attachments/{file['id']}", "agent").headers["content-disposition"]
    assert header.startswith("attachment; filename*=UTF-8''")
    assert set(header) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%-._~ ;*='")
    assert not list(api.world.office.blobs.folder.parent.glob("**/passwd"))


def test_a_name_too_long_is_refused(api: Api) -> None:
    number = api.take()
    with nothing_stored(api):
        assert problem(upload(api, number, PDF, "长" * 300 + ".pdf"), 422)["field"] == "file"


def test_the_same_bytes_are_kept_once_and_end_with_the_last_that_names_them(api: Api) -> None:
    number = api.take()
    for _ in range(3):
        kept(api, number, PDF)
    assert rows(api.world.engine)["attachments"] == 3
    blobs = [p for p in api.world.office.blobs.folder.rglob("*") if p.is_file()]
    assert len(blobs) == 1


def test_the_same_upload_twice_with_one_key_is_one_file(api: Api) -> None:
    number = api.take()
    path = f"/api/v1/tickets/{number}/attachments"
    headers = api.headers("agent") | {"Idempotency-Key": "upload-1"}
    sent = {"files": {"file": ("测试.pdf", PDF)}}
    first, again = (api.client.post(path, headers=headers, **sent) for _ in range(2))  # type: ignore[arg-type]
    assert (first.status_code, first.text) == (again.status_code, again.text)
    assert rows(api.world.engine)["attachments"] == 1
    other = api.client.post(path, headers=headers, files={"file": ("测试.pdf", PNG)})
    problem(other, 422, "idempotency_key_reused")


def test_an_upload_is_in_the_ledger_by_its_hash_without_its_name(api: Api) -> None:
    number = api.take()
    kept(api, number, PDF, "张三的身份证.pdf", file_class="demand")
    entry = api.get(f"/tickets/{number}/timeline", "agent").json()["entries"][-1]
    assert entry["payload"]["sha256"] == hashlib.sha256(PDF).hexdigest()
    assert "张三" not in str(entry)


# --- units -------------------------------------------------------------------------------------------------------------


def test_units_see_and_add_files_of_their_own_tickets_only(api: Api) -> None:
    number = api.take("complaint")
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "co_units": ["JTJ"]})
    other = api.take()
    mine = kept(api, number, PDF)
    theirs = kept(api, other, PNG)
    for login in ("ZJJ", "JTJ"):
        assert api.get(f"/tickets/{number}/attachments/{mine['id']}", login).content == PDF
        kept(api, number, PNG, login=login)
    with nothing_stored(api):
        problem(api.get(f"/tickets/{other}/attachments/{theirs['id']}", "ZJJ"), 404)
        problem(api.get(f"/tickets/{number}/attachments/{theirs['id']}", "ZJJ"), 404)
        problem(upload(api, other, PDF, login="ZJJ"), 404)
        problem(upload(api, number, PDF, login="CGJ"), 404)
        problem(api.get(f"/tickets/{number}/attachments/{mine['id']}", "CGJ"), 404)


def test_a_confidential_callers_voice_is_not_for_the_units(api: Api) -> None:
    number = api.take("tipoff")
    recording = kept(api, number, WAV, "通话.wav", file_class="recording")
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    hidden = problem(api.get(f"/tickets/{number}/attachments/{recording['id']}", "ZJJ"), 404, "not_found")
    assert hidden == problem(api.get(f"/tickets/{number}/attachments/999999", "ZJJ"), 404, "not_found")
    assert api.get(f"/tickets/{number}", "ZJJ").json()["attachments"] == []
    assert api.get(f"/tickets/{number}/attachments/{recording['id']}", "agent").content == WAV


# --- recordings --------------------------------------------------------------------------------------------------------


def archived_with(api: Api, *contents: bytes) -> tuple[str, list[int]]:
    """A ticket received and archived on 2 March 2026 with these recordings."""
    number = api.at("2026-03-02 09:00").take(
        decision={"act": "answer_at_once", "answer": "可在任一窗口办理。"}
    )
    ids = [
        kept(
            api,
            number,
            content,
            "通话.wav",
            file_class="recording",
            recorded_at="2026-03-02T08:55:00+08:00",
        )["id"]
        for content in contents
    ]
    api.at("2026-03-02 10:00").act(number, "archive", "agent")
    return number, ids


@pytest.fixture
def destroy(api: Api) -> Callable[[datetime], int]:
    def run(as_of: datetime) -> int:
        with Session(api.world.engine) as session:
            count = recordings.destroy_expired_recordings(session, api.world.office, as_of)
            session.commit()
            return count

    return run


def test_a_recording_is_kept_a_year_and_then_destroyed_with_an_entry(
    api: Api, destroy: Callable[[datetime], int]
) -> None:
    number, [recording] = archived_with(api, WAV)
    view = api.get(f"/tickets/{number}", "agent").json()["attachments"][0]
    assert view["retain_until"] == "2027-03-02"
    assert destroy(w.china("2027-03-02 23:59:59")) == 0
    assert destroy(w.china("2027-03-03 00:00")) == 1
    assert destroy(w.china("2027-03-03 00:00")) == 0
    api.at("2027-03-03 09:00")
    assert problem(api.get(f"/tickets/{number}/attachments/{recording}", "agent"), 404)["article"] == "14(9)"
    entry = api.get(f"/tickets/{number}/timeline", "supervisor").json()["entries"][-1]
    assert (entry["act"], entry["article"]) == ("destroy_recording", "14(9)")
    assert not [p for p in api.world.office.blobs.folder.rglob("*") if p.is_file()]


def test_a_held_recording_outlives_its_year_until_the_hold_is_lifted(
    api: Api, destroy: Callable[[datetime], int]
) -> None:
    number, [recording] = archived_with(api, WAV)
    order = {"attachment": recording, "held": True, "reason": "行政复议。"}
    api.act(number, "hold_recording", "agent", order, status=403)
    api.act(number, "hold_recording", "supervisor", order)
    assert destroy(w.china("2030-01-01 00:00")) == 0
    api.at("2030-01-01 09:00").act(number, "hold_recording", "auditor", order | {"held": False})
    assert destroy(w.china("2030-01-01 10:00")) == 1
    with nothing_stored(api):
        problem(api.post(f"/tickets/{number}/hold_recording", "supervisor", order), 422, "order_invalid")


def test_bytes_that_another_file_names_are_not_destroyed(
    api: Api, destroy: Callable[[datetime], int]
) -> None:
    _, [first] = archived_with(api, WAV)
    other, [second] = archived_with(api, WAV)
    api.act(
        other,
        "hold_recording",
        "supervisor",
        {"attachment": second, "held": True, "reason": "测试"},
    )
    assert destroy(w.china("2027-03-03 00:00")) == 1
    assert api.get(f"/tickets/{other}/attachments/{second}", "agent").content == WAV
    with Session(api.world.engine) as session:
        assert session.get_one(Attachment, first).destroyed_at is not None


def test_bytes_that_a_knowledge_article_names_are_not_destroyed(
    api: Api, destroy: Callable[[datetime], int]
) -> None:
    _, [recording] = archived_with(api, WAV)
    written = api.post("/knowledge", "ZJJ", {"question": "办事语音说明", "answer": "见附件。"})
    path = f"/knowledge/{written.json()['article']}/versions/1/files"
    filed = api.post(path, "ZJJ", files={"file": ("语音说明.wav", WAV)})
    assert filed.status_code == 201, filed.text
    assert destroy(w.china("2027-03-03 00:00")) == 1
    with Session(api.world.engine) as session:
        assert session.get_one(Attachment, recording).destroyed_at is not None
    assert api.get(f"{path}/{filed.json()['id']}", "ZJJ").content == WAV


def test_every_table_that_names_bytes_of_the_store_is_known_to_who_destroys_them() -> None:
    naming = {
        table.name
        for table in SQLModel.metadata.tables.values()
        if "sha256" in table.columns
        and table.name != "exports"  # an export's bytes lie in a folder of their own
    }
    assert naming == set(recordings.NAMED_BY)


def test_only_recordings_of_archived_tickets_are_ever_destroyed(
    api: Api, destroy: Callable[[datetime], int]
) -> None:
    number = api.at("2026-03-02 09:00").take()
    kept(api, number, WAV, file_class="recording")
    kept(api, number, PDF)
    assert destroy(w.china("2040-01-01 00:00")) == 0


def test_a_recording_of_the_future_is_refused(api: Api) -> None:
    number = api.take()
    with nothing_stored(api):
        body = problem(
            upload(api, number, WAV, file_class="recording", recorded_at="2030-01-01T00:00:00+08:00"), 422
        )
        assert body["field"] == "recorded_at"
        assert problem(upload(api, number, WAV, recorded_at="yesterday"), 422)["field"] == "recorded_at"
        assert problem(upload(api, number, WAV, file_class="secret"), 422)["field"] == "file_class"
