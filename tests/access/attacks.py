"""The likeliest ways to read a sealed caller's phone, each tried for real: what an attacker gets to see is searched for the caller.

`python -m tests.access` prints the list; `test_sealed_caller.py` runs it in CI.
"""

import json
import re
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session

from hotline.organisation import OrgUnit
from hotline.people import accounts
from tests import world as w
from tests.api.conftest import Api
from tests.api.tables import dump
from workflow.vocabulary import Role, Scope

PHONE: Final = "13977770001"
NAME: Final = "测试举报人"
ADDRESS: Final = "测试东路77号3单元"
ID_NUMBER: Final = "630104199001011510"
SECRETS: Final = {
    "phone": re.compile(
        r"1[\s\-.]?3[\s\-.]?9[\s\-.]?7[\s\-.]?7[\s\-.]?7[\s\-.]?7[\s\-.]?0[\s\-.]?0[\s\-.]?0[\s\-.]?1"
    ),
    "phone's ends": re.compile(r"139\*+0001|0001(?=[^0-9]|$)(?<=977770001)"),
    "name": re.compile("测试举报人|测\\*+"),
    "address": re.compile("测试东路"),
    "ID number": re.compile("630104199001011510|6301041990"),
}
PDF: Final = b"%PDF-1.4\n%%EOF\n"
WAV: Final = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data\x00\x00\x00\x00"


@dataclass(slots=True)
class Scene:
    """A tip-off (举报) against ZJJ, dispatched to it with JTJ beside it; who reported wrote their name and number everywhere."""

    api: Api
    number: str
    merged: str
    recording: int
    document: int

    def answers(self, path: str, *logins: str, **kwargs: Any) -> list[str]:
        """What these people are answered on GET `path`, headers and all."""
        return [_whole(self.api.get(path, login, **kwargs)) for login in logins]

    def posts(self, path: str, body: Any, *logins: str) -> list[str]:
        """What these people are answered on POST `path`."""
        return [_whole(self.api.post(path, login, body)) for login in logins]


def _whole(answer: Any) -> str:
    """An answer with its headers, as a reader of the wire has it; JSON escapes undone."""
    try:
        body = json.dumps(answer.json(), ensure_ascii=False)
    except ValueError:
        body = answer.content.decode("utf-8", "replace")
    return f"{answer.status_code}\n{dict(answer.headers)}\n{body}"


UNITS: Final = ("ZJJ", "ZJJ-lead", "JTJ", "CGJ")
OUTSIDERS: Final = ("b-agent", "b-supervisor", "HDJ", "p-agent")
NOT_GRANTED: Final = ("reviewer", "editor", "auditor", "admin")
SAID: Final = f"我是{NAME}，电话{PHONE[:3]} {PHONE[3:7]} {PHONE[7:]}，住{ADDRESS}，身份证{ID_NUMBER}，举报住建局工作人员收受好处。"


def set_the_scene(api: Api, matter: str = "tipoff") -> Scene:
    """The tip-off (or, as a control, another matter), its files, a second one merged into it, replies and remarks that repeat the caller's data."""
    caller = {"name": NAME, "phone": PHONE, "address": ADDRESS, "id_number": ID_NUMBER}
    told: dict[str, Any] = {"title": f"{NAME}举报收受好处 {PHONE}", "content": SAID, "caller": caller}
    number = api.take(matter, **told, call_id="call-77")
    merged = api.take(matter, **told)
    recording = _attach(api, number, WAV, f"{NAME}{PHONE}.wav", file_class="recording")
    document = _attach(api, number, PDF, f"{NAME}身份证{ID_NUMBER}.pdf")
    order = {"lead": "ZJJ", "co_units": ["JTJ"], "instruction": f"请联系{NAME} {PHONE}核实。"}
    api.act(number, "dispatch", "dispatcher", order)
    api.act(merged, "merge", "agent", {"into": number, "reason": f"{NAME}（{PHONE}）再次来电。"})
    api.act(number, "sign", "ZJJ", {})
    api.act(number, "report_progress", "ZJJ", {"content": f"据悉举报人{NAME}，{PHONE}。"})
    api.act(
        number, "remind", "supervisor", {"form": "network", "content": f"{NAME} {PHONE} 催办", "unit": "ZJJ"}
    )
    return Scene(api, number, merged, recording, document)


