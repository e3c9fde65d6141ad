"""What one actor finds while the caller is still talking: their platform's articles and those above, local ones first. Art. 14(2), 19-21.

While there is no index, or one of another database, the database answers itself, simply, and says so.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, StringConstraints
from sqlalchemy import ColumnElement, exists, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col

from hotline import requests
from hotline.access import Actor
from hotline.fields import Order, keepable
from hotline.ledger import text_digest
from hotline.organisation import OrgUnit, Platform
from hotline.privacy.masking import mask_text
from hotline.reference import area_prefix
from knowledge_base import articles
from knowledge_base.library import POPULAR_DAYS, Library, published
from knowledge_base.models import Article, ArticleUse, ArticleVersion, MissedSearch
from knowledge_base.search.entry import Filters, Hit, Range, Snippet, Validity
from knowledge_base.search.folding import fold
from workflow.deadlines import local_day
from workflow.vocabulary import Relation

LONGEST_MISS: Final = 100
_SHORTEST_MISS: Final = 2
ANSWERED: Final = 0.3
"""A search whose first hits say less of what tells in the question (in idf) is one without a result.

Of 327 real questions with their own passage among the first five 1 % fall below it; of the same ones asked of passages without
their own, 45 %. The share of characters at one half tells 0.3 % and 21 % apart."""

_FALLBACK_MS: Final = 1500


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for: text as typed, and filters."""

    text: str = ""
    area: str | None = None
    unit: str | None = None
    category: str | None = None
    limit: int = 10


@dataclass(frozen=True, slots=True)
class Found:
    """One article found: its published version, what to mark in it, where it stands among local and province articles."""

    article: Article
    version: ArticleVersion
    unit: str | None
    validity: Validity
    question_marks: tuple[Range, ...] = ()
    answer_marks: tuple[Range, ...] = ()
    snippet: Snippet | None = None
    score: float = 0.0
    popularity: int = 0
    overridden_by: str | None = None

    @property
    def name(self) -> str:
        """`12@3`."""
        return articles.reference(self.version)


@dataclass(frozen=True, slots=True)
class Page:
    """What was found. `source`: the index, or the database while there is none; `behind`: changes the index has yet to take in."""

    found: tuple[Found, ...]
    did_you_mean: str | None = None
    popular: bool = False
    source: Literal["index", "database"] = "index"
    behind: int = 0
    missed: bool = False


def search(session: Session, library: Library, actor: Actor, wanted: Wanted, at: datetime) -> Page:
    """The best of what the actor's platform sees for `wanted`; with nothing typed the most told. Raises nothing of its own."""
    on = local_day(at)
    platforms = tuple(session.execute(articles.platforms_read(actor)).scalars())
    if not platforms:
        return Page(())
    behind = library.behind(session)
    filters = Filters(wanted.unit, wanted.category, wanted.area, platforms)
    results = library.search(wanted.text, on, filters, wanted.limit) if behind is not None else None
    if results is None or not results.ready:
        found = _from_database(session, platforms, wanted, on)
        return Page(tuple(_local_first(session, actor, found, on)), None, not wanted.text.strip(), "database")
    found = _with_rows(session, platforms, results.hits, on)
    page = Page(
        tuple(_local_first(session, actor, found, on)[: wanted.limit]),
        results.did_you_mean,
        results.popular,
        "index",
        behind or 0,
    )
    plain = wanted.area is None and wanted.unit is None and wanted.category is None
    return replace(
        page,
        missed=plain and bool(wanted.text.strip()) and (not results.hits or results.answered < ANSWERED),
    )


