"""即时答复: from the article to an answered contact in one act; who was told which version stays for ever. Art. 14(2), 24."""

from datetime import date, datetime

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from hotline import intake
from hotline.access import Actor
from hotline.case import Case, Desk
from hotline.fields import Line, Order
from hotline.orders import AnswerOrder, Demand
from knowledge_base import articles, rendering
from knowledge_base.models import Article, ArticleUse, ArticleVersion, Telling
from workflow.deadlines import local_day
from workflow.errors import OrderInvalid
from workflow.vocabulary import Act, VersionState


class TellOrder(Order):
    """即时答复 from an article: the demand, and what the agent said beside the standard answer."""

    demand: Demand
    remark: Line | None = Field(default=None, description="口径以外补充告知的内容，一并记入答复")


def tell(desk: Desk, name: str, order: TellOrder) -> Case:
    """Register the contact as answered at once with the version called `name`, and note who was told what.

    Raises `NotFound`, `OrderInvalid` where that version is not what may be told today, and what `intake.take` raises.
    """
    version = tellable(desk.session, desk.actor, name, desk.at)
    answer = rendering.told_text(version.answer, version.guide)
    if order.remark is not None:
        answer = f"{answer}\n\n补充告知：{order.remark}"
    decision = AnswerOrder.model_construct(answer=answer, knowledge_version=articles.reference(version))
    case = intake.take(desk, order.demand, Act.ANSWER_AT_ONCE, decision)
    note_telling(desk, case, version)
    return case


def take(desk: Desk, demand: Demand, verb: Act, decision: Order, platform_id: int | None = None) -> Case:
    """`intake.take`; a contact answered from an article is also noted as a telling."""
    version = _named(desk, decision)
    case = intake.take(desk, demand, verb, decision, platform_id)
    if version is not None:
        note_telling(desk, case, version)
    return case


def answer_at_once(desk: Desk, number: str, order: AnswerOrder) -> Case:
    """即时答复 from the knowledge base (art. 14(2)); with `knowledge_version` it is noted who was told which version."""
    version = _named(desk, order)
    case = intake.answer_at_once(desk, number, order)
    if version is not None:
        note_telling(desk, case, version)
    return case


def _named(desk: Desk, decision: Order) -> ArticleVersion | None:
    if not isinstance(decision, AnswerOrder) or decision.knowledge_version is None:
        return None
    return tellable(desk.session, desk.actor, decision.knowledge_version, desk.at)


def note_telling(desk: Desk, case: Case, version: ArticleVersion) -> Telling:
    """Note that the ticket's caller was told `version`, and count the use. The caller commits."""
    telling = Telling(
        article_id=version.article_id,
        version=version.version,
        ticket_id=case.ticket.id,
        platform_id=case.ticket.platform_id,
        told_by=desk.actor.name,
        told_at=desk.at,
    )
    desk.session.add(telling)
    desk.session.flush()
    count(desk.session, version.article_id, local_day(desk.at), told=1)
    return telling


# --- what may be told --------------------------------------------------------------------------------------------------


def tellable(session: Session, actor: Actor, name: str, at: datetime) -> ArticleVersion:
    """The version called `name` if a caller may be told it now. Nobody corrects or withdraws its article until the transaction ends.

    Raises `NotFound`, `OrderInvalid` (field `knowledge_version`) saying which version to use instead; `extra.use` is its name.
    """
    version = articles.find(session, actor, name)
    article = select(col(Article.id)).where(col(Article.id) == version.article_id)
    session.execute(article.with_for_update(read=True))
    session.refresh(version)
    day = local_day(at)
    problem = articles.why_not_told(version, day)
    if problem is None:
        return version
    newer = current(session, version.article_id)
    use = (
        articles.reference(newer) if newer is not None and articles.why_not_told(newer, day) is None else None
    )
    instead = f"现行版本为 {use}。" if use else "该知识暂无可用的版本，可派单办理，或向承办单位发起知识提问。"
    raise OrderInvalid(problem + instead, article="24", field="knowledge_version", extra={"use": use})


def current(session: Session, article_id: int) -> ArticleVersion | None:
    """The version of an article that is published now, valid today or not."""
    found: ArticleVersion | None = (
        session.execute(
            select(ArticleVersion)
            .where(
                col(ArticleVersion.article_id) == article_id,
                col(ArticleVersion.state) == VersionState.PUBLISHED,
            )
            .order_by(col(ArticleVersion.version).desc())
        )
        .scalars()
        .first()
    )
    return found


# --- use ---------------------------------------------------------------------------------------------------------------


def opened(session: Session, actor: Actor, name: str, at: datetime) -> ArticleVersion:
    """Count that somebody opened an article to read it. Raises `NotFound`. The caller commits."""
    version = articles.find(session, actor, name)
    count(session, version.article_id, local_day(at), opened=1)
    return version


def count(session: Session, article_id: int, day: date, *, opened: int = 0, told: int = 0) -> None:
    """Add to an article's openings and tellings of one day."""
    row = insert(ArticleUse).values(article_id=article_id, day=day, opened=opened, told=told)
    session.execute(
        row.on_conflict_do_update(
            index_elements=["article_id", "day"],
            set_={
                "opened": col(ArticleUse.opened) + row.excluded.opened,
                "told": col(ArticleUse.told) + row.excluded.told,
            },
        )
    )
