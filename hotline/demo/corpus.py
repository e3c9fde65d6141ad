"""The words of the demo: which demand a call brings, in what season and place, by whom, and phrases that fit it."""

import csv
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any, Final

from hotline.demo.contacts import Call
from hotline.demo.organisation import PROVINCE, Hotline
from workflow.deadlines import CHINA
from workflow.vocabulary import Matter

_SEASONS: Final = {
    12: "winter",
    1: "winter",
    2: "winter",
    3: "spring",
    4: "spring",
    5: "spring",
    6: "summer",
    7: "summer",
    8: "summer",
    9: "autumn",
    10: "autumn",
    11: "autumn",
}
_MIX: Final = {"inquiry": 0.34, "help": 0.29, "complaint": 0.24, "suggestion": 0.06, "tipoff": 0.07}
# A phrase that names one of these fits only a demand that names it too.
_TOPICS: Final = tuple(
    word
    for line in (
        "暖 室温 热费 供热 坑 修补 退款 退的 应退 少退 到账 检测 测温 电梯 路灯 藏语 雪 楼上 处罚 营业 草场 牧 水泉 旅游 旅行 酒店",
        "欠薪 工资 工友 工程 楼盘 建设单位 学区 学位 漏水 路段 公路 违法建筑 违建 基站 泵房 停水 预付卡 车辆 号牌 排放 样品 招工 监控 变压器",
        "沥青 汛 业务系统 河道 举报 园区 竣工 小区 参保 转移 供电 施工 培训 高龄 贪 补偿 政策 损失 公积金 办件 撤诉 照片 维修 配件 设备",
        "安全 修好 只修 整改 现场 审计 资金 档案 房 邻居 路 灯 电 水 车 调解 执法 地点 孩子",
    )
    for word in line.split()
)
_NOT_TOPICS: Final = ("来电", "致电", "电话", "水平", "路径")
_CLOSINGS: Final[Mapping[str, Sequence[str]]] = {
    "inquiry": (
        "希望能把要带的材料一次说清楚。",
        "打算{day}去办，麻烦在那之前回复。",
        "答复请打这个号码，{hour}以后方便接听。",
        "最好能告诉我具体的办理地点和咨询电话。",
        "网上查了几个说法不一样，想以热线答复为准。",
        "家里老人让问的，麻烦说得简单一点。",
        "如果政策有变化，也请一并说明。",
        "{day}上午在家，回电比较方便。",
    ),
    "help": (
        "已经等了{n}天，请尽快安排。",
        "白天上班，{hour}以后可以联系。",
        "可以配合工作人员上门查看。",
        "之前找过{n}次，都让再等等。",
        "家里有老人，来电请慢一点说。",
        "希望{day}之前能有个回音。",
        "需要补充什么情况请随时打电话。",
        "如果要本人到场，请提前一天通知。",
    ),
    "complaint": (
        "照片和单据都留着，需要时可以提供。",
        "前后反映过{n}次，都没有下文。",
        "请{day}之前给一个书面答复。",
        "{hour}以后打电话能接到。",
        "周围{n}户人家都有同样的情况。",
        "不要再让对方自己答复自己。",
        "处理之前请先联系本人核实。",
        "这样的情况已经有{n}个星期了。",
    ),
    "suggestion": (
        "希望有关部门研究以后给个回复。",
        "其他城市已有类似做法，可以参考。",
        "如果暂时做不到，也请说明原因。",
        "身边{n}位邻居也有同样想法。",
        "不着急，{day}之前回复就可以。",
    ),
    "tipoff": (
        "请为举报人保密。",
        "多在{hour}前后，平时去看不到。",
        "线索可以当面提供。",
        "处理结果请电话告知，不要发短信。",
        "已经持续{n}个星期。",
        "请不要把反映人的情况告诉对方。",
    ),
}
_HOURS_SAID: Final = ("中午十二点", "下午两点", "下午五点半", "下午六点", "晚上七点", "晚上八点")
_DAYS_SAID: Final = ("这周五", "下周一", "下周三", "周末", "月底", "十号")
_STEMS: Final = "甲乙丙丁戊己庚辛壬癸"
_NUMBERS_SAID: Final = "两三四五六七"


@dataclass(frozen=True, slots=True)
class Saying:
    """A call in words, and what the unit will answer: all texts are whole sentences."""

    matter: Matter
    category: str
    title: str
    text: str
    area: str
    duty: str
    reply: str
    redo_reply: str
    answer: str | None = None
    asked: str = ""
    """The matter itself, without the place: the same for everybody who asks it."""


