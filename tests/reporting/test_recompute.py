"""The independent recomputation (`bench.recompute`) agrees with what is reported, figure by figure, and notices one that is wrong."""

from datetime import date
from typing import Any

from bench import recompute
from tests.api.conftest import Api
from tests.reporting.conftest import count


def reported(api: Api, by: str) -> dict[str, dict[str, Any]]:
    answer = api.get("/reports/figures", "p-supervisor", params={"period": "2026-03", "by": by})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return {"": told["whole"]} | {row["key"]: row["figures"] for row in told["rows"]}


def _look_at_some(api: Api) -> None:
    """Of ten sampled tickets eight were looked at, two found wrong, of which one, and a right one, are excluded, and the right one's is revoked."""
    sample = api.post("/samples", "supervisor", {"period": "2026-03", "size": 10}).json()
    for place in range(1, 9):
        order = {"place": place, "accurate": place > 2, "finding": "测试：时间不符"}
        api.post(f"/samples/{sample['id']}/findings", "reviewer", order).raise_for_status()
    for ticket in (sample["tickets"][0], sample["tickets"][4]):
        asked = {"number": ticket["number"], "reason": "测试"}
        path = f"/exclusions/{api.post('/exclusions', 'supervisor', asked).json()['id']}"
        yes = {"approve": True, "reason": "测试"}
        api.post(f"{path}/decide", "p-supervisor", yes).raise_for_status()
    api.post(f"{path}/revoke", "supervisor", {"reason": "测试"}).raise_for_status()
    count(api)


def test_every_figure_is_what_the_raw_rows_say(busy: Api) -> None:
    _look_at_some(busy)
    url = busy.world.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    told = recompute.recomputed(url, date(2026, 3, 1), date(2026, 3, 31), date(2026, 4, 1))
    assert told["whole"][""]["timely"].denominator
    assert told["whole"][""]["satisfied"].denominator
    accuracy = told["whole"][""]["accuracy"]
    assert (accuracy.numerator, accuracy.denominator) == (6, 7)
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
