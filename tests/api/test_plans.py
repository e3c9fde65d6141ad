"""Plans: what the hot paths really send uses its indexes where the tables have grown; no table that grows is read from end to end."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from sqlalchemy import Engine, event, text
from sqlmodel import Session

from hotline import ledger, supervision
from hotline.desks.grams import kept_of
from hotline.exchange import feed
from tests.api.conftest import Api
from tests.world import china

MANY: Final = 6_000
NOW: Final = china("2026-03-02 09:00")
BIG: Final = frozenset({"tickets", "clocks", "assignments", "likeness", "ledger", "outbox", "audit"})


@pytest.fixture(scope="module")
def grown(house: Api) -> Api:
    """Six thousand tickets more, received within 400 days, one in twelve open, made of a dispatched one."""
    api = house.at("2026-03-02 09:00")
    number = api.take("help", title="暖气不热", content="测试来电：虎台小区暖气不热。")
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    with api.world.engine.begin() as connection:
        first = connection.execute(
            text("SELECT id FROM tickets WHERE number = :n"), {"n": number}
        ).scalar_one()
        units = sorted(api.world.units.values())
        for statement in _MORE:
            connection.execute(text(statement), {"first": first, "many": MANY, "units": units})
        _keep(connection.connection.cursor(), first)
    with api.world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return api


_OPEN: Final = "g % 12 = 0"
_MORE: Final = (
    f"""INSERT INTO tickets SELECT made.* FROM tickets t, generate_series(1, :many) g, LATERAL jsonb_populate_record(t, jsonb_build_object(
        'id', t.id + g, 'number', '9' || lpad(g::text, 14, '0'), 'received_at', t.received_at - g * interval '96 minutes',
        'created_at', t.received_at - g * interval '96 minutes', 'title', CASE WHEN g % 500 = 0 THEN '路灯' ELSE '暖气' END || g,
        'state', CASE WHEN {_OPEN} THEN t.state ELSE 'archived' END)) made WHERE t.id = :first""",
    f"""INSERT INTO assignments SELECT made.* FROM assignments a, generate_series(1, :many) g, LATERAL jsonb_populate_record(a, jsonb_build_object(
        'id', a.id + g, 'ticket_id', a.ticket_id + g, 'unit_id', (CAST(:units AS bigint[]))[1 + g % 9],
        'status', CASE WHEN {_OPEN} THEN a.status ELSE 'replied' END)) made WHERE a.ticket_id = :first""",
    f"""INSERT INTO clocks SELECT made.* FROM clocks c, generate_series(1, :many) g, LATERAL jsonb_populate_record(c, jsonb_build_object(
        'id', c.id + 9 * g, 'ticket_id', c.ticket_id + g, 'assignment_id', c.assignment_id + g, 'unit_id', (CAST(:units AS bigint[]))[1 + g % 9],
        'due_at', c.due_at + g % 900 * interval '1 hour', 'next_rung_at', c.due_at + g % 900 * interval '1 hour',
        'met_at', CASE WHEN {_OPEN} THEN c.met_at ELSE c.opened_at END)) made WHERE c.ticket_id = :first""",
    """INSERT INTO ledger SELECT l.ticket_id + g, seq, version, act, actor_kind, actor_id, actor_name, from_state, to_state, article, effective_at,
        recorded_at, payload, prev_hash, hash FROM ledger l, generate_series(1, :many) g WHERE l.ticket_id = :first""",
    """INSERT INTO outbox SELECT made.* FROM outbox o, generate_series(1, :many) g, LATERAL jsonb_populate_record(o, jsonb_build_object(
        'id', o.id + 9 * g, 'ticket_id', o.ticket_id + g, 'position', nextval('outbox_positions'))) made WHERE o.ticket_id = :first""",
)


def _keep(cursor: Any, first: int) -> None:
    """What a text is found by, as intake keeps it."""
    cursor.execute("SELECT id, platform_id, received_at, title, content FROM tickets WHERE id > %s", (first,))
    rows = cursor.fetchall()
    with cursor.copy("COPY likeness (ticket_id, platform_id, received_at, grams, whole) FROM STDIN") as copy:
        for key, platform, at, title, content in rows:
            copy.write_row((key, platform, at, kept_of(title, content, at), True))


@contextmanager
def sent(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """The statements sent meanwhile, with what was bound to them."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


