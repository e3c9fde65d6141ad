"""Files by content hash, in a folder only this system's user may enter. Writing the same bytes twice keeps one copy."""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hotline.uploads import media_type_of
from workflow.errors import LimitExceeded, NotFound, OrderInvalid, RuleBroken

_FOLDER: Final = 0o700
_FILE: Final = 0o600
_IN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class FileAltered(RuleBroken):
    """Stored bytes that are no longer those that were filed: somebody or a disk changed them."""

    code = "file_altered"


@dataclass(frozen=True, slots=True)
class Blob:
    """Stored bytes: their SHA-256 in hex, size in bytes, and media type by content."""

    sha256: str
    size: int
    media_type: str


class BlobStore:
    """The folder the bytes lie in, `ab/cdef…` by hash, and the largest size taken (bytes).

    `folder` itself may be a link to another disk; inside it no link is followed.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes

    def put(self, content: bytes) -> Blob:
        """Keep `content`. Raises `LimitExceeded` if too large, `OrderInvalid` if empty or of a kind not taken (field `file`)."""
        if not content:
            raise OrderInvalid("文件是空的，请重新选择。", field="file")
        if len(content) > self.max_bytes:
            raise LimitExceeded(
                f"文件超过 {self.max_bytes // 1024 // 1024} MB 的上限，请压缩或分开上传。", field="file"
            )
        media_type = media_type_of(content)
        sha256 = hashlib.sha256(content).hexdigest()
        self._write(sha256, content)
        return Blob(sha256, len(content), media_type)

    def get(self, sha256: str) -> bytes:
        """The bytes again. Raises `NotFound` if they were destroyed, `FileAltered` if they are others."""
        inner, name = _place(sha256)
        try:
            with self._inside(inner) as folder:
                handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
                with os.fdopen(handle, "rb") as file:
                    content = file.read()
        except OSError:
            raise NotFound("该文件已按规定销毁，或已不在存储中。", field="file") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise FileAltered("该文件内容与登记时不符，可能已损坏或被改动，请联系管理员。", field="file")
        return content

    def holds(self, sha256: str) -> bool:
        """Whether there is a file of that hash; its bytes are not read."""
        inner, name = _place(sha256)
        try:
            with self._inside(inner) as folder:
                return _is_file(name, folder)
        except FileNotFoundError:
            return False

    def destroy(self, sha256: str) -> bool:
        """Remove the bytes; whether there were any."""
        inner, name = _place(sha256)
        try:
            with self._inside(inner) as folder:
                os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return False
        return True

    def _write(self, sha256: str, content: bytes) -> None:
        inner, name = _place(sha256)
        for made in (self.folder, self.folder / inner):
            made.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
        with self._inside(inner) as folder:
            if _is_file(name, folder):
                return
            draft = f".{secrets.token_hex(8)}"
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE, dir_fd=folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(draft, dir_fd=folder)
                raise
            os.fsync(folder)

    @contextlib.contextmanager
    def _inside(self, inner: str) -> Iterator[int]:
        handle = os.open(self.folder / inner, _IN_FOLDER)
        try:
            yield handle
        finally:
            os.close(handle)


def _is_file(name: str, folder: int) -> bool:
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
    except OSError:
        return False
    os.close(handle)
    return True


def _place(sha256: str) -> tuple[str, str]:
    """The inner folder and the name of a hash. Raises `NotFound` for what is none."""
    if len(sha256) != 64 or not all(c in "0123456789abcdef" for c in sha256):
        raise NotFound("文件标识无效。", field="file")
    return sha256[:2], sha256[2:]
