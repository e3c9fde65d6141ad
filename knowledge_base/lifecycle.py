"""The life of a version: draft → the unit's review → the platform's check → published → withdrawn. One table of steps drives it.

What a unit's people wrote passes their lead and then the platform; what the platform's people wrote is published by a second
person of the platform (四眼). Each step is a row with a person and an instant (art. 22, 28).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, insert, select, text
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.exchange import outbox
from hotline.models import OutboxEvent
from hotline.organisation import Person
from knowledge_base.articles import (
    CHECKERS,
    WRITERS,
    check_seen,
    is_synced,
    maintains,
    own_article,
    record_step,
    reference,
    version_of,
)
from knowledge_base.models import Article, ArticleStep, ArticleVersion, KnowledgeChange
from knowledge_base.orders import StepOrder
from workflow.deadlines import local_day
from workflow.errors import AccessRefused, NotFound, OrderInvalid, RuleBroken
from workflow.vocabulary import UNIT_STAFF, KnowledgeStep, Role, VersionState

REVIEW_EVERY: Final = timedelta(days=365)
"""How long a published article goes without a review where nobody set a date."""

_FEED_LOCK: Final = 12345_230
ANNOUNCED: Final = frozenset(outbox.KNOWLEDGE)
"""The states whose coming about is a change of the feed."""

S, K, R = VersionState, KnowledgeStep, Role


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the table: a step, the states it starts from, where it leads (None: it stays), and who may.

    `written_by_unit`: only for what a unit's (True) or the platform's (False) people wrote. `another`: not by who wrote it.
    `reason`: one is owed. `standing`: it speaks of the published version, else of the newest.
    """

    step: KnowledgeStep
    sources: frozenset[VersionState]
    to: VersionState | None
    roles: frozenset[Role]
    written_by_unit: bool | None = None
    another: bool = False
    reason: bool = False
    standing: bool = False


_OPEN = frozenset({S.DRAFT, S.SENT_BACK})
_PUBLISHED = frozenset({S.PUBLISHED})
_WITHDRAWERS = CHECKERS | {R.UNIT_LEAD}

STEPS: Final[tuple[Step, ...]] = (
    Step(K.SUBMIT, _OPEN, S.UNIT_REVIEW, UNIT_STAFF, written_by_unit=True),
    Step(K.SUBMIT, _OPEN, S.PLATFORM_CHECK, CHECKERS, written_by_unit=False),
    Step(
        K.UNIT_APPROVE, frozenset({S.UNIT_REVIEW}), S.PLATFORM_CHECK, frozenset({R.UNIT_LEAD}), another=True
    ),
    Step(K.UNIT_SEND_BACK, frozenset({S.UNIT_REVIEW}), S.SENT_BACK, frozenset({R.UNIT_LEAD}), reason=True),
    Step(K.PUBLISH, frozenset({S.PLATFORM_CHECK}), S.PUBLISHED, CHECKERS, another=True),
    Step(K.SEND_BACK, frozenset({S.PLATFORM_CHECK}), S.SENT_BACK, CHECKERS, reason=True),
    Step(K.WITHDRAW, _PUBLISHED, S.WITHDRAWN, _WITHDRAWERS, reason=True, standing=True),
    Step(K.WITHDRAW, _OPEN, S.WITHDRAWN, UNIT_STAFF, written_by_unit=True, reason=True),
    Step(K.WITHDRAW, _OPEN, S.WITHDRAWN, CHECKERS, written_by_unit=False, reason=True),
    Step(K.REVIEWED, _PUBLISHED, None, _WITHDRAWERS, standing=True),
)
"""state × step → state, roles. Writing (`KnowledgeStep.WRITE`) begins a new version and is in `articles.write`."""

BY_ROUTE: Final = tuple(dict.fromkeys(rule.step for rule in STEPS))
"""The steps there is a route for, in the order of a life."""


def roles_of(step: KnowledgeStep) -> frozenset[Role]:
    """Who may take a step at all."""
    return frozenset[Role]().union(*(rule.roles for rule in STEPS if rule.step is step))


class StepRefused(RuleBroken):
    """The version's state does not allow the step; the message says what may be done now."""

    code = "illegal_step"


@dataclass(frozen=True, slots=True)
class _Author:
    """Who wrote a version, and whether for a unit."""

    key: str
    for_unit: bool


