"""Every figure of a period computed anew from the raw rows of a database, by plain Python loops, and compared with what the hotline reports.

python -m bench.recompute DATABASE_URL PERIOD [--url http://127.0.0.1:12345 --token TOKEN] [--json]

It knows nothing of the code that counts for reports: it reads tickets, ledger entries, clocks, parts, reviews, callbacks, return
proposals, exclusions, sampled tickets and calls, and follows the definitions in words (`GET /reports/indicators`). PERIOD is a month (2026-10) or days
(2026-10-01..2026-10-31). What it is compared with comes from `hotline reports show PERIOD --by … --json` on the same database or, with
--url, from GET /api/v1/reports/figures as whom the token belongs to (who sees every platform). Working days are those of the notices
that are shipped; where others were loaded into the database, it says so.

Compared are numerator, denominator, what stands beside, and medians of the whole; as a whole and by platform, unit, matter, category,
area and channel. Exits 1 where anything differs.
"""

import argparse
import calendar
import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import namedtuple_row

from calendar_cn.working_days import WorkCalendar

CHINA = ZoneInfo("Asia/Shanghai")
BYS = ("platform", "unit", "matter", "category", "area", "channel")
PLEASED, DISPLEASED = ("satisfied", "basically_satisfied"), "dissatisfied"
HANDLING = ("reply", "supplement", "redo")
ACCEPTING = ("accepted", "coordinating", "dispatched")
DONE = ("verified", "dissatisfied", "closed", "withdrawn", "archived")
ELSEWHERE = ("withdrawn", "answered", "transferred", "refused", "archived")

Row = Any
Told = dict[str, dict[str, dict[str, "Read"]]]


class Read(NamedTuple):
    """One figure read from the raw rows; `beside` in the order of its labels."""

    numerator: int
    denominator: int | None = None
    beside: tuple[int, ...] = ()
    median: int | None = None


@dataclass(frozen=True)
class Raw:
    """The rows of one snapshot."""

    platforms: Mapping[int, str]
    units: Mapping[int, str]
    tickets: Mapping[int, Row]
    ledger: Mapping[int, list[Row]]
    clocks: Sequence[Row]
    parts: Mapping[int, Row]
    parts_of: Mapping[int, list[Row]]
    proposals: Mapping[int, list[Row]]
    reviews: Mapping[int, list[Row]]
    callbacks: Sequence[Row]
    sampled: Sequence[Row]
    calls: Sequence[Row]
    excluded: frozenset[tuple[int, int | None]]

    def left_out(self, ticket: int, clock: int | None = None) -> bool:
        """Whether this was excluded with approval (art. 35): the ticket whole, or this clock of it."""
        return (ticket, None) in self.excluded or (clock is not None and (ticket, clock) in self.excluded)


def day(at: datetime) -> date:
    return at.astimezone(CHINA).date()


def grouped(rows: Iterable[Row], name: str) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(getattr(row, name), []).append(row)
    return found


def load(url: str) -> Raw:
    """The rows, in one snapshot."""
    with psycopg.connect(url, row_factory=namedtuple_row) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

        def rows(columns: str, table: str, order: str = "id") -> list[Row]:
            return connection.execute(f"SELECT {columns} FROM {table} ORDER BY {order}").fetchall()

        parts = rows("id, ticket_id, unit_id, role, status, dispatched_at", "assignments")
        return Raw(
            platforms={row.id: row.code for row in rows("id, code", "platforms")},
            units={row.id: row.code for row in rows("id, code", "units")},
            tickets={
                row.id: row
                for row in rows(
                    "id, platform_id, state, matter, channel, category_code, area_code, received_at, merged_into_id",
                    "tickets",
                )
            },
            ledger=grouped(rows("ticket_id, act, to_state", "ledger", "ticket_id, seq"), "ticket_id"),
            clocks=rows(
                "id, ticket_id, assignment_id, unit_id, kind, opened_at, due_on, due_at, met_at, voided_at",
                "clocks",
            ),
            parts={part.id: part for part in parts},
            parts_of=grouped(parts, "ticket_id"),
            proposals=grouped(rows("id, assignment_id, upheld", "return_proposals"), "assignment_id"),
            reviews=grouped(rows("id, ticket_id, passed", "reviews"), "ticket_id"),
            callbacks=rows("id, ticket_id, outcome, conclusive, solved, attempted_at", "callback_attempts"),
            sampled=rows("id, ticket_id, unit_id, accurate", "sampled_tickets"),
            calls=rows("id, platform_id, ringing_at, answered_at", "calls"),
            excluded=frozenset(
                (row.ticket_id, row.clock_id)
                for row in rows("ticket_id, clock_id, approved, revoked_at", "exclusions")
                if row.approved and row.revoked_at is None
            ),
        )


