"""A reply to one caller becomes an answer for everybody."""

import pytest

from knowledge_base.drafts import as_answer, as_question


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (
            "尊敬的测试先生：您好！您反映的公积金提取问题收悉，现答复如下：一、携带身份证到窗口办理。二、也可网上办理。"
            "感谢您对我们工作的支持与理解，祝您生活愉快！",
            "1. 携带身份证到窗口办理。\n2. 也可网上办理。",
        ),
        ("您好，经核实，已更换阀门。来电人表示满意。", "经核实，已更换阀门。"),
        (
            "来电人您好：可在任一窗口办理，咨询电话0971-6130123。特此答复。",
            "可在任一窗口办理，咨询电话0971-6130123。",
        ),
        (
            "需要以下材料：1、身份证；2、户口本；3、照片两张。",
            "需要以下材料：\n\n1. 身份证；\n2. 户口本；\n3. 照片两张。",
        ),
        ("第一段。\n第二段。", "第一段。\n\n第二段。"),
        ("办理时限为5个工作日。", "办理时限为5个工作日。"),
    ],
)
def test_salutation_and_closing_go_points_become_a_list(reply: str, answer: str) -> None:
    assert as_answer(reply) == answer


@pytest.mark.parametrize(
    ("title", "question"),
    [
        ("市民咨询：公积金怎么提取", "公积金怎么提取"),
        ("来电人来电询问供暖时间", "供暖时间"),
        ("暖气不热", "暖气不热"),
        ("咨询", "咨询"),
    ],
)
def test_a_title_becomes_a_question(title: str, question: str) -> None:
    assert as_question(title) == question
