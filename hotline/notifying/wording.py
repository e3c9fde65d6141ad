"""What a notice says: templates in Chinese for each kind of event, filled from the event's own facts and nothing else.

An event holds nothing of the caller (`hotline.exchange.envelopes`), and only the words of `FIELDS` reach a text: no reason, no title,
nothing that somebody typed.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Any, Final

from workflow.deadlines import CHINA
from workflow.errors import PackInvalid
from workflow.vocabulary import ClockKind

FIELDS: Final = ("number", "unit", "due", "period", "question", "article", "notice")
"""What a template may name: ticket number, unit (or platform), due day, what is due, question, article, accountability notice."""
TESTED: Final = "contact.tested"
"""A test, sent to one contact by hand; it is about no event."""

_OWED: Final = (ClockKind.REPLY, ClockKind.SUPPLEMENT, ClockKind.REDO, ClockKind.KNOWLEDGE_UPDATE)
_UNKNOWN_DUE: Final = "系统所示期限"
_ALONE: Final = 70
_EACH: Final = 67


@dataclass(frozen=True, slots=True)
class Template:
    """One kind's words. `usual`: told to whoever chose no kinds; `urgent`: at night too; `platform`: platforms may choose it."""

    subject: str
    text: str
    sms: str
    usual: bool = False
    urgent: bool = False
    platform: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """A filled template; `params` are the fields its text message holds, for gateways that keep the text themselves."""

    subject: str
    text: str
    sms: str
    params: dict[str, str]


@cache
def templates() -> Mapping[str, Template]:
    """The template of each kind. Raises `PackInvalid` for one that names a field outside `FIELDS`, or lacks a text."""
    told = tomllib.loads((files("hotline.notifying") / "templates.toml").read_text("utf-8"))
    made = {}
    for kind, row in told.items():
        try:
            made[kind] = Template(**row)
        except TypeError:
            raise PackInvalid(f"通知模板 {kind} 的字段不全或不识。") from None
        unknown = fields_of(made[kind]) - set(FIELDS)
        if unknown:
            raise PackInvalid(f"通知模板 {kind} 含有不允许的字段：{'、'.join(sorted(unknown))}。")
    return made


def fields_of(template: Template) -> set[str]:
    """The fields that a template's texts name."""
    return {name for each in (template.subject, template.text, template.sms) for name in _named(each)}


def _named(text: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(text) if name is not None]


def kinds_to_choose(*, unit: bool) -> list[str]:
    """The kinds a contact of a unit, or of a platform, may be told."""
    return [kind for kind, each in templates().items() if kind != TESTED and (unit or each.platform)]


def usual_kinds() -> list[str]:
    """What is told to whoever chose nothing."""
    return [kind for kind, each in templates().items() if each.usual]


def say(kind: str, data: Mapping[str, Any], *, whose: str) -> Said:
    """The words for one event: `data` as it stands in the outbox, `whose` the unit's (or platform's) name."""
    template = templates()[kind]
    told = _facts(data, whose)
    params = {name: told[name] for name in dict.fromkeys(_named(template.sms))}
    return Said(
        template.subject.format_map(told)[:200],
        template.text.format_map(told),
        template.sms.format_map(told),
        params,
    )


def _facts(data: Mapping[str, Any], whose: str) -> dict[str, str]:
    clock = data.get("clock") or _first_owed(data.get("clocks") or ())
    due = clock or data
    return {
        "number": str(data.get("number", "")),
        "unit": " ".join(whose.split()),
        "due": _day(due.get("due_on"), due.get("due_at")),
        "period": ClockKind(clock["kind"]).label if clock else "",
        "question": str(data.get("question", "")),
        "article": str(data.get("name", data.get("article", ""))),
        "notice": str(data.get("notice", "")),
    }


def _first_owed(clocks: Any) -> Mapping[str, Any] | None:
    owed = [clock for clock in clocks if clock["kind"] in _OWED]
    return min(owed, key=lambda clock: str(clock["due_at"]), default=None)


def _day(on: Any, at: Any) -> str:
    """`3月4日24时`, or with the hour where a period does not end with the day."""
    if at is None:
        return _UNKNOWN_DUE
    moment = datetime.fromisoformat(str(at)).astimezone(CHINA)
    if (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        last = moment - timedelta(days=1)
        # an instant of midnight is the end of the day before, unless the day itself is named
        return f"{last.month}月{last.day}日24时" if on != moment.date().isoformat() else _at(moment)
    return _at(moment)


def _at(moment: datetime) -> str:
    minutes = f"{moment.minute}分" if moment.minute else ""
    return f"{moment.month}月{moment.day}日{moment.hour}时{minutes}"


def letter(said: Said, *, whose: str, platform: str, link: str | None) -> str:
    """The text of an e-mail. `link` is where the ticket is worked on, None where the hotline's address is not known."""
    seen = f"办理入口：{link}（登录后查看）" if link else "详情请登录热线系统查看。"
    closing = f"{' '.join(platform.split())}\n本邮件由系统自动发出，不含来电人信息，请勿回复。"
    return f"{' '.join(whose.split())}：\n\n{said.text}\n\n{seen}\n\n{closing}\n"


# --- how long a text message is ----------------------------------------------------------------------------------------


def with_signature(sms: str, signature: str) -> str:
    """The text as it arrives: the 短信签名 in 【】 before it."""
    return f"【{signature}】{sms}"


def segments(text: str) -> int:
    """How many messages a Chinese text is charged as: one of 70 characters (UTF-16), or several of 67."""
    units = len(text.encode("utf-16-le")) // 2
    return 1 if units <= _ALONE else -(-units // _EACH)