def _author_of(session: Session, version: ArticleVersion) -> _Author:
    row = session.execute(
        select(col(ArticleStep.actor), col(ArticleStep.unit_id))
        .where(
            col(ArticleStep.article_id) == version.article_id,
            col(ArticleStep.version) == version.version,
            col(ArticleStep.step) == KnowledgeStep.WRITE,
        )
        .order_by(col(ArticleStep.id))
        .limit(1)
    ).first()
    return _Author(row[0], row[1] is not None) if row is not None else _Author("", for_unit=False)


# --- what may be done now ----------------------------------------------------------------------------------------------


def open_steps(
    session: Session, actor: Actor, article: Article, version: ArticleVersion
) -> list[KnowledgeStep]:
    """The steps this actor may take now with this version, in the order of a life; `WRITE` is writing the next version."""
    if is_synced(article) or not maintains(actor, article):
        return []
    author = _author_of(session, version)
    found = [K.WRITE] if actor.roles & WRITERS and version.version == article.current_version else []
    found += [
        rule.step
        for rule in STEPS
        if _fits(rule, actor, article, version, author)
        and not (rule.another and author.key == actor.key and not _alone(session, rule, actor))
    ]
    return found


def _fits(rule: Step, actor: Actor, article: Article, version: ArticleVersion, author: _Author) -> bool:
    newest = article.published_version if rule.standing else article.current_version
    return (
        version.state in rule.sources
        and bool(actor.roles & rule.roles)
        and rule.written_by_unit in (None, author.for_unit)
        and version.version == newest
    )


def _alone(session: Session, rule: Step, actor: Actor) -> bool:
    """Whether a unit's lead may review their own text, because the unit has no other person."""
    if rule.step is not K.UNIT_APPROVE or actor.kind != "person" or actor.unit_id is None:
        return False
    people = select(func.count()).where(col(Person.unit_id) == actor.unit_id, col(Person.active))
    return int(session.execute(people).scalar_one()) == 1


# --- taking a step -----------------------------------------------------------------------------------------------------


def take_step(
    session: Session,
    actor: Actor,
    article_id: int,
    step: KnowledgeStep,
    order: StepOrder,
    *,
    at: datetime,
    expected_version: int | None = None,
) -> ArticleVersion:
    """Take `step` with the newest version of an article (withdrawing and reviewing: with the published one).

    Raises `NotFound`, `AccessRefused`, `StepRefused`, `OrderInvalid`, `VersionConflict`. The caller commits.
    """
    if step in (K.PUBLISH, K.WITHDRAW):
        lock_feed(session)  # before the article: whoever publishes many takes the two in this order too
    article = own_article(session, actor, article_id)
    check_seen(session, article, expected_version)
    version = _meant(session, article, step, order.version)
    author = _author_of(session, version)
    rule = _rule(session, actor, article, version, step, author)
    note = order.reason
    if rule.reason and note is None:
        raise OrderInvalid(f"{step.label}须说明理由。", article="22", field="reason")
    if rule.another and author.key == actor.key:
        if not _alone(session, rule, actor):
            raise AccessRefused(_ANOTHER[step], article="22")
        note = "；".join(filter(None, (note, "本单位仅一人，由编写人自行审核")))
    if step is K.PUBLISH:
        publish(session, actor, article, version, at=at, note=note)
    elif step is K.WITHDRAW:
        withdraw(session, actor, article, version, at=at, reason=note)
    else:
        if step is K.REVIEWED:
            article.review_on = _next_review(order.review_on, local_day(at))
        if rule.to is not None:
            version.state = rule.to
        record_step(session, version, step, actor, at, note)
    session.add_all((article, version))
    session.flush()
    return version


_ANOTHER: Final = {
    K.UNIT_APPROVE: "编写人不能审核自己编写的内容，请由本单位另一位负责人审核。",
    K.PUBLISH: "编写人不能发布自己编写的内容（四眼原则），请由本平台另一位知识库管理员或督办主管核验发布。",
}


def _meant(session: Session, article: Article, step: KnowledgeStep, named: int | None) -> ArticleVersion:
    standing = any(rule.standing for rule in STEPS if rule.step is step)
    number = named or (article.published_version if standing else None) or article.current_version
    version = version_of(session, article.id, number)
    if version is None:
        raise NotFound(f"知识 {article.id} 没有第 {number} 版。", field="version")
    return version


