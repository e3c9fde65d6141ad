"""What a password must be, and what is kept of it."""

import pytest

from hotline.people import passwords
from workflow.errors import OrderInvalid


@pytest.mark.parametrize(
    "password",
    [
        "Password123!",
        "P@ssw0rd2026!",
        "Admin@12345",
        "admin@12345A",
        "Hotline12345!",
        "Rexian@12345",
        "Qwerty12345!",
        "1qaz@WSX3edc",
        "!QAZ2wsx#EDC",
        "Aa123456789!",
        "Abc@123456",
        "Zhangsan@2026",
        "Xining#2026!",
        "Woaini1314!!",
        "Huawei@12#$",
        "Summer2026!!",
        "aaaaaaAA11!!",
        "A1b2c3d4e5!",
    ],
)
def test_what_people_choose_first_is_refused(password: str) -> None:
    with pytest.raises(OrderInvalid) as refused:
        passwords.check(password, login="xn-agent01", name="测试甲")
    assert refused.value.field == "new"
    assert password not in refused.value.message


@pytest.mark.parametrize(
    "password",
    ["Kx7#pqLm2vRz", "蓝天白云Ab12345", "correct-Horse-7battery", "Tr0ub4dor&3xyz", "三只羊Climb7hills"],
)
def test_what_is_hard_to_guess_is_taken(password: str) -> None:
    passwords.check(password, login="xn-agent01", name="测试甲")


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("Kx7#pqLm2", "10"),
        ("Kx7#" * 51, "200"),
        ("kxqpqlmzvrzw", "3 类"),
        ("KXQPQLMZ7482", "3 类"),
        ("Zz-XN-AGENT01-7q", "登录名"),
        ("Kx7#测试甲pqLm", "姓名"),
    ],
)
def test_each_rule_says_what_is_missing(password: str, said: str) -> None:
    with pytest.raises(OrderInvalid, match=said):
        passwords.check(password, login="xn-agent01", name="测试甲")


def test_a_hash_is_argon2id_salted_and_fits_only_its_password() -> None:
    first, second = passwords.hashed("Kx7#pqLm2vRz"), passwords.hashed("Kx7#pqLm2vRz")
    assert first.startswith("$argon2id$")
    assert first != second
    assert passwords.verify("Kx7#pqLm2vRz", first) == (True, None)
    assert passwords.verify("kx7#pqLm2vRz", first) == (False, None)
    assert passwords.verify("Kx7#pqLm2vRz", None) == (False, None)


def test_full_width_typing_is_the_same_password() -> None:
    assert passwords.verify("Ｋx7#pqLm2vRz", passwords.hashed("Kx7#pqLm2vRz"))[0]


def test_a_lone_surrogate_is_a_wrong_password_not_a_failure() -> None:
    assert passwords.verify("\ud800", passwords.hashed("Kx7#pqLm2vRz")) == (False, None)


def test_one_time_passwords_obey_the_rules_and_differ() -> None:
    drawn = {passwords.one_time() for _ in range(50)}
    assert len(drawn) == 50
    for password in drawn:
        passwords.check(password, login="xn-agent01", name="测试甲")
