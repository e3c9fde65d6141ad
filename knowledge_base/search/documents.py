"""How an entry lies in the index: fields to find it by, and its text to show it."""

import json
import re
from dataclasses import dataclass
from datetime import date
from typing import Any

import tantivy

from hotline.reference import area_prefix
from knowledge_base.search.entry import Entry, Filters
from knowledge_base.search.folding import fold
from knowledge_base.search.pinyin import aligned, sounds
from knowledge_base.search.synonyms import Synonyms
from knowledge_base.search.words import characters, tokens

HEADING_TIMES, SYNONYM_TIMES = 3, 2
"""How often words of the question and the synonyms count, beside once for those of the answer (BM25F)."""
_MOST_BODY = 40_000
_MOST_HEADING = 2_000
_MOST_RANKED = 8_000
SEPARATOR = "\x1f"
_EVER, _NEVER = 10_000_000, 0


def _schema() -> tantivy.Schema:
    building = tantivy.SchemaBuilder()
    building.add_text_field("key", stored=True, tokenizer_name="raw", index_option="basic")
    for name in ("text", "heading"):  # everything, weighted; question, title, synonyms alone
        building.add_text_field(name, tokenizer_name="whitespace", index_option="freq")
    for name in ("sound", "initials", "spelled", "filters"):
        building.add_text_field(name, tokenizer_name="whitespace", index_option="basic")
    for name in ("valid_from", "valid_until", "popularity", "depth"):
        building.add_integer_field(name, indexed=name.startswith("valid"), fast=True)
    building.add_bytes_field("folded", stored=True, indexed=False)  # heading, synonyms and body, to rank by
    building.add_bytes_field("shown", stored=True, indexed=False)
    return building.build()


SCHEMA = _schema()


def as_document(entry: Entry, synonyms: Synonyms) -> tantivy.Document:
    """The document of an entry. Texts beyond reason are cut for finding, never for showing."""
    headings = [each for each in dict.fromkeys((entry.question, entry.title)) if each]
    heading = fold("\n".join(headings))[:_MOST_HEADING]
    also = fold("\n".join(entry.synonyms))[:_MOST_HEADING]
    body = fold("\n".join([entry.answer, *(text for _, text in entry.guide)]))[:_MOST_BODY]
    in_heading, in_also = tokens(heading), tokens(also)
    in_heading += synonyms.tokens(heading)
    heard = f"{heading}\n{also}"
    sounding = sounds(heard, aligned(heard))
    document = tantivy.Document()
    document.add_text("key", entry.key)
    everything = in_heading * HEADING_TIMES + in_also * SYNONYM_TIMES + tokens(body) + synonyms.tokens(body)
    document.add_text("text", " ".join(everything))
    document.add_text("heading", " ".join([*in_heading, *in_also, *characters(heard)]))
    document.add_text("sound", " ".join(sounding.sound))
    document.add_text("initials", " ".join(sounding.initials))
    document.add_text("spelled", " ".join(sounding.spelled))
    document.add_text("filters", " ".join(_filter_tokens(entry)))
    document.add_integer("valid_from", entry.valid_from.toordinal() if entry.valid_from else _NEVER)
    document.add_integer("valid_until", entry.valid_until.toordinal() if entry.valid_until else _EVER)
    document.add_integer("popularity", max(0, min(entry.popularity, 2**31)))
    document.add_integer("depth", len(_area(entry.area)) if entry.area else 0)
    document.add_bytes("folded", SEPARATOR.join((heading, also, body[:_MOST_RANKED])).encode())
    document.add_bytes("shown", _packed([entry.question, entry.answer, entry.guide]))
    return document


@dataclass(frozen=True, slots=True)
class Shown:
    """What a found document shows."""

    key: str
    question: str
    answer: str
    guide: tuple[tuple[str, str], ...]


def shown(document: tantivy.Document) -> Shown:
    question, answer, guide = json.loads(_unpacked(document))
    return Shown(key_of(document), question, answer, tuple((name, text) for name, text in guide))


