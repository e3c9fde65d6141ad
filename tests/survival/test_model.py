"""The HTTP API and the reference model side by side: the same acts, the same refusals, the same dates, whatever people do when.

Hypothesis writes the story: who tries what on which demand, by how much time passes, when the sweep comes. After every step the
demand is read over HTTP and compared with `reference.Ticket`: state, version, each running period and its due instant, what has
lapsed, and the ledger act by act.
"""

import os
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlmodel import Session

from hotline import supervision
from tests.api.conftest import Api
from tests.survival.afterwards import all_is_well, hotline
from tests.survival.log import ROUNDS, Log, rounds
from tests.survival.patience import ALL_OK
from tests.survival.reference import CARRIES, CHINA, LAW, REPLY_DAYS, UNIT, Ticket, Try

EXAMPLES = rounds(6)
STEPS = 20
PEOPLE = ("agent", "dispatcher", "supervisor", "reviewer", "callback", "ZJJ", "JTJ")
UNITS = ("ZJJ", "JTJ")
ENDS = ("merge", "withdraw", "archive")
"""Not among what is usually done next."""

DAYS = (
    "2026-02-11 16:30",  # before the Spring Festival and its make-up Saturday
    "2026-03-31 23:50",  # the month ends, Qingming comes
    "2026-04-29 09:00",  # May Day
    "2026-09-18 08:00",  # a make-up Sunday, the National Day week
)
SAID: dict[str, dict[str, Any]] = {
    "propose_return": {"grounds": "不属于本单位职责。", "suggestion": "建议改派。"},
    "uphold_return": {"reason": "同意。"},
    "reject_return": {"reason": "属于你单位职责。"},
    "convert_to_complex": {"reason": "需现场勘查。"},
    "request_extension": {"reason": "complex", "explanation": "情况复杂。"},
    "refuse_extension": {"reason": "理由不充分。"},
    "report_progress": {"content": "已到现场。"},
    "reply": {"content": "已办结。"},
    "review_pass": ALL_OK,
    "review_send_back": {"findings": {"content": "未说明措施。"}},
    "uphold_dissatisfaction": {"reason": "未解决。"},
    "dismiss_dissatisfaction": {"reason": "已依法办结。"},
    "update_knowledge": {"outcome": "no_change", "reason": "现有条目已涵盖。"},
    "withdraw": {"reason": "来电人撤回。"},
    "remind": {"form": "network", "content": "请尽快办理。"},
}
ANSWERED: dict[str, dict[str, Any]] = {
    "satisfied": {"outcome": "satisfied", "solved": True},
    "dissatisfied": {"outcome": "dissatisfied", "solved": False, "remark": "仍不热。"},
    "unreachable": {"outcome": "unreachable"},
}


def _order(act: str, by: Try) -> dict[str, Any]:
    """What is sent for this try."""
    if act == "record_callback":
        return ANSWERED[by.outcome]
    order = dict(SAID.get(act, {}))
    if act == "dispatch":
        order["lead"] = by.lead
    if act in ("request_extension", "review_send_back", "uphold_dissatisfaction"):
        order["days"] = by.days
    return order


WAY: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("dispatch", "dispatcher", {"lead": "ZJJ"}),
    ("sign", "ZJJ", {}),
    ("request_extension", "ZJJ", {"days": 3}),
    ("approve_extension", "supervisor", {}),
    ("reply", "ZJJ", {}),
    ("answer_citizen", "ZJJ", {}),
    ("review_pass", "reviewer", {}),
    ("record_callback", "callback", {"outcome": "dissatisfied"}),
    ("uphold_dissatisfaction", "reviewer", {"days": 7}),
)
_BEGUN = st.tuples(st.sampled_from(sorted(REPLY_DAYS)), st.integers(0, len(WAY)))