# --- what counts, one by one ------------------------------------------------------------------------------------------------


class Thing(NamedTuple):
    """One thing that counts: what it is, whose, and the raw row it is."""

    what: str
    ticket: Row | None
    unit: int | None
    platform: int
    row: Row


def things(raw: Raw, first: date, last: date, today: date) -> Iterator[Thing]:
    """Everything of the period: clocks by the day they are due, once it is over; the rest by the day it happened."""

    def within(at: datetime) -> bool:
        return first <= day(at) <= last

    for clock in raw.clocks:
        if raw.left_out(clock.ticket_id, clock.id):
            continue
        if clock.voided_at is None and first <= clock.due_on <= last and clock.due_on < today:
            ticket = raw.tickets[clock.ticket_id]
            yield Thing("clock", ticket, clock.unit_id, ticket.platform_id, clock)
    for ticket in raw.tickets.values():
        if within(ticket.received_at):
            yield Thing("received", ticket, None, ticket.platform_id, ticket)
    yield from _worked(raw, within)
    yield from _sampled(raw, within)
    for call in raw.calls:
        if within(call.ringing_at):
            yield Thing("call", None, None, call.platform_id, call)


def _sampled(raw: Raw, within: Callable[[datetime], bool]) -> Iterator[Thing]:
    for one in raw.sampled:
        ticket = raw.tickets[one.ticket_id]
        if one.accurate is not None and within(ticket.received_at) and not raw.left_out(ticket.id):
            yield Thing("sampled", ticket, one.unit_id, ticket.platform_id, one)


def _worked(raw: Raw, within: Callable[[datetime], bool]) -> Iterator[Thing]:
    for key, parts in raw.parts_of.items():
        ticket = raw.tickets[key]
        if raw.left_out(key):
            continue
        if within(min(part.dispatched_at for part in parts)) and _for_units(raw, ticket):
            yield Thing("dispatched", ticket, _lead(parts), ticket.platform_id, ticket)
        for part in parts:
            if within(part.dispatched_at):
                yield Thing("assigned", ticket, part.unit_id, ticket.platform_id, part)
    for attempt in raw.callbacks:
        counts = attempt.conclusive and not raw.left_out(attempt.ticket_id)
        if counts and within(attempt.attempted_at):
            ticket = raw.tickets[attempt.ticket_id]
            unit = _lead_then(raw, ticket, attempt.attempted_at)
            yield Thing("called_back", ticket, unit, ticket.platform_id, attempt)


def _passed(raw: Raw, ticket: Row) -> bool:
    reviews = raw.reviews.get(ticket.id)
    return bool(reviews and reviews[-1].passed)


def _for_units(raw: Raw, ticket: Row) -> bool:
    """Whether units were to complete it: not one merged into another, nor one that ended otherwise before it was verified."""
    return ticket.merged_into_id is None and not (ticket.state in ELSEWHERE and not _passed(raw, ticket))


def _lead(parts: Sequence[Row]) -> int | None:
    leads = [part for part in parts if part.role == "lead"]
    staying = [part for part in leads if part.status not in ("returned", "released")]
    chosen = (staying or leads)[-1:]
    return chosen[0].unit_id if chosen else None


def _lead_then(raw: Raw, ticket: Row, at: datetime) -> int | None:
    for key in (ticket.id, ticket.merged_into_id):
        leads = [p for p in raw.parts_of.get(key, []) if p.role == "lead" and p.dispatched_at <= at]
        if leads:
            return int(leads[-1].unit_id)
    return None


# --- the figures of some things ----------------------------------------------------------------------------------------------


def figures(raw: Raw, counted: Sequence[Thing], days: WorkCalendar) -> dict[str, Read]:
    """Every indicator over these things, as its definition says."""
    clocks = [thing.row for thing in counted if thing.what == "clock"]
    told = _limits(clocks) | _times(raw, [clock for clock in clocks if clock.kind == "reply"], days)
    told |= _demands(raw, [thing.row for thing in counted if thing.what == "received"])
    told |= _work(raw, counted)
    told |= _said([thing.row for thing in counted if thing.what == "called_back"])
    calls = [thing.row for thing in counted if thing.what == "call"]
    looked_at = [thing.row for thing in counted if thing.what == "sampled"]
    told["accuracy"] = Read(sum(one.accurate for one in looked_at), len(looked_at))
    told["connected"] = Read(sum(call.answered_at is not None for call in calls), len(calls))
    return told


