"""Lists and searches at 100,000 tickets beside django-helpdesk's on the same PostgreSQL: a unit's queue, one ticket, Chinese words.

python -m bench.lists [--quick] [--full] [--json]

One embedded PostgreSQL in a temporary folder with its ordinary settings. The tickets are those of `bench/desks.py` (the demo's demands
about invented housing estates, all open, received within 50 days, 60 units), written in bulk; django-helpdesk gets the same titles,
texts, times and due dates, each unit a queue of its own, each ticket its first follow-up. Both are vacuumed and analysed, and the hotline
has counted the tickets for its reports, which a server does once where tickets were written in bulk. Over HTTP one
client asks, here and there by turns: the 50 open tickets of a unit by due date; one ticket by its number; the newest 50 with some Chinese words of two, three and
four characters, rare ones (in under one ticket of a thousand) and usual ones (in one of twenty to one of three). Each word's answer must be what plain SQL
(`title ILIKE … OR content ILIKE …`) finds, in that order, or the program fails. Then the functions behind the routes, without HTTP.

Of the peer the web pages count (its list page's JSON, a ticket's page), which are its fastest; its REST list and REST ticket read the
whole table for every request and are asked once each for the record, but not with --full, which takes 1,000,000 tickets; --quick 10,000, at which the musts, which
are of 100,000 tickets, are shown and not judged.

Exits 1 where p95 of the queue is over 1/4 of the peer's, of the search over 1/10, or of one ticket over 10 ms; or where an answer is wrong.
"""

import argparse
import json
import logging
import random
import statistics
import sys
import time
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import psycopg
from sqlalchemy import select, text
from sqlmodel import Session, col

from bench import proc
from bench.clients import Client, NotDone, Script, play, request
from bench.list_rows import fill, fill_peer
from bench.servers import (
    UNIT,
    Desk,
    Server,
    Stage,
    peers_python,
    peers_versions,
    serve_desk,
    serve_hotline,
    staged,
)
from hotline.access import Actor
from hotline.models import Ticket
from hotline.organisation import Person
from hotline.people import accounts
from hotline.queues import Filters, listed
from workflow.vocabulary import Role

MANY, QUICK, FULL = 100_000, 10_000, 1_000_000
MUST_LIST, MUST_SEARCH, MUST_ONE_MS = 0.25, 0.1, 10.0
AIM_LIST_MS, AIM_SEARCH_P99_MS = 5.0, 20.0
MOST_COUNTING_S = 900.0
CALLS, CALLS_QUICK = 200, 24
PEER_CALLS, PEER_CALLS_QUICK = 12, 4
TURNS, WARM, WORDS_EACH = 4, 4, 4
PAGE = 50
LENGTHS, RARITIES = (2, 3, 4), ("rare", "usual")
_HAN = ("一", "鿿")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="10,000 tickets")
    size.add_argument("--full", action="store_true", help="1,000,000 tickets")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON and nothing else")
    options = parser.parse_args()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    figures = measured(QUICK if options.quick else FULL if options.full else MANY, silent=options.json)
    if not options.json:
        print_table(figures)
    print(json.dumps(figures, ensure_ascii=False))
    return 0 if figures["must_met"] else 1


