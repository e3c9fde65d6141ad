"""A reader that follows the feed by its cursor misses nothing, however many publish at once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import func, select
from sqlmodel import Session, col

from knowledge_base import articles, feed, lifecycle
from knowledge_base.models import KnowledgeChange
from knowledge_base.orders import ArticleOrder, StepOrder
from tests import world as w
from workflow.vocabulary import KnowledgeStep

AT = w.china("2026-03-02 09:00")
PEOPLE, EACH = 6, 8


def test_nothing_is_skipped_while_many_publish(world: w.World) -> None:
    waiting: list[list[int]] = []
    with Session(world.engine) as session:
        editor = world.actor(session, "editor")
        for person in range(PEOPLE):
            made = []
            for n in range(EACH):
                order = ArticleOrder(question=f"{person}-{n}？", answer="答。")
                version = articles.write(session, editor, order, at=AT)
                lifecycle.take_step(
                    session, editor, version.article_id, KnowledgeStep.SUBMIT, StepOrder(), at=AT
                )
                made.append(version.article_id)
            waiting.append(made)
        session.commit()
    over = threading.Event()

    def publish(made: list[int]) -> None:
        for article in made:
            with Session(world.engine) as session:
                supervisor = world.actor(session, "supervisor")
                lifecycle.take_step(session, supervisor, article, KnowledgeStep.PUBLISH, StepOrder(), at=AT)
                time.sleep(0.003)  # a transaction that takes its time between its key and its end
                session.commit()

    def follow() -> list[int]:
        cursor, seen = 0, []
        while True:
            ended = over.is_set()
            with Session(world.engine) as session:
                page = feed.changes(session, world.actor(session, "agent"), cursor, 3)
            seen += [change.document.article for change in page.changes]
            cursor = page.next
            if ended and not page.changes:
                return seen

    with ThreadPoolExecutor(PEOPLE + 1) as pool:
        reader = pool.submit(follow)
        for done in [pool.submit(publish, made) for made in waiting]:
            done.result()
        over.set()
        seen = reader.result()
    assert sorted(seen) == sorted(article for made in waiting for article in made)
    with Session(world.engine) as session:
        count = session.execute(select(func.count(col(KnowledgeChange.id)))).scalar_one()
    assert count == PEOPLE * EACH == len(seen)


def test_a_page_of_long_articles_is_short_but_never_empty(world: w.World) -> None:
    with Session(world.engine) as session:
        editor, supervisor = world.actor(session, "editor"), world.actor(session, "supervisor")
        for n in range(35):
            version = articles.write(
                session, editor, ArticleOrder(question=f"{n}？", answer="字" * 100_000), at=AT
            )
            for step, actor in ((KnowledgeStep.SUBMIT, editor), (KnowledgeStep.PUBLISH, supervisor)):
                lifecycle.take_step(session, actor, version.article_id, step, StepOrder(), at=AT)
        session.commit()
        page = feed.changes(session, editor, 0, 100)
        assert (len(page.changes), page.more) == (30, True)
        rest = feed.changes(session, editor, page.next, 100)
        assert (len(rest.changes), rest.more) == (5, False)