@dataclass(slots=True)
class Corpus:
    """Demands, areas and phrases, and which texts were already used, so that no two calls are word for word the same."""

    demands: list[dict[str, Any]]
    phrases: dict[str, Any]
    areas: dict[str, tuple[str, str]]
    used: set[str] = field(default_factory=set)
    _picks: dict[tuple[str, str, bool], tuple[list[dict[str, Any]], list[float]]] = field(
        default_factory=dict
    )

    def demand(
        self,
        dice: Random,
        hotline: Hotline,
        places: Sequence[str],
        at: datetime,
        *,
        answered: bool = False,
        matters: Iterable[str] = tuple(_MIX),
    ) -> Saying:
        """A demand of this season and place. `answered`: one that can be answered at once; `matters`: of these only."""
        place = dice.choice(places) if hotline.code == PROVINCE else hotline.place
        rows, weights = self._fitting(at.astimezone(CHINA).month, place, answered)
        wanted = frozenset(matters)
        row = next(
            (r for r in (dice.choices(rows, weights)[0] for _ in range(60)) if r["matter"] in wanted), rows[0]
        )
        area, spoken = self.area(dice, hotline, place)
        text = self._unused(dice, row, spoken, at)
        title = row["title"]
        if dice.random() < 0.5 and spoken and len(title) < 24:
            title = f"{title}（{self.areas[_county(area)][0]}）"
        return Saying(
            Matter(row["matter"]),
            row["category"],
            title,
            text,
            area,
            row["unit_kind"],
            row["reply"],
            row.get("redo_reply") or "经重新核实办理：" + row["reply"],
            row.get("answer"),
            row["title"],
        )

    def echo(self, dice: Random, said: Saying, at: datetime) -> str:
        """Another caller about the same thing: the same demand told anew, shorter or longer."""
        head = dice.choice(
            ("也来反映这件事：", "和邻居反映的是同一件事。", "听说已有人打过电话，再补充反映：")
        )
        body = said.text.split("。", 1)[0] + "。"
        return self._once(dice, head + body, said.matter.value, at)

    def call(self, dice: Random, hotline: Hotline, places: Sequence[str], call: Call, at: datetime) -> Saying:
        """One of the calls of `contacts`, told from somewhere in the platform's area."""
        place = dice.choice(places) if hotline.code == PROVINCE else hotline.place
        area, spoken = self.area(dice, hotline, place)
        return self.call_from(dice, call, area, spoken, at)

    def call_from(self, dice: Random, call: Call, area: str, spoken: str, at: datetime) -> Saying:
        """The same from a given area."""
        text = self._once(dice, call.text.format(area=spoken), call.matter, at)
        reply = "已安排人员到场处置并与来电人取得联系，险情和生活困难已妥善处理，后续有情况可随时来电。"
        return Saying(
            Matter(call.matter),
            call.category,
            call.title,
            text,
            area,
            "government",
            reply,
            "经再次核实：" + reply,
        )

    def area(self, dice: Random, hotline: Hotline, place: str) -> tuple[str, str]:
        """A county or town of the place, and how callers name it."""
        prefix = _PREFECTURES[place] if hotline.code == PROVINCE else hotline.area[:4]
        codes = _codes_under(prefix, tuple(self.areas))
        code = dice.choice(codes)
        return code, self.spoken(code)

    def spoken(self, code: str) -> str:
        """How callers name an area: the county, then the town."""
        name, level = self.areas[code]
        county = self.areas[_county(code)][0]
        return county if level == "县区" else county + name

    def phrase(self, dice: Random, name: str, said: Saying, *path: str) -> str:
        """A phrase of the pool that speaks of nothing the demand does not."""
        pool: Any = self.phrases[name]
        for key in path:
            pool = pool[key]
        about = said.title + said.text + said.reply
        fitting = [p for p in pool if all(t in about for t in _topics(p))]
        if fitting:
            return str(dice.choice(fitting))
        return str(min(pool, key=lambda p: (sum(t not in about for t in _topics(p)), p)))

    def _fitting(self, month: int, place: str, answered: bool) -> tuple[list[dict[str, Any]], list[float]]:
        season = _SEASONS[month]
        key = (season, place, answered)
        if key not in self._picks:
            rows = [
                row
                for row in self.demands
                if {season, "any"} & set(row["seasons"])
                and {place, "any"} & set(row["places"])
                and (not answered or "answer" in row)
            ]
            counts = {matter: sum(1 for r in rows if r["matter"] == matter) for matter in _MIX}
            weights = [
                _MIX[r["matter"]]
                / counts[r["matter"]]
                * (3.0 if season in r["seasons"] else 1.0)
                * (1.6 if place in r["places"] else 1.0)
                for r in rows
            ]
            self._picks[key] = (rows, weights)
        return self._picks[key]

    def _unused(self, dice: Random, row: Mapping[str, Any], spoken: str, at: datetime) -> str:
        month = (at.astimezone(CHINA).month - dice.randint(2, 4)) % 12 + 1
        text = row["text"].replace("{area}", spoken).replace("{month}", f"{month}")
        if "{month}月" not in row["text"]:
            text = row["text"].replace("{area}", spoken).replace("{month}", f"{month}月")
        return self._once(dice, text.replace("{days}", str(dice.randint(3, 9))), row["matter"], at)

    def _once(self, dice: Random, text: str, matter: str, at: datetime) -> str:
        local = at.astimezone(CHINA)
        dated = f"{text}（{local.month}月{local.day}日{local.hour}时{local.minute:02d}分登记）"
        for _ in range(8):
            closings = self._closings(dice, matter, 2 if dice.random() < 0.4 else 1)
            said = dated if dice.random() < 0.12 else text + closings
            if said not in self.used:
                break
        else:
            said = dated
        self.used.add(said)
        return said

    def _closings(self, dice: Random, matter: str, count: int) -> str:
        return "".join(dice.sample(_CLOSINGS[matter], count)).format(
            day=dice.choice(_DAYS_SAID), hour=dice.choice(_HOURS_SAID), n=dice.choice(_NUMBERS_SAID)
        )