def _attach(api: Api, number: str, content: bytes, name: str, **form: str) -> int:
    answer = api.client.post(
        f"/api/v1/tickets/{number}/attachments",
        headers=api.headers("agent"),
        files={"file": (name, content, "application/octet-stream")},
        data=form,
    )
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


# --- the ways ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attack:
    """One way: its name, and the attempt, which gives everything the attacker got to see."""

    name: str
    attempt: Callable[[Scene], Iterable[str]]


ATTACKS: list[Attack] = []


def way(name: str) -> Callable[[Callable[[Scene], Iterable[str]]], Callable[[Scene], Iterable[str]]]:
    """Register an attempt under `name`."""

    def register(attempt: Callable[[Scene], Iterable[str]]) -> Callable[[Scene], Iterable[str]]:
        ATTACKS.append(Attack(name, attempt))
        return attempt

    return register


@way("the unit's list of tickets")
def _(s: Scene) -> Iterable[str]:
    return s.answers("/tickets", *UNITS, *OUTSIDERS)


@way("the ticket whole, as lead, co-unit and stranger")
def _(s: Scene) -> Iterable[str]:
    return s.answers(f"/tickets/{s.number}", *UNITS, *OUTSIDERS)


@way("the timeline with its payloads")
def _(s: Scene) -> Iterable[str]:
    return s.answers(f"/tickets/{s.number}/timeline", *UNITS)


@way("text search for the whole number: does a hit confirm it?")
def _(s: Scene) -> Iterable[str]:
    return _hits(s, [PHONE, PHONE[:3] + " " + PHONE[3:7] + " " + PHONE[7:], NAME, ADDRESS, ID_NUMBER])


@way("text search digit by digit")
def _(s: Scene) -> Iterable[str]:
    return _hits(s, [PHONE[:n] for n in range(4, 12)] + [PHONE[-n:] for n in range(4, 12)])


def _hits(s: Scene, words: Iterable[str]) -> Iterable[str]:
    """What a unit's and a stranger's search gives; a found ticket is a leak in itself."""
    for word in words:
        for login in (*UNITS, *OUTSIDERS, *NOT_GRANTED):
            found = s.api.get("/tickets", login, params={"text": word})
            if found.status_code == 200 and found.json()["items"]:
                yield f"the search confirms it: phone {PHONE}"
            yield json.dumps({**found.json(), "detail": None}, ensure_ascii=False)


@way("unknown filters and sort orders by caller")
def _(s: Scene) -> Iterable[str]:
    for params in (
        {"phone": PHONE},
        {"caller_phone": PHONE},
        {"phone_index": "00"},
        {"sort": "caller_phone"},
        {"sort": "phone_index"},
        {"fields": "caller_phone"},
        {"include": "caller"},
    ):
        answer = s.api.get("/tickets", "ZJJ", params=params)
        if answer.status_code != 422:
            yield f"taken: phone {PHONE}"
        body = answer.json()
        yield json.dumps({"title": body["title"], "field": body.get("field")}, ensure_ascii=False)


@way("a cursor made by hand")
def _(s: Scene) -> Iterable[str]:
    for cursor in ("WyJjYWxsZXJfcGhvbmUiXQ", "' OR 1=1 --", "eyJwaG9uZSI6MX0"):
        yield from s.answers("/tickets", "ZJJ", params={"cursor": cursor})


@way("names of attached files")
def _(s: Scene) -> Iterable[str]:
    for login in UNITS[:3]:
        view = s.api.get(f"/tickets/{s.number}", login).json()
        yield json.dumps(view["attachments"], ensure_ascii=False)


@way("the recording")
def _(s: Scene) -> Iterable[str]:
    yield from _refused_file(s, s.recording)


@way("the photo of the identity card, by its number")
def _(s: Scene) -> Iterable[str]:
    yield from _refused_file(s, s.document)


def _refused_file(s: Scene, file: int) -> Iterable[str]:
    for login in (*UNITS, *OUTSIDERS):
        answer = s.api.get(f"/tickets/{s.number}/attachments/{file}", login)
        if answer.status_code == 200:
            yield f"the file came: phone {PHONE}"
        yield _whole(answer)


@way("opening the field as a unit, a stranger, a role without the right")
def _(s: Scene) -> Iterable[str]:
    for field in ("phone", "name", "address", "id_number", "original"):
        order = {"field": field, "purpose": "contact", "explanation": "想知道是谁举报的。"}
        yield from s.posts(f"/tickets/{s.number}/unsealings", order, *UNITS, *OUTSIDERS, *NOT_GRANTED)


