"""The read-only schema: documented column by column, without a sealed, personal or free-text column, open to who was granted it and no further."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError
from sqlmodel import Session, SQLModel

from hotline.reporting import schema
from tests.api.conftest import Api
from tests.reporting.conftest import count

DOCUMENT = Path(__file__).parents[2] / "docs" / "reporting-schema.md"

NAMED = {
    "code", "number", "unit", "ticket", "platform", "parent", "in_charge", "merged_into", "category", "area", "key", "dim", "what",
    "hash", "name", "article", "state", "matter", "channel", "episode", "kind", "party", "role", "status", "outcome", "level",
    "tier",
}  # fmt: skip
"""Text columns that hold a code, a word of the vocabulary, or the name of a unit, a platform, a place or a category."""


def test_every_view_and_column_is_described_and_the_document_is_current(engine: Engine) -> None:
    with Session(engine) as session:
        views = schema.described(session)
    assert len(views) >= 14
    assert [view.name for view in views if not view.about] == []
    assert [f"{view.name}.{c.name}" for view in views for c in view.columns if not c.about] == []
    assert DOCUMENT.read_text("utf-8") == schema.page(views), (
        "hotline reports schema > docs/reporting-schema.md"
    )


def test_no_view_shows_a_sealed_or_free_text_column(engine: Engine) -> None:
    with Session(engine) as session:
        shown = {(view.name, c.name): c.type for view in schema.described(session) for c in view.columns}
        used = set(
            session.execute(
                text(
                    "SELECT table_name || '.' || column_name FROM information_schema.view_column_usage"
                    " WHERE view_schema = 'reporting' AND table_schema = 'public'"
                )
            ).scalars()
        )
    assert [name for name, kind in shown.items() if kind == "bytea"] == []
    texts = {name for name, kind in shown.items() if kind.startswith(("text", "character"))}
    assert {name for _, name in texts} <= NAMED
    assert {name for name, kind in shown.items() if kind == "jsonb"} == {("filed_reports", "figures")}
    personal = {
        f"{table.name}.{column.name}"
        for table in SQLModel.metadata.tables.values()
        for column in table.columns
        if str(column.type) in ("BYTEA", "BLOB", "TEXT", "LargeBinary")
        and table.name not in ("platforms", "units")
    }
    assert personal >= {
        "tickets.title",
        "tickets.content",
        "tickets.caller_phone",
        "replies.content",
        "calls.caller_phone",
    }
    assert used & personal == {
        *("filed_reports.hash", "filed_reports.content"),
        *(
            "final_assessments.hash",
            "final_assessments.content",
        ),  # points, ranks and tiers alone are read from it
    }
    never = {
        "tickets.call_id",
        "tickets.external_ref",
        "tickets.first_receiver_id",
        "calls.call_id",
        "calls.extension",
        "calls.line",
    }
    never |= {
        "people.name",
        "people.login",
        "assignments.signed_by",
        "extensions.asked_by",
        "reviews.reviewed_by",
        "report_cube.agent_id",
    }
    assert used & never == set()


def test_a_granted_role_reads_the_views_and_nothing_else(worked: Api) -> None:
    role = "reporting_reader"
    with worked.world.engine.begin() as connection:
        connection.execute(text(f"DROP ROLE IF EXISTS {role}"))
        connection.execute(text(f"CREATE ROLE {role}"))
        connection.execute(text(f"GRANT USAGE ON SCHEMA reporting TO {role}"))
        connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO {role}"))
    try:
        with worked.world.engine.connect() as connection:
            connection.execute(text(f"SET ROLE {role}"))
            for view in (
                "platforms",
                "units",
                "tickets",
                "clocks",
                "assignments",
                "returns",
                "extensions",
                "reviews",
                "callbacks",
                "calls",
            ):
                connection.execute(text(f"SELECT * FROM reporting.{view}")).all()
            tickets = connection.execute(
                text("SELECT count(*) FROM reporting.tickets WHERE platform = '01'")
            ).scalar_one()
            daily = connection.execute(
                text(
                    "SELECT sum(n) FROM reporting.figures_daily WHERE dim = 'whole' AND what = 'received' AND platform = '01'"
                )
            ).scalar_one()
            assert tickets == daily == 4
            late = connection.execute(
                text(
                    "SELECT sum(m2), sum(n) FROM reporting.figures_daily WHERE dim = 'unit' AND key = 'ZJJ' AND what = 'reply'"
                )
            )
            assert late.one()[1] == 2
            with pytest.raises(ProgrammingError, match="permission denied"):
                connection.execute(text("SELECT caller_phone FROM public.tickets"))
            connection.rollback()
    finally:
        with worked.world.engine.begin() as connection:
            connection.execute(text("RESET ROLE"))
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))


def test_a_tip_off_is_placed_no_closer_than_its_county(api: Api) -> None:
    for matter in ("tipoff", "complaint"):
        api.take(matter, area="630104001000")
    count(api)
    with api.world.engine.connect() as connection:
        rows = connection.execute(text("SELECT matter, area FROM reporting.tickets"))
        assert dict(list(map(tuple, rows))) == {
            "tipoff": "630104000000",
            "complaint": "630104001000",
        }
