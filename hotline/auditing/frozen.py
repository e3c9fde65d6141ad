"""What is frozen for good, each platform's papers of a kind in a chain of their own: which number and hash the next one follows."""

from typing import Any

from sqlalchemy import select
from sqlmodel import Session


def following(session: Session, papers: Any, platform_id: int) -> tuple[int, bytes]:
    """The number of the platform's next paper and the hash of the one before (empty for the first).

    `papers` is a table with `platform_id`, `number` and `hash`. The caller holds the platform's lock for this kind of paper.
    """
    of_platform = select(papers.number, papers.hash).where(papers.platform_id == platform_id)
    newest = session.execute(of_platform.order_by(papers.number.desc()).limit(1)).first()
    return (newest.number + 1, newest.hash) if newest is not None else (1, b"")
