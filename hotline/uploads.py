"""What files are taken: the type is told by content, what could act on a reader's machine is refused, names carry no tricks.

This is no virus scanner. Nothing is decoded: pictures, sound and documents go out as the bytes that came in, as downloads only,
so that a picture of a billion pixels costs the server nothing.
"""

import io
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from typing import Final

import puremagic

from workflow.errors import OrderInvalid

_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
ALLOWED: Final[dict[str, tuple[str, ...]]] = {
    "application/pdf": ("pdf",),
    "image/png": ("png",),
    "image/jpeg": ("jpg", "jpeg"),
    "image/gif": ("gif",),
    "image/webp": ("webp",),
    "audio/mpeg": ("mp3",),
    "audio/wav": ("wav",),
    "audio/x-wav": ("wav",),
    "audio/wave": ("wav",),
    "audio/ogg": ("ogg", "oga", "opus"),
    "audio/amr": ("amr",),
    "video/mp4": ("mp4", "m4v", "m4a"),
    _OFFICE + "wordprocessingml.document": ("docx",),
    _OFFICE + "spreadsheetml.sheet": ("xlsx",),
    "text/plain": ("txt",),
}
"""The media types taken, each with the name endings that fit it; the first is appended where none does."""

_LEADING: Final = 64 * 1024
_MAIN_PARTS: Final = {
    "word/document.xml": "wordprocessingml.document",
    "xl/workbook.xml": "spreadsheetml.sheet",
}


def media_type_of(content: bytes) -> str:
    """The media type by content, one of `ALLOWED`. Raises `OrderInvalid` (field `file`) for anything else, and for what is
    dangerous to open or to unpack."""
    kind = _sniff(content)
    if kind == "application/pdf":
        _check_pdf(content)
    elif kind.startswith(_OFFICE):
        _check_office(content)
    return kind


def _sniff(content: bytes) -> str:
    if content.startswith(b"PK"):
        guesses = [_office_type(content)]
    else:
        guesses = [guess for guess in _magic(content) if guess != "text/plain"]
        guesses += ["text/plain"] if _is_plain_text(content) else []
    for guess in guesses:
        if guess in ALLOWED:
            return guess
    raise OrderInvalid("不支持的文件类型；可上传 PDF、图片、录音、视频、Word、Excel 和纯文本。", field="file")


def _magic(content: bytes) -> list[str]:
    try:
        return [str(guess.mime_type) for guess in puremagic.magic_string(content[:_LEADING])]
    except (puremagic.PureError, ValueError):
        return []


def _is_plain_text(content: bytes) -> bool:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return "\x00" not in text and "<" not in text[:1024]


# --- Word and Excel ----------------------------------------------------------------------------------------------------

_PARTS_MOST: Final = 5_000
_UNPACKED_MOST: Final = 300 * 1024 * 1024
"""Bytes all parts of one document may have unpacked (300 MiB)."""

_RATIO_MOST: Final = 100
_RATIO_FREE: Final = 10 * 1024 * 1024
"""Bytes unpacked up to which the ratio does not count (10 MiB): short repetitive sheets pack well."""

_CHUNK: Final = 256 * 1024
_ACTIVE_NAMES: Final = re.compile(
    r"(?i)vbaproject|vbadata|activex|oleobject|\.(exe|dll|bat|cmd|js|vbs|ps1|scr|lnk|hta)$"
)
_ACTIVE_TYPES: Final = re.compile(rb"(?i)macroenabled|vbaproject|activex|oleobject")
_RELATIONSHIP: Final = re.compile(r"<(?:\w+:)?Relationship\b[^>]*>")
_ACTIVE: Final = "文件含有宏、控件、嵌入对象或外部链接的内容，打开可能有危险；请另存为 PDF 后上传。"
_BROKEN: Final = "文件无法读取或结构异常，请用 Word、Excel 重新保存后上传。"


def _office_type(content: bytes) -> str:
    """A zip archive's type by the part that makes it a Word or an Excel file."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
        return ""
    if "[Content_Types].xml" not in names:
        return ""
    return next((_OFFICE + kind for part, kind in _MAIN_PARTS.items() if part in names), "")


def _check_office(content: bytes) -> None:
    """Raises `OrderInvalid` for a zip bomb, macros, embedded programs, or anything fetched from elsewhere when opened."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            _check_directory(parts, len(content))
            for part in parts:
                _check_part(part.filename, _unpacked(archive, part))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, RuntimeError, zlib.error):
        raise OrderInvalid(_BROKEN, field="file") from None


def _check_directory(parts: list[zipfile.ZipInfo], packed: int) -> None:
    names = {part.filename.lower() for part in parts}
    total = sum(part.file_size for part in parts)
    if total > _UNPACKED_MOST or (total > _RATIO_FREE and total > packed * _RATIO_MOST):
        raise OrderInvalid("文件解压后过大，请拆分或另存为 PDF 后上传。", field="file")
    strange = any(part.flag_bits & 1 or _leads_out(part.filename) for part in parts)
    if len(parts) > _PARTS_MOST or len(names) != len(parts) or strange:
        raise OrderInvalid(_BROKEN, field="file")
    if any(_ACTIVE_NAMES.search(name) for name in names):
        raise OrderInvalid(_ACTIVE, field="file")


def _leads_out(name: str) -> bool:
    return name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/")


