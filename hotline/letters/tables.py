"""督办函 as rows: what a letter says, whole, from which it is printed the same for ever."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from hotline.storage.columns import json_object, key, ref


class Letter(SQLModel, table=True):
    """督办函: one unit's, listing what it owes; `number` counts a platform's letters of a `year`."""

    __tablename__ = "letters"
    id: int = key()
    platform_id: int = ref("platforms.id")
    unit_id: int = ref("units.id", index=True)
    reminder_id: int = ref("reminders.id")
    year: int
    number: int
    content: dict[str, Any] = json_object()
    issued_by: str = Field(max_length=100)
    issued_at: datetime

    __table_args__ = (Index("ux_letters_number", "platform_id", "year", "number", unique=True),)
