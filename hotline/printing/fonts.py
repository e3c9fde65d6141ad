"""字体: which Chinese fonts this machine prints with: 仿宋 for text, 黑体 and 楷体 for headings, 小标宋 for titles, or what comes nearest."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from workflow.errors import RuleBroken

SONG: Final = (
    *("FZXiaoBiaoSong-B05S", "FZXiaoBiaoSong-B05", "方正小标宋_GBK", "方正小标宋简体", "Source Han Serif SC"),
    *("Source Han Serif CN", "思源宋体", "Noto Serif CJK SC", "Noto Serif SC", "STSong", "SimSun", "NSimSun"),
    *("Songti SC", "FandolSong", "AR PL UMing CN"),
)
FANG: Final = (
    *(
        "FangSong_GB2312",
        "仿宋_GB2312",
        "FangSong",
        "仿宋",
        "STFangsong",
        "FZFangSong-Z02S",
        "FZFangSong-Z02",
    ),
    "FandolFang",
)
HEI: Final = (
    *(
        "SimHei",
        "黑体",
        "STHeiti",
        "Heiti SC",
        "FZHei-B01S",
        "Source Han Sans SC",
        "Source Han Sans CN",
        "思源黑体",
    ),
    *("Noto Sans CJK SC", "Noto Sans SC", "Microsoft YaHei", "PingFang SC", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "FandolHei", "Droid Sans Fallback"),
)
KAI: Final = (
    "KaiTi_GB2312",
    "楷体_GB2312",
    "KaiTi",
    "楷体",
    "STKaiti",
    "Kaiti SC",
    "FZKai-Z03S",
    "FandolKai",
)
"""Families of each kind, the wished one first."""


class FontsMissing(RuleBroken):
    """There is no Chinese font to print with."""

    code = "fonts_missing"


@dataclass(frozen=True, slots=True)
class Fonts:
    """What was found: the family of each kind, the file charts are lettered with, and typst's own collection of them all."""

    song: str
    fang: str
    hei: str
    kai: str
    chart_file: Path
    chart_family: str
    found: Any


@lru_cache(maxsize=4)
def chinese_fonts(folder: Path | None = None) -> Fonts:
    """The fonts of `folder` (HOTLINE_FONT_DIR), of nothing else where it is given; else of this system. Raises `FontsMissing`.

    Looked for once a process: new fonts are seen after a restart, where there were none at once.
    """
    import typst

    if folder is None:
        found = typst.Fonts(include_system_fonts=True, include_embedded_fonts=True)
    else:
        found = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=[folder])
    files = {each.family: each for each in found.fonts() if each.path is not None and each.style == "normal"}
    regular = {each.family: each for each in found.fonts() if each.path is not None and each.weight == 400}
    files |= regular
    song, fang, hei, kai = (_first(families, files) for families in (SONG, FANG, HEI, KAI))
    any_of_them = song or fang or hei or kai
    if any_of_them is None:
        raise FontsMissing(_HOW)
    chart = files[hei or any_of_them]
    return Fonts(
        song=song or any_of_them,
        fang=fang or song or any_of_them,
        hei=hei or any_of_them,
        kai=kai or fang or song or any_of_them,
        chart_file=Path(chart.path or ""),
        chart_family=chart.family,
        found=found,
    )


def _first(families: tuple[str, ...], files: dict[str, Any]) -> str | None:
    return next((family for family in families if family in files), None)


_HOW: Final = (
    "没有找到中文字体，无法生成文件。请在服务器上安装中文字体（Debian、Ubuntu：apt install fonts-noto-cjk；"
    "麒麟、openEuler：dnf install google-noto-serif-cjk-fonts google-noto-sans-cjk-fonts），"
    "或把仿宋、黑体等字体文件放入一个文件夹，以 HOTLINE_FONT_DIR 指明，然后重试。"
)
