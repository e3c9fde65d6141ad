"""The knowledge base as the demo's play uses it. It lies above this package: whoever fills the demo hands it in, or there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlmodel import Session

from hotline import aftercare, intake
from hotline.case import Case, Desk, Office
from hotline.demo.corpus import Saying
from hotline.demo.organisation import Hotline
from hotline.fields import Order
from hotline.orders import AnswerOrder, Demand, KnowledgeOrder
from workflow.vocabulary import Act, KnowledgeOutcome


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a unit means to do for the knowledge base after an inquiry (art. 23), and its words for having changed something or nothing."""

    said: Saying
    outcome: KnowledgeOutcome
    changed: str
    unchanged: str


class Shelf(Protocol):
    """A knowledge base in the play. It goes to worker processes, so it can be pickled."""

    def stock(
        self, session: Session, hotlines: Mapping[str, Hotline], opened: datetime, now: datetime
    ) -> int:
        """Fill it as of the opening; how many articles. The caller commits."""

    def answer(self, desk: Desk, said: Saying) -> AnswerOrder | None:
        """What an agent tells this caller now, and from which version; None where nothing on the shelf says it."""

    def take(self, desk: Desk, demand: Demand, verb: Act, decision: Order, platform_id: int | None) -> Case:
        """`intake.take`, noting what was told."""

    def answer_at_once(self, desk: Desk, number: str, order: AnswerOrder) -> Case:
        """`intake.answer_at_once`, noting what was told."""

    def learn(self, desk: Desk, number: str, lesson: Lesson) -> Case:
        """The unit's duty after an inquiry, met as it means to, or with «no change» where that cannot be."""

    def pass_time(
        self,
        session: Session,
        office: Office,
        hotlines: Mapping[str, Hotline],
        since: datetime,
        until: datetime,
        now: datetime,
    ) -> None:
        """What happens to it in (since, until] of a half year that ends at `now`, while no ticket is being acted on."""


class Bare:
    """No knowledge base: agents answer in their own words, units find nothing to change."""

    def stock(
        self,
        session: Session,  # noqa: ARG002
        hotlines: Mapping[str, Hotline],  # noqa: ARG002
        opened: datetime,  # noqa: ARG002
        now: datetime,  # noqa: ARG002
    ) -> int:
        return 0

    def answer(self, desk: Desk, said: Saying) -> AnswerOrder | None:  # noqa: ARG002
        return None

    def take(self, desk: Desk, demand: Demand, verb: Act, decision: Order, platform_id: int | None) -> Case:
        return intake.take(desk, demand, verb, decision, platform_id)

    def answer_at_once(self, desk: Desk, number: str, order: AnswerOrder) -> Case:
        return intake.answer_at_once(desk, number, order)

    def learn(self, desk: Desk, number: str, lesson: Lesson) -> Case:
        return aftercare.update_knowledge(desk, number, no_change(lesson.unchanged))

    def pass_time(
        self,
        session: Session,
        office: Office,
        hotlines: Mapping[str, Hotline],
        since: datetime,
        until: datetime,
        now: datetime,
    ) -> None:
        """Nothing happens."""


def no_change(reason: str) -> KnowledgeOrder:
    """«No change needed», with the reason."""
    return KnowledgeOrder(outcome=KnowledgeOutcome.NO_CHANGE, reason=reason)
