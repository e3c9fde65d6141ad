"""What happens to the demo's knowledge base day by day: drafts are checked and published, answers corrected or withdrawn, callers
called back, units asked, things looked for in vain.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Final

from sqlalchemy import func, select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.case import Desk, Office
from hotline.demo.organisation import PROVINCE, Hotline
from hotline.demo.pace import DAY
from knowledge_base import articles, finding, lifecycle, questions, recalls, telling
from knowledge_base.demo.guides import ASKED, MISSED, UNCLEAR
from knowledge_base.demo.stock import carry, reworded
from knowledge_base.library import published
from knowledge_base.models import Article, ArticleUse, ArticleVersion, Recall, Telling, UnitQuestion
from knowledge_base.orders import StepOrder
from knowledge_base.questions import AdoptOrder, AnswerQuestion, AskOrder
from knowledge_base.recalls import SettleRecall
from workflow.deadlines import local_day
from workflow.vocabulary import KnowledgeStep, QuestionState, Role, VersionState

K = KnowledgeStep
_CITY: Final = "01"
_CHECKED_AFTER: Final = timedelta(hours=20)
_LEFT_OPEN: Final = timedelta(days=2)
"""What came in the last days still lies on somebody's desk at the end."""

_CALLED_BACK_UNTIL: Final = timedelta(days=4)
Hotlines = Mapping[str, Hotline]


def pass_time(
    session: Session, office: Office, hotlines: Hotlines, since: datetime, until: datetime, now: datetime
) -> None:
    """Everything of (since, until] of the half year up to `now`, in its order. The caller commits."""
    recalls.list_due(session, office, until)
    questions.lapse_due(session, office, until)
    if until <= now - _LEFT_OPEN:
        _check_drafts(session, hotlines, until)
    if until <= now - _CALLED_BACK_UNTIL:
        _call_back(session, office, hotlines, until)
    for days, event in _EVENTS:
        if since < now - days * DAY <= until:
            event(session, office, hotlines, until)
    if until == now:
        _count_openings(session, now)
    _ask_and_answer(session, office, hotlines, since, until, now)
    _miss(session, hotlines, since, until, now)


# --- drafts ------------------------------------------------------------------------------------------------------------


def _check_drafts(session: Session, hotlines: Hotlines, at: datetime) -> None:
    """What units handed in a day ago: approved by their leads, then published by the platform."""
    waiting = session.execute(
        select(Article, ArticleVersion)
        .join(ArticleVersion, col(ArticleVersion.article_id) == col(Article.id))
        .where(
            col(ArticleVersion.state).in_([VersionState.UNIT_REVIEW, VersionState.PLATFORM_CHECK]),
            col(ArticleVersion.version) == col(Article.current_version),
            col(ArticleVersion.written_at) <= at - _CHECKED_AFTER,
        )
        .order_by(col(Article.id))
    ).all()
    for article, version in waiting:
        home = next(home for home in hotlines.values() if home.id == article.platform_id)
        if version.state is VersionState.UNIT_REVIEW:
            lead = next(unit.lead for unit in home.units.values() if unit.id == article.unit_id)
            _take(session, lead, article.id, K.UNIT_APPROVE, at)
        elif version.valid_until is not None and version.valid_until < local_day(at):
            reason = "有效期在审核期间已过，请核实后修改有效期再报（演示数据）。"
            _take(session, home.staff[Role.EDITOR][0], article.id, K.SEND_BACK, at, reason=reason)
        else:
            _take(session, home.staff[Role.EDITOR][0], article.id, K.PUBLISH, at)


def _take(
    session: Session, actor: Actor, article: int, step: KnowledgeStep, at: datetime, **order: str
) -> None:
    lifecycle.take_step(session, actor, article, step, StepOrder(**order), at=at)


# --- corrected, withdrawn, called back ---------------------------------------------------------------------------------


def _most_told(
    session: Session, platform: int, at: datetime, skipped: int = 0
) -> tuple[Article, ArticleVersion]:
    """A platform's article that was told most in the last month, of those still valid; the next one for each `skipped`."""
    told = (
        select(col(Telling.article_id).label("article"), func.count().label("times"))
        .where(col(Telling.told_at) > at - 30 * DAY)
        .group_by(col(Telling.article_id))
        .subquery()
    )
    rows = session.execute(
        published()
        .join(told, told.c.article == col(Article.id))
        .where(col(Article.platform_id) == platform, col(ArticleVersion.valid_until).is_(None))
        .order_by(told.c.times.desc(), col(Article.id))
        .limit(skipped + 1)
    ).all()
    return rows[-1][0], rows[-1][1]