class Story(RuleBasedStateMachine):
    """One example: some demands, worked on by everybody, while time passes."""

    api: Api
    counts: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.tickets: dict[str, Ticket] = {}

    @initialize(day=st.sampled_from(DAYS), begun=st.lists(_BEGUN, min_size=2, max_size=2))
    def begin(self, day: str, begun: list[tuple[str, int]]) -> None:
        """Two demands, each already some way along."""
        self.api.at(day)
        self._sweep()  # what an earlier story left behind
        for matter, acts in begun:
            number = self.api.take(matter)
            self.tickets[number] = Ticket(matter, self.now)
            for act, who, more in WAY[:acts]:
                self._try(number, act, replace(self._who(who), **more), who)
                self.api.now += timedelta(hours=1)

    @property
    def now(self) -> datetime:
        return self.api.now.astimezone(CHINA)

    # --- rules ---

    @precondition(lambda self: len(self.tickets) < 4)
    @rule(matter=st.sampled_from(sorted(REPLY_DAYS)))
    def accept(self, matter: str) -> None:
        number = self.api.take(matter)
        self.tickets[number] = Ticket(matter, self.now)
        self.counts["accept"] += 1
        self._compare(number)

    @precondition(lambda self: bool(self.tickets))
    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        """A few lawful acts on one demand, one after the other."""
        number = data.draw(st.sampled_from(sorted(self.tickets)))
        for _ in range(3):
            allowed = {a: who for a in LAW if a not in ENDS for who in PEOPLE if self._may(number, a, who)}
            if not allowed:
                return
            act = data.draw(st.sampled_from(sorted(allowed)))
            self._try(number, act, self._by(data, act, allowed[act]), allowed[act])

    @precondition(lambda self: bool(self.tickets))
    @rule(data=st.data())
    def work_on(self, data: st.DataObject) -> None:
        """As `work`: most of what happens is lawful."""
        self.work(data)

    @precondition(lambda self: bool(self.tickets))
    @rule(
        data=st.data(),
        act=st.sampled_from([act for act in LAW if act != "merge"]),
        who=st.sampled_from(PEOPLE),
    )
    def act_somehow(self, data: st.DataObject, act: str, who: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.tickets)))
        self._try(number, act, self._by(data, act, who), who)

    @precondition(lambda self: len(self.tickets) > 1)
    @rule(data=st.data(), who=st.sampled_from(("agent", "dispatcher", "reviewer")))
    def merge(self, data: st.DataObject, who: str) -> None:
        number, into = (data.draw(st.sampled_from(sorted(self.tickets))) for _ in range(2))
        ticket, main, by = self.tickets[number], self.tickets[into], Try(who, self.now)
        allowed = ticket.allows("merge", by) and main.state in CARRIES and number != into
        answer = self.api.post(f"/tickets/{number}/merge", who, {"into": into, "reason": "同一问题。"})
        self._judge(answer, "merge", allowed=allowed, granted=who in LAW["merge"][0])
        if allowed:
            ticket.merge_into(main, by)
        for each in self.tickets:
            self._compare(each)

    @rule(hours=st.sampled_from((1, 5, 16, 24, 31, 72, 200)))
    def time_passes(self, hours: int) -> None:
        self.api.now += timedelta(hours=hours)

    @precondition(lambda self: any(self._due()))
    @rule(second=st.sampled_from((-1, 0)))
    def the_next_period_is_about_to_end(self, second: int) -> None:
        self.api.now = min(self._due()) + timedelta(seconds=second)

    @rule()
    def sweep(self) -> None:
        self._sweep()
        for number, ticket in self.tickets.items():
            ticket.pass_time(self.now)
            self._compare(number)

    # --- how ---

    def _due(self) -> list[datetime]:
        soon = self.now + timedelta(seconds=1)
        return [c.due for t in self.tickets.values() for c in t.clocks if c.running and c.due > soon]

    def _by(self, data: st.DataObject, act: str, who: str) -> Try:
        by = self._who(who)
        if act == "dispatch":
            return replace(by, lead=data.draw(st.sampled_from(UNITS)))
        if act == "record_callback":
            return replace(by, outcome=data.draw(st.sampled_from(sorted(ANSWERED))))
        if act in ("request_extension", "review_send_back", "uphold_dissatisfaction"):
            return replace(by, days=data.draw(st.sampled_from((1, 3, 4, 7, 11))))
        return by

    def _who(self, who: str) -> Try:
        return Try(UNIT, self.now, who) if who in UNITS else Try(who, self.now)

    def _may(self, number: str, act: str, who: str) -> bool:
        return self.tickets[number].allows(act, replace(self._who(who), days=1, outcome="satisfied"))

    def _try(self, number: str, act: str, by: Try, who: str) -> None:
        ticket = self.tickets[number]
        if ticket.state == "merged" and (act == "answer_citizen" or by.outcome == "dissatisfied"):
            return  # a merged caller's own way on is not in the reference
        allowed = ticket.allows(act, by)
        answer = self.api.post(f"/tickets/{number}/{act}", who, _order(act, by))
        granted = by.role in LAW[act][0] or act == "answer_citizen"  # which staff do for merged callers
        known = by.unit is None or any(part.unit == by.unit for part in ticket.parts)
        self._judge(answer, act, allowed=allowed, granted=granted, known=known)
        if allowed:
            ticket.do(act, by)
        for each in {number, *(n for n, t in self.tickets.items() if t.into is ticket)}:
            self._compare(each)

    def _judge(self, answer: Any, act: str, *, allowed: bool, granted: bool, known: bool = True) -> None:
        self.counts[act if allowed else "refused"] += 1
        if allowed:
            assert answer.status_code == 200, (act, answer.text)
        elif not granted:
            assert answer.status_code == 403, (act, answer.text)
        elif not known:
            assert answer.status_code == 404, (act, answer.text)
        else:
            assert answer.status_code in (403, 409, 422), (act, answer.text)

    def _sweep(self) -> None:
        with Session(self.api.world.engine) as session:
            while supervision.lapse_due(session, self.api.world.office, self.api.now):
                session.commit()

    def _compare(self, number: str) -> None:
        """What the API tells of the demand is what the reference says."""
        expected = self.tickets[number]
        view = self.api.get(f"/tickets/{number}", "supervisor").json()
        entries = self.api.get(f"/tickets/{number}/timeline", "supervisor").json()["entries"]
        assert (view["state"], view["version"]) == (expected.state, expected.version)
        running = [c for c in view["clocks"] if c["met_at"] is None and c["voided_at"] is None]
        assert Counter(
            (c["kind"], c["unit"], datetime.fromisoformat(c["due_at"]), c["lapsed_at"] is not None)
            for c in running
        ) == Counter((c.kind, c.unit, c.due, c.lapsed) for c in expected.clocks if c.running)
        assert all(c["lapsed_at"] in (None, c["due_at"]) for c in view["clocks"])
        assert sum(c["lapsed_at"] is not None for c in view["clocks"]) == sum(
            c.lapsed for c in expected.clocks
        )
        assert [entry["act"] for entry in entries] == expected.entries


@pytest.mark.timeout(300 + 20 * EXAMPLES)
def test_the_api_does_what_the_measures_say(house: Api, tmp_path: Any, survival_log: Log) -> None:
    counts: Counter[str] = Counter()
    Here = type("Here", (Story,), {"api": house, "counts": counts})  # noqa: N806
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=ROUNDS not in os.environ,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    done = {act: n for act, n in sorted(counts.items()) if act != "refused"}
    assert len(done) > 15, done
    url = house.world.engine.url.render_as_string(hide_password=False)
    assert hotline(tmp_path, url, "schedule", "--once").returncode == 0  # real time has gone on since
    all_is_well(tmp_path, url)
    survival_log(
        "model and API side by side",
        acts_done=sum(done.values()),
        kinds_of_act=len(done),
        refused=counts["refused"],
    )