def measured(count: int, *, silent: bool) -> dict[str, Any]:
    """Everything, on one stage."""
    python = peers_python()
    load = proc.load()
    quick = count < MANY
    with staged() as stage:
        began = time.perf_counter()
        fill(stage, count)
        desk = serve_desk(stage, python)
        queues = fill_peer(stage, desk)
        if not silent:
            print(f"{count:,} tickets here and there in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        words = chosen_words(stage)
        hotline = serve_hotline(stage)
        expected = {word: plainly(stage, word) for each in words.values() for word in each}
        waited = until_counted(stage, silent=silent)
        wrong = [word for word in expected if over_http(stage, hotline, word) != expected[word][0]]
        ours, theirs, answers = by_turns(
            (hotline.port, desk.server.port),
            our_requests(stage, words, CALLS_QUICK if quick else CALLS),
            their_requests(stage, desk, queues, words, PEER_CALLS_QUICK if quick else PEER_CALLS),
        )
        inside = dict(inner_timings(stage, words, CALLS_QUICK if quick else CALLS))
        if count <= MANY:
            theirs |= by_rest(stage, desk)
    totals = {word: total for word, (_, total) in expected.items()}
    amiss = peer_wrong(words, answers, totals)
    told = {
        "bench": "lists",
        "tickets": count,
        "words": {name: [(word, expected[word][1]) for word in each] for name, each in words.items()},
        "wrong": wrong,
        "peer_wrong": amiss,
        "ours_ms": {name: percentiles(each) for name, each in ours.items()},
        "functions_ms": {name: percentiles(each) for name, each in inside.items()},
        "peer_ms": {name: percentiles(each) for name, each in theirs.items()},
        "load_average_before": round(load, 1),
        "counted_s": round(waited, 1),
        "versions": peers_versions(python),
    }
    return judged(told)


def until_counted(stage: Stage, *, silent: bool) -> float:
    """Wait until the hotline has counted all the tickets for its reports, which it does once, at its first start beside them; seconds."""
    began = time.perf_counter()
    built = text("SELECT coalesce(bool_or(built), false) FROM report_state")
    with stage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.execute(built).scalar_one():
            if time.perf_counter() - began > MOST_COUNTING_S:
                raise NotDone(f"the figures were not counted within {MOST_COUNTING_S:.0f} s")
            time.sleep(0.5)
    waited = time.perf_counter() - began
    if not silent:
        print(f"counted for the reports after {waited:.0f} s more", file=sys.stderr)
    return waited


# --- what is looked for -------------------------------------------------------------------------------------------------


def chosen_words(stage: Stage) -> dict[str, list[str]]:
    """Words of Chinese characters as they stand in the tickets, by length and how usual they are, as far as there are such."""
    with psycopg.connect(stage.libpq()) as connection:
        rows = connection.execute(_SOME).fetchall()
    seen: dict[int, Counter[str]] = {length: Counter() for length in LENGTHS}
    for (content,) in rows:
        for length, counter in seen.items():
            counter.update({content[n : n + length] for n in range(len(content) - length + 1)})
    dice = random.Random(7)
    words: dict[str, list[str]] = {}
    for length, counter in seen.items():
        whole = {
            word: times / len(rows)
            for word, times in counter.items()
            if all(_HAN[0] <= c <= _HAN[1] for c in word)
        }
        rare = sorted(word for word, share in whole.items() if share < 0.001)
        usual = sorted(word for word, share in whole.items() if 0.05 <= share <= 0.34)
        for name, found in (("rare", rare), ("usual", usual)):
            words[f"{name} {length}"] = dice.sample(found, min(WORDS_EACH, len(found)))
    return {name: each for name, each in words.items() if each}


_SOME = """
SELECT content FROM tickets WHERE id % greatest((SELECT max(id) FROM tickets) / 5000, 1) = 0 ORDER BY id
"""


def plainly(stage: Stage, word: str) -> tuple[list[str], int]:
    """The newest PAGE numbers with this word by plain SQL, and how many have it in all."""
    with psycopg.connect(stage.libpq()) as connection:
        connection.execute("SET statement_timeout = 0")
        rows = connection.execute(_PLAINLY, {"like": f"%{word}%"}).fetchall()
    return [number for number, _ in rows[:PAGE]], rows[0][1] if rows else 0


_PLAINLY = """
SELECT number, count(*) OVER () FROM tickets WHERE title ILIKE %(like)s OR content ILIKE %(like)s ORDER BY received_at DESC, id DESC LIMIT 50
"""


# --- ours over HTTP ------------------------------------------------------------------------------------------------------


def asking(requests: list[bytes], answers: list[Any] | None = None) -> Script:
    """These requests one after the other."""
    for each in requests:
        answer = yield each
        if answers is not None:
            answers.append(answer.json())


def timed(port: int, requests: list[bytes], answers: list[Any] | None = None) -> list[float]:
    """Milliseconds of each, by one client."""
    came = play([Client(port, asking(requests, answers))])
    return [1000 * seconds for _, seconds in came.answers]


def listing(stage: Stage, role: str = "dispatcher", **query: Any) -> bytes:
    """A request for the hotline's list."""
    headers = {"Authorization": f"Bearer {stage.tokens[role]}"}
    return request("GET", f"/api/v1/tickets?{urlencode(query | {'limit': PAGE})}", headers)


def over_http(stage: Stage, hotline: Server, word: str) -> list[str]:
    """The numbers the hotline's list answers for this word."""
    answers: list[Any] = []
    timed(hotline.port, [listing(stage, text=word)], answers)
    return [row["number"] for row in answers[0]["items"]]


def our_requests(stage: Stage, words: dict[str, list[str]], calls: int) -> dict[str, list[bytes]]:
    """What is asked of the hotline, by kind, `calls` times each."""
    dice = random.Random(3)
    with psycopg.connect(stage.libpq()) as connection:
        known = [number for (number,) in connection.execute("SELECT number FROM tickets WHERE id % 97 = 3")]
    headers = {"Authorization": f"Bearer {stage.tokens['dispatcher']}"}
    asked = {
        "a unit's queue": [listing(stage, unit=UNIT, open="true", sort="due")] * calls,
        "its own queue, asked by the unit": [listing(stage, "handler", open="true", sort="due")] * calls,
        "one ticket by its number": [
            request("GET", f"/api/v1/tickets/{dice.choice(known)}", headers) for _ in range(calls)
        ],
    }
    for name, each in words.items():
        asked[f"search, {name}"] = [listing(stage, text=word) for word in each] * max(1, calls // len(each))
    return asked


# --- the functions behind ------------------------------------------------------------------------------------------------


def inner_timings(stage: Stage, words: dict[str, list[str]], calls: int) -> Iterator[tuple[str, list[float]]]:
    with Session(stage.engine) as session:
        person = session.execute(
            select(Person).where(col(Person.login) == Role.DISPATCHER.value)
        ).scalar_one()
        actor: Actor = accounts.actor_for(session, person)
        known = list(session.execute(text("SELECT number FROM tickets WHERE id % 97 = 3")).scalars())
    dice = random.Random(3)

    def taken(act: Callable[[Session], object], times: int) -> list[float]:
        took = []
        for _ in range(times):
            with Session(stage.engine) as session:
                start = time.perf_counter()
                act(session)
                took.append(1000 * (time.perf_counter() - start))
        return took

    queue = Filters(unit=UNIT, open_only=True)
    yield (
        "a unit's queue",
        taken(lambda session: listed(session, actor, queue, sort="due", limit=PAGE), calls + 4)[4:],
    )
    yield (
        "one ticket by its number",
        taken(
            lambda session: session.execute(
                select(Ticket).where(col(Ticket.number) == dice.choice(known))
            ).one(),
            calls + 4,
        )[4:],
    )
    for name, each in words.items():
        took: list[float] = []
        for word in each:
            sought = Filters(text=word)
            took += taken(
                lambda session, sought=sought: listed(session, actor, sought, limit=PAGE),  # type: ignore[misc]
                max(2, calls // len(each) + 1),
            )[1:]
        yield f"search, {name}", took


# --- the peer's ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """django-helpdesk's list page asks for its rows so."""

    filtering: dict[str, Any]
    search: str = ""
    column: str = "5"
    direction: str = "desc"

    def request(self, desk: Desk) -> bytes:
        """The page's request."""
        said = {
            "filtering": self.filtering,
            "filtering_null": {},
            "search_string": self.search,
            "sorting": "created",
        }
        query = b64encode(json.dumps(said).encode()).decode()
        asked = {
            "draw": 1,
            "start": 0,
            "length": PAGE,
            "order[0][column]": self.column,
            "order[0][dir]": self.direction,
        }
        return request("GET", f"/datatables_ticket_list/{query}?{urlencode(asked)}", desk.cookie)


def their_requests(
    stage: Stage, desk: Desk, queues: list[int], words: dict[str, list[str]], calls: int
) -> dict[str, list[bytes]]:
    """The same of the peer, fewer times: it takes longer."""
    dice = random.Random(3)
    with psycopg.connect(stage.libpq("desk")) as connection:
        keys = [key for (key,) in connection.execute("SELECT id FROM helpdesk_ticket WHERE id % 97 = 3")]
    queue = Table({"queue__id__in": [queues[0]], "status__in": [1, 2]}, column="6", direction="asc")
    asked = {
        "a unit's queue": [queue.request(desk)] * calls,
        "one ticket by its number": [
            request("GET", f"/tickets/{dice.choice(keys)}/", desk.cookie) for _ in range(calls)
        ],
    }
    for name, each in words.items():
        asked[f"search, {name}"] = [Table({}, word).request(desk) for word in each] * max(1, calls // 6)
    return asked


def by_turns(
    ports: tuple[int, int], ours: dict[str, list[bytes]], theirs: dict[str, list[bytes]]
) -> tuple[dict[str, list[float]], dict[str, list[float]], dict[str, list[Any]]]:
    """Milliseconds of each, kind after kind, some here and some there in TURNS turns; and what the peer answered to the searches."""
    here, there = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    answers: dict[str, list[Any]] = {name: [] for name in theirs if name.startswith("search")}
    for name in ours:
        timed(ports[0], ours[name][:WARM])
        if name in theirs and name not in answers:
            timed(ports[1], theirs[name][:1])
        for turn in range(TURNS):
            here[name] += timed(ports[0], ours[name][turn::TURNS])
            if name in theirs:
                there[name] += timed(ports[1], theirs[name][turn::TURNS], answers.get(name))
    return dict(here), dict(there), answers


def peer_wrong(
    words: dict[str, list[str]], answers: dict[str, list[Any]], totals: dict[str, int]
) -> list[str]:
    """The words whose rows the peer did not all find, each answer in the order `by_turns` asked for it."""
    wrong: dict[str, None] = {}
    for name, each in words.items():
        told = answers[f"search, {name}"]
        order = [n for turn in range(TURNS) for n in range(turn, len(told), TURNS)]
        for n, answer in zip(order, told, strict=True):
            word = each[n % len(each)]
            if answer["recordsFiltered"] != totals[word]:
                wrong[word] = None
    return list(wrong)


def by_rest(stage: Stage, desk: Desk) -> dict[str, list[float]]:
    """Its REST routes, once each, if they answer at all."""
    took: dict[str, list[float]] = {}
    with psycopg.connect(stage.libpq("desk")) as connection:
        (key,) = connection.execute("SELECT min(id) FROM helpdesk_ticket").fetchone() or (0,)
    for name, path in (
        ("REST: a page of the list", f"/api/tickets/?page_size={PAGE}"),
        ("REST: one ticket", f"/api/tickets/{key}/"),
    ):
        try:
            took[name] = timed(desk.server.port, [request("GET", path, desk.headers)])
        except (
            NotDone,
            OSError,
        ) as error:  # it may take longer than anybody waits, or be killed for its memory
            print(f"{name}: {error}", file=sys.stderr)
    return took


# --- the sum -------------------------------------------------------------------------------------------------------------


def percentiles(took: list[float]) -> dict[str, float]:
    """p50, p95, p99 in ms and how many were measured."""
    cuts = statistics.quantiles(took, n=100, method="inclusive") if len(took) > 1 else took * 99
    return {"p50": round(cuts[49], 2), "p95": round(cuts[94], 2), "p99": round(cuts[98], 2), "n": len(took)}


def judged(told: dict[str, Any]) -> dict[str, Any]:
    """The figures with a row for each must."""
    ours, peer, count = told["ours_ms"], told["peer_ms"], told["tickets"]
    searches = [name for name in ours if name.startswith("search")]
    worst = max(searches, key=lambda name: ours[name]["p95"] / peer[name]["p95"])
    slowest = max(ours[name]["p99"] for name in searches)
    rows = []
    for what, name, must, aim_met in (
        (
            "50 open tickets of a unit by due date",
            "a unit's queue",
            MUST_LIST,
            ours["a unit's queue"]["p95"] <= AIM_LIST_MS,
        ),
        (
            f"Chinese words, {worst.removeprefix('search, ')} (the worst kind)",
            worst,
            MUST_SEARCH,
            slowest <= AIM_SEARCH_P99_MS,
        ),
    ):
        ratio = ours[name]["p95"] / peer[name]["p95"]
        aim = (
            f"p95 <= {AIM_LIST_MS:g} ms at 1 M"
            if name != worst
            else f"p99 <= {AIM_SEARCH_P99_MS:g} ms at 1 M"
        )
        rows.append(
            {
                "what": f"{what}, p95 ms",
                "ours": ours[name]["p95"],
                "peer": peer[name]["p95"],
                "ratio": round(ratio, 3),
            }
            | {
                "must": f"<= {must:g} x",
                "aim": aim,
                "met": ratio <= must,
                "aim_met": aim_met if count >= FULL else None,
            }
        )
    one = "one ticket by its number"
    rows.append(
        {"what": "one ticket by its number, p95 ms", "ours": ours[one]["p95"], "peer": peer[one]["p95"]}
        | {
            "ratio": round(ours[one]["p95"] / peer[one]["p95"], 3),
            "must": f"<= {MUST_ONE_MS:g} ms",
            "aim": "same at 5 M",
        }
        | {"met": ours[one]["p95"] <= MUST_ONE_MS, "aim_met": None}
    )
    if count < MANY:
        rows = [row | {"met": None, "aim_met": None} for row in rows]
    met = not told["wrong"] and all(row["met"] is not False for row in rows)
    return told | {"rows": rows, "must_met": met}


def print_table(figures: dict[str, Any]) -> None:
    """The timings side by side, the words, the musts."""
    print(
        f"{figures['tickets']:,} tickets; load average before {figures['load_average_before']}; {figures['versions']}\n"
    )
    print(
        f"{'ms, p50 / p95 / p99':<36}{'hotline over HTTP':>24}{'functions behind':>24}{'django-helpdesk':>32}"
    )
    names = dict.fromkeys([*figures["ours_ms"], *figures["peer_ms"]])
    for name in names:
        cells = []
        for whose in ("ours_ms", "functions_ms", "peer_ms"):
            cell = figures[whose].get(name)
            cells.append(f"{cell['p50']:.1f} / {cell['p95']:.1f} / {cell['p99']:.1f}" if cell else "")
        print(f"{name:<36}{cells[0]:>24}{cells[1]:>24}{cells[2]:>32}")
    for name, words in figures["words"].items():
        print(f"{name}: " + ", ".join(f"{word} {times:,}" for word, times in words))
    print(f"wrong answers: {figures['wrong'] or 'none'}; the peer's: {figures['peer_wrong'] or 'none'}")
    for row in figures["rows"]:
        met = {True: "met", False: "MISSED", None: "not judged at this size"}[row["met"]]
        print(
            f"{row['what']:<60}{row['ours']:>8} beside {row['peer']:<9} {row['ratio']:>6} x   must {row['must']}: {met}"
        )


if __name__ == "__main__":
    sys.exit(main())