def _limits(clocks: Sequence[Row]) -> dict[str, Read]:
    def timely(*kinds: str) -> Read:
        due = [clock for clock in clocks if clock.kind in kinds]
        met = sum(clock.met_at is not None and clock.met_at < clock.due_at for clock in due)
        return Read(met, len(due), (len(due) - met, sum(clock.met_at is None for clock in due)))

    every = timely(*HANDLING)
    late, still = every.beside
    return {
        "timely": every,
        "overdue": Read(late, every.denominator, (still,)),
        "reply_timely": timely("reply"),
        "knowledge_updated": timely("knowledge_update"),
        "transferred_timely": timely("form_and_transfer"),
        "reported_up_timely": timely("report_up"),
        "called_back_timely": timely("callback"),
        "citizen_timely": timely("citizen"),
    }


def _times(raw: Raw, replies: Sequence[Row], days: WorkCalendar) -> dict[str, Read]:
    given = [clock for clock in replies if clock.met_at is not None]
    owed = (len(replies) - len(given),)
    work = [(clock.opened_at, clock.met_at) for clock in given]
    leads = [clock for clock in given if raw.parts[clock.assignment_id].role == "lead"]
    wait = [(raw.tickets[clock.ticket_id].received_at, clock.met_at) for clock in leads]

    def hours(spans: Sequence[tuple[datetime, datetime]]) -> Read:
        seconds = [round((end - start).total_seconds()) for start, end in spans]
        return Read(sum(seconds), len(seconds), owed, middle([step(each / 3600) for each in seconds]))

    def workdays(spans: Sequence[tuple[datetime, datetime]]) -> Read:
        taken = [days.between(day(start), day(end)) for start, end in spans]
        return Read(sum(taken), len(taken), owed, middle([min(each, 60) for each in taken]))

    return {
        "handling_hours": hours(work),
        "handling_workdays": workdays(work),
        "waiting_hours": hours(wait),
        "waiting_workdays": workdays(wait),
    }


