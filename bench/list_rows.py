"""The rows lists are asked for: one and the same tickets for the hotline and for django-helpdesk, written in bulk."""

import random
from datetime import UTC, datetime, timedelta

import psycopg

from bench.desks import UNITS, fill_tickets
from bench.servers import Desk, Stage
from hotline import numbers


def fill(stage: Stage, count: int) -> None:
    """The hotline's tickets; the index of pairs is made after them, which is sooner done."""
    now = datetime.now(UTC)
    with psycopg.connect(stage.libpq(), autocommit=True) as connection:
        rows = connection.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'likeness'")
        indexes = [row for row in rows if "USING gin" in row[1]]
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        fill_tickets(
            stage.engine,
            random.Random(12345),
            count,
            stage.platform_id,
            at=now,
            due_from=now - timedelta(days=1),
        )
        connection.execute("SET statement_timeout = 0")
        connection.execute("SET maintenance_work_mem = '512MB'")
        for _, definition in indexes:
            connection.execute(definition)
        connection.execute("VACUUM (ANALYZE) likeness")
        _number_rightly(connection, now)


def _number_rightly(connection: psycopg.Connection, at: datetime) -> None:
    """Numbers that pass their check digit for those that are asked for by number."""
    keys = [key for (key,) in connection.execute("SELECT id FROM tickets WHERE id % 97 = 3")]
    numbered = [(numbers.written("01", at.date(), key % 1_000_000), key) for key in keys]
    connection.cursor().executemany("UPDATE tickets SET number = %s WHERE id = %s", numbered)
    connection.execute("VACUUM (ANALYZE) tickets")


def fill_peer(stage: Stage, desk: Desk) -> list[int]:
    """The same for django-helpdesk: a queue for each unit, each ticket open there with its first follow-up, those not yet
    dispatched in the queue where tickets start; the units' queues, ZJJ's first."""
    with psycopg.connect(stage.libpq()) as here, psycopg.connect(stage.libpq("desk")) as there:
        there.execute(_QUEUES, {"units": UNITS})
        queues = [
            key for (key,) in there.execute("SELECT id FROM helpdesk_queue WHERE slug LIKE 'u%' ORDER BY id")
        ]
        told = _TOLD.format(first=queues[0], unit=stage.unit_id, start=desk.queue)
        with here.cursor().copy(told) as source, there.cursor().copy(_COPY_DESK) as target:
            for block in source:
                target.write(block)
        there.execute(_FIRST_FOLLOW_UPS, {"user": desk.user})
        there.execute(
            "SELECT setval(pg_get_serial_sequence('helpdesk_ticket', 'id'), max(id)) FROM helpdesk_ticket"
        )
        there.commit()
        there.autocommit = True
        there.execute("VACUUM (ANALYZE)")
    return queues


_QUEUES = """
INSERT INTO helpdesk_queue (title, slug, allow_public_submission, allow_email_submission, email_box_ssl, enable_notifications_on_email_events)
SELECT '测试单位' || u, 'u' || u, false, false, false, false FROM generate_series(1, %(units)s) u
"""
_TOLD = """
COPY (SELECT t.id, t.title, t.received_at, t.received_at, 1, false, t.content, 3, min(c.due_at), coalesce({first} + min(a.unit_id) - {unit}, {start}), ''
      FROM tickets t LEFT JOIN assignments a ON a.ticket_id = t.id LEFT JOIN clocks c ON c.ticket_id = t.id GROUP BY t.id ORDER BY t.id) TO STDOUT
"""
_COPY_DESK = """
COPY helpdesk_ticket (id, title, created, modified, status, on_hold, description, priority, due_date, queue_id, secret_key) FROM STDIN
"""
_FIRST_FOLLOW_UPS = """
INSERT INTO helpdesk_followup (date, title, comment, public, ticket_id, user_id)
SELECT created, 'Ticket Opened', description, true, id, %(user)s FROM helpdesk_ticket
"""
