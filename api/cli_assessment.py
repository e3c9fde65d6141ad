"""`hotline hotspots` and `hotline assessment`: what people ask for, analysed; points computed and samples drawn, shown before anything is kept."""

from datetime import datetime
from typing import Annotated

import typer

from api.cli_output import AsJson, say

assessment_app = typer.Typer(help="考核：计算得分、抽样（只显示，不保存）。", no_args_is_help=True)

PlatformCode = Annotated[str, typer.Option(help="热线平台代码（两位），含其下级平台。")]


def hotspots(
    first: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="起始日，如 2026-10-01。")],
    last: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="截止日，含当日。")],
    platform: PlatformCode = "00",
    as_json: AsJson = False,
) -> None:
    """分析一段时间的诉求热点并显示：主题、突增、重复来电、重复发生（第二十五条）。不保存。"""
    from api import operations_assessment

    say(as_json, *operations_assessment.hotspots(platform, first.date(), last.date()))


@assessment_app.command("compute")
def compute(
    period: Annotated[str, typer.Argument(help="考核期：2026-10、2026-Q3、2026。")],
    platform: PlatformCode = "00",
    unit: Annotated[str | None, typer.Option(help="只看这个承办单位，逐项说明得分。")] = None,
    as_json: AsJson = False,
) -> None:
    """按现行指标体系计算各单位、各平台的得分和组内位次（第三十至三十四条）。不保存，不公布。"""
    from api import operations_assessment

    say(as_json, *operations_assessment.compute(platform, period, unit))


@assessment_app.command("sample")
def sample(
    period: Annotated[str, typer.Argument(help="抽查期：2026-Q3。")],
    platform: PlatformCode = "00",
    size: Annotated[int, typer.Option(min=1, max=500, help="件数。")] = 60,
    seed: Annotated[str | None, typer.Option(help="随机种子；缺省由平台和抽查期得出。")] = None,
    as_json: AsJson = False,
) -> None:
    """按种子抽取工单，用于核对已公布的抽查清单：同一种子得到同一清单。不保存。"""
    from api import operations_assessment

    say(as_json, *operations_assessment.sample(platform, period, size, seed))
