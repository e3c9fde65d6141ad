"""Files by content hash, in a folder. Writing the same bytes twice keeps one copy; the type is told by content, not by name."""

import hashlib
import io
import os
import secrets
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import puremagic

from workflow.errors import LimitExceeded, NotFound, OrderInvalid

ALLOWED: Final[dict[str, str]] = {
    "application/pdf": "pdf",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/ogg": "ogg",
    "audio/amr": "amr",
    "video/mp4": "mp4",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/plain": "txt",
}
_LEADING = 64 * 1024
_OFFICE = "application/vnd.openxmlformats-officedocument."
_MAIN_PARTS = {
    "word/document.xml": "wordprocessingml.document",
    "xl/workbook.xml": "spreadsheetml.sheet",
}


@dataclass(frozen=True, slots=True)
class Blob:
    """Stored bytes: their SHA-256 in hex, size in bytes, and media type by content."""

    sha256: str
    size: int
    media_type: str


class BlobStore:
    """The folder the bytes lie in, `ab/cdef…` by hash, and the largest size taken (bytes)."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes

    def put(self, content: bytes) -> Blob:
        """Keep `content`. Raises `LimitExceeded` if too large, `OrderInvalid` if empty or of a type not taken (field `file`)."""
        if not content:
            raise OrderInvalid("文件是空的，请重新选择。", field="file")
        if len(content) > self.max_bytes:
            raise LimitExceeded(
                f"文件超过 {self.max_bytes // 1024 // 1024} MB 的上限，请压缩或分开上传。", field="file"
            )
        media_type = sniff(content)
        sha256 = hashlib.sha256(content).hexdigest()
        target = self._path(sha256)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".{secrets.token_hex(8)}")
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        return Blob(sha256, len(content), media_type)

    def get(self, sha256: str) -> bytes:
        """The bytes again. Raises `NotFound` if they were destroyed."""
        path = self._path(sha256)
        if not path.is_file():
            raise NotFound("该文件已按规定销毁，或已不在存储中。", field="file")
        return path.read_bytes()

    def destroy(self, sha256: str) -> bool:
        """Remove the bytes; whether there were any."""
        path = self._path(sha256)
        existed = path.exists()
        path.unlink(missing_ok=True)
        return existed

    def _path(self, sha256: str) -> Path:
        if len(sha256) != 64 or not all(c in "0123456789abcdef" for c in sha256):
            raise NotFound("文件标识无效。", field="file")
        return self.folder / sha256[:2] / sha256[2:]


def sniff(content: bytes) -> str:
    """The media type by content, one of `ALLOWED`. Raises `OrderInvalid` (field `file`) for anything else."""
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


def _office_type(content: bytes) -> str:
    """A zip archive's type by the part that makes it a Word or an Excel file; with macros it is neither."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
        return ""
    if "[Content_Types].xml" not in names or any(name.endswith("vbaProject.bin") for name in names):
        return ""
    return next((_OFFICE + kind for part, kind in _MAIN_PARTS.items() if part in names), "")


def _is_plain_text(content: bytes) -> bool:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return "\x00" not in text and "<" not in text[:1024]
