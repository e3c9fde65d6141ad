"""Ticket numbers a person can say on the phone: platform 2, date 6, sequence 6, check digit 1 (ISO 7064 MOD 11,10).

`01 261121 000042 5` is the platform 01's ticket of 2026-11-21. One wrong or swapped digit is noticed before any look-up.
"""

from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, func, text
from sqlalchemy.dialects.postgresql import REGCLASS
from sqlmodel import Session
from stdnum.iso7064 import mod_11_10

from workflow.errors import NotFound

LENGTH = 15


def sequence_name(platform_code: str) -> str:
    """The PostgreSQL sequence that numbers a platform's tickets."""
    if not (len(platform_code) == 2 and platform_code.isdigit()):
        raise ValueError("a platform code has two digits")
    return f"ticket_seq_{platform_code}"


def create_sequence(session: Session, platform_code: str) -> None:
    """Make the platform's sequence. It cycles after 999,999, far more than a day's tickets."""
    name = sequence_name(platform_code)
    session.execute(text(f"CREATE SEQUENCE IF NOT EXISTS {name} MINVALUE 1 MAXVALUE 999999 CYCLE"))


def sequence_of(platform_code: Any) -> ColumnElement[Any]:
    """The platform's sequence, as SQL for `nextval`, which never waits for another transaction; gaps are harmless."""
    return func.concat("ticket_seq_", platform_code).cast(REGCLASS)


def written(platform_code: str, on: date, sequence: int) -> str:
    """The number of a platform's ticket of civil day `on`, its `sequence` taken from the platform's sequence."""
    body = f"{platform_code}{on:%y%m%d}{sequence:06d}"
    return body + str(mod_11_10.calc_check_digit(body))


def parse(said: str) -> str:
    """The number as stored, from however it was typed (spaces, dashes). Raises `NotFound` if the check digit is wrong."""
    digits = "".join(c for c in said if not c.isspace() and c != "-")
    if len(digits) == LENGTH and digits.isascii() and mod_11_10.is_valid(digits):
        return digits
    raise NotFound(f"工单编号应为 {LENGTH} 位数字且校验位相符，请核对是否抄错或漏写。", field="number")


def spoken(number: str) -> str:
    """The number in the groups people read aloud."""
    return f"{number[:2]} {number[2:8]} {number[8:14]} {number[14]}"
