"""The demo's dispatch catalogue (派单目录): who answers for which category, from the duties its own units have. Invented, and says so."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session

from hotline.demo.corpus import load_corpus
from hotline.demo.organisation import Hotline, Unit
from hotline.desks.tables import CatalogueEntry
from hotline.organisation import Category
from workflow.vocabulary import Level, Role, UnitKind


def lay(session: Session, hotlines: Mapping[str, Hotline], at: datetime) -> int:
    """Every platform's catalogue as of `at`: a row for each category of the demo's demands, county departments beside the city's.

    Returns how many rows. The caller commits.
    """
    names = {row.code: row.name for row in session.execute(select(Category)).scalars()}
    duties = _duties()
    rows = 0
    for hotline in hotlines.values():
        by = hotline.staff[Role.DISPATCHER][0].name
        for category, duty in duties.items():
            for unit, area in _answering(hotline, duty):
                session.add(
                    CatalogueEntry(
                        platform_id=hotline.id,
                        category_code=category,
                        area_code=area,
                        unit_id=unit.id,
                        co_units=[],
                        basis=f"{hotline.place}部门权责清单（演示）：{names.get(category, category)}由{unit.name}负责。",
                        version=1,
                        since=at,
                        changed_by=by,
                    )
                )
                rows += 1
    session.flush()
    return rows


def _duties() -> dict[str, str]:
    """The duty (unit_kind) that most of a category's demands concern, of the third level; and of the second where it is clear."""
    of_leaf: dict[str, Counter[str]] = defaultdict(Counter)
    of_branch: dict[str, Counter[str]] = defaultdict(Counter)
    for row in load_corpus().demands:
        of_leaf[row["category"]][row["unit_kind"]] += 1
        of_branch[row["category"][:4]][row["unit_kind"]] += 1
    clear = {code: found for code, found in of_branch.items() if len(found) == 1}
    return {code: found.most_common(1)[0][0] for code, found in sorted({**clear, **of_leaf}.items())}


def _answering(hotline: Hotline, duty: str) -> list[tuple[Unit, str]]:
    """The platform's department for its whole area, and county departments of the same duty for theirs."""
    found = [(hotline.department(duty), hotline.area)]
    found += [
        (unit, unit.area)
        for unit in hotline.units.values()
        if unit.duty == duty and unit.level is Level.COUNTY and unit.kind is UnitKind.DEPARTMENT
    ]
    return found
