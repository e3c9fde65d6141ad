"""The measures (青政办〔2022〕57号) once more, in a few lines of plain Python that share nothing with the engine's own rules.

One lead unit a ticket, no co-units, no coordination beyond its beginning. Instants are aware; days are counted one by one.
"""

import json
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

CHINA = ZoneInfo("Asia/Shanghai")
_NOTICE = Path(__file__).parents[2] / "calendar_cn" / "arrangements" / "2026.json"
OFF = {date.fromisoformat(day["date"]): day["isOffDay"] for day in json.loads(_NOTICE.read_text())["days"]}
REPLY_DAYS = {"inquiry": 2, "help": 2, "suggestion": 5, "complaint": 10, "tipoff": 15}

AGENT, DISPATCHER, SUPERVISOR, REVIEWER, CALLBACK, UNIT = (
    "agent",
    "dispatcher",
    "supervisor",
    "reviewer",
    "callback",
    "unit",
)
WITH_UNIT = {"dispatched", "handling"}
OWED = {"handling", "supplementing", "redoing", "coordinating"}
AFTER_REPLY = {"replied", "supplementing", "verified", "dissatisfied", "redoing", "closed"}
SINCE_DISPATCH = WITH_UNIT | AFTER_REPLY | {"return_proposed", "coordinating", "accepted"}
CARRIES = {
    "accepted",
    "coordinating",
    "dispatched",
    "handling",
    "return_proposed",
    "supplementing",
    "redoing",
}
ENDED = {"closed", "withdrawn"}

# who may do it, and in which states
LAW: dict[str, tuple[set[str], set[str]]] = {
    "dispatch": ({AGENT, DISPATCHER, SUPERVISOR}, {"accepted"}),
    "sign": ({UNIT}, {"dispatched"}),
    "propose_return": ({UNIT}, WITH_UNIT),
    "uphold_return": ({DISPATCHER, SUPERVISOR}, {"return_proposed"}),
    "reject_return": ({DISPATCHER, SUPERVISOR}, {"return_proposed"}),
    "convert_to_complex": ({UNIT}, WITH_UNIT),
    "request_extension": ({UNIT}, WITH_UNIT | {"return_proposed"}),
    "approve_extension": ({SUPERVISOR}, SINCE_DISPATCH),
    "refuse_extension": ({SUPERVISOR}, SINCE_DISPATCH),
    "report_progress": ({UNIT}, WITH_UNIT | {"supplementing", "redoing"}),
    "answer_citizen": ({UNIT}, OWED),
    "reply": ({UNIT}, OWED),
    "review_pass": ({REVIEWER, SUPERVISOR}, {"replied"}),
    "review_send_back": ({REVIEWER, SUPERVISOR}, {"replied", "verified"}),
    "record_callback": ({CALLBACK, AGENT, SUPERVISOR}, {"verified", "merged"}),
    "uphold_dissatisfaction": ({REVIEWER, SUPERVISOR}, {"dissatisfied"}),
    "dismiss_dissatisfaction": ({REVIEWER, SUPERVISOR}, {"dissatisfied"}),
    "update_knowledge": ({UNIT}, AFTER_REPLY | {"archived"}),
    "archive": ({AGENT, SUPERVISOR}, ENDED),
    "withdraw": ({AGENT, SUPERVISOR}, (SINCE_DISPATCH | {"merged"}) - ENDED),
    "merge": ({AGENT, DISPATCHER, SUPERVISOR}, {"accepted"} | WITH_UNIT),
    "remind": ({AGENT, DISPATCHER, SUPERVISOR}, SINCE_DISPATCH),
}
UNIT_CLOCKS = {"reply", "return", "supplement", "redo"}


def works(day: date) -> bool:
    """Whether it is a working day: not off by the notice, and else no weekend."""
    return not OFF[day] if day in OFF else day.weekday() < 5


def after(opened: date, days: int) -> date:
    """The last day of a period of so many working days; the day of opening does not count."""
    while days:
        opened += timedelta(days=1)
        days -= works(opened)
    return opened


def midnight(last: date) -> datetime:
    """24:00 of that day."""
    return datetime.combine(last + timedelta(days=1), time(), CHINA)


@dataclass(frozen=True)
class Try:
    """Who tries an act when, and what they say."""

    role: str
    at: datetime
    unit: str | None = None
    lead: str = ""
    days: int = 0
    outcome: str = ""


@dataclass
class Clock:
    """A period: against whom, from when, until when; `duty` where somebody is late by it, or it is the citizen's own."""

    kind: str
    unit: str | None
    opened: datetime
    due: datetime
    recorded: bool = True
    days: int = 0
    original: date = date.min
    extended: int = 0
    lapsed: bool = False
    met: datetime | None = None
    voided: bool = False

    @property
    def running(self) -> bool:
        return self.met is None and not self.voided


