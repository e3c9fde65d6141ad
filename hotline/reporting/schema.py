"""数据平台视图: the read-only schema `reporting` as the database itself describes it, for `docs/reporting-schema.md`."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlmodel import Session


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a view."""

    name: str
    type: str
    about: str | None


@dataclass(frozen=True, slots=True)
class View:
    """One view of the schema."""

    name: str
    about: str | None
    columns: tuple[Column, ...]


def described(session: Session) -> list[View]:
    """Every view of the schema with its comments, by name."""
    views: dict[str, tuple[str | None, list[Column]]] = {}
    for view, about, name, kind, meaning in session.execute(text(_DESCRIBED)):
        views.setdefault(view, (about, []))[1].append(Column(name, kind, meaning))
    return [View(name, about, tuple(columns)) for name, (about, columns) in views.items()]


_DESCRIBED: Final = """
SELECT c.relname, obj_description(c.oid), a.attname, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'reporting'::regnamespace AND c.relkind = 'v' AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""

_HEAD: Final = """<!-- Generated from the database's own comments: `hotline reports schema`; a test keeps it current. -->

# 数据平台视图（`reporting`）

供数据平台（第二十六条）只读使用的视图，不含来电人信息和任何自由文本。时间均带时区。由运维人员建一个只读账号并授权，例如：

```sql
CREATE ROLE data_platform LOGIN PASSWORD '…';
GRANT USAGE ON SCHEMA reporting TO data_platform;
GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO data_platform;
ALTER ROLE data_platform SET default_transaction_read_only = on;
```

该账号没有 `public` 中任何表的权限：视图以其所有者的权限读取，并设 `security_barrier`。
"""


def page(views: list[View]) -> str:
    """The document."""
    parts = [_HEAD]
    for view in views:
        parts.append(f"\n## `{view.name}`\n\n{view.about or ''}\n\n| 列 | 类型 | 含义 |\n|---|---|---|")
        parts += [f"| `{c.name}` | {c.type} | {c.about or ''} |" for c in view.columns]
    return "\n".join(parts) + "\n"