def _unpacked(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> Iterator[bytes]:
    """A part's content in pieces; ValueError if it is not as long as the directory says."""
    declared = part.file_size
    part.file_size = (
        _UNPACKED_MOST  # else reading would stop where the directory says, and its lie stay unseen
    )
    seen = 0
    with archive.open(part) as stream:
        while piece := stream.read(_CHUNK):
            seen += len(piece)
            if seen > declared:
                break
            yield piece
    if seen != declared:
        raise ValueError("a part of another length than declared")


def _check_part(name: str, pieces: Iterator[bytes]) -> None:
    lower = name.lower()
    whole = lower.endswith(".rels") or lower == "[content_types].xml"
    head = b""
    for piece in pieces:
        if whole or not head:
            head += piece
    if lower.endswith((".xml", ".rels")) and re.search(rb"<!\s*(DOCTYPE|ENTITY)", head.replace(b"\x00", b"")):
        raise OrderInvalid(_BROKEN, field="file")
    if lower == "[content_types].xml" and _ACTIVE_TYPES.search(head.replace(b"\x00", b"")):
        raise OrderInvalid(_ACTIVE, field="file")
    if lower.endswith(".rels") and _fetches(head):
        raise OrderInvalid(_ACTIVE, field="file")


def _fetches(relationships: bytes) -> bool:
    """Whether opening the document would fetch something: only links a reader clicks may lead outside."""
    text = relationships.replace(b"\x00", b"").decode("utf-8", "replace")
    outside = (r for r in _RELATIONSHIP.findall(text) if re.search(r"TargetMode\s*=\s*[\"']External", r))
    return any(not re.search(r"Type\s*=\s*[\"'][^\"']*/hyperlink[\"']", each) for each in outside)


# --- PDF ---------------------------------------------------------------------------------------------------------------

_PDF_ACTIVE: Final = re.compile(rb"/(JavaScript|Launch|EmbeddedFiles?|RichMedia|XFA)(?=[\s/<\[(>\]]|$)")
_PDF_ESCAPE: Final = re.compile(rb"#([0-9A-Fa-f]{2})")
_PDF_DICTIONARY: Final = 2_000
"""Bytes before a stream in which its dictionary is looked for."""

_PDF_UNPACKED_MOST: Final = 64 * 1024 * 1024
_PDF_STREAMS_MOST: Final = 50_000
_PDF_ESCAPES_MOST: Final = 200_000
_PDF_STRANGE: Final = "PDF 文件已加密或结构异常，无法检查；请打印为 PDF 或截图后上传。"


def _check_pdf(content: bytes) -> None:
    """Raises `OrderInvalid` for a PDF with scripts, started programs, embedded files or forms that compute (field `file`).

    Those are what malicious PDFs act through; a citizen can print to PDF or photograph instead. Names are looked for in the
    whole file and inside object streams; an object stream that can't be looked into (encrypted, filtered twice) is refused too.
    """
    unpacked = b"\n".join(_object_streams(content))
    if any(_PDF_ACTIVE.search(_unescaped(part)) for part in (content, unpacked)):
        raise OrderInvalid(
            "PDF 文件含有脚本、嵌入文件或可执行的内容，打开可能有危险；请打印为 PDF 或截图后上传。",
            field="file",
        )


def _object_streams(content: bytes) -> Iterator[bytes]:
    """What stands packed in a PDF's object streams."""
    budget = _PDF_UNPACKED_MOST
    if content.count(b"endstream") > _PDF_STREAMS_MOST or content.count(b"stream") > 3 * _PDF_STREAMS_MOST:
        raise OrderInvalid(_PDF_STRANGE, field="file")
    at = content.find(b"stream")
    while at >= 0:
        dictionary = _unescaped(content[max(0, at - _PDF_DICTIONARY) : at])
        dictionary = dictionary[dictionary.rfind(b" obj") + 1 :]
        opening = content[at - 3 : at] != b"end"
        if opening and b"/ObjStm" in dictionary and b"/Filter" in dictionary:
            begin = at + len(b"stream")
            end = content.find(b"endstream", begin)
            unpacked = _inflated(content[begin : end if end >= 0 else None].lstrip(b"\r\n"), budget)
            budget -= len(unpacked)
            yield unpacked
        at = content.find(b"stream", at + len(b"stream"))


def _inflated(packed: bytes, most: int) -> bytes:
    try:
        unpacked = zlib.decompressobj().decompress(packed, most) if most > 0 else None
    except zlib.error:
        unpacked = None
    if unpacked is None or len(unpacked) >= most:
        raise OrderInvalid(_PDF_STRANGE, field="file")
    return unpacked


def _unescaped(content: bytes) -> bytes:
    """Names written with `#4A` instead of `J`, plainly."""
    plain, count = _PDF_ESCAPE.subn(lambda m: bytes((int(m[1], 16),)), content, _PDF_ESCAPES_MOST)
    if count == _PDF_ESCAPES_MOST:
        raise OrderInvalid(_PDF_STRANGE, field="file")
    return plain


# --- names -------------------------------------------------------------------------------------------------------------

NAME_MOST: Final = 200
_RESERVED: Final = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?")
_NAMELESS: Final = "未命名"


def file_name(given: str, media_type: str) -> str:
    """A name safe to save under anywhere: no path, no invisible or direction-changing characters, no leading dots, none of
    Windows' devices, at most `NAME_MOST` characters, and an ending that fits the content (`报告.pdf.exe` of a PDF becomes
    `报告.pdf.exe.pdf`)."""
    name = given.replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    name = re.sub(r'[<>:"|?*]', "_", name).lstrip(". \u3000").rstrip(". \u3000")
    name = name or _NAMELESS
    if _RESERVED.fullmatch(name):
        name = "_" + name
    endings = ALLOWED[media_type]
    stem, dot, ending = name.rpartition(".")
    if not (dot and stem and ending.lower() in endings):
        stem, ending = name, endings[0]
    return f"{stem[: NAME_MOST - len(ending) - 1].rstrip('. ')}.{ending}"