def middle(values: Sequence[int]) -> int | None:
    return sorted(values)[(len(values) - 1) // 2] if values else None


def step(hours: float) -> int:
    """Where the step of a duration begins: each hour up to 12, then every 2 to 24, 4 to 48, 8 to 96, 12 to 240, 24 to 720."""
    for until, wide in ((12, 1), (24, 2), (48, 4), (96, 8), (240, 12), (720, 24)):
        if hours < until:
            return int(hours // wide * wide)
    return 720


def _demands(raw: Raw, tickets: Sequence[Row]) -> dict[str, Read]:
    accepted = direct = refused = transferred = 0
    for ticket in tickets:
        entries = raw.ledger.get(ticket.id, [])
        at_once = any(entry.act == "answer_at_once" for entry in entries)
        direct += at_once
        accepted += at_once or any(entry.to_state in ACCEPTING for entry in entries)
        refused += any(entry.to_state == "refused" for entry in entries)
        transferred += any(entry.to_state == "transferred" for entry in entries)
    return {
        "answered_directly": Read(direct, accepted),
        "received": Read(len(tickets)),
        "accepted": Read(accepted),
        "refused": Read(refused),
        "transferred": Read(transferred),
        "merged": Read(sum(ticket.merged_into_id is not None for ticket in tickets)),
    }


def _work(raw: Raw, counted: Sequence[Thing]) -> dict[str, Read]:
    tickets = [thing.row for thing in counted if thing.what == "dispatched"]
    parts = [thing.row for thing in counted if thing.what == "assigned"]
    asked = [raw.proposals[part.id] for part in parts if part.id in raw.proposals]
    upheld, rejected = (sum(any(p.upheld is way for p in each) for each in asked) for way in (True, False))
    return {
        "completed": Read(
            sum(_passed(raw, ticket) and ticket.state in DONE for ticket in tickets), len(tickets)
        ),
        "dispatched": Read(len(tickets)),
        "assigned": Read(len(parts)),
        "returned": Read(len(asked), len(parts), (upheld, rejected)),
    }


def _said(attempts: Sequence[Row]) -> dict[str, Read]:
    said = [each for each in attempts if each.outcome in (*PLEASED, DISPLEASED)]
    asked = [each for each in said if each.solved is not None]
    silent = tuple(sum(each.outcome == way for each in attempts) for way in ("unreachable", "refused_to_say"))
    return {
        "called_back": Read(len(attempts)),
        "satisfied": Read(sum(each.outcome in PLEASED for each in said), len(said), silent),
        "solved": Read(sum(bool(each.solved) for each in asked), len(asked), silent),
    }


# --- whole and broken down -----------------------------------------------------------------------------------------------------


def calendars_loaded(url: str) -> int:
    """How many notices and lists of local days off were loaded into this database: its working days may not be the shipped ones."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM calendar_versions").fetchone()
    return int(found[0]) if found else 0


def recomputed(url: str, first: date, last: date, today: date) -> Told:
    """Every figure of the period from this database's raw rows: by what, then key, then indicator; `today` is the day of asking."""
    raw, days = load(url), WorkCalendar()
    counted = list(things(raw, first, last, today))
    told: Told = {"whole": {"": figures(raw, counted, days)}}
    for by, key in _keys(raw).items():
        parts: dict[str, list[Thing]] = {}
        for thing in counted:
            parts.setdefault(key(thing), []).append(thing)
        told[by] = {name: figures(raw, part, days) for name, part in parts.items()}
    return told


def _keys(raw: Raw) -> dict[str, Callable[[Thing], str]]:
    return {
        "platform": lambda thing: raw.platforms[thing.platform],
        "unit": lambda thing: raw.units[thing.unit] if thing.unit is not None else "platform",
        "matter": lambda thing: thing.ticket.matter if thing.ticket else "none",
        "category": lambda thing: thing.ticket.category_code if thing.ticket else "none",
        "area": lambda thing: thing.ticket.area_code[:6] + "000000" if thing.ticket else "none",
        "channel": lambda thing: thing.ticket.channel if thing.ticket else "phone",
    }


def differences(told: Told, by: str, shown: Mapping[str, Mapping[str, Any]]) -> tuple[int, list[str]]:
    """How many figures of a breakdown were compared, and each that is not what the raw rows say."""
    wrong = [f"{by} {key}：只有一方有" for key in told[by].keys() ^ shown.keys()]
    compared = 0
    for key in told[by].keys() & shown.keys():
        for name, figure in shown[key].items():
            read = told[by][key].get(name)
            compared += 1
            if read is None:
                wrong.append(f"{by} {key} {name}：没有独立的算法")
                continue
            mine = [read.numerator, read.denominator, list(read.beside)]
            theirs = [figure["numerator"], figure["denominator"], list(figure["beside"].values())]
            if by == "whole":
                mine.append(read.median)
                theirs.append(figure["median"])
            if mine != theirs:
                wrong.append(f"{by} {key} {name}：原始数据 {mine}，统计 {theirs}")
    return compared, wrong


# --- what the hotline says -------------------------------------------------------------------------------------------------------


def shown_by_command(url: str, period: str, by: str) -> dict[str, dict[str, Any]]:
    """What `hotline reports show` tells, whole and broken down."""
    command = [
        sys.executable,
        "-c",
        "from api.cli import main; main()",
        "reports",
        "show",
        period,
        "--by",
        by,
        "--json",
    ]
    ran = subprocess.run(
        command, env=os.environ | {"HOTLINE_DATABASE_URL": url}, capture_output=True, text=True, check=True
    )
    told = json.loads(ran.stdout)["figures"]
    return {"": told["whole"]} | {row["key"]: row["figures"] for row in told["tables"][by]}


def shown_by_http(base: str, token: str, period: str, by: str) -> dict[str, dict[str, Any]]:
    """What GET /reports/figures tells."""
    query = urllib.parse.urlencode({"period": period, "by": by})
    request = urllib.request.Request(
        f"{base}/api/v1/reports/figures?{query}", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        told = json.load(answer)
    return {"": told["whole"]} | {row["key"]: row["figures"] for row in told["rows"]}


def _days(period: str) -> tuple[date, date]:
    if ".." in period:
        first, last = (date.fromisoformat(each) for each in period.split(".."))
        return first, last
    year, month = (int(each) for each in period.split("-"))
    return date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1])


def main(words: Sequence[str] | None = None) -> int:
    """Compare, print, and tell by the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("database_url")
    parser.add_argument("period")
    parser.add_argument("--url")
    parser.add_argument("--token")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(words)
    url = asked.database_url.replace("postgresql+psycopg://", "postgresql://")
    first, last = _days(asked.period)
    told = recomputed(url, first, last, datetime.now(CHINA).date())
    result: dict[str, Any] = {"period": asked.period, "compared": 0, "different": []}
    result["calendars_loaded"] = calendars_loaded(url)
    for by in BYS:
        shown = (
            shown_by_http(asked.url, asked.token, asked.period, by)
            if asked.url
            else shown_by_command(url, asked.period, by)
        )
        whole = {"": shown.pop("")}
        for name, part in (("whole", whole), (by, shown)) if by == BYS[0] else ((by, shown),):
            compared, wrong = differences(told, name, part)
            result["compared"] += compared
            result["different"] += wrong
            result[name] = compared
    if asked.json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        print(f"{asked.period}：逐项核对 {result['compared']} 个数，不符 {len(result['different'])} 个。")
        if result["calendars_loaded"]:
            print("  数据库中另载入了工作日历，平均工作日数可能因此不同。")
        print(*(f"  {name}: {result[name]}" for name in ("whole", *BYS)), *result["different"][:50], sep="\n")
    return 1 if result["different"] or not result["compared"] else 0


if __name__ == "__main__":
    sys.exit(main())
