"""What lies in every table, counted and dumped, to show what a refused request left behind (nothing) and what leaked (nothing)."""

from sqlalchemy import Connection, Engine, text


def table_names(connection: Connection) -> list[str]:
    """Every table; a partitioned one once, its partitions not."""
    statement = (
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
        " AND relnamespace = 'public'::regnamespace ORDER BY relname"
    )
    return list(connection.execute(text(statement)).scalars())


def rows(engine: Engine) -> dict[str, int]:
    """How many rows each table has."""
    with engine.connect() as connection:
        return {
            name: connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one()
            for name in table_names(connection)
        }


def fingerprint(engine: Engine) -> dict[str, str]:
    """A hash of each table's content: two equal fingerprints mean that nothing changed. Refusals go to the audit trail, left out here."""
    with engine.connect() as connection:
        names = connection.execute(text(_FILLED)).scalars()
        told = " UNION ALL ".join(_HASH.format(name) for name in names)
        return {name: found for name, found in connection.execute(text(told)) if found is not None}


_FILLED = """
SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0
AND coalesce(pg_partition_root(oid), oid) NOT IN ('areas'::regclass, 'categories'::regclass, 'audit'::regclass, 'audit_heads'::regclass)
"""
"""Tables and partitions that have a page: the others are empty, and there are many of them."""
_HASH = "SELECT '{0}', md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM \"{0}\" t"


def dump(engine: Engine, *names: str) -> str:
    """The named tables' rows as one text, bytes in hex and as characters."""
    with engine.connect() as connection:
        found = [
            row
            for name in names or table_names(connection)
            if name not in {"areas", "categories"}
            for row in connection.execute(text(f'SELECT * FROM "{name}"'))
        ]
    return "\n".join(str(tuple(row)) for row in found)
