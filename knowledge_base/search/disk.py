"""The index in its folder: written by one process, read by any number, rebuilt at any time.

    CURRENT        which generation counts, and what made it; replaced in one rename
    <generation>/  a tantivy index; each commit is one rename of its meta.json
    BROKEN         a generation that could not be read, named by whoever noticed
    LOCK           held by the writing process; the system lets go of it when that dies

A reader opens the generation that counts and looks at two time stamps before each search. A writer continues it, or, where
there is none that it can continue, starts another one that counts from its first commit on.
"""

import fcntl
import json
import logging
import os
import shutil
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import tantivy

from knowledge_base.search.documents import SCHEMA, as_document, bookmark, bookmarked
from knowledge_base.search.entry import Entry
from knowledge_base.search.synonyms import Synonyms, shipped

FORMAT = f"2/tantivy {version('tantivy')}/rjieba {version('rjieba')}"
"""An index of another format is rebuilt. Count up when the fields or their tokens change."""

_HEAP = 96_000_000
_log = logging.getLogger(__name__)


class WriterBusy(Exception):
    """Another process writes this index."""


class IndexBroken(Exception):
    """The files of the generation make no sense."""


@dataclass(frozen=True)
class Current:
    """What CURRENT says."""

    generation: str
    format: str
    synonyms: str