@way("opening the original of another entry")
def _(s: Scene) -> Iterable[str]:
    for entry in range(1, 9):
        order = {"field": "original", "entry": entry, "purpose": "verify", "explanation": "核实。"}
        yield from s.posts(f"/tickets/{s.number}/unsealings", order, "ZJJ", "JTJ")


@way("a unit machine's token with the callers scope")
def _(s: Scene) -> Iterable[str]:
    with Session(s.api.world.engine) as session:
        unit = session.get_one(OrgUnit, s.api.world.units["ZJJ"])
        token = accounts.issue_token(
            session, label="测试接口", at=w.BORN, unit=unit, roles=[Role.UNIT_LEAD], scopes=list(Scope)
        )
        session.commit()
    s.api.world.tokens["machine"] = token
    order = {"field": "phone", "purpose": "contact", "explanation": "系统对接。"}
    yield from s.posts(f"/tickets/{s.number}/unsealings", order, "machine")
    yield from s.answers(f"/tickets/{s.number}", "machine")


@way("an unsealing that has expired")
def _(s: Scene) -> Iterable[str]:
    now = s.api.now
    key = _open_one(s)
    s.api.at("2026-03-02 12:00")
    yield from s.answers(f"/tickets/{s.number}/unsealings/{key}", "agent")
    s.api.now = now


@way("somebody else's unsealing, by its number")
def _(s: Scene) -> Iterable[str]:
    key = _open_one(s)
    yield from s.answers(
        f"/tickets/{s.number}/unsealings/{key}", *UNITS, *OUTSIDERS, *NOT_GRANTED, "agent2", "callback"
    )


def _open_one(s: Scene) -> int:
    order = {"field": "phone", "purpose": "call_back", "explanation": "回访举报人。"}
    answer = s.api.post(f"/tickets/{s.number}/unsealings", "agent", order)
    assert answer.status_code == 201, answer.text
    assert answer.json()["value"] == PHONE, "the right person is told: else nothing here proves anything"
    return int(answer.json()["id"])


@way("an unsealing's answer, repeated by its Idempotency-Key")
def _(s: Scene) -> Iterable[str]:
    order = {"field": "phone", "purpose": "call_back", "explanation": "回访举报人。"}
    headers = {"Idempotency-Key": "again-77"}
    assert s.api.post(f"/tickets/{s.number}/unsealings", "agent", order, headers=headers).status_code == 201
    yield _whole(s.api.post(f"/tickets/{s.number}/unsealings", "agent", order, headers=headers))
    yield dump(s.api.world.engine, "request_keys")


@way("looking the caller up by phone")
def _(s: Scene) -> Iterable[str]:
    for login in (*UNITS, *OUTSIDERS, *NOT_GRANTED):
        answer = s.api.post("/callers/search", login, {"phone": PHONE})
        if answer.status_code == 200 and (answer.json().get("items") or answer.json().get("count")):
            yield f"found: phone {PHONE}"
        yield _whole(answer)


@way("a stranger's search: «nobody» and «only elsewhere» are told apart?")
def _(s: Scene) -> Iterable[str]:
    elsewhere = s.api.post("/callers/search", "b-agent", {"phone": PHONE})
    nobody = s.api.post("/callers/search", "b-agent", {"phone": "13912349876"})
    if (elsewhere.status_code, elsewhere.json()) != (nobody.status_code, nobody.json()):
        yield f"told apart: phone {PHONE}"


@way("the timing of the blind index")
def _(s: Scene) -> Iterable[str]:
    def median(phone: str) -> float:
        took = []
        for _i in range(25):
            began = time.perf_counter()
            s.api.post("/callers/search", "b-agent", {"phone": phone})
            took.append(time.perf_counter() - began)
        return statistics.median(took)

    median(PHONE)
    known, unknown = median(PHONE), median("13912349876")
    if known > unknown * 3 + 0.02:  # a real difference is looked for, not the machine's noise
        yield f"{known:.4f} s against {unknown:.4f} s: phone {PHONE}"


@way("another platform's supervisor")
def _(s: Scene) -> Iterable[str]:
    for path in ("", "/timeline", "/reads"):
        yield from s.answers(f"/tickets/{s.number}{path}", "b-supervisor")