def plans(engine: Engine, statements: list[tuple[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each statement that reads what grows, with the nodes of its plan; partitions by the name of their table, empty ones left out."""
    with engine.connect() as connection:
        empty = set(
            connection.execute(
                text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' AND reltuples <= 0")
            ).scalars()
        )
        cursor: Any = connection.connection.cursor()
        for statement, parameters in statements:
            if not statement.lstrip().startswith(("SELECT", "WITH", "UPDATE")):
                continue
            cursor.execute("EXPLAIN (FORMAT JSON) " + statement, parameters)
            (told,) = cursor.fetchone()
            top = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
            nodes = [node for node in _nodes(top) if node.get("Relation Name") not in empty]
            if any(_table(node) in BIG for node in nodes):
                yield statement, nodes
        connection.rollback()


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)


def _table(node: dict[str, Any]) -> str:
    return str(node.get("Relation Name", "")).removesuffix("_first")


def _get(path: str, login: str, **query: Any) -> Callable[[Api], None]:
    def asked(api: Api) -> None:
        with api.world.engine.connect() as connection:
            number = connection.execute(text("SELECT number FROM tickets ORDER BY id LIMIT 1")).scalar_one()
        answer = api.get(path.replace("NUMBER", number), login, params=query)
        assert answer.status_code == 200, answer.text

    return asked


def _rolled_back(what: Callable[[Session, Api, datetime], object]) -> Callable[[Api], None]:
    def done(api: Api) -> None:
        with Session(api.world.engine) as session:
            what(session, api, NOW.astimezone(UTC))
            session.rollback()

    return done


def _history(session: Session, _api: Api, _at: datetime) -> None:
    ticket_id = session.execute(text("SELECT max(id) FROM tickets")).scalar_one()
    assert ledger.entries_of(session, ticket_id)


HOT: Final[tuple[tuple[str, set[str], Callable[[Api], None]], ...]] = (
    ("a unit's queue by due", {"ix_clocks_unit_due"}, _get("/tickets", "ZJJ", sort="due")),
    ("a platform's queue by due", {"ix_clocks_platform_due"}, _get("/tickets", "agent", sort="due")),
    ("the newest", {"ix_tickets_received"}, _get("/tickets", "agent")),
    ("one ticket", {"tickets_number_key", "ix_clocks_ticket"}, _get("/tickets/NUMBER", "agent")),
    ("its timeline", {"tickets_number_key", "ledger_pkey_first"}, _get("/tickets/NUMBER/timeline", "agent")),
    ("a usual word", {"ix_likeness_grams", "tickets_pkey"}, _get("/tickets", "agent", text="暖气")),
    ("a rare word", {"ix_likeness_grams", "tickets_pkey"}, _get("/tickets", "agent", text="路灯")),
    ("its history", {"ledger_pkey_first"}, _rolled_back(_history)),
    ("the sweep", {"ix_clocks_sweep"}, _rolled_back(lambda s, a, at: supervision.lapse_due(s, a.world.office, at, batch=5))),
    ("the rungs", {"ix_clocks_rung"}, _rolled_back(lambda s, a, at: supervision.remind_overdue(s, a.world.office, at, batch=5))),
    ("events to be sorted", {"ix_outbox_unsorted_first"}, _rolled_back(lambda s, _a, at: feed.sort(s, at))),
    ("the newest event", {"outbox_first_position_idx"}, _rolled_back(lambda s, _a, _at: feed.newest(s))),
)  # fmt: skip


@pytest.mark.parametrize(("indexes", "path"), [hot[1:] for hot in HOT], ids=[hot[0] for hot in HOT])
def test_hot_paths_use_their_indexes(grown: Api, indexes: set[str], path: Callable[[Api], None]) -> None:
    with sent(grown.world.engine) as statements:
        path(grown)
    used: set[str] = set()
    for statement, nodes in plans(grown.world.engine, statements):
        read = [_table(node) for node in nodes if node["Node Type"] == "Seq Scan"]
        assert not BIG & set(read), f"{read} read whole by {statement}"
        used |= {node["Index Name"] for node in nodes if "Index Name" in node}
    assert indexes <= used


def test_a_history_is_read_from_one_partition(grown: Api) -> None:
    with sent(grown.world.engine) as statements:
        _rolled_back(_history)(grown)
    ((_, nodes),) = [one for one in plans(grown.world.engine, statements) if "ledger" in one[0]]
    assert [node["Node Type"] for node in nodes if "Relation Name" in node] == ["Index Scan"]
