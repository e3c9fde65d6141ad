"""RuleBroken: one small tree. Each carries a Chinese message, the article where the law is the reason, and the field.

No HTTP codes here: `api.problems` maps the tree to responses.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from workflow.vocabulary import Act, Role, State


class RuleBroken(Exception):
    """An act that the law, the lifecycle or the order's own content does not allow. Nothing was changed.

    `code` names the kind for programs; `message` is Chinese and says what to do next; `article` is «14(5)» style or None;
    `field` is the order's field or None; `extra` holds facts a program can use.
    """

    code = "rule_broken"

    def __init__(
        self,
        message: str,
        *,
        article: str | None = None,
        field: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.article = article
        self.field = field
        self.extra = dict(extra or {})


def _next_steps(allowed: tuple[Act, ...]) -> str:
    if not allowed:
        return "此时您没有可进行的操作。"
    return f"此时您可以进行：{'、'.join(a.label for a in allowed)}。"


class IllegalMove(RuleBroken):
    """The ticket's state does not allow the act; the message names the acts the actor's roles allow there."""

    code = "illegal_move"

    def __init__(self, act: Act, state: State | None, open_acts: Iterable[Act]) -> None:
        allowed = tuple(open_acts)
        now = f"工单当前状态为“{state.label}”" if state else "该诉求尚未登记"
        super().__init__(
            f"{now}，不能进行“{act.label}”。{_next_steps(allowed)}",
            extra={
                "act": act.value,
                "state": state.value if state else None,
                "open_acts": [a.value for a in allowed],
            },
        )


class ActNotGranted(RuleBroken):
    """The actor holds none of the roles that may do this act here."""

    code = "act_not_granted"

    def __init__(self, act: Act, roles: Iterable[Role]) -> None:
        names = sorted(roles)
        super().__init__(
            f"您的角色不能进行“{act.label}”，该操作由{'、'.join(Role(r).label for r in names)}进行。",
            extra={"act": act.value, "roles": [r.value for r in names]},
        )


class OrderInvalid(RuleBroken):
    """The order's content is incomplete or contradicts the ticket."""

    code = "order_invalid"


class TooLate(RuleBroken):
    """The period in which the law allows the act is over."""

    code = "too_late"

    def __init__(self, message: str, *, article: str, due_at: datetime, field: str | None = None) -> None:
        super().__init__(message, article=article, field=field, extra={"due_at": due_at.isoformat()})


class LimitExceeded(RuleBroken):
    """More days or more rounds than the article allows."""

    code = "limit_exceeded"


class NotFound(RuleBroken):
    """Nothing with this name is visible to the actor."""

    code = "not_found"


class OutOfSight(NotFound):
    """It exists, but not for this actor, who is told no more than of what does not exist. The refusal is recorded."""


class AccessRefused(RuleBroken):
    """The actor is known but this ticket, unit or platform is not theirs."""

    code = "access_refused"


class VersionConflict(RuleBroken):
    """Somebody else acted first; `extra` tells what changed since the version the caller had seen."""

    code = "version_conflict"


class PackInvalid(RuleBroken):
    """A rule pack that cannot be loaded: malformed, or looser than the pack below it."""

    code = "pack_invalid"
