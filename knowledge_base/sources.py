"""来源链接: whether the pages that articles rest on are still there, each looked at at most once a day. Art. 28."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from hotline.exchange import outbox
from knowledge_base.models import Article, ArticleVersion, SourceLink

LINK_EVERY: Final = timedelta(hours=24)
LINK_SECONDS: Final = 10.0
_LINKS_LOCK: Final = 12345_231


def check_link(session: Session, as_of: datetime, *, allow_private: bool) -> int:
    """Look at one source that has not been looked at for a day; returns 1, or 0 where there is none. The caller commits.

    One replica at a time looks. Pages that ask for a log-in or move elsewhere are there; what is gone, fails or is silent is not.
    """
    if not session.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LINKS_LOCK}).scalar_one():
        return 0
    source = col(ArticleVersion.source_url)
    url = session.execute(
        select(source)
        .join(
            Article,
            (col(Article.id) == col(ArticleVersion.article_id))
            & (col(Article.published_version) == col(ArticleVersion.version)),
        )
        .outerjoin(SourceLink, col(SourceLink.url) == source)
        .where(
            source.is_not(None),
            or_(col(SourceLink.url).is_(None), col(SourceLink.checked_at) <= as_of - LINK_EVERY),
        )
        .order_by(col(SourceLink.checked_at).nulls_first(), source)
        .limit(1)
    ).scalar_one_or_none()
    if url is None:
        return 0
    status, problem = look_at(url, allow_private=allow_private)
    row = insert(SourceLink).values(
        url=url,
        checked_at=as_of,
        status=status,
        problem=problem,
        failing_since=as_of if problem else None,
    )
    still = func.coalesce(col(SourceLink.failing_since), row.excluded.failing_since)
    session.execute(
        row.on_conflict_do_update(
            index_elements=["url"],
            set_={
                "checked_at": row.excluded.checked_at,
                "status": row.excluded.status,
                "problem": row.excluded.problem,
                "failing_since": still if problem else None,
            },
        )
    )
    return 1


def look_at(url: str, *, allow_private: bool) -> tuple[int | None, str | None]:
    """The status a page answers with, and what is wrong with it in Chinese, None where it is there."""
    try:
        answer = outbox.request("HEAD", url, allow_private=allow_private, timeout=LINK_SECONDS)
        if answer.status in (400, 403, 404, 405, 500, 501):  # some servers know no HEAD
            answer = outbox.request("GET", url, allow_private=allow_private, timeout=LINK_SECONDS)
    except outbox.TargetRefused as refused:
        return None, refused.message[:200]
    except outbox.SendFailed as failed:
        return None, str(failed)[:200]
    if answer.status in (404, 410) or answer.status >= 500:
        return answer.status, f"网页返回 {answer.status}"
    return answer.status, None