def _with_rows(session: Session, platforms: Sequence[int], hits: Sequence[Hit], on: date) -> list[Found]:
    """The hits with what is published now: an article withdrawn since is left out, one worded anew is shown as it is now, unmarked."""
    rows = _published(session, platforms, col(Article.id).in_([int(hit.key) for hit in hits]), on)
    told = popularity(session, list(rows), on)
    found = []
    for hit in hits:
        row = rows.get(int(hit.key))
        if row is None:
            continue
        same = (row.version.question, row.version.answer) == (hit.question, hit.answer)
        found.append(
            replace(
                row,
                question_marks=hit.question_marks if same else (),
                answer_marks=hit.answer_marks if same else (),
                snippet=hit.snippet if same else None,
                score=hit.score,
                popularity=told.get(row.article.id, 0),
            )
        )
    return found


def _published(
    session: Session, platforms: Iterable[int], condition: ColumnElement[bool], on: date, limit: int = 200
) -> dict[int, Found]:
    rows = session.execute(
        published().where(condition, col(Article.platform_id).in_(list(platforms))).limit(limit)
    )
    return {
        article.id: Found(article, version, unit, validity(version, on)) for article, version, unit, _ in rows
    }


def validity(version: ArticleVersion, on: date) -> Validity:
    """Whether a version is valid on a civil day, over, or not yet in force."""
    if version.valid_until is not None and version.valid_until < on:
        return Validity.EXPIRED
    if version.valid_from is not None and on < version.valid_from:
        return Validity.FUTURE
    return Validity.VALID


def popularity(session: Session, article_ids: Sequence[int], on: date) -> dict[int, int]:
    """How often each was told in the last 30 days."""
    rows = session.execute(
        select(col(ArticleUse.article_id), func.sum(col(ArticleUse.told)))
        .where(
            col(ArticleUse.article_id).in_(article_ids),
            col(ArticleUse.day) > on - timedelta(days=POPULAR_DAYS),
        )
        .group_by(col(ArticleUse.article_id))
    )
    return {article_id: int(told) for article_id, told in rows}


# --- local articles beside the province's (art. 21) --------------------------------------------------------------------


def _local_first(session: Session, actor: Actor, found: list[Found], on: date) -> list[Found]:
    """A province article that the actor's own platform overrides comes after the local one, which is fetched where it was not found."""
    sources = [each.article.id for each in found if each.article.platform_id != actor.home_id]
    if not sources or actor.home_id is None:
        return found
    chain = _upwards(session, actor.home_id)
    local = _published(
        session,
        chain,
        col(Article.source_id).in_(sources) & (col(Article.relation) == Relation.OVERRIDES),
        on,
    )
    over: dict[int, Found] = {}
    for each in sorted(local.values(), key=lambda one: chain.index(one.article.platform_id)):
        if each.validity is Validity.VALID and each.article.source_id is not None:
            over.setdefault(each.article.source_id, each)
    return _in_order(found, over)


def _in_order(found: list[Found], over: Mapping[int, Found]) -> list[Found]:
    by_key = {each.article.id: each for each in found}
    ordered: list[Found] = []
    placed: set[int] = set()
    for each in found:
        local = over.get(each.article.id)
        if local is not None and local.article.id not in placed:
            ordered.append(by_key.get(local.article.id, replace(local, score=each.score)))
            placed.add(local.article.id)
        if each.article.id not in placed:
            ordered.append(replace(each, overridden_by=local.name) if local is not None else each)
            placed.add(each.article.id)
    return ordered


def _upwards(session: Session, platform_id: int) -> list[int]:
    """A platform and those above it, in order."""
    parents: dict[int, int | None] = {
        found[0]: found[1] for found in session.execute(select(col(Platform.id), col(Platform.parent_id)))
    }
    chain: list[int] = []
    step: int | None = platform_id
    while step is not None and step not in chain:
        chain.append(step)
        step = parents.get(step)
    return chain


# --- without an index --------------------------------------------------------------------------------------------------