@dataclass
class Part:
    """What the lead unit has done in this episode."""

    unit: str
    signed: bool = False
    answered: bool = False
    reported: bool = False
    out: bool = False
    """Returned, or stopped by a merge or a withdrawal."""

    @property
    def done(self) -> bool:
        return self.answered and self.reported


@dataclass
class Ticket:
    """A demand as the law sees it."""

    matter: str
    received: datetime
    state: str = "accepted"
    version: int = 1
    entries: list[str] = field(default_factory=lambda: ["accept"])
    clocks: list[Clock] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    pending: list[tuple[Part, Clock, int]] = field(default_factory=list)
    returned: int = 0
    episode: int = 1
    unreachable: dict[int, set[date]] = field(default_factory=dict)
    merged: list["Ticket"] = field(default_factory=list)
    into: "Ticket | None" = None
    learned: bool = False
    by: Try = Try("", datetime(2026, 1, 1, tzinfo=CHINA))

    def __post_init__(self) -> None:
        transferred = self.received + timedelta(hours=24)
        self.clocks.append(Clock("form_and_transfer", None, self.received, transferred))
        self.clocks.append(
            Clock(
                "citizen", None, self.received, midnight(after(transferred.date(), REPLY_DAYS[self.matter]))
            )
        )

    # --- what may be done ---

    @property
    def part(self) -> Part | None:
        """The lead unit's part, while it is one."""
        return self.parts[-1] if self.parts and not self.parts[-1].out else None

    def clock(self, kind: str, unit: str | None = None) -> Clock | None:
        """The running period of that kind."""
        found = [c for c in self.clocks if c.kind == kind and c.running and unit in (None, c.unit)]
        return found[-1] if found else None

    def allows(self, act: str, by: Try) -> bool:
        """Whether the law lets this role (of that unit) do this now."""
        self.by = by
        roles, states = LAW[act]
        if by.role not in roles or self.state not in states:
            return False
        if by.role == UNIT and act != "update_knowledge" and not self._owes(by.unit):
            return False
        special = getattr(self, f"_may_{act}", None)
        return special is None or bool(special())

    def _owes(self, unit: str | None) -> bool:
        part = self.part
        return part is not None and part.unit == unit and not part.done

    def _may_propose_return(self) -> bool:
        clock = self.clock("return", self.by.unit)
        assert self.part is not None
        return clock is not None and self.by.at < clock.due and not self.part.reported

    def _may_convert_to_complex(self) -> bool:
        clock = self.clock("reply", self.by.unit)
        return clock is not None and clock.days == 2 and self.by.at < midnight(clock.original)

    def _may_request_extension(self) -> bool:
        clock = self.clock("reply", self.by.unit)
        if clock is None or self.by.at > clock.due or any(c is clock for _, c, _ in self.pending):
            return False
        return clock.extended + self.by.days <= 10

    def _may_approve_extension(self) -> bool:
        return len({part.unit for part, _, _ in self.pending}) == 1

    _may_refuse_extension = _may_approve_extension

    def _may_answer_citizen(self) -> bool:
        return self.part is not None and self.part.signed and not self.part.answered

    def _may_reply(self) -> bool:
        return self.part is not None and self.part.signed and not self.part.reported

    def _may_review_send_back(self) -> bool:
        return self.by.days <= 3

    def _may_uphold_dissatisfaction(self) -> bool:
        return self.by.days <= 10

    def _may_record_callback(self) -> bool:
        if self.into is None:
            return True
        answered = {"verified", "dissatisfied", "redoing", "closed", "archived"}
        return self.into.state in answered and self.clock("callback") is not None

    def _may_update_knowledge(self) -> bool:
        return self.clock("knowledge_update", self.by.unit) is not None

    def _may_archive(self) -> bool:
        return self.state == "withdrawn" or not self.pending

    def _may_withdraw(self) -> bool:
        return not any(child.state == "merged" for child in self.merged)

    def _may_remind(self) -> bool:
        return self.part is not None and not self.part.done

    # --- what it does ---

    def do(self, act: str, by: Try) -> None:
        """Do what is allowed."""
        self.by = by
        self.pass_time(by.at)
        self.version += 1
        self.entries.append(act)
        turn = getattr(self, f"_{act}", None)
        if turn is not None:
            turn()

    def pass_time(self, at: datetime) -> None:
        """Every running period whose end has come lapses, once, as of its end."""
        for clock in self.clocks:
            if clock.running and not clock.lapsed and clock.due <= at:
                clock.lapsed = True
                self.entries += ["lapse"] * clock.recorded

    def _open(
        self, kind: str, days: int, at: datetime, unit: str | None = None, recorded: bool = True
    ) -> None:
        last = after(at.date(), days)
        self.clocks.append(Clock(kind, unit, at, midnight(last), recorded, days, last))

    def _meet(self, at: datetime, *kinds: str) -> None:
        for clock in self.clocks:
            if clock.running and clock.kind in kinds:
                clock.met = at

    def _void(self, *kinds: str) -> None:
        for clock in self.clocks:
            if clock.running and clock.kind in kinds:
                clock.voided = True

    def _dispatch(self) -> None:
        lead = self.by.lead
        self.state = "dispatched"
        self.parts.append(Part(lead))
        self._meet(self.by.at, "form_and_transfer", "report_up")
        self._open("reply", REPLY_DAYS[self.matter], self.by.at, lead)
        self._open("return", 1, self.by.at, lead, recorded=False)

    def _sign(self) -> None:
        self.state = "handling"
        self.parts[-1].signed = True

    def _propose_return(self) -> None:
        self.state = "return_proposed"
        self._meet(self.by.at, "return")

    def _uphold_return(self) -> None:
        self.returned += 1
        self.parts[-1].out = True
        self._void(*UNIT_CLOCKS)
        if self.returned > 2:
            self.state = "coordinating"
            return
        self.state = "accepted"
        self.clocks.append(Clock("report_up", None, self.by.at, self.by.at + timedelta(hours=24)))

    def _reject_return(self) -> None:
        self.state = "handling" if self.parts[-1].signed else "dispatched"

    def _convert_to_complex(self) -> None:
        clock = self.clock("reply", self.by.unit)
        assert clock is not None
        clock.days, clock.original = 5, after(clock.opened.date(), 5)
        clock.due = midnight(after(clock.original, clock.extended))

    def _request_extension(self) -> None:
        clock = self.clock("reply", self.by.unit)
        assert clock is not None
        self.pending.append((self.parts[-1], clock, self.by.days))

    def _approve_extension(self) -> None:
        _, clock, days = self.pending.pop()
        clock.extended += days
        clock.due = midnight(after(clock.original, clock.extended))
        ended = clock.met if clock.met is not None else self.by.at
        clock.lapsed = clock.lapsed and clock.met is not None and ended >= clock.due

    def _refuse_extension(self) -> None:
        self.pending.pop()

    def _answer_citizen(self) -> None:
        self.parts[-1].answered = True
        self._finish()

    def _reply(self) -> None:
        self.parts[-1].reported = True
        self._finish()

    def _finish(self) -> None:
        part = self.parts[-1]
        if part.answered:
            self._meet(self.by.at, "citizen")
        if not part.done:
            return
        self._meet(self.by.at, "reply", "supplement", "redo")
        self._void("return")
        self._open("callback", 5, self.by.at)
        self.state = "replied"
        for child in self._waiting():
            child.pass_time(self.by.at)
            child._void("callback")
            child._open("callback", 5, self.by.at)
            child.version += 1
            child.entries.append("main_replied")

    def _waiting(self) -> list["Ticket"]:
        return [child for child in self.merged if child.state == "merged"]

    def _again(self) -> None:
        self.episode += 1
        self.parts[-1].answered = self.parts[-1].reported = False

    def _review_pass(self) -> None:
        self.state = "verified"
        if self.matter == "inquiry" and not self.learned:
            self.learned = True
            self._open("knowledge_update", 2, self.by.at, self.parts[-1].unit)

    def _review_send_back(self) -> None:
        self.state = "supplementing"
        self._again()
        self._void("callback")
        self._open("supplement", self.by.days, self.by.at, self.parts[-1].unit)
        for child in self._waiting():
            child.pass_time(self.by.at)
            child._void("callback")
            child.version += 1
            child.entries.append("main_sent_back")

    def _record_callback(self) -> None:
        if self.by.outcome == "unreachable":
            tried = self.unreachable.setdefault(self.episode, set())
            tried.add(self.by.at.date())
            if len(tried) < 3:
                return
        self._meet(self.by.at, "callback")
        self.state = "dissatisfied" if self.by.outcome == "dissatisfied" else "closed"

    def _uphold_dissatisfaction(self) -> None:
        self.state = "redoing"
        self._again()
        self._open("redo", self.by.days, self.by.at, self.parts[-1].unit)

    def _dismiss_dissatisfaction(self) -> None:
        self.state = "closed"

    def _update_knowledge(self) -> None:
        self._meet(self.by.at, "knowledge_update")

    def _archive(self) -> None:
        self.state = "archived"

    def _stop(self) -> None:
        if self.part is not None and not self.part.done:
            self.part.out = True

    def _withdraw(self) -> None:
        self.state = "withdrawn"
        self._stop()
        self._void(*({clock.kind for clock in self.clocks} - {"knowledge_update"}))

    def merge_into(self, main: "Ticket", by: Try) -> None:
        """并单, once `allows` said so and `main` carries."""
        main.pass_time(by.at)
        self.do("merge", by)
        self.state, self.into = "merged", main
        self._stop()
        self._void(*UNIT_CLOCKS, "form_and_transfer", "report_up")
        for child in self.merged:
            child.into = main
        main.merged += [*self.merged, self]
        self.merged = []
        main.version += 1
        main.entries.append("merged_in")