@way("the merged ticket behind the main one")
def _(s: Scene) -> Iterable[str]:
    yield from s.answers(f"/tickets/{s.merged}", *UNITS)
    yield from s.answers(f"/tickets/{s.merged}/timeline", *UNITS)
    order = {"field": "phone", "purpose": "contact", "explanation": "并单来电人。"}
    yield from s.posts(f"/tickets/{s.merged}/unsealings", order, *UNITS)


@way("the ETag and the other headers")
def _(s: Scene) -> Iterable[str]:
    for login in UNITS[:3]:
        yield str(dict(s.api.get(f"/tickets/{s.number}", login).headers))


@way("an error's text: the same call again, a wrong version, a refused act")
def _(s: Scene) -> Iterable[str]:
    demand = w.demand().model_dump(mode="json", exclude_none=True) | {"call_id": "call-77"}
    yield from s.posts("/tickets", {"demand": demand}, "agent2", "b-agent")
    yield _whole(s.api.post(f"/tickets/{s.number}/sign", "JTJ", {}, headers={"If-Match": '"1"'}))
    yield from s.posts(f"/tickets/{s.number}/archive", {}, "ZJJ", "JTJ")


@way("an error that echoes what was sent")
def _(s: Scene) -> Iterable[str]:
    bad = {"demand": {"title": "x", "caller": {"phone": f"x{PHONE}", "name": NAME, "idnumber": ID_NUMBER}}}
    return s.posts("/tickets", bad, "agent")


@way("the deadline certificate")
def _(s: Scene) -> Iterable[str]:
    for clock in s.api.get(f"/tickets/{s.number}", "ZJJ").json()["clocks"]:
        yield from s.answers(f"/tickets/{s.number}/clocks/{clock['id']}/certificate", "ZJJ", "JTJ")


@way("reminders to the unit")
def _(s: Scene) -> Iterable[str]:
    return s.answers("/reminders", *UNITS)


@way("accountability notices and flags")
def _(s: Scene) -> Iterable[str]:
    s.api.act(
        s.number,
        "flag",
        "supervisor",
        {"flag": "buck_passing", "explanation": f"{NAME} {PHONE} 反映", "unit": "ZJJ"},
    )
    yield from s.answers("/accountability", "ZJJ", "ZJJ-lead")
    yield from s.answers(f"/tickets/{s.number}/timeline", "ZJJ")


@way("an export asked by the unit, masked and unmasked")
def _(s: Scene) -> Iterable[str]:
    for unmasked in ([], ["phone"], ["phone", "name", "address", "id_number"]):
        yield from _exported(s, "ZJJ-lead", unmasked)


@way("an export by a dispatcher with an approved phone column: a sealed caller stays sealed")
def _(s: Scene) -> Iterable[str]:
    return _exported(s, "dispatcher", ["phone", "name"])


def _exported(s: Scene, login: str, unmasked: list[str]) -> Iterable[str]:
    order = {
        "purpose": "report",
        "explanation": "月度分析。",
        "filters": {},
        "unmasked": unmasked,
        "format": "csv",
    }
    asked = s.api.post("/exports", login, order)
    yield _whole(asked)
    if asked.status_code != 201:
        return
    key = asked.json()["id"]
    approved = s.api.post(f"/exports/{key}/approve", "supervisor", {"reason": "同意。"})
    yield _whole(approved)
    if approved.status_code == 200:
        yield _whole(s.api.get(f"/exports/{key}/file", login))


@way("approving one's own export")
def _(s: Scene) -> Iterable[str]:
    order = {
        "purpose": "report",
        "explanation": "自查。",
        "filters": {},
        "unmasked": ["phone"],
        "format": "csv",
    }
    asked = s.api.post("/exports", "supervisor", order)
    if asked.status_code == 201:
        answer = s.api.post(f"/exports/{asked.json()['id']}/approve", "supervisor", {"reason": "自己批准。"})
        if answer.status_code < 400:
            yield f"approved by the asker: phone {PHONE}"
        yield _whole(answer)


@way("the events subscribers are sent (webhooks)")
def _(s: Scene) -> Iterable[str]:
    yield dump(s.api.world.engine, "outbox")


@way("live updates from the beginning, and who has the ticket open")
def _(s: Scene) -> Iterable[str]:
    yield from s.answers("/live", *UNITS, params={"after": "1", "seconds": 0})
    yield from s.posts(f"/tickets/{s.number}/presence", {"doing": "viewing"}, *UNITS)


