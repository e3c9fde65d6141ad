"""Which numbers two answers give differently."""

import pytest

from knowledge_base.comparing import ALIKE, differences, facts, number, same_matter


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("15", "15"),
        ("1,200", "1200"),
        ("3.50", "3.5"),
        ("十五", "15"),
        ("二十", "20"),
        ("两", "2"),
        ("一百二十", "120"),
    ],
)
def test_numbers_however_written(text: str, plain: str) -> None:
    assert number(text) == plain


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        ("15个工作日内办结", "二十个工作日内办结", "工作日"),
        ("收费20元", "收费二十五元", "元"),
        ("咨询电话0971-6130123", "咨询电话0971-6130999", "电话"),
        ("补贴比例为30%", "补贴比例为50％", "%"),
        ("年满60周岁", "年满55周岁", "周岁"),
        ("室温不低于18℃", "室温不低于20度", "度"),
        ("上午9:00开始", "上午8:30开始", "时间"),
    ],
)
def test_another_value_of_the_same_measure_is_a_difference(one: str, other: str, what: str) -> None:
    assert [d.what for d in differences(facts(one, {}), facts(other, {}))] == [what]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("15个工作日", "十五个工作日"),
        ("收费20元", "3个工作日"),
        ("自2026年3月1日起，第十四条", "自2025年1月1日起，第二十条"),
        ("需2份材料，5个工作日", "5个工作日"),
        ("电话0971-6130123", "电话（0971）6130123"),
    ],
)
def test_no_difference(one: str, other: str) -> None:
    assert differences(facts(one, {}), facts(other, {})) == ()


def test_a_guides_limits_are_compared_by_their_names() -> None:
    one = facts("", {"limit": "7个工作日", "limit_days": 7, "limit_unit": "working_day"})
    other = facts("", {"limit": "10个工作日", "limit_days": 10, "limit_unit": "working_day"})
    assert [d.what for d in differences(one, other)] == ["承诺办结时限"]


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("公积金提取需要什么材料？", "提取公积金需要哪些材料", True),
        ("身份证丢失怎么补办", "身份证丢了如何补办？", True),
        ("城镇职工养老保险参保登记", "城乡居民养老保险参保登记", False),
        ("供暖时间", "公交时间", False),
    ],
)
def test_whether_two_questions_are_about_one_matter(one: str, other: str, alike: bool) -> None:
    assert (same_matter(one, other) >= ALIKE) is alike


def test_the_cases_of_one_matter_are_not_one_another() -> None:
    one, other = "规划许可证核发（社会投资类中小型项目）", "规划许可证核发（社会投资类一般项目）"
    cases = "许可证核发及变更（协议出让）", "许可证核发及变更（公开出让）"
    assert same_matter(*cases) < ALIKE
    assert same_matter(one, other) < same_matter(one, one) == 1.0
    assert same_matter("身份证补办（丢失）", "身份证补办") > ALIKE, "only one of them names a case"


def test_limits_that_differ_are_told_in_words() -> None:
    (told,) = differences(
        facts("", {"limit_days": 3, "limit_unit": "working_day"}),
        facts("", {"limit_days": 5, "limit_unit": "day"}),
    )
    assert (told.what, told.one, told.other) == ("承诺办结时限", ("3 个工作日",), ("5 个自然日",))