def _rule(
    session: Session,
    actor: Actor,
    article: Article,
    version: ArticleVersion,
    step: KnowledgeStep,
    author: _Author,
) -> Step:
    for rule in STEPS:
        if rule.step is step and _fits(rule, actor, article, version, author):
            return rule
    possible = [rule for rule in STEPS if rule.step is step and version.state in rule.sources]
    newest = version.version in (article.current_version, article.published_version)
    if possible and newest:
        roles = sorted(frozenset[Role]().union(*(rule.roles for rule in possible)))
        who = "、".join(Role(role).label for role in roles)
        raise AccessRefused(f"这一版由其编写一方的人员进行“{step.label}”（{who}）。", article="22")
    acts = open_steps(session, actor, article, version)
    told = f"此时您可以进行：{'、'.join(act.label for act in acts)}。" if acts else "此时您没有可进行的操作。"
    stale = "" if newest else f"，且已有更新的第 {article.current_version} 版"
    raise StepRefused(
        f"知识 {reference(version)} 的状态为“{version.state.label}”{stale}，不能进行“{step.label}”。{told}",
        extra={
            "step": step.value,
            "state": version.state.value,
            "open_steps": [act.value for act in acts],
        },
    )


def _next_review(asked: date | None, today: date) -> date:
    if asked is not None and asked <= today:
        raise OrderInvalid("下次复核日期应在今天之后。", field="review_on")
    return asked or today + REVIEW_EVERY


# --- publication -------------------------------------------------------------------------------------------------------


def lock_feed(session: Session) -> None:
    """Changes become visible in the order of their keys: one transaction at a time, until it ends, so that no reader skips one."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _FEED_LOCK})


def publish(
    session: Session,
    actor: Actor,
    article: Article,
    version: ArticleVersion,
    *,
    at: datetime,
    note: str | None = None,
) -> None:
    """A version becomes the one agents read; the one before gives way to it. Callers hold the feed's lock and the article's row."""
    put_in_force(session, actor, article, version, at=at, note=note)
    announce(session, [(article, version)], at)


def put_in_force(
    session: Session,
    actor: Actor,
    article: Article,
    version: ArticleVersion,
    *,
    at: datetime,
    note: str | None = None,
) -> None:
    """`publish`, but for the announcement: for who publishes many and announces them together."""
    today = local_day(at)
    if version.valid_until is not None and version.valid_until < today:
        raise OrderInvalid(
            f"有效期已于 {version.valid_until} 届满，不能发布；请先修改有效期。", field="valid_until"
        )
    before = version_of(session, article.id, article.published_version) if article.published_version else None
    if before is not None and before.id != version.id:
        before.state, before.ended_at = VersionState.SUPERSEDED, at
        session.add(before)
    version.state, version.published_at, version.ended_at = VersionState.PUBLISHED, at, None
    article.published_version, article.withdrawn_at = version.version, None
    article.review_on = version.review_on or today + REVIEW_EVERY
    article.category_code = version.categories[0] if version.categories else None
    article.area_code = version.areas[0] if version.areas else None
    session.add_all((article, version))
    record_step(session, version, KnowledgeStep.PUBLISH, actor, at, note)


def withdraw(
    session: Session,
    actor: Actor,
    article: Article,
    version: ArticleVersion,
    *,
    at: datetime,
    reason: str | None,
) -> None:
    """A version is taken back; agents no longer find it, whoever was told it still reads it. Callers hold the locks."""
    was_published = version.state is VersionState.PUBLISHED
    version.state, version.ended_at = VersionState.WITHDRAWN, at
    if was_published:
        article.published_version, article.withdrawn_at = None, at
    session.add_all((article, version))
    record_step(session, version, KnowledgeStep.WITHDRAW, actor, at, reason)
    if was_published:
        announce(session, [(article, version)], at)


def announce(session: Session, turned: Iterable[tuple[Article, ArticleVersion]], at: datetime) -> None:
    """One row of the feed and one of the outbox for each version published or withdrawn. Callers hold the feed's lock."""
    changes: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    for article, version in turned:
        changes.append(
            {
                "platform_id": article.platform_id,
                "article_id": article.id,
                "version": version.version,
                "what": version.state,
                "at": at.astimezone(UTC),
            }
        )
        events.append(
            outbox.row(
                outbox.KNOWLEDGE[version.state],
                ticket_id=None,
                seq=None,
                platform_id=article.platform_id,
                unit_id=article.unit_id,
                data={"article": article.id, "version": version.version, "name": reference(version)},
                at=at.astimezone(UTC),
            )
        )
    session.flush()
    if changes:
        session.execute(insert(KnowledgeChange.__table__), changes)  # type: ignore[attr-defined]
        session.execute(insert(OutboxEvent.__table__), events)  # type: ignore[attr-defined]