def _from_database(session: Session, platforms: Sequence[int], wanted: Wanted, on: date) -> list[Found]:
    """Articles whose question has every word typed; with nothing typed the most told. Nothing where that takes too long."""
    words = re.findall(r"\w+", wanted.text)[:6]
    tests: list[ColumnElement[bool]] = [
        col(ArticleVersion.question).ilike(f"%{_escaped(word)}%", escape="\\") for word in words
    ]
    if wanted.unit is not None:
        tests.append(col(OrgUnit.code) == wanted.unit)
    if wanted.category is not None:
        tests.append(_in_category(wanted.category))
    if not words:
        tests.append(
            exists(
                select(col(ArticleUse.day)).where(
                    col(ArticleUse.article_id) == col(Article.id),
                    col(ArticleUse.told) > 0,
                    col(ArticleUse.day) > on - timedelta(days=POPULAR_DAYS),
                )
            )
        )
    try:
        session.execute(text(f"SET LOCAL statement_timeout = {_FALLBACK_MS}"))
        rows = _published(session, platforms, _all(tests), on, limit=200 if not words else wanted.limit)
        session.execute(text("SET LOCAL statement_timeout = DEFAULT"))
    except DBAPIError:
        session.rollback()
        return []
    told = popularity(session, list(rows), on)
    found = [replace(row, popularity=told.get(key, 0)) for key, row in rows.items() if _in_area(row, wanted)]
    found.sort(key=lambda each: (each.validity is not Validity.VALID, -each.popularity, each.article.id))
    return found[: wanted.limit]


def _all(tests: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = col(Article.withdrawn_at).is_(None)
    for each in tests:
        condition &= each
    return condition


def _in_category(code: str) -> ColumnElement[bool]:
    """Whether one of a version's categories begins so."""
    each = func.jsonb_array_elements_text(col(ArticleVersion.categories)).table_valued("code")
    return exists(select(each.c.code).where(each.c.code.startswith(code, autoescape=True)))


def _escaped(word: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", word)


def _in_area(found: Found, wanted: Wanted) -> bool:
    """Whether the article holds in the area asked for: in one above or below it."""
    if wanted.area is None or not found.version.areas:
        return True
    asked = area_prefix(wanted.area)
    own = [area_prefix(code) for code in found.version.areas]
    return any(asked.startswith(each) or each.startswith(asked) for each in own)


# --- what was not found (art. 20) --------------------------------------------------------------------------------------


class Unanswered(Order):
    """没有找到答案: what was looked for, and nothing found answers it."""

    query: Annotated[str, StringConstraints(min_length=2, max_length=300), AfterValidator(keepable)]


@dataclass(frozen=True, slots=True)
class Miss:
    """What is kept of it, masked, and whether it was counted: once a person, text and day."""

    query: str
    counted: bool


def note_miss(session: Session, actor: Actor, typed: str, at: datetime) -> Miss:
    """采集需求: count a search without an answer, masked, at most 100 characters of it, for the actor's platform.

    The same person's same words count once a day, however often a page asks. Too short a text, and an actor of no platform, count
    nothing. The caller commits.
    """
    masked = mask_text(" ".join(typed.replace("\x00", " ").split()), hide=True)[:LONGEST_MISS].strip()
    if len(masked) < _SHORTEST_MISS or actor.home_id is None or not _first_today(session, actor, masked, at):
        return Miss(masked, counted=False)
    row = insert(MissedSearch).values(platform_id=actor.home_id, day=local_day(at), query=masked, times=1)
    session.execute(
        row.on_conflict_do_update(
            index_elements=["platform_id", "day", "query"],
            set_={"times": col(MissedSearch.times) + 1},
        )
    )
    return Miss(masked, counted=True)


def _first_today(session: Session, actor: Actor, masked: str, at: datetime) -> bool:
    """Whether this person asks this for the first time today. Kept among the request keys, which go after a week."""
    said = fold(masked)
    key = f"missed search {local_day(at)} {text_digest(said)}"  # a space: no client's own key has one
    return requests.begin(session, actor.key, key, said, at) is None