@way("the ledger as it lies in the database")
def _(s: Scene) -> Iterable[str]:
    yield dump(s.api.world.engine, "ledger")


@way("the audit trail")
def _(s: Scene) -> Iterable[str]:
    yield dump(s.api.world.engine, "audit", "audit_alerts", "unsealings")


@way("a dump of the whole database, without its keys")
def _(s: Scene) -> Iterable[str]:
    yield dump(s.api.world.engine)


@way("replies and knowledge drawn from the ticket")
def _(s: Scene) -> Iterable[str]:
    done = {"content": f"已向举报人{NAME}（{PHONE}）说明情况。", "citizen_answered_at": s.api.now.isoformat()}
    s.api.act(s.number, "reply", "ZJJ", done)
    s.api.act(s.number, "release_unit", "dispatcher", {"unit": "JTJ", "reason": f"{NAME}无异议。"})
    yield from s.answers(f"/tickets/{s.number}", *UNITS)
    yield from s.answers(f"/tickets/{s.number}/knowledge-draft", "ZJJ")
    yield from s.answers("/knowledge/search", "ZJJ", params={"q": PHONE})


@way("the callback's remark")
def _(s: Scene) -> Iterable[str]:
    elements = dict.fromkeys(("quality", "process", "content", "completeness"), True)
    s.api.act(s.number, "review_pass", "reviewer", {"elements": elements, "note": f"{NAME}"})
    said = {"outcome": "dissatisfied", "solved": False, "remark": f"{NAME} {PHONE}：没有解决"}
    s.api.act(s.number, "record_callback", "callback", said)
    yield from s.answers(f"/tickets/{s.number}", "ZJJ", "JTJ")
    yield from s.answers(f"/tickets/{s.number}/timeline", "ZJJ", "JTJ")


@way("a released co-unit that had the ticket")
def _(s: Scene) -> Iterable[str]:
    order = {"field": "phone", "purpose": "contact", "explanation": "曾协办。"}
    yield from s.posts(f"/tickets/{s.number}/unsealings", order, "JTJ")
    yield from s.answers(f"/tickets/{s.number}", "JTJ")


@way("HEAD, OPTIONS, method override, a format suffix, a doubled slash")
def _(s: Scene) -> Iterable[str]:
    headers = s.api.headers("ZJJ")
    base = f"/api/v1/tickets/{s.number}"
    for method, path, more in (
        ("HEAD", base, {}),
        ("OPTIONS", base, {}),
        ("POST", base, {"X-HTTP-Method-Override": "GET"}),
        ("GET", base + ".json", {}),
        ("GET", base + "//caller", {}),
        ("GET", base + "/caller", {}),
        ("GET", base + "/../" + s.merged, {}),
        ("GET", base + "/unsealings", {}),
    ):
        yield _whole(s.api.client.request(method, path, headers=headers | more))


@way("a token of a session that owes its second factor, a revoked one, none")
def _(s: Scene) -> Iterable[str]:
    for token in ("", "x", "null", "Bearer", "' OR ''='"):
        answer = s.api.client.get(
            f"/api/v1/tickets/{s.number}",
            headers={"Authorization": f"Bearer {token}", "Cookie": f"hotline={token}"},
        )
        if answer.status_code == 200:
            yield f"opened: phone {PHONE}"
        yield _whole(answer)


@way("swapping the sealed bytes onto a ticket of one's own")
def _(s: Scene) -> Iterable[str]:
    mine = s.api.take("inquiry")
    with s.api.world.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE tickets t SET caller_phone = v.caller_phone, caller_name = v.caller_name FROM tickets v "
                "WHERE t.number = :mine AND v.number = :victim"
            ),
            {"mine": mine, "victim": s.number},
        )
    s.api.act(mine, "dispatch", "dispatcher", {"lead": "CGJ"})
    yield from s.answers(f"/tickets/{mine}", "CGJ")
    order = {"field": "phone", "purpose": "contact", "explanation": "联系。"}
    yield from s.posts(f"/tickets/{mine}/unsealings", order, "CGJ")


def leaks(seen: Iterable[str]) -> list[str]:
    """What of the caller stands in anything of `seen`, with where; empty where the attack failed."""
    found = []
    for one in seen:
        for what, pattern in SECRETS.items():
            match = pattern.search(one)
            if match is not None:
                found.append(f"{what}: …{one[max(0, match.start() - 60) : match.end() + 20]}…")
    return found
