"""The independent recomputation (`bench.recompute`) agrees with what is reported, figure by figure, and notices one that is wrong."""

from datetime import date
from typing import Any

from bench import recompute
from tests.api.conftest import Api


def reported(api: Api, by: str) -> dict[str, dict[str, Any]]:
    answer = api.get("/reports/figures", "p-supervisor", params={"period": "2026-03", "by": by})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return {"": told["whole"]} | {row["key"]: row["figures"] for row in told["rows"]}


def test_every_figure_is_what_the_raw_rows_say(busy: Api) -> None:
    url = busy.world.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    told = recompute.recomputed(url, date(2026, 3, 1), date(2026, 3, 31), date(2026, 4, 1))
    assert told["whole"][""]["timely"].denominator
    assert told["whole"][""]["satisfied"].denominator
    compared = 0
    for by in recompute.BYS:
        shown = reported(busy, by)
        whole = {"": shown.pop("")}
        for name, part in (("whole", whole), (by, shown)):
            count, wrong = recompute.differences(told, name, part)
            assert wrong == []
            compared += count
    assert compared > 500
    whole[""]["timely"]["numerator"] += 1
    shown.pop(next(iter(shown)))
    assert len(recompute.differences(told, "whole", whole)[1]) == 1
    assert len(recompute.differences(told, by, shown)[1]) == 1
