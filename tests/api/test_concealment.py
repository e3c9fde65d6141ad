"""What people type is kept masked: a phone in any text of any act reaches no table, answer or outbox in clear, and is not lost."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import text
from sqlmodel import Session

from api.acts import ACT_ROUTES
from hotline.privacy.concealment import conceal_stored
from hotline.privacy.masking import HIDDEN
from tests.api.conftest import Api
from tests.api.refusals import problem
from tests.api.tables import dump
from tests.api.test_acts import LIVES
from tests.api.test_files import PDF, WAV, upload
from workflow.vocabulary import Act

NAME, PHONE, ADDRESS = "欧阳测试丁", "13987654321", "测试大街88号3单元"
CALLER = {"name": NAME, "phone": PHONE, "address": ADDRESS}
STRANGER = "13900000002"
SAID = f"请回电{PHONE}找{NAME}（{ADDRESS}），或{STRANGER}"
SECRETS = (PHONE, PHONE[3:], NAME, NAME[1:], "88号3单元", STRANGER, "900000002")
PLAIN = {
    "outcome",
    "knowledge_version",
    "ground",
    "lead",
    "co_units",
    "unit",
    "units",
    "suggested_unit",
    "to",
    "into",
    "target",
    "form",
    "flag",
}
PLAIN |= {
    "article",
    "days",
    "emergency",
    "answered_at",
    "citizen_answered_at",
    "attachment",
    "held",
    "reached",
    "solved",
    "complex",
}


def texts_of(order: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """The example with SAID in every free text the order takes, those it leaves out too."""
    filled: dict[str, Any] = dict(example)
    for name, field in order.model_fields.items():
        annotation = str(field.annotation)
        if name in PLAIN or (name == "reason" and order.__name__ == "ExtensionOrder"):
            continue
        if name == "findings":
            filled[name] = dict.fromkeys(example[name], SAID)
        elif name == "participants":
            filled[name] = [SAID]
        elif "str" in annotation and "dict" not in annotation:
            filled[name] = SAID
    return filled


def told(order: dict[str, Any]) -> bool:
    return SAID in json.dumps(order, ensure_ascii=False)


def clean(shown: str, where: object) -> None:
    for secret in SECRETS:
        assert secret not in shown, (where, secret)
        assert secret.encode().hex() not in shown, (where, secret)
        assert str(secret.encode())[2:-1] not in shown, (where, secret)


REASON = {"reason": "测试"}
MORE_LIVES: dict[str, tuple[str, str, list[tuple[str, str, str, dict[str, Any]]]]] = {
    "registered and answered": ("inquiry", "register", [("2026-03-02 10:00", "answer_at_once", "agent", {"answer": "测试"})]),
    "registered and refused": ("complaint", "register", [("2026-03-02 10:00", "refuse", "agent", {"ground": "3", "explanation": "测试", "guidance": "测试"})]),
    "registered and transferred": ("help", "register", [("2026-03-02 10:00", "transfer", "agent", {"target": "120", "explanation": "测试"})]),
    "reported up and decided": ("complaint", "register", [
        ("2026-03-02 10:00", "report_up", "agent", REASON),
        ("2026-03-02 11:00", "decide", "supervisor", {"outcome": "refuse", "reason": "测试", "refuse": {"ground": "3", "explanation": SAID, "guidance": SAID}}),
    ]),
    "withdrawn": ("help", "accept", [("2026-03-02 10:00", "withdraw", "agent", REASON)]),
    "asked for confidence and watched": ("complaint", "accept", [
        ("2026-03-02 10:00", "dispatch", "dispatcher", {"lead": "ZJJ"}),
        ("2026-03-02 11:00", "remind", "supervisor", {"form": "network", "content": "测试"}),
        ("2026-03-02 11:30", "flag", "supervisor", {"flag": "overdue", "explanation": "测试"}),
        ("2026-03-02 12:00", "sign", "ZJJ", {}),
        ("2026-03-02 12:30", "report_progress", "ZJJ", {"content": "测试"}),
        ("2026-03-02 13:00", "hand_over", "agent", {"to": "agent2"} | REASON),
        ("2026-03-02 14:00", "keep_confidential", "agent", REASON),
        ("2026-03-02 15:00", "coordinate", "supervisor", {"note": "测试"}),
    ]),
    "a recording held": ("help", "accept", [("2026-03-02 10:00", "hold_recording", "supervisor", {"attachment": 0, "held": True} | REASON)]),
    "an extension refused": ("complaint", "accept", [
        ("2026-03-02 10:00", "dispatch", "dispatcher", {"lead": "ZJJ"}),
        ("2026-03-02 11:00", "request_extension", "ZJJ", {"reason": "complex", "explanation": "测试", "days": 3}),
        ("2026-03-02 12:00", "refuse_extension", "supervisor", REASON),
    ]),
}  # fmt: skip
ORDERS = {route.act.value: route.order for route in ACT_ROUTES}
READERS = ("agent", "supervisor", "p-supervisor", "auditor", "ZJJ", "JTJ")
WHOLE: dict[str, Any] = {
    name: life for name, life in (LIVES | MORE_LIVES).items() if all(step[1] != "merge" for step in life[2])
}


@pytest.mark.parametrize("matter", ["as it is", "tipoff"])
@pytest.mark.parametrize("life", list(WHOLE))
def test_a_phone_in_any_text_of_any_act_reaches_nothing_in_clear_and_is_not_lost(
    api: Api, life: str, matter: str
) -> None:
    own, decision, steps = WHOLE[life]
    if (
        matter == "tipoff"
        and own in ("inquiry", "help")
        and any(s[1] in ("convert_to_complex", "update_knowledge") for s in steps)
    ):
        matter = own
    matter = own if matter == "as it is" else matter
    content: dict[str, Any] = {
        "title": SAID,
        "content": SAID,
        "external_ref": SAID,
        "call_id": f"call-{PHONE}",
    }
    first = decision if isinstance(decision, str) else decision["act"]
    number = api.at("2026-03-02 09:00").take(matter, decision={"act": first}, caller=CALLER, **content)
    upload(api, number, WAV, f"{NAME}{PHONE}.wav", file_class="recording")
    recording = api.get(f"/tickets/{number}", "agent").json()["attachments"][0]["id"]
    answers, expected = (
        [],
        {
            1: {
                "demand.title": SAID,
                "demand.content": SAID,
                "demand.external_ref": SAID,
                "demand.call_id": f"call-{PHONE}",
            }
        },
    )
    done: list[tuple[str, dict[str, Any]]] = []
    for at, act, login, example in steps:
        order = texts_of(ORDERS[act], example)
        if act == "hold_recording":
            order["attachment"] = recording
        response = api.at(at).post(
            f"/tickets/{number}/{act}", login, order, headers={"Idempotency-Key": f"{act}-{len(done)}"}
        )
        assert response.status_code == 200, (act, response.text)
        answers.append(response.text)
        done.append((act, order))
    for login in READERS:
        paths = (
            f"/tickets/{number}",
            f"/tickets/{number}/timeline",
            "/tickets",
            "/tickets?sort=due",
            "/reminders",
        )
        answers += [api.get(path, login).text for path in paths]
        old = {"If-Match": '"1"'}
        stale = api.post(f"/tickets/{number}/report_progress", login, {"content": SAID}, headers=old)
        answers += [stale.text]
    clean("\n".join(answers), "answers")
    clean(dump(api.world.engine), "tables")
    entries = api.get(f"/tickets/{number}/timeline", "supervisor").json()["entries"]
    own_entries = [e for e in entries if e["act"] in ORDERS]
    assert len(own_entries) >= len(done)
    by_act = dict(done)
    for entry in own_entries:
        opened = {"field": "original", "purpose": "verify", "explanation": "测试", "entry": entry["seq"]}
        response = api.post(f"/tickets/{number}/unsealings", "supervisor", opened)
        if entry["seq"] == 1:
            assert response.json()["value"] == expected[1]
        elif told(by_act.get(entry["act"], {})):
            assert entry["has_original"], entry["act"]
            assert SAID in response.json()["value"].values(), entry["act"]


def test_every_act_that_takes_a_text_was_tried() -> None:
    with_text = {
        name for name, order in ORDERS.items() if told(texts_of(order, {"findings": {"content": ""}}))
    }
    tried = {
        act
        for _, _, steps in WHOLE.values()
        for _, act, _, example in steps
        if told(texts_of(ORDERS[act], example))
    }
    assert with_text - tried == {"merge"}  # which has its own test


def test_a_merge_keeps_its_reason_masked(api: Api) -> None:
    main, number = api.take("help"), api.take("help", caller=CALLER)
    api.act(number, "merge", "dispatcher", {"into": main, "reason": SAID})
    clean(dump(api.world.engine), "tables")
    clean(api.get(f"/tickets/{number}/timeline", "agent").text, "timeline")
    order = {"field": "original", "purpose": "verify", "entry": 2}
    assert api.post(f"/tickets/{number}/unsealings", "agent", order).json()["value"] == {"reason": SAID}


def test_nothing_is_sealed_where_nothing_was_masked(api: Api) -> None:
    number = api.take("help")
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "instruction": "请尽快核实处理。"})
    assert dump(api.world.engine, "originals") == ""
    assert not any(
        e["has_original"] for e in api.get(f"/tickets/{number}/timeline", "agent").json()["entries"]
    )


def test_calls_are_told_apart_although_their_numbers_are_hidden(api: Api) -> None:
    first = api.take("help", caller=CALLER, call_id=f"20260302-{PHONE}-1")
    second = api.take("help", caller=CALLER, call_id=f"20260302-{PHONE}-2")
    assert first != second
    demand = {"matter": "help", "category": "010101", "area": "630104000000", "title": "x", "content": "y", "call_id": f"20260302-{PHONE}-1"}  # fmt: skip
    again = api.post("/tickets", "agent2", {"demand": demand})
    assert problem(again, 409, "already_registered")["number"] == first
    clean(dump(api.world.engine), "tables")


def test_the_ledgers_digest_is_of_what_is_kept_not_of_what_was_said(api: Api) -> None:
    import hashlib

    number = api.take("help", title="暖气不热", content=SAID, caller=CALLER)
    payload = api.get(f"/tickets/{number}/timeline", "agent").json()["entries"][0]["payload"]
    view = api.get(f"/tickets/{number}", "agent").json()
    kept = hashlib.sha256(f"{view['title']}\n{view['content']}".encode()).hexdigest()
    assert payload["content_sha256"] == kept != hashlib.sha256(f"暖气不热\n{SAID}".encode()).hexdigest()
    assert payload["concealed"] == ["demand.content"]


# --- confidentiality asked later ---------------------------------------------------------------------------------------


def test_who_asks_for_confidence_later_is_hidden_in_what_was_written_before(api: Api) -> None:
    number = api.at("2026-03-02 09:00").take(
        "complaint", title=f"{NAME}反映噪音", content=SAID, caller=CALLER
    )
    upload(api, number, PDF, f"{NAME}的来信.pdf")
    api.act(
        number,
        "dispatch",
        "dispatcher",
        {"lead": "ZJJ", "co_units": ["JTJ"], "instruction": f"请联系{NAME}，{PHONE}"},
    )
    upload(api, number, PDF, "现场.pdf", login="ZJJ")
    api.act(
        number,
        "remind",
        "supervisor",
        {"form": "network", "content": f"请速联系{NAME} {PHONE}", "unit": "ZJJ"},
    )
    before = api.get(f"/tickets/{number}", "ZJJ").json()
    assert before["content"].startswith("请回电139****4321找欧****（测试大街")
    assert [f["name"] for f in before["attachments"]] == [f"{HIDDEN}的来信.pdf", "现场.pdf"]
    files = {f["name"]: f["id"] for f in before["attachments"]}
    api.act(number, "keep_confidential", "agent", {"reason": "来电人担心被报复。"})
    for login in ("ZJJ", "JTJ"):
        paths = (f"/tickets/{number}", f"/tickets/{number}/timeline", "/tickets", "/reminders")
        shown = "".join(api.get(path, login).text for path in paths)
        for trace in ("139", "4321", "欧", "****", "88", "的来信"):
            assert trace not in json.dumps(
                _texts(json.loads("[" + shown.replace("}{", "},{").replace("}[", "},[") + "]")),
                ensure_ascii=False,
            ), (login, trace)
    view = api.get(f"/tickets/{number}", "ZJJ").json()
    assert view["title"] == f"{HIDDEN}反映噪音"
    assert [f["name"] for f in view["attachments"]] == ["现场.pdf"]
    problem(api.get(f"/tickets/{number}/attachments/{files[f'{HIDDEN}的来信.pdf']}", "ZJJ"), 404, "not_found")
    assert api.get(f"/tickets/{number}/attachments/{files['现场.pdf']}", "ZJJ").content == PDF
    problem(api.get(f"/tickets/{number}/attachments/{files['现场.pdf']}", "JTJ"), 404, "not_found")
    stored = dump(api.world.engine, "tickets")
    assert "139****" not in stored
    assert HIDDEN in stored
    order = {"field": "original", "purpose": "verify"}
    assert api.post(f"/tickets/{number}/unsealings", "agent", order).json()["value"]["demand.content"] == SAID


_NOT_TEXT = {
    "number",
    "spoken",
    "hash",
    "sha256",
    "content_sha256",
    "id",
    "size",
    "received_at",
    "created_at",
    "due_at",
}


def _texts(value: Any) -> Any:
    """What is shown, without digests, numbers and instants, which may hold any digits."""
    if isinstance(value, dict):
        return {
            k: _texts(v) for k, v in value.items() if k not in _NOT_TEXT and not k.endswith(("_at", "_on"))
        }
    if isinstance(value, list):
        return [_texts(v) for v in value]
    return value if isinstance(value, str) else None


# --- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("matter", ["complaint", "tipoff"])
def test_each_unit_sees_its_own_files_and_those_meant_for_units(api: Api, matter: str) -> None:
    number = api.at("2026-03-02 09:00").take(matter, caller=CALLER)
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "co_units": ["JTJ"]})
    added = {
        "by default": upload(api, number, PDF, "1.pdf").json(),
        "for all": upload(api, number, PDF, "2.pdf", audience="all").json(),
        "for the platform": upload(api, number, PDF, "3.pdf", audience="platform").json(),
        "recording": upload(api, number, WAV, "4.wav", file_class="recording", audience="all").json(),
        "lead's": upload(api, number, PDF, "5.pdf", login="ZJJ").json(),
        "co-unit's": upload(api, number, PDF, "6.pdf", login="JTJ").json(),
    }
    open_ones = {"for all"} | ({"by default", "recording"} if matter == "complaint" else set())
    seen = {
        "ZJJ": open_ones | {"lead's", "co-unit's"},
        "JTJ": open_ones | {"co-unit's"},
        "agent": set(added),
        "supervisor": set(added),
    }
    for login, names in seen.items():
        ids = {added[name]["id"] for name in names}
        shown = api.get(f"/tickets/{number}", login).json()["attachments"]
        assert {f["id"] for f in shown} == ids, login
        entries = api.get(f"/tickets/{number}/timeline", login).json()["entries"]
        assert {e["payload"]["attachment"] for e in entries if e["act"] == Act.ATTACH.value} == ids, login
        stale = api.post(f"/tickets/{number}/sign", login, {}, headers={"If-Match": '"2"'})
        if login in ("ZJJ", "JTJ"):
            changes = problem(stale, 412, "version_conflict")["changes"]
            assert sum(c["act"] == Act.ATTACH.value for c in changes) == len(ids), login
        for name, file in added.items():
            answer = api.get(f"/tickets/{number}/attachments/{file['id']}", login)
            if name in names:
                assert answer.status_code == 200, (login, name)
            else:
                unknown = problem(api.get(f"/tickets/{number}/attachments/999999", login), 404)
                assert problem(answer, 404, "not_found") == unknown, (login, name)


# --- what was stored before --------------------------------------------------------------------------------------------


@pytest.fixture
def conceal(api: Api) -> Callable[[], int]:
    def run() -> int:
        after: int | None = 0
        changed = 0
        while after is not None:
            with Session(api.world.engine) as session:
                count, after = conceal_stored(session, api.world.office.sealer, after, batch=2)
                session.commit()
            changed += count
        return changed

    return run


def test_texts_from_before_are_masked_and_their_originals_kept(api: Api, conceal: Callable[[], int]) -> None:
    number, sealed, untouched = (
        api.take("help", caller=CALLER),
        api.take("tipoff", caller=CALLER),
        api.take("help"),
    )
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "instruction": "测试"})
    with api.world.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE tickets SET title = :said, content = :said, outcome = :said, external_ref = '13987654321' WHERE number <> :other"
            ),
            {"said": SAID, "other": untouched},
        )
        connection.execute(text("UPDATE assignments SET instruction = :said"), {"said": SAID})
    assert conceal() == 2
    assert conceal() == 0
    clean(dump(api.world.engine), "tables")
    order = {"field": "original", "purpose": "verify", "explanation": "测试"}
    kept = api.post(f"/tickets/{number}/unsealings", "agent", order).json()["value"]
    assert kept["demand.title"] == kept["demand.content"] == kept["outcome"] == SAID
    assert kept["demand.external_ref"] == PHONE
    assert SAID in [v for k, v in kept.items() if k.startswith("assignments.")]
    assert HIDDEN in api.get(f"/tickets/{sealed}", "agent").json()["title"]