def key_of(document: tantivy.Document) -> str:
    return str(document.get_first("key"))


def folded(document: tantivy.Document) -> tuple[str, str, str]:
    """Heading, synonyms and body of a found document, folded."""
    heading, also, body = bytes(document.get_first("folded") or b"").decode().split(SEPARATOR, 2)
    return heading, also, body


def bookmark(cursor: str) -> tantivy.Document:
    """The document that says how far the feed was followed. It has no words, so nothing finds it."""
    document = tantivy.Document()
    document.add_text("key", "")
    document.add_bytes("shown", _packed(cursor))
    return document


def bookmarked(searcher: tantivy.Searcher) -> str | None:
    found = searcher.search(tantivy.Query.term_query(SCHEMA, "key", ""), limit=1).hits
    return json.loads(_unpacked(searcher.doc(found[0][1]))) if found else None


def filter_query(filters: Filters, on: date) -> list[tantivy.Query]:
    """What a document must have, whatever is asked. `on` is the day in China that validity is judged by."""
    wanted: list[list[str]] = []
    if filters.unit is not None:
        wanted.append([f"u:{_word(filters.unit)}"])
    if filters.category is not None:
        wanted.append([f"c:{_word(filters.category)}"])
    if filters.area is not None:
        prefix = _area(filters.area)
        above = [prefix[:size] for size in _AREA_SIZES if size < len(prefix)]
        wanted.append(["at:", *(f"at:{each}" for each in above), f"in:{prefix}"])
    if filters.platforms:
        wanted.append(["p:", *(f"p:{each}" for each in filters.platforms)])
    queries = [_any_of(each) for each in wanted]
    return queries + (valid_on(on) if filters.only_valid else [])


def limited(query: tantivy.Query, must: list[tantivy.Query]) -> tantivy.Query:
    """What `query` finds among documents with all of `must`, which add nothing to the score."""
    if not must:
        return query
    needed = [(tantivy.Occur.Must, tantivy.Query.const_score_query(each, 0.0)) for each in must]
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, query), *needed])


def valid_on(day: date) -> list[tantivy.Query]:
    number, kind = day.toordinal(), tantivy.FieldType.Integer
    return [
        tantivy.Query.range_query(SCHEMA, "valid_until", kind, lower_bound=number),
        tantivy.Query.range_query(SCHEMA, "valid_from", kind, upper_bound=number),
    ]


def every_entry() -> tantivy.Query:
    return tantivy.Query.term_query(SCHEMA, "filters", "entry", "basic")


_AREA_SIZES = (2, 4, 6, 9, 12)


def _any_of(tokens: list[str]) -> tantivy.Query:
    each = [tantivy.Query.term_query(SCHEMA, "filters", token, "basic") for token in tokens]
    return (
        each[0] if len(each) == 1 else tantivy.Query.boolean_query([(tantivy.Occur.Should, q) for q in each])
    )


def _filter_tokens(entry: Entry) -> list[str]:
    found = ["entry"]
    if entry.unit is not None:
        found.append(f"u:{_word(entry.unit)}")
    for code in entry.categories:
        found += [f"c:{_word(code[:n])}" for n in range(1, len(code) + 1)]
    if entry.area is None:
        found.append("at:")
    else:
        prefix = _area(entry.area)
        found.append(f"at:{prefix}")
        found += [f"in:{prefix[:size]}" for size in _AREA_SIZES if size <= len(prefix)]
    found += [f"p:{each}" for each in entry.platforms] or ["p:"]
    return list(dict.fromkeys(found))


def _area(code: str) -> str:
    return area_prefix(_word(code)[:12])


def _word(text: str) -> str:
    return re.sub(r"\s", "_", text)[:64].encode("utf-8", "replace").decode()


def _packed(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _unpacked(document: tantivy.Document) -> str:
    return bytes(document.get_first("shown") or b"null").decode("utf-8", "surrogatepass")
