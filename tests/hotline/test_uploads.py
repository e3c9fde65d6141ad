"""What is refused at the door: bombs, macros, programs in documents, PDFs that act; and a blob folder that keeps to itself."""

import io
import os
import stat
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from hotline.storage.blobs import BlobStore, FileAltered
from hotline.uploads import ALLOWED, NAME_MOST, file_name, media_type_of
from workflow.errors import NotFound, OrderInvalid

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
RELATIONSHIP = '<Relationships><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" Target="{target}"{mode}/></Relationships>'
OUTSIDE = ' TargetMode="External"'


def word(parts: dict[str, bytes | str] | None = None, *, types: str = "<Types/>", pack: bool = True) -> bytes:
    """A Word file with these parts beside the necessary ones."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED if pack else zipfile.ZIP_STORED) as archive:
        archive.writestr("[Content_Types].xml", types)
        archive.writestr("word/document.xml", "<w:document/>")
        for name, part in (parts or {}).items():
            archive.writestr(name, part)
    return content.getvalue()


def refused(content: bytes, *words: str) -> None:
    with pytest.raises(OrderInvalid) as caught:
        media_type_of(content)
    assert caught.value.field == "file"
    for each in words:
        assert each in caught.value.message


def with_size(content: bytes, name: str, size: int) -> bytes:
    """The archive with another unpacked size declared for a part, in its own header and in the directory."""
    altered = bytearray(content)
    encoded = name.encode()
    for mark, where in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = altered.find(mark)
        while at >= 0:
            start = at + (30 if mark == b"PK\x03\x04" else 46)
            if altered[start : start + len(encoded)] == encoded:
                altered[at + where : at + where + 4] = size.to_bytes(4, "little")
            at = altered.find(mark, at + 4)
    return bytes(altered)


# --- Word and Excel ----------------------------------------------------------------------------------------------------


def test_an_ordinary_document_is_taken() -> None:
    relationships = RELATIONSHIP.format(kind="hyperlink", target="https://example.gov.cn/", mode=OUTSIDE)
    assert (
        media_type_of(word({"word/_rels/document.xml.rels": relationships, "word/media/a.png": b"x"})) == WORD
    )
    assert media_type_of(word({"word/styles.xml": "<s/>" * 100_000})) == WORD
    assert media_type_of(word(pack=False)) == WORD


def test_a_zip_bomb_is_refused_without_being_unpacked_into_memory() -> None:
    bomb = word({f"word/media/{n}.xml": b"0" * 40_000_000 for n in range(5)})
    assert len(bomb) < 400_000
    tracemalloc.start()
    refused(bomb, "解压后过大")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 1024 * 1024


def test_a_zip_bomb_that_lies_about_its_size_is_refused() -> None:
    bomb = with_size(word({"word/media/a.xml": b"0" * 80_000_000}), "word/media/a.xml", 1000)
    with zipfile.ZipFile(io.BytesIO(bomb)) as archive:
        assert archive.getinfo("word/media/a.xml").file_size == 1000
    tracemalloc.start()
    refused(bomb, "结构异常")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 1024 * 1024


def test_too_many_parts_are_refused() -> None:
    refused(word({f"word/{n}.xml": "" for n in range(5_001)}), "结构异常")


@pytest.mark.parametrize(
    "name",
    [
        "word/vbaProject.bin",
        "word/VBAPROJECT.BIN",
        "word/activeX/activeX1.bin",
        "word/embeddings/oleObject1.bin",
        "word/embeddings/a.exe",
        "word/media/start.HTA",
    ],
)
def test_macros_controls_and_programs_are_refused(name: str) -> None:
    refused(word({name: b"x"}), "PDF")


@pytest.mark.parametrize("kind", ["attachedTemplate", "oleObject", "image", "frame", "hyperlinkx"])
def test_a_document_that_fetches_something_when_opened_is_refused(kind: str) -> None:
    part = RELATIONSHIP.format(kind=kind, target="https://example.com/t.dotm", mode=OUTSIDE)
    refused(word({"word/_rels/settings.xml.rels": part}), "外部链接")
    refused(word({"word/_rels/settings.xml.rels": part.encode("utf-16")}))
    inside = RELATIONSHIP.format(kind="image", target="media/a.png", mode="")
    assert media_type_of(word({"word/_rels/document.xml.rels": inside})) == WORD


def test_macros_under_another_name_are_told_by_the_table_of_types() -> None:
    for kind in (
        "application/vnd.ms-word.document.macroEnabled.main+xml",
        "application/vnd.ms-office.vbaProject",
    ):
        refused(word(types=f'<Types><Override PartName="/x" ContentType="{kind}"/></Types>'), "宏")


@pytest.mark.parametrize(
    "text", ['<!DOCTYPE a [<!ENTITY b "c">]><a/>', "<!ENTITY x SYSTEM 'file:///etc/passwd'>"]
)
def test_a_part_with_a_document_type_is_refused(text: str) -> None:
    refused(word({"word/a.xml": text}))
    refused(word({"word/a.xml": text.encode("utf-16")}))


@pytest.mark.parametrize("name", ["../a.xml", "/etc/a.xml", "word/../../a.xml", "C:/a.xml"])
def test_a_part_that_leads_out_is_refused(name: str) -> None:
    refused(word({name: "x"}), "结构异常")


def test_a_part_that_stands_twice_or_is_encrypted_is_refused() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("[Content_Types].xml", "x")
        archive.writestr("word/document.xml", "x")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("word/document.xml", "x")
    refused(content.getvalue(), "结构异常")
    encrypted = bytearray(word())
    encrypted[encrypted.find(b"PK\x01\x02") + 8] |= 1
    refused(bytes(encrypted), "结构异常")


# --- PDF ---------------------------------------------------------------------------------------------------------------


def pdf(*objects: bytes) -> bytes:
    return (
        b"%PDF-1.7\n"
        + b"".join(b"%d 0 obj\n%s\nendobj\n" % (n, o) for n, o in enumerate(objects, 1))
        + b"trailer<<>>\n%%EOF\n"
    )


def packed(content: bytes, filters: bytes = b"/Filter/FlateDecode") -> bytes:
    body = zlib.compress(content)
    return b"<</Type/ObjStm/N 1/First 4%s/Length %d>>stream\n%s\nendstream" % (filters, len(body), body)


ACTIVE = (
    b"<</S/JavaScript/JS(app.alert(1))>>",
    b"<</S /JavaScript /JS 5 0 R>>",
    b"<</S/#4aava#53cript/JS(x)>>",
    b"<</S/Launch/F(cmd.exe)>>",
    b"<</Names<</EmbeddedFiles 3 0 R>>>>",
    b"<</Type/EmbeddedFile/Length 3>>stream\nMZx\nendstream",
    b"<</Subtype/RichMedia>>",
    b"<</AcroForm<</XFA 3 0 R>>>>",
)


@pytest.mark.parametrize("active", ACTIVE)
def test_a_pdf_that_acts_is_refused(active: bytes) -> None:
    refused(pdf(b"<</Type/Catalog>>", active), "截图")
    refused(pdf(b"<</Type/Catalog>>", packed(b"1 0 " + active)), "截图")
    refused(pdf(b"% >>stream\n", active, b"% endstream"), "截图")


def test_a_pdf_that_cannot_be_looked_into_is_refused() -> None:
    refused(pdf(packed(b"x").replace(b"stream\nx", b"stream\n\xff\xffx")), "无法检查")
    refused(pdf(packed(b"0" * (70 * 1024 * 1024))), "无法检查")
    refused(pdf(b"#41" * 200_000), "无法检查")


def test_an_ordinary_pdf_is_taken() -> None:
    plain = pdf(
        b"<</Type/Catalog/Pages 2 0 R/OpenAction[3 0 R/Fit]>>",
        b"<</A<</S/URI/URI(https://example.gov.cn/)>>>>",
        b"<</Length 9>>stream\n/JS (text)\nendstream",
        packed(b"1 0 <</Type/Page>>"),
    )
    assert media_type_of(plain) == "application/pdf"
    noise = os.urandom(4 * 1024 * 1024)
    assert media_type_of(pdf(b"<</Length 4194304>>stream\n" + noise + b"\nendstream")) == "application/pdf"


# --- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media_type", list(ALLOWED))
def test_every_name_ends_as_its_content_and_stays_as_it_is_the_second_time(media_type: str) -> None:
    for given in (
        "报告",
        "报告.exe",
        "a." + ALLOWED[media_type][0],
        "长" * 500,
        "",
        " . ",
        "\x00\u202e",
        "aux.txt",
    ):
        name = file_name(given, media_type)
        assert name.rpartition(".")[2] in ALLOWED[media_type]
        assert 0 < len(name) <= NAME_MOST
        assert file_name(name, media_type) == name


# --- the folder --------------------------------------------------------------------------------------------------------

TEXT = "测试".encode()


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs", 1024 * 1024)


def files(store: BlobStore) -> list[Path]:
    return [path for path in store.folder.rglob("*") if not path.is_dir()]


def test_folder_and_files_are_closed_to_others_whatever_the_umask(store: BlobStore) -> None:
    before = os.umask(0)
    try:
        store.put(TEXT)
    finally:
        os.umask(before)
    [file] = files(store)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (store.folder, file.parent, file)] == [
        0o700,
        0o700,
        0o600,
    ]


def test_a_failed_write_leaves_nothing(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hotline.storage.blobs.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.put(TEXT)
    assert files(store) == []
    monkeypatch.undo()
    assert store.get(store.put(TEXT).sha256) == TEXT


def test_a_link_in_the_folder_is_not_followed_out(store: BlobStore, tmp_path: Path) -> None:
    blob = store.put(TEXT)
    [file] = files(store)
    secret = tmp_path / "secret"
    secret.write_bytes(TEXT)
    file.unlink()
    file.symlink_to(secret)
    with pytest.raises(NotFound):
        store.get(blob.sha256)
    assert store.put(TEXT) == blob
    assert store.get(blob.sha256) == TEXT
    assert not file.is_symlink()
    assert secret.read_bytes() == TEXT
    file.unlink()
    file.parent.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / file.name).write_bytes(TEXT)
    file.parent.symlink_to(elsewhere)
    with pytest.raises(NotFound):
        store.get(blob.sha256)
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        store.put(TEXT)
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        store.destroy(blob.sha256)
    assert (elsewhere / file.name).exists()


def test_altered_bytes_are_noticed(store: BlobStore) -> None:
    blob = store.put(TEXT)
    [file] = files(store)
    file.write_bytes(TEXT + b"!")
    with pytest.raises(FileAltered):
        store.get(blob.sha256)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "a" * 63 + "/", "A" * 64, "", "é" * 64, "0" * 65])
def test_what_is_no_hash_names_no_file(store: BlobStore, name: str) -> None:
    for ask in (store.get, store.destroy):
        with pytest.raises(NotFound):
            ask(name)


def test_destroyed_once_and_gone(store: BlobStore) -> None:
    blob = store.put(TEXT)
    assert [store.destroy(blob.sha256) for _ in range(2)] == [True, False]
    with pytest.raises(NotFound):
        store.get(blob.sha256)