_PREFECTURES: Final = {
    "西宁市": "6301",
    "海东市": "6302",
    "海北州": "6322",
    "黄南州": "6323",
    "海南州": "6325",
    "果洛州": "6326",
    "玉树州": "6327",
    "海西州": "6328",
}


def _county(code: str) -> str:
    return code[:6] + "000000"


@cache
def _codes_under(prefix: str, codes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(code for code in codes if code.startswith(prefix))


@cache
def _topics(phrase: str) -> tuple[str, ...]:
    plain = phrase
    for word in _NOT_TOPICS:
        plain = plain.replace(word, "")
    return tuple(topic for topic in _TOPICS if topic in plain)


def load_corpus() -> Corpus:
    """The corpus from the package's own files. Areas are counties and towns, with their names."""
    folder = files("hotline").joinpath("demo")
    divisions = files("hotline").joinpath("data", "divisions-qinghai.csv").read_text("utf-8-sig")
    areas = {
        row["code"]: (row["name"], row["level"])
        for row in csv.DictReader(divisions.splitlines())
        if row["level"] in ("县区", "乡镇街道")
    }
    return Corpus(
        json.loads(folder.joinpath("demands.json").read_text("utf-8")),
        json.loads(folder.joinpath("phrases.json").read_text("utf-8")),
        areas,
    )


# --- callers and files -----------------------------------------------------------------------------------------------


def caller(number: int, area: str) -> tuple[str, str, str]:
    """An invented caller's name, phone and address, obviously so."""
    return (
        f"测试{_STEMS[number % 10]}{number:04d}",
        f"1390000{number % 10000:04d}",
        f"{area}示例路{number % 300 + 1}号",
    )


def note_file(title: str, text: str) -> bytes:
    """A small text file."""
    return f"{title}\n\n{text}\n（演示数据，内容虚构）\n".encode()


def pdf_file(number: str) -> bytes:
    """A one-page PDF that says which ticket it belongs to."""
    stream = f"BT /F1 18 Tf 72 720 Td (Demo document, ticket {number}) Tj ET".encode()
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    content, offsets = b"%PDF-1.4\n", []
    for index, body in enumerate(objects, start=1):
        offsets.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (index, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return content + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (len(objects) + 1, table, len(objects) + 1, len(content))
    )


def recording_file(dice: Random) -> bytes:
    """A second of faint noise as WAV: 8 kHz, 8 bit, mono."""
    samples = bytes(126 + dice.randrange(5) for _ in range(8000))
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + len(samples),
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        8000,
        8000,
        1,
        8,
        b"data",
        len(samples),
    )
    return head + samples
