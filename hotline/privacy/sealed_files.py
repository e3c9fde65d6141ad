"""Files this system makes, sealed at rest: in pieces, each bound to its file and its place, so that none can be exchanged or left out."""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from hotline.privacy.sealing import SealBroken, Sealer, prefix_of

_PIECE: Final = 3 * 1024 * 1024
_LENGTH: Final = 4
_CONTEXT: Final = "files:"


class SealedFiles:
    """A folder only this system's user may enter. Nothing lies in it in clear, but for what is being written in `drafting`."""

    def __init__(self, folder: Path, sealer: Sealer) -> None:
        self.folder = folder
        self._sealer = sealer

    @contextmanager
    def drafting(self) -> Iterator[Path]:
        """A folder for drafts in clear, gone afterwards."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".draft-", dir=self.folder) as made:
            yield Path(made)

    def seal(self, name: str, draft: Path) -> None:
        """Keep what is in `draft` as `name`, replacing what was there."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.folder / f".{secrets.token_hex(8)}"
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file, draft.open("rb") as source:
                self._write(name, source, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.folder / name)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise

    def _write(self, name: str, source: BinaryIO, file: BinaryIO) -> None:
        number, piece = 0, source.read(_PIECE)
        while True:
            following = source.read(_PIECE)
            mark = f"{number}:{'more' if following else 'end'}:"
            sealed = self._sealer.seal_bytes(mark.encode() + piece, _CONTEXT + name)
            file.write(len(sealed).to_bytes(_LENGTH, "big") + sealed)
            if not following:
                return
            number, piece = number + 1, following

    def read(self, name: str) -> bytes:
        """The content again. Raises `FileNotFoundError`, and `SealBroken` for one that was altered, cut off or exchanged."""
        pieces: list[bytes] = []
        with (self.folder / name).open("rb") as file:
            while length := file.read(_LENGTH):
                opened = self._sealer.open_bytes(file.read(int.from_bytes(length, "big")), _CONTEXT + name)
                mark, content = _parted(opened)
                ended = mark == f"{len(pieces)}:end"
                if not ended and mark != f"{len(pieces)}:more":
                    raise SealBroken
                pieces.append(content)
                if ended:
                    return b"".join(pieces)
        raise SealBroken

    def names(self) -> list[str]:
        """The files there are."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.glob("[!.]*") if path.is_file())

    def under_older_keys(self) -> list[str]:
        """The names of files not sealed with the current key."""
        current = prefix_of(self._sealer.pinned().key)
        return [name for name in self.names() if self.begins(name) not in (current, b"")]

    def begins(self, name: str) -> bytes:
        """How a file's first sealed piece begins, which says with what key it was sealed; nothing where the file is gone."""
        try:
            with (self.folder / name).open("rb") as file:
                file.read(_LENGTH)
                return file.read(4)
        except FileNotFoundError:
            return b""

    def reseal(self, name: str) -> None:
        """Seal a file anew with the current key; one destroyed meanwhile is left out."""
        with self.drafting() as folder:
            try:
                content = self.read(name)
            except FileNotFoundError:
                return
            draft = folder / "draft"
            draft.write_bytes(content)
            self.seal(name, draft)

    def destroy(self, name: str) -> None:
        """Remove it, if it is there."""
        (self.folder / name).unlink(missing_ok=True)

    def clear_drafts(self, before: float) -> None:
        """Remove drafts that processes left which were killed before that time (seconds since 1970)."""
        for draft in self.folder.glob(".*"):
            with contextlib.suppress(FileNotFoundError):
                if draft.stat().st_mtime >= before:
                    continue
                if draft.is_dir():
                    shutil.rmtree(draft)
                else:
                    draft.unlink()


def _parted(piece: bytes) -> tuple[str, bytes]:
    """A piece's mark, `0:more` or `3:end`, and its content."""
    number, _, rest = piece.partition(b":")
    word, _, content = rest.partition(b":")
    return f"{number.decode('ascii', 'replace')}:{word.decode('ascii', 'replace')}", content
