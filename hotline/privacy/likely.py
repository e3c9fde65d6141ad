"""疑似他人信息: what in a text may name somebody who is not its caller, for a person to look at. It guesses, and changes nothing."""

import re
from collections.abc import Iterator
from typing import Final

_SURNAMES: Final = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖萧田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付傅方白邹孟熊秦邱"
    "江尹薛闫阎段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤冶喇祁鲍星殷保欧阳司马上官诸葛"
)
"""The surnames of nine in ten, and some of 青海."""
_TITLED: Final = re.compile(
    rf"(?:[老小大][{_SURNAMES}]|[{_SURNAMES}][一-鿿]{{0,2}}?)(?:先生|女士|小姐|太太|师傅|老师|同志|大爷|大妈|大姐|大哥|阿姨|叔叔|经理|主任|队长|老板|医生|书记|某某|某)"
)
_AFTER: Final = "在说的是和与等把被要去来称反不没有已又也都就及、"
"""What begins the next word after a name."""
_NAMED: Final = re.compile(
    rf"(?:联系人|经办人|负责人|户主|当事人|房东|业主|老板|丈夫|妻子|儿子|女儿|邻居|名叫|叫做|姓名)(?:[是为叫：:，]|名叫)?([{_SURNAMES}](?:(?![{_AFTER}])[一-鿿]){{1,2}})"
)
_OTHER: Final = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Z][A-Z0-9]{5,6}"  # 车牌
    r"|[0-9一二三四五六七八九十]{1,4}(?:号楼|栋楼|幢楼)(?:[0-9一二三四五六七八九十]{1,3}单元)?(?:[0-9]{2,4}(?:室|户|号)?)?"  # 门牌
    r"|[0-9]{1,3}单元[0-9]{2,4}(?:室|户|号)?|[0-9]{3,4}室"
    r"|[0-9]{6,}"
)
_PLACES: Final = frozenset("乡镇村县区州省市湾路街堡山河湖岛桥站院厂")
_NAME: Final = re.compile(rf"[{_SURNAMES}][一-鿿]{{1,3}}")

_NO_NAMES: Final = frozenset(
    {
        "许可", "许可证", "张贴", "张口", "张榜", "金露梅", "丁香", "周转", "周期", "周围", "周末", "顾问", "顾客", "孙子", "高峰", "高新", "高中", "高铁",
        "万元", "方便", "方案", "任务", "余额", "程序", "严禁", "严重", "金额", "白天", "白酒", "石油", "马上", "马路", "江水", "叶子", "雷雨", "钟头",
        "向阳", "保安", "保险", "保证", "保障", "武警", "史料", "龙头", "毛病", "杜绝", "于是", "何时", "何地", "陆续", "贺卡", "星期", "章程", "明白",
    }
)  # fmt: skip
"""Words of the field that the segmenter takes for names."""


def likely(text: str) -> list[str]:
    """What may name a person or lead to one, as written, each once, in the order it stands in the text: names with 先生, 师傅, 某 and the
    like, names after 联系人, 户主 and the like, what the segmenter takes for a Chinese name, number plates, house and door numbers,
    long numbers."""
    found = sorted(set(_spans(text)), key=lambda span: (span[0], -span[1]))
    words: dict[str, None] = {}
    end = 0
    for start, stop in found:
        if start >= end:
            words[text[start:stop]] = None
            end = stop
    return list(words)


def _spans(text: str) -> Iterator[tuple[int, int]]:
    import rjieba  # its dictionary takes 33 MB: not of every server process

    for match in _TITLED.finditer(text):
        yield match.span()
    for match in _NAMED.finditer(text):
        yield match.span(1)
    for match in _OTHER.finditer(text):
        yield match.span()
    at = 0
    for word, kind in rjieba.tag(text):
        if kind[:2] == "nr" and _NAME.fullmatch(word) and word not in _NO_NAMES and word[-1] not in _PLACES:
            yield at, at + len(word)
        at += len(word)
