"""Searching what is known: an index on disk, written by one process of a replica and read by the others (art. 19-24)."""

from knowledge_base.search.disk import IndexBroken, Writer, WriterBusy
from knowledge_base.search.entry import Entry, Filters, Hit, Results, Snippet, Validity
from knowledge_base.search.reader import Reader
from knowledge_base.search.synonyms import Synonyms

__all__ = [
    "Entry",
    "Filters",
    "Hit",
    "IndexBroken",
    "Reader",
    "Results",
    "Snippet",
    "Synonyms",
    "Validity",
    "Writer",
    "WriterBusy",
]
