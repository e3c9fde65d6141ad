"""The calendars in force: the shipped notices, those loaded since, and each platform's local days off."""

from datetime import date
from threading import Lock
from typing import Final

from sqlalchemy import func, select
from sqlmodel import Session, col

from calendar_cn.arrangements import Arrangement, parse_arrangement, shipped
from calendar_cn.working_days import WorkCalendar
from hotline.organisation import CalendarVersion
from hotline.storage.constant import Constant


class Calendars:
    """One process's cache of the calendars at one version (the newest `calendar_versions` row's id)."""

    def __init__(self) -> None:
        self._version = -1
        self._by_platform: dict[int | None, WorkCalendar] = {}
        self._overlays: dict[int, dict[date, str]] = {}
        self._arrangements: dict[int, Arrangement] = {}
        self._lock = Lock()

    def at(self, session: Session, version: int) -> None:
        """Make this cache hold `version`, reading the database only if it is newer than what is held."""
        if version <= self._version:
            return
        arrangements, overlays = read(session)
        with self._lock:
            if version > self._version:
                self._arrangements, self._overlays = arrangements, overlays
                self._by_platform = {}
                self._version = version

    @property
    def version(self) -> int:
        """The version held: 0 for the shipped notices alone."""
        return max(self._version, 0)

    def of(self, platform_id: int | None) -> WorkCalendar:
        """The calendar of a platform's area: the notices and its local days off."""
        calendar = self._by_platform.get(platform_id)
        if calendar is None:
            overlay = self._overlays.get(platform_id or 0)
            calendar = WorkCalendar(self._arrangements or shipped(), overlay)
            self._by_platform[platform_id] = calendar
        return calendar


def as_of(session: Session, version: int, platform_id: int | None) -> WorkCalendar:
    """The calendar of a platform as it stood at `version`, for a certificate of a date counted then."""
    arrangements, overlays = read(session, version)
    return WorkCalendar(arrangements, overlays.get(platform_id or 0))


def read(
    session: Session, version: int | None = None
) -> tuple[dict[int, Arrangement], dict[int, dict[date, str]]]:
    """The arrangements by year and the local days off by platform, as of `version` or now."""
    arrangements = dict(shipped())
    overlays: dict[int, dict[date, str]] = {}
    for row in session.execute(select(CalendarVersion).order_by(col(CalendarVersion.id))).scalars():
        if version is not None and row.id > version:
            break
        if row.year is not None:
            arrangements[row.year] = parse_arrangement(row.content)
        elif row.platform_id is not None:
            overlays[row.platform_id] = {date.fromisoformat(day): why for day, why in row.content.items()}
    return arrangements, overlays


def newest_version(session: Session) -> int:
    """The newest calendar version in the database, 0 when only the shipped notices are known."""
    return int(_NEWEST.first(session, {})[0])


_NEWEST: Final = Constant(select(func.coalesce(func.max(col(CalendarVersion.id)), 0)))
