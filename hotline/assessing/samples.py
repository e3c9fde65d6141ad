"""抽查 (art. 28, 33): a quarter's tickets drawn at random by a seed, so that anybody can draw the same ones, and what was found of each."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from hashlib import sha256
from typing import Annotated, Final

from pydantic import Field, StringConstraints
from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.assessing.systems import check_over, own_platform
from hotline.assessing.tables import AccuracySample, SampledTicket
from hotline.case import Desk
from hotline.fields import Order, Prose, Whole
from hotline.privacy.masking import mask_text
from hotline.reporting.filing import IllegalStep
from hotline.reporting.periods import PATTERN, parse
from hotline.reporting.tables import Waiting
from workflow.deadlines import CHINA, local_day
from workflow.errors import NotFound, OrderInvalid

ARTICLE: Final = "33"
MOST: Final = 500


class SampleOrder(Order):
    """抽样: the period, how many, and a seed; without one it follows from the platform and the period alone."""

    period: str = Field(pattern=PATTERN, examples=["2026-Q3"])
    size: Whole = Field(default=60, ge=1, le=MOST, title="抽查件数")
    seed: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_\-]{1,64}$")] | None = Field(
        default=None, title="随机种子", description="如当日公开的开奖号码；缺省由平台和考核期得出"
    )


class FindingOrder(Order):
    """核对结果 of one sampled ticket."""

    place: Whole = Field(ge=1, le=MOST, title="序号")
    accurate: bool = Field(title="记录是否属实准确")
    finding: Prose | None = Field(default=None, title="问题", description="不属实的须写明")


def drawn(numbers: Iterable[str], seed: str, size: int) -> list[str]:
    """The tickets a seed draws: those whose SHA-256 of `seed:number` comes first, in that order. The same whatever order they are given in."""
    return sorted(set(numbers), key=lambda number: (sha256(f"{seed}:{number}".encode()).digest(), number))[
        :size
    ]


def draw(desk: Desk, order: SampleOrder) -> AccuracySample:
    """抽样, once for each period. Its population: tickets received in the period that a unit handled, merged ones left out.

    Raises `OrderInvalid` before the period is over or where there is none to draw, `IllegalStep` where it was drawn. The caller commits.
    """
    platform = own_platform(desk)
    period = parse(order.period)
    check_over(local_day(desk.at), period.last)
    known = select(col(AccuracySample.id)).where(
        col(AccuracySample.platform_id) == platform.id,
        col(AccuracySample.starts) == period.first,
        col(AccuracySample.ends) == period.last,
    )
    if desk.session.execute(known).first() is not None:
        raise IllegalStep("该考核期已抽样，不能重抽。", article=ARTICLE)
    chosen_from = population(desk.session, platform.id, period.first, period.last)
    if not chosen_from:
        raise OrderInvalid("该考核期没有可抽查的工单。", article=ARTICLE, field="period")
    seed = order.seed or usual_seed(platform.code, period.first, period.last)
    chosen = drawn(chosen_from, seed, order.size)
    sample = AccuracySample(
        platform_id=platform.id,
        starts=period.first,
        ends=period.last,
        seed=seed,
        population=len(chosen_from),
        size=len(chosen),
        drawn_by=desk.actor.name,
        drawn_at=desk.at,
    )
    desk.session.add(sample)
    desk.session.flush()
    for place, number in enumerate(chosen, 1):
        key, unit_id = chosen_from[number]
        desk.session.add(SampledTicket(sample_id=sample.id, place=place, ticket_id=key, unit_id=unit_id))
    desk.session.flush()
    return sample


def usual_seed(platform: str, first: date, last: date) -> str:
    """The seed nobody chose: it follows from the platform's code and the days."""
    return sha256(f"{platform}:{first}:{last}".encode()).hexdigest()[:16]


def population(session: Session, platform_id: int, first: date, last: date) -> dict[str, tuple[int, int]]:
    """What is drawn from: by number the ticket's key and its lead unit's."""
    values = {
        "platform": platform_id,
        "since": datetime.combine(first, time(), CHINA),
        "until": datetime.combine(last + timedelta(days=1), time(), CHINA),
    }
    return {number: (key, unit) for number, key, unit in session.execute(text(_POPULATION), values)}


_POPULATION: Final = """
SELECT t.number, t.id, a.unit_id FROM tickets t CROSS JOIN LATERAL (
    SELECT a.unit_id FROM assignments a WHERE a.ticket_id = t.id AND a.role = 'lead' AND a.status NOT IN ('returned', 'released')
    ORDER BY a.id DESC LIMIT 1
) a
WHERE t.platform_id = :platform AND t.received_at >= :since AND t.received_at < :until AND t.merged_into_id IS NULL
"""


def record(desk: Desk, sample_id: int, order: FindingOrder) -> SampledTicket:
    """核对 one ticket, once; 数据准确率 (`hotline.reporting.indicators`) follows within seconds. Raises `NotFound`, `IllegalStep`, `OrderInvalid` for a fault without words. The caller commits."""
    sample = found(desk.session, desk.actor, sample_id)
    row: SampledTicket | None = desk.session.execute(
        select(SampledTicket)
        .where(col(SampledTicket.sample_id) == sample.id, col(SampledTicket.place) == order.place)
        .with_for_update()
    ).scalar_one_or_none()
    if row is None:
        raise NotFound("抽查清单没有这个序号。", field="place")
    if row.accurate is not None:
        raise IllegalStep("该工单已核对。", article=ARTICLE)
    if not order.accurate and order.finding is None:
        raise OrderInvalid("不属实的须写明问题。", article=ARTICLE, field="finding")
    row.accurate, row.finding = order.accurate, mask_text(order.finding) if order.finding else None
    row.found_by, row.found_at = desk.actor.name, desk.at
    desk.session.add(row)
    desk.session.add(Waiting(what="ticket", ref_id=row.ticket_id))
    desk.session.flush()
    return row


def found(session: Session, actor: Actor, sample_id: int) -> AccuracySample:
    """One sample. Raises `NotFound`."""
    sample = session.get(AccuracySample, sample_id)
    if sample is None or sample.platform_id not in actor.platform_ids:
        raise NotFound("没有这次抽查，或不在您的权限范围内。", field="sample")
    return sample


def listed(session: Session, actor: Actor) -> list[AccuracySample]:
    """The newest samples of the platforms the actor sees."""
    rows = select(AccuracySample).where(col(AccuracySample.platform_id).in_(sorted(actor.platform_ids)))
    return list(session.execute(rows.order_by(col(AccuracySample.id).desc()).limit(200)).scalars())


def tickets_of(session: Session, sample: AccuracySample) -> list[tuple[SampledTicket, str, str | None]]:
    """The sampled tickets in their places, with number and unit's code."""
    statement = """
SELECT s.id, t.number, u.code FROM sampled_tickets s JOIN tickets t ON t.id = s.ticket_id LEFT JOIN units u ON u.id = s.unit_id
WHERE s.sample_id = :sample
"""
    named = {
        key: (number, code) for key, number, code in session.execute(text(statement), {"sample": sample.id})
    }
    rows = select(SampledTicket).where(col(SampledTicket.sample_id) == sample.id)
    listed_rows = session.execute(rows.order_by(col(SampledTicket.place))).scalars()
    return [(row, *named[row.id]) for row in listed_rows]