def _correct(code: str) -> "Event":
    def event(session: Session, _office: Office, hotlines: Hotlines, at: datetime) -> None:
        """The answer was wrong: the platform's editor corrects it, a second person publishes the correction."""
        home = hotlines[code]
        article, version = _most_told(session, home.id, at)
        editor = home.staff[Role.EDITOR][0]
        content = articles.content_of(article, version).model_copy(
            update={
                "kind": None,
                "answer": reworded(version.answer, local_day(at))
                + "\n\n**更正**：此前告知的办理时限有误，以本条为准（示例）。",
                "corrects": True,
                "change_note": "更正办理时限（演示数据）",
            }
        )
        newer = articles.write(session, editor, content, at=at, article_id=article.id)
        carry(session, home, newer, editor, None, at - timedelta(minutes=120))

    return event


def _withdraw(session: Session, _office: Office, hotlines: Hotlines, at: datetime) -> None:
    home = hotlines[_CITY]
    article, _ = _most_told(session, home.id, at, skipped=3)
    _take(
        session,
        home.staff[Role.EDITOR][0],
        article.id,
        K.WITHDRAW,
        at,
        reason="依据的文件已停止执行，撤下核实（演示数据）。",
    )


Event = Callable[[Session, Office, Hotlines, datetime], None]
_EVENTS: Final[tuple[tuple[int, Event], ...]] = (
    (64, _correct(PROVINCE)),
    (40, _correct(_CITY)),
    (20, _withdraw),
    (3, _correct(PROVINCE)),
)
"""How many days before the end, and what."""


def _call_back(session: Session, office: Office, hotlines: Hotlines, at: datetime) -> None:
    """Callers listed a day ago are called back: most are reached and told what holds now, where something does."""
    owed = session.execute(
        select(Recall)
        .where(col(Recall.settled_at).is_(None), col(Recall.listed_at) <= at - _CHECKED_AFTER)
        .order_by(col(Recall.id))
    ).scalars()
    for recall in owed.all():
        home = next(home for home in hotlines.values() if home.id == recall.platform_id)
        dice = Random(f"{recall.id}/{at.date()}")  # noqa: S311 - a simulation, not a secret
        if dice.random() < 0.3:
            continue
        told = session.get_one(Telling, recall.telling_id)
        now = telling.current(session, told.article_id)
        holds = now is not None and articles.why_not_told(now, local_day(at)) is None
        reached = dice.random() < 0.85
        order = SettleRecall(
            reached=reached,
            remark="已电话说明原答复的变化，来电人表示知悉。"
            if reached
            else "两次拨打无人接听，已发短信说明。",
            told=articles.reference(now)
            if reached and holds and now is not None and now.version != told.version
            else None,
        )
        recalls.settle(Desk(session, home.one(Role.CALLBACK, dice), at, office), recall.id, order)


# --- asked, missed, opened ---------------------------------------------------------------------------------------------


def _ask_and_answer(
    session: Session, office: Office, hotlines: Hotlines, since: datetime, until: datetime, now: datetime
) -> None:
    """Agents ask units; most are answered in a day or two, some late, one not at all; some answers become drafts."""
    for days, code, duty, question, background, fate in ASKED:
        home, asked_at = hotlines[code], now - days * DAY
        unit = home.department(duty)
        if since < asked_at <= until:
            order = AskOrder(unit=unit.code, question=question, background=background)
            questions.ask(
                Desk(session, home.staff[Role.AGENT][days % len(home.staff[Role.AGENT])], until, office),
                order,
            )
        answered_at = asked_at + (fate.days or 0) * DAY
        if fate.answer is None or not since < answered_at <= until:
            continue
        key = session.execute(
            select(col(UnitQuestion.id)).where(
                col(UnitQuestion.question) == question, col(UnitQuestion.state) == QuestionState.ASKED
            )
        ).scalar_one()
        questions.answer(
            Desk(session, unit.handlers[0], until, office), key, AnswerQuestion(answer=fate.answer)
        )
        if fate.adopted:
            questions.adopt(Desk(session, home.staff[Role.EDITOR][0], until, office), key, AdoptOrder())


def _miss(session: Session, hotlines: Hotlines, since: datetime, until: datetime, now: datetime) -> None:
    """What agents looked for in vain, on a few days of the last month."""
    home = hotlines[_CITY]
    for number, (words, times) in enumerate(MISSED):
        for turn in range(times):
            if since < now - (2 + (7 * turn + 3 * number) % 27) * DAY <= until:
                agents = home.staff[Role.AGENT]
                finding.note_miss(session, agents[turn % len(agents)], words, until)


def _count_openings(session: Session, now: datetime) -> None:
    """Whatever was told was opened before, and looked at besides; what is unclear was opened often and told to nobody."""
    told = session.execute(select(ArticleUse).where(col(ArticleUse.told) > 0)).scalars()
    for use in told.all():
        telling.count(session, use.article_id, use.day, opened=use.told + (use.article_id + use.day.day) % 3)
    unclear = published().where(col(ArticleVersion.question).in_(UNCLEAR)).order_by(col(Article.id))
    for article, _, _, _ in session.execute(unclear).all():
        for days in range(1, 15):
            telling.count(
                session, article.id, local_day(now) - days * DAY, opened=1 + (article.id + days) % 3
            )
