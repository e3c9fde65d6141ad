"""What identifies a caller is starred or hidden, however it is written; everything else stays as it is."""

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hotline.privacy.masking import (
    HIDDEN,
    Known,
    mask_address,
    mask_id_number,
    mask_name,
    mask_phone,
    mask_text,
)

CALLER = Known("测试甲", "0971-6123456", "青海省西宁市城西区测试路88号3单元502室", "630104199001011238")
MOBILES = (
    "13900000001",
    "139 0000 0001",
    "139-0000-0001",
    "139.0000.0001",
    "139，0000，0001",
    "1 3 9 0 0 0 0 0 0 0 1",
    "13 90 00 00 00 1",
    "13900 000001",
    "１３９０００００００１",
    "一三九零零零零零零零一",
    "幺三九 〇〇〇〇 〇〇〇一",
    "壹叁玖零零零零零零零壹",
    "①③⑨00000001",
    "139\u200b0000\u200b0001",
    "+8613900000001",
    "+86 139 0000 0001",
    "0086-139-0000-0001",
    "8613900000001",
    "013900000001",
    "1390000000113900000002",
)
"""Each as somebody might type it; `１３９０００００００１` is full-width."""

DIGIT = re.compile(r"\d")


def plain_digits(text: str) -> str:
    han = dict(zip("〇零一二三四五六七八九幺壹叁玖①③⑨", "00123456789113913 9", strict=False))
    return "".join(c for c in "".join(han.get(c, c) for c in text) if c.isdigit())


@pytest.mark.parametrize("written", MOBILES)
@pytest.mark.parametrize("around", ["{}", "电话{}，请回电", "请打{}。", "a{}b"])
def test_a_mobile_is_starred_however_it_is_written(written: str, around: str) -> None:
    text = around.format(written)
    masked = mask_text(text)
    assert masked != text
    assert "*" in masked
    assert mask_text(masked) == masked
    hidden = mask_text(text, hide=True)
    assert HIDDEN in hidden
    assert plain_digits(hidden) == ""
    again = mask_text(masked, hide=True)
    assert plain_digits(again) in ("", "0", "86", "0086")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("身份证630104199001011238", "身份证630*************38"),
        ("身份证11010519491231002X。", "身份证110*************2X。"),
        ("旧证 630104900101123", "旧证 630**********23"),
        ("卡号6222021234567890128", "卡号6222***********0128"),
        ("卡号 6222 0212 3456 7890 128", "卡号 6222 **** **** ***0 128"),
        ("邮箱ceshi.jia@example.com", "邮箱c********@example.com"),
        ("微信号：ceshi_jia01", "微信号：c**********"),
        ("加我QQ 12345678", "加我QQ 1*******"),
    ],
)
def test_other_numbers_and_accounts(text: str, masked: str) -> None:
    assert mask_text(text) == masked
    hidden = mask_text(text, hide=True)
    assert HIDDEN in hidden
    assert not DIGIT.search(hidden)


@pytest.mark.parametrize(
    "text",
    [
        "请拨打12345或0971-8230000咨询",
        "客服400-800-1234",
        "工单012611210000425已并入",
        "工单 01 261121 000042 5",
        "欠薪1,390,000,000.01元",
        "室温13.5 14.2 15.3 16.1 度",
        "2026-11-21 15:30 来电",
        "编号20261121000012345678",
        "合同号139000",
        "微信公众号和微信支付1000元",
        "QQ群已解散",
        "一三五七九单号限行",
        "**重要** 请尽快",
    ],
)
def test_what_identifies_nobody_stays(text: str) -> None:
    assert mask_text(text, Known("测试乙", "13900000009")) == text


def test_the_callers_own_data_are_found_in_any_shape() -> None:
    text = "我是测试甲，住城西区测试路88号3单元502室，电话0971 6123456或6123456，证号６３０１０４199001011238"
    masked = mask_text(text, CALLER)
    for secret in ("测试甲", "88号", "502", "6123456", "0101"):
        assert secret not in masked
    assert "测**" in masked
    assert "测试路" in masked
    assert len(masked) == len(text)
    hidden = mask_text(text, CALLER, hide=True)
    assert not re.search(r"[0-9０-９]", hidden)
    assert "测试" not in hidden


