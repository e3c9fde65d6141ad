"""Articles out: the published ones an actor sees, as CSV, Excel or JSON Lines, so that importing them again loses nothing."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.organisation import OrgUnit, Platform
from knowledge_base import tables
from knowledge_base.articles import content_of, names_of, reference, visible_articles
from knowledge_base.models import Article, ArticleVersion
from knowledge_base.tables import COLUMNS

MEDIA_TYPES: Final[dict[str, str]] = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jsonl": "application/jsonl",
}
_PAGE: Final = 500
_NAME: Final = "知识编号"


def export(session: Session, actor: Actor, kind: str, *, platform: str | None = None) -> bytes:
    """The published articles this actor sees (with `platform`, that platform's own) as one file of this kind.

    Raises `LimitExceeded` where a text is too long for an Excel cell.
    """
    writers: dict[str, Callable[[Iterator[dict[str, Any]]], bytes]] = {
        "csv": lambda rows: tables.write_csv(_lines(rows)),
        "xlsx": lambda rows: tables.write_excel(_lines(rows)),
        "jsonl": lambda rows: b"".join(
            json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n" for row in rows
        ),
    }
    return writers[kind](_rows(session, actor, platform))


def _rows(session: Session, actor: Actor, platform: str | None) -> Iterator[dict[str, Any]]:
    after = 0
    while True:
        statement = (
            select(Article, ArticleVersion)
            .join(
                ArticleVersion,
                (col(ArticleVersion.article_id) == col(Article.id))
                & (col(ArticleVersion.version) == col(Article.published_version)),
            )
            .where(col(Article.id) > after, visible_articles(actor))
            .order_by(col(Article.id))
            .limit(_PAGE)
        )
        if platform is not None:
            code = select(col(Platform.id)).where(col(Platform.code) == platform)
            statement = statement.where(col(Article.platform_id).in_(code))
        rows = session.execute(statement).all()
        if not rows:
            return
        sources = _sources(session, [article for article, _ in rows])
        shown = {article.id: article for article, _ in rows} | sources
        platforms, units = names_of(session, shown)
        begun = beginnings(session, shown.values())
        for article, version in rows:
            yield _row(article, version, platforms, units, sources, begun)
        after = rows[-1][0].id
        session.expunge_all()


def _sources(session: Session, articles: Sequence[Article]) -> dict[int, Article]:
    ids = {article.source_id for article in articles} - {None}
    found = session.execute(select(Article).where(col(Article.id).in_(ids))).scalars() if ids else ()
    return {article.id: article for article in found}


def _row(
    article: Article,
    version: ArticleVersion,
    platforms: dict[int, Platform],
    units: dict[int, OrgUnit],
    sources: dict[int, Article],
    begun: Mapping[int, str],
) -> dict[str, Any]:
    """One article by the names of the columns; empty ones left out."""
    order = content_of(article, version)
    content = order.model_dump(mode="json", exclude_none=True)
    guide = content.pop("guide", {})
    told = {column.field: (content | guide).get(column.field) for column in COLUMNS}
    source = sources.get(article.source_id) if article.source_id is not None else None
    told |= {
        "name": reference(version),
        "code": code_of(article, platforms[article.platform_id].code, begun),
        "kind": article.kind.label,
        "unit": units[article.unit_id].code if article.unit_id is not None else None,
        "platform": platforms[article.platform_id].code,
        "relation": article.relation.label if article.relation and source else None,
        "source": code_of(source, platforms[source.platform_id].code, begun) if source else None,
    }
    return {name: value for name, value in told.items() if value not in (None, [])}


def _lines(rows: Iterator[dict[str, Any]]) -> Iterator[list[str]]:
    yield [_NAME, *(column.heading for column in COLUMNS)]
    for row in rows:
        yield [row["name"], *(_cell(row.get(column.field)) for column in COLUMNS)]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return tables.join_list(value) if isinstance(value, list) else str(value)


def template(kind: str) -> bytes:
    """An empty table to fill in, with one example row marked as such."""
    example = {
        "code": "EXAMPLE-0001",
        "kind": "办事指南",
        "question": "（示例，填写前请删除本行）食品经营许可怎么办理",
        "answer": "由市场监督管理部门办理，承诺 7 个工作日办结。",
        "department": "测试市市场监督管理局",
        "conditions": "有与经营规模相适应的场所",
        "materials": "申请书\n身份证明",
        "limit": "7(工作日)",
        "statutory_limit": "20(工作日)",
        "visits": "1",
        "place": "政务服务大厅 2 号窗口",
        "phone": "0000-12345",
        "synonyms": "办食品证；开饭店办证",
        "valid_from": "2026-01-01",
    }
    shown = [column for column in COLUMNS if column.field not in ("platform", "relation", "source")]
    rows = [[column.heading for column in shown], [example.get(column.field, "") for column in shown]]
    return tables.write_excel(rows) if kind == "xlsx" else tables.write_csv(rows)


# --- codes -------------------------------------------------------------------------------------------------------------

_NATIVE: Final = re.compile(r"K-(\d{2})-([1-9]\d{0,17})-([0-9a-f]{8})")


def beginnings(session: Session, articles: Iterable[Article]) -> dict[int, str]:
    """How the articles began that were written here, by their keys: what tells an article from another of the same number elsewhere."""
    ids = [article.id for article in articles if article.origin is None]
    rows = session.execute(
        select(
            col(ArticleVersion.article_id), col(ArticleVersion.question), col(ArticleVersion.written_at)
        ).where(col(ArticleVersion.article_id).in_(ids), col(ArticleVersion.version) == 1)
    )
    return {
        article_id: hashlib.sha256(f"{question}\n{at.isoformat()}".encode()).hexdigest()[:8]
        for article_id, question, at in rows
    }


def code_of(article: Article, platform_code: str, begun: Mapping[int, str]) -> str:
    """The code an article goes by in tables: its matter's, or one made of its number and of how it began, the same for ever."""
    if article.origin is not None:
        return article.origin
    return f"K-{platform_code}-{article.id}-{begun.get(article.id, '0' * 8)}"


def number_in(code: str) -> int | None:
    """The article's number in a code made by `code_of`, None for any other code."""
    match = _NATIVE.fullmatch(code)
    return int(match[2]) if match else None


def by_code(session: Session, actor: Actor, code: str) -> int | None:
    """The article visible to the actor that goes by this code, if there is one."""
    number = number_in(code)
    statement = (
        select(Article, Platform)
        .join(Platform, col(Platform.id) == col(Article.platform_id))
        .where(visible_articles(actor), (col(Article.origin) == code) | (col(Article.id) == (number or 0)))
    )
    rows = session.execute(statement).all()
    begun = beginnings(session, [article for article, _ in rows])
    for article, platform in rows:
        if code_of(article, platform.code, begun) == code:
            return int(article.id)
    return None
