"""What `hotline hotspots` and `hotline assessment` do: compute, show, and leave nothing behind."""

from datetime import date
from typing import Any

from sqlalchemy import select, text
from sqlmodel import Session, col

from api.operations import now
from api.operations_reports import opened, operator_of
from hotline.assessing import samples
from hotline.assessing.computing import computed
from hotline.assessing.systems import check_over, in_force
from hotline.hotspots import analysis, runs
from hotline.organisation import Platform
from hotline.reporting import refresh
from hotline.reporting.periods import parse
from workflow.deadlines import local_day
from workflow.errors import NotFound
from workflow.vocabulary import HotspotKind, Level


def _platform(session: Session, code: str) -> Platform:
    found: Platform | None = session.execute(
        select(Platform).where(col(Platform.code) == code)
    ).scalar_one_or_none()
    if found is None:
        raise NotFound(f"没有代码为 {code} 的热线平台。", field="platform")
    return found


def hotspots(platform: str, first: date, last: date) -> tuple[dict[str, Any], str]:
    """One analysis as data and as text; rolled back."""
    window = analysis.window_of(first, last)
    with opened() as (engine, office), Session(engine) as session:
        session.execute(text("SET statement_timeout = 0"))
        key = _platform(session, platform).id
        run = analysis.analyse(session, office, key, window, by="命令行", at=now())
        found = runs.hotspots_of(session, operator_of(session), run)
        data = run.model_dump(mode="json", include={"starts", "ends", "tickets", "content"}) | {
            "hotspots": [
                each.model_dump(
                    mode="json", include={"kind", "rank", "title", "category", "area", "count", "content"}
                )
                for each in found
            ]
        }
        lines = [f"{first} 至 {last}，{run.tickets} 件工单。"]
        for kind in HotspotKind:
            mine = [each for each in found if each.kind is kind]
            lines += ["", f"{kind.label}（{len(mine)}）"]
            lines += [f"  {each.rank:>3}  {each.count:>5} 件  {each.title}" for each in mine]
        session.rollback()
    return data, "\n".join(lines)


def compute(platform: str, period: str, unit: str | None) -> tuple[dict[str, Any], str]:
    """The points of a period as data and as text."""
    within, at = parse(period), now()
    check_over(local_day(at), within.last)
    with opened(reading=True) as (engine, _), Session(engine) as session:
        refresh.check_current(session)
        mine = _platform(session, platform)
        version, system = in_force(session, mine.id)
        result = computed(session, mine, within, version, system, at)
    subjects = [each for each in result["subjects"] if unit in (None, each["code"])]
    if unit is not None and not subjects:
        raise NotFound(f"该期没有代码为 {unit} 的承办单位的任务。", field="unit")
    levels = {level.value: level.label for level in Level}
    lines = [f"{system.name}（第 {version} 版）　{within.first} 至 {within.last}"]
    for each in subjects:
        place = f"第 {each['rank']}/{each['of']}" if each["rank"] else "不排名"
        lines.append(
            f"  {levels[each['tier']]:<8}{place:<10}{each['total'] or '—':>7}  {each['name']}（{each['code']}）"
        )
        if unit is not None:
            lines += [f"    {item['why']}" for item in each["items"]]
    return result, "\n".join(lines)


def sample(platform: str, period: str, size: int, seed: str | None) -> tuple[dict[str, Any], str]:
    """The tickets a seed draws, as data and as text."""
    within = parse(period)
    check_over(local_day(now()), within.last)
    with opened(reading=True) as (engine, _), Session(engine) as session:
        mine = _platform(session, platform)
        population = samples.population(session, mine.id, within.first, within.last)
    used = seed or samples.usual_seed(mine.code, within.first, within.last)
    numbers = samples.drawn(population, used, size)
    data = {"seed": used, "population": len(population), "tickets": numbers}
    lines = [f"种子 {used}，{len(population)} 件中抽 {len(numbers)} 件："]
    lines += [f"{place:>4}  {number}" for place, number in enumerate(numbers, 1)]
    return data, "\n".join(lines)