def test_hidden_means_no_surname_no_prefix_no_star() -> None:
    caller = Known("欧阳测试丁", "13987654321", "测试大街88号3单元")
    for text in (
        "欧阳先生来电",
        "欧****来电",
        "139****4321",
        "139 **** 4321",
        "测试大街*******",
        "c********@example.com",
    ):
        hidden = mask_text(text, caller, hide=True)
        assert HIDDEN in hidden, text
        assert "*" not in hidden
        assert "欧" not in hidden
        assert not DIGIT.search(hidden)


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("测试路1号", "测试路***"),
        ("西宁市城西区测试大街88号3单元", "西宁市城西区测试大街***"),
        ("测试县测试镇测试村五社12号", "测试县测试镇测试村***"),
        ("幸福小区3号楼", "***"),
        ("", None),
    ],
)
def test_an_address_is_kept_to_its_road_or_village(address: str, masked: str | None) -> None:
    assert mask_address(address) == masked


def test_fields() -> None:
    assert mask_phone("13900000001") == "139****0001"
    assert mask_phone("12345678") == "****"
    assert mask_phone(None) is None
    assert mask_name("测试甲") == "测**"
    assert mask_id_number("630104199001011238") == "630*************38"


# --- properties --------------------------------------------------------------------------------------------------------

MOBILE = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)
TEXT = st.text(
    alphabet=st.sampled_from(
        "0123456789一三九零〇幺 -.，、（）*/元号路测试甲先生微信QQ:@ax.X身＋+１９８６\u200b\n"
    ),
    max_size=60,
)
BARE = re.compile(r"(?<![0-9])1[3-9][0-9]{9}(?![0-9])")


@given(TEXT, st.booleans())
@example("1 13900000001 39", False)
@example("139000000011390000000 13900000002", False)
def test_masking_twice_is_masking_once(text: str, hide: bool) -> None:
    masked = mask_text(text, CALLER, hide=hide)
    assert mask_text(masked, CALLER, hide=hide) == masked


@given(TEXT)
def test_a_starred_text_keeps_every_other_character(text: str) -> None:
    masked = mask_text(text, CALLER)
    assert len(masked) == len(text)
    assert all(a in (b, "*") for a, b in zip(masked, text, strict=True))


@given(st.text(max_size=40), MOBILE, st.text(max_size=40), st.booleans())
def test_no_mobile_is_left(before: str, mobile: str, after: str, hide: bool) -> None:
    masked = mask_text(f"{before}，{mobile}，{after}", hide=hide)
    assert not BARE.search(masked)
    assert mobile not in masked


@given(st.text(alphabet=st.characters(categories=["Lo", "Po"]), max_size=80))
def test_a_text_without_anything_personal_stays(text: str) -> None:
    if not re.search(r"[〇零一二三四五六七八九幺两壹贰叁肆伍陆柒捌玖貳參陸]{5}|微信|薇信|扣扣|@", text):
        assert mask_text(text) == text


@given(MOBILE, st.sampled_from(["", " ", "-", ".", "\u200b", "　"]), st.booleans())
def test_the_callers_own_phone_is_never_left(mobile: str, gap: str, hide: bool) -> None:
    written = gap.join((mobile[:3], mobile[3:7], mobile[7:]))
    masked = mask_text(f"编号{written}77号", Known(phone=mobile), hide=hide)
    assert mobile not in "".join(c for c in masked if c.isdigit())


@pytest.mark.parametrize(
    "text",
    [
        "1" * 100_000,
        "1 " * 50_000,
        "13900000001 " * 8_000,
        "a.b" * 30_000 + "@",
        "微信 " * 30_000,
        "*" * 100_000,
        "测" * 100_000,
    ],
    ids=["digits", "spaced", "mobiles", "mail", "accounts", "stars", "name"],
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    mask_text(text, CALLER, hide=True)
    assert time.process_time() - began < 10