def current(folder: Path) -> Current | None:
    """The generation that counts; None where there is none of this format, or it is known to be broken."""
    try:
        said = Current(**json.loads((folder / "CURRENT").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    if said.format != FORMAT or not _is_name(said.generation) or _broken(folder) == said.generation:
        return None
    return said


def mark_broken(folder: Path, generation: str) -> None:
    """From now on nobody uses this generation; the writer starts another one."""
    _log.error("knowledge index generation %s cannot be read: it has to be rebuilt", generation)
    _replace(folder / "BROKEN", generation)


def opened(folder: Path, generation: str) -> tantivy.Index | None:
    """The index of a generation; None, and marked as broken, where it cannot be opened."""
    try:
        index = tantivy.Index.open(str(folder / generation))
        index.config_reader("manual")
        index.reload()
        register(index)
        index.searcher().search(tantivy.Query.all_query(), limit=1)
    except BaseException as broken:
        if not is_breakage(broken):
            raise
        if current(folder) is not None and (folder / generation).exists():
            mark_broken(folder, generation)
        return None
    return index


def register(index: tantivy.Index) -> None:
    tokenizer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
    index.register_tokenizer("whitespace", tokenizer)


def is_breakage(error: BaseException) -> bool:
    """Whether tantivy says (or panics, which is no Exception) that its files are not as they should be."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _is_name(generation: str) -> bool:
    return generation.startswith("g-") and generation[2:].isalnum()


def _broken(folder: Path) -> str:
    try:
        return (folder / "BROKEN").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _replace(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


class Writer:
    """The one process that writes the index of `folder`. Raises `WriterBusy`.

    `cursor` is what the last commit named. None: nothing there that can be continued (no index, a broken one, another
    format, other synonyms); then everything has to be put, and counts from the next commit on. Until then readers go on
    with what there was, if they can read it.
    """

    def __init__(self, folder: Path, synonyms: Synonyms | None = None) -> None:
        self._folder, self._synonyms = folder, synonyms or shipped()
        self._writer: tantivy.IndexWriter | None = None
        self._index: tantivy.Index | None = None
        self._generation = ""
        self._put: set[str] = set()
        self.cursor: str | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / "LOCK", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as held:
            os.close(self._lock)
            raise WriterBusy(str(folder)) from held
        try:
            self._continue()
        except BaseException:
            os.close(self._lock)
            raise

    def _continue(self) -> None:
        there = current(self._folder)
        self._sweep(keep=there.generation if there is not None else "")
        if there is None or there.synonyms != self._synonyms.digest:
            return
        index = opened(self._folder, there.generation)
        if index is None:
            return
        try:
            self.cursor = bookmarked(index.searcher())
            self._writer = index.writer(_HEAP, 1)
        except BaseException as broken:
            if not is_breakage(broken):
                raise
            mark_broken(self._folder, there.generation)
            self.cursor = None
            return
        self._index, self._generation = index, there.generation

    def rebuild(self, entries: Iterable[Entry], cursor: str) -> None:
        """Replace everything by `entries`, in one step for those who read."""
        self._close_writer()
        self._start()
        self.put(entries)
        self.commit(cursor)

    def put(self, entries: Iterable[Entry]) -> None:
        """Add entries, or replace those of the same key. Seen by others after `commit`."""
        writer = self._writing()
        for entry in entries:
            if self.cursor is not None or entry.key in self._put:
                writer.delete_documents_by_term("key", entry.key)
            if self.cursor is None:
                self._put.add(entry.key)
            writer.add_document(as_document(entry, self._synonyms))

    def remove(self, keys: Iterable[str]) -> None:
        writer = self._writing()
        for key in keys:
            writer.delete_documents_by_term("key", key)

    def commit(self, cursor: str) -> None:
        """Make what was put and removed durable and seen, together with how far the feed was followed."""
        writer = self._writing()
        writer.delete_documents_by_term("key", "")
        writer.add_document(bookmark(cursor))
        writer.commit()
        self.cursor, self._put = cursor, set()
        said = current(self._folder)
        if said is None or said.generation != self._generation:
            what = {"generation": self._generation, "format": FORMAT, "synonyms": self._synonyms.digest}
            _replace(self._folder / "CURRENT", json.dumps(what))
            self._sweep(keep=self._generation)

    def settle(self) -> None:
        """Wait until the merges in the background are done. The writer goes on afterwards."""
        self._close_writer()
        self._continue()

    @property
    def waste(self) -> float:
        """Share of the index that replaced and removed entries still take, as of the last commit. Beyond a third or so
        ranking suffers, for they count in how rare a word is: a reason to rebuild."""
        try:
            meta = json.loads((self._folder / self._generation / "meta.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return 0.0
        there = sum(segment["max_doc"] for segment in meta["segments"])
        gone = sum((segment["deletes"] or {}).get("num_deleted_docs", 0) for segment in meta["segments"])
        return gone / there if there else 0.0

    def close(self) -> None:
        """Give up what is not committed, and the lock."""
        if self._lock >= 0:
            self._close_writer()
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _writing(self) -> tantivy.IndexWriter:
        if self._writer is None or _broken(self._folder) == self._generation:
            if self._writer is not None:
                raise IndexBroken(f"generation {self._generation} cannot be read: open the writer anew")
            self._start()
        assert self._writer is not None
        return self._writer

    def _start(self) -> None:
        """An empty generation that does not count yet."""
        self._generation, self.cursor, self._put = f"g-{uuid4().hex}", None, set()
        path = self._folder / self._generation
        path.mkdir()
        self._index = tantivy.Index(SCHEMA, str(path))
        register(self._index)
        self._writer = self._index.writer(_HEAP, 1)

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.wait_merging_threads()
        self._writer = self._index = None

    def _sweep(self, keep: str) -> None:
        """Remove generations that do not count. Who still reads one keeps its open files."""
        for path in self._folder.glob("g-*"):
            if path.name != keep:
                shutil.rmtree(path, ignore_errors=True)


class View:
    """The index as one commit left it. Every method raises `IndexBroken` where the files make no sense."""

    def __init__(self, searcher: tantivy.Searcher) -> None:
        self._searcher = searcher
        self.count = max(searcher.num_docs - 1, 1)  # the bookmark is no entry

    def cursor(self) -> str | None:
        """How far the feed of entries was followed."""
        with _reading():
            return bookmarked(self._searcher)

    def best(self, query: tantivy.Query, limit: int) -> list[tuple[float, tantivy.DocAddress]]:
        """The `limit` best, without counting the others: that lets the engine skip most of them."""
        with _reading():
            return self._searcher.search(query, limit=limit, count=False).hits

    def most(self, query: tantivy.Query, limit: int, by: str) -> list[tantivy.DocAddress]:
        """Those with most of the number field `by`."""
        with _reading():
            found = self._searcher.search(query, limit=limit, count=False, order_by_field=by)
            return [address for _, address in found.hits]

    def document(self, address: tantivy.DocAddress) -> tantivy.Document:
        with _reading():
            return self._searcher.doc(address)

    def numbers(self, name: str, addresses: list[tantivy.DocAddress]) -> list[int]:
        with _reading():
            return [int(each or 0) for each in self._searcher.fast_field_values(name, addresses)]

    def having(self, name: str, token: str) -> int:
        """How many documents have the token, removed ones not yet swept away included."""
        with _reading():
            return self._searcher.doc_freq(name, token)

    def beginning(self, name: str, prefix: str, limit: int) -> list[tuple[str, int]]:
        """Tokens that begin so, and how many documents have each."""
        with _reading():
            return self._searcher.terms_with_prefix(name, prefix, limit=limit)


class _reading:  # noqa: N801, a context manager read as a verb; a generator would cost a microsecond for each term
    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and is_breakage(error):
            raise IndexBroken(str(error)[:200]) from error


class Opened:
    """The generation that counts, as last committed, for the threads of one process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.generation = ""
        self._index: tantivy.Index | None = None
        self._seen: tuple[object, object] = (None, None)
        self._lock = threading.Lock()

    def view(self) -> View | None:
        """A view of the last commit that stays as it is; None where there is no index."""
        for _attempt in range(3):  # the generation may be replaced between reading its name and opening it
            with self._lock:
                self._refresh()
                if self._index is not None:
                    return View(self._index.searcher())
                if current(self.folder) is None:
                    return None
        return None

    @property
    def stamp(self) -> object:
        """Another one after every commit."""
        return self._seen

    def broken(self) -> None:
        """What was read made no sense."""
        with self._lock:
            if self.generation:
                mark_broken(self.folder, self.generation)
            self._index, self._seen = None, (None, None)

    def _refresh(self) -> None:
        seen = (
            (_stamp(self.folder / "CURRENT"), _stamp(self.folder / "BROKEN")),
            _stamp(self.folder / self.generation / "meta.json") if self.generation else None,
        )
        if seen == self._seen and self._index is not None:
            return
        if seen[0] != self._seen[0] or self._index is None:
            said = current(self.folder)
            self.generation = said.generation if said is not None else ""
            committed = _stamp(self.folder / self.generation / "meta.json") if said is not None else None
            self._index = opened(self.folder, said.generation) if said is not None else None
            self._seen = (seen[0], committed)
            return
        try:
            self._index.reload()
        except Exception:  # swept away meanwhile, or damaged: look again from the start
            self._index = None
            return
        self._seen = seen


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
