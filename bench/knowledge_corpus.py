"""Invented articles and typed queries for `bench.knowledge`, as many as wanted: matters × places, always the same ones."""

import itertools
import random
from collections.abc import Iterator
from datetime import date

from knowledge_base.search import Entry


def listed(words: str) -> list[str]:
    return words.split()


_DEPARTMENTS = listed("""
    公安局 住房和城乡建设局 人力资源和社会保障局 医疗保障局 民政局 教育局 交通运输局 市场监督管理局
    自然资源局 税务局 卫生健康委员会 生态环境局 农业农村局 水务局 城市管理局 文化旅游局 司法局
    消防救援局 残疾人联合会 退役军人事务局 公积金管理中心 不动产登记中心 烟草专卖局 气象局
    林业和草原局
""")
_OBJECTS = listed("""
    居民身份证 户口簿 护照 港澳通行证 驾驶证 行驶证 机动车号牌 居住证 住房公积金 公积金贷款
    不动产权证 房屋预售许可 施工许可证 养老保险 失业保险金 工伤认定 城乡居民医保 异地就医备案
    生育津贴 门诊慢特病 最低生活保障 特困供养 残疾人证 高龄津贴 婚姻登记 收养登记 义务教育入学 学籍
    教师资格证 民办学校 道路运输证 网约车驾驶员证 出租车经营权 公交卡 营业执照 食品经营许可证
    药品经营许可证 特种设备 商标 土地使用权 采矿许可证 林木采伐许可证 个人所得税 车辆购置税 契税
    发票 医师执业证 护士执业证 生育登记 出生医学证明 预防接种证 排污许可证 环境影响评价
    农药经营许可证 兽药经营许可证 动物检疫证 宅基地 取水许可证 自来水用户 集中供热 燃气用户 户外广告
    犬只登记 建筑垃圾处置 导游证 旅行社 网吧 法律援助 公证书 律师执业证 消防验收 退役军人优待证
    烈属优待 烟草专卖零售许可证 施放气球 防雷装置 草原征占用 创业担保贷款 就业困难人员 高校毕业生档案
    农民工工资 职业资格证 社保卡 电动自行车 老旧小区加装电梯 公租房 人才引进补贴 物业维修资金
    电子发票 小微企业贷款贴息
""")
_ACTS = listed("""
    首次申领 到期换领 遗失补办 变更登记 注销登记 异地办理 网上办理 代办委托 进度查询 资格审核
    年度审验 信息更正 转移接续 提取使用 减免申请 补贴申领 材料清单 办理时限 收费标准 投诉举报
    复议申诉 加急办理 预约取号 上门服务 合并分立 抵押登记 续期延展 退费退款
""")
_CITIES = listed("青川 平湖 云岭 金沙 海东 南岭 北屏 临江 东阳 西陵 安宁 和顺 永康 长乐 宁远 清河")
_DISTRICTS = listed("""
    城东区 城西区 城中区 城北区 高新区 开发区 河口县 山阳县 新华县 白河县 石门县 龙泉县 桥头镇
    柳林镇 双桥乡 大同乡 三江镇 杨家镇 马营镇 青石镇 北山乡 南川镇 沙湾镇 古城镇 红旗镇 光明街道
    和平街道 建设街道 人民街道 友谊街道 东风街道 西关街道
""")
_MATERIALS = listed("""
    申请表 身份证原件及复印件 户口簿 近期免冠照片 授权委托书 营业执照副本 房屋权属证明 劳动合同
    诊断证明 银行卡 完税证明 承诺书 结婚证 公证文书 单位介绍信
""")
_CONDITIONS = listed("""
    年满十六周岁 在本地连续居住六个月以上 依法参保并足额缴费 无违法失信记录 材料齐全且符合法定形式
    有固定经营场所 经所在社区核实 家庭人均收入低于当地标准
""")
_STREETS = listed("长江路 黄河路 昆仑大道 五四大街 胜利路 同仁路 建国路 滨河路 民主街 解放街")
_ASKS = (
    "怎么办理？",
    "需要什么材料？",
    "多久能办好？",
    "在哪里办？",
    "有什么条件？",
    "要收费吗？",
    "可以网上办吗？",
    "",
)


def entries(count: int) -> Iterator[Entry]:
    """`count` articles, neighbours unlike each other."""
    places = [f"{city}市{district}" for city in _CITIES for district in _DISTRICTS]
    matters = list(itertools.product(_OBJECTS, _ACTS))
    stride = 7919
    every = len(places) * len(matters)
    for number in range(count):
        at = (number * stride) % every
        place, (thing, act) = places[at // len(matters)], matters[at % len(matters)]
        yield _article(number, place, at // len(matters), thing, act)


def _article(number: int, place: str, place_number: int, thing: str, act: str) -> Entry:
    chance = random.Random(number)
    pick = chance.random
    department = _DEPARTMENTS[(len(thing) * 7 + ord(thing[0])) % len(_DEPARTMENTS)]
    materials = "、".join(chance.sample(_MATERIALS, 3 + number % 3))
    days = 1 + int(pick() * 30)
    street = _STREETS[int(pick() * len(_STREETS))]
    answer = (
        f"您好，{place}{thing}的{act}由{place}{department}受理。申请人应当{_CONDITIONS[int(pick() * len(_CONDITIONS))]}，"
        f"携带{materials}到{street}{1 + int(pick() * 300)}号政务服务大厅{1 + int(pick() * 40)}号窗口提交，"
        f"自受理之日起{days}个工作日内办结。逾期未办结的，可拨打监督电话反映。"
    )
    guide = (("materials", materials), ("limit", f"法定时限{days + 5}个工作日，承诺时限{days}个工作日"))
    city, district = divmod(place_number, len(_DISTRICTS))
    expired = pick() < 0.02
    return Entry(
        key=f"{number}@1",
        question=f"{place}{thing}{act}{_ASKS[number % len(_ASKS)]}",
        answer=answer,
        title=f"{thing}{act}",
        guide=guide,
        categories=(f"{1 + len(thing) % 9:02d}{1 + number % 12:02d}",),
        area=f"63{city + 1:02d}{district + 1:02d}000000",
        unit=f"D{number % 900}",
        valid_from=date(2020, 1, 1),
        valid_until=date(2024, 1, 1) if expired else None,
        popularity=int(200 * pick() ** 6),
    )


def typed() -> list[str]:
    """What agents type: key words, places, pinyin, and callers' sentences. Nobody's words."""
    short = [
        f"{_OBJECTS[(k * 37) % len(_OBJECTS)]}{_ACTS[(k * 11) % len(_ACTS)][: 2 + k % 3]}" for k in range(40)
    ]
    placed = [
        f"{_CITIES[k % len(_CITIES)]}{_DISTRICTS[(k * 5) % len(_DISTRICTS)]} {_OBJECTS[(k * 13) % len(_OBJECTS)]} 材料"
        for k in range(20)
    ]
    by_ear = [
        "gjj",
        "gjj tq",
        "sfz bl",
        "shenfenzheng",
        "gongjijin daikuan",
        "hukou",
        "yanglao bx",
        "公积金tiqu",
    ]
    told = [
        f"您好我想问一下，我在{_CITIES[k % len(_CITIES)]}这边住了三年了，{_OBJECTS[(k * 17) % len(_OBJECTS)]}一直没有办下来，"
        f"现在想{_ACTS[(k * 3) % len(_ACTS)]}，去窗口的时候工作人员说材料不齐，让我回去等，请问到底需要带哪些东西，多长时间能办好？"
        for k in range(12)
    ]
    return short + placed + by_ear + told
