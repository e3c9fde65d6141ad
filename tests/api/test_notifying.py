"""Contacts, notices and delivery reports over HTTP; who was told what, on the ticket's timeline."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from api.main import create_app, make_notifier
from api.wiring import Runtime
from hotline.exchange.outbox import signed_headers
from hotline.notifying.senders import open_senders
from hotline.settings import Settings
from tests import world as w
from tests.api.conftest import UNHURRIED, Api
from tests.notifying.gateway import SECRET
from workflow.vocabulary import Means

MAIL = {"unit": "ZJJ", "label": "值班室", "means": "email", "address": "zhiban@unit.example.test"}
TEXTS = {"unit": "ZJJ", "label": "值班手机", "means": "sms", "address": "13900000009"}


class Site(Api):
    """The app of a site that records its notices, and its notifier by hand."""

    runtime: Runtime

    def tell(self) -> None:
        """What happened is looked at, and what is due is on record."""
        notifier, senders = make_notifier(self.runtime), open_senders(self.runtime.settings)
        while notifier.derive():
            pass
        for means in Means:
            sender = senders.makers[means]()
            while notifier.send(means, sender):
                pass

    def told(self, number: str, login: str) -> list[dict[str, Any]]:
        """Everybody who was told something, by the timeline."""
        entries = self.get(f"/tickets/{number}/timeline", login).json()["entries"]
        return [told | {"entry": entry["act"]} for entry in entries for told in entry["told"]]


@pytest.fixture
def site(world: w.World, tmp_path: Path) -> Iterator[Site]:
    holder: list[Site] = []

    def clock() -> datetime:
        return holder[0].now

    settings = Settings(
        data_dir=tmp_path, notices_recorded=True, sms_secret=SECRET, sms_quiet="none", **UNHURRIED
    )
    runtime = Runtime(settings, world.engine, world.office, clock)
    with TestClient(create_app(runtime), raise_server_exceptions=False) as client:
        holder.append(Site(client, world))
        holder[0].runtime = runtime
        yield holder[0]


def added(api: Api, login: str = "admin", **changes: Any) -> dict[str, Any]:
    response = api.post("/contacts", login, MAIL | changes)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


# --- the contact book --------------------------------------------------------------------------------------------------


def test_a_contact_is_added_changed_tested_and_removed(site: Site) -> None:
    made = added(site)
    assert (made["address"], made["unit"], made["platform"]) == ("z***@unit.example.test", "ZJJ", "01")
    (listed,) = site.get("/contacts", "admin").json()
    assert {**listed, "created_at": 0, "changed_at": 0} == {**made, "created_at": 0, "changed_at": 0}
    changed = site.post(
        f"/contacts/{made['id']}/change",
        "ZJJ-lead",
        {"kinds": ["ticket.dispatched"], "address": "a@b.example.test"},
    )
    assert (changed.json()["kinds"], changed.json()["address"]) == (
        ["ticket.dispatched"],
        "a***@b.example.test",
    )
    test = site.post(f"/contacts/{made['id']}/test", "ZJJ-lead", {})
    assert (test.status_code, test.json()["state"], test.json()["label"]) == (202, "waiting", "测试")
    site.tell()
    seen = site.get(f"/notifications/{test.json()['id']}", "admin").json()
    assert (seen["state"], seen["number"], len(seen["tries"])) == ("recorded", None, 1)
    assert site.post(f"/contacts/{made['id']}/remove", "admin", {}).json()["address"] == ""
    assert site.get("/contacts", "admin").json() == []
    assert site.post(f"/contacts/{made['id']}/change", "admin", {"active": True}).status_code == 404


def test_a_unit_keeps_its_own_book_and_sees_no_other(site: Site) -> None:
    own = added(site, "ZJJ-lead")
    other = added(site, unit="JTJ")
    assert [c["id"] for c in site.get("/contacts", "ZJJ-lead").json()] == [own["id"]]
    for path, body in (("change", {"active": False}), ("remove", {}), ("test", {})):
        assert site.post(f"/contacts/{other['id']}/{path}", "ZJJ-lead", body).status_code == 404, path
        assert site.post(f"/contacts/{other['id']}/{path}", "b-admin", body).status_code == 404, path
    assert site.post("/contacts", "ZJJ-lead", MAIL | {"unit": "JTJ"}).status_code == 404
    assert site.post("/contacts", "ZJJ", MAIL).status_code == 403
    assert site.post("/contacts", "supervisor", MAIL).status_code == 403
    assert site.get("/contacts", "b-admin").json() == []


def test_a_wrong_address_is_refused_with_its_field_and_not_repeated(site: Site) -> None:
    refused = site.post("/contacts", "admin", TEXTS | {"address": "12900000001"})
    assert (refused.status_code, refused.json()["field"]) == (422, "address")
    assert "12900000001" not in refused.text
    assert site.post("/contacts", "admin", MAIL | {"kinds": ["no.such"]}).json()["field"] == "kinds"
    assert site.post("/contacts", "admin", {**MAIL, "unit": None}).status_code == 422


def test_a_contact_added_twice_with_one_key_is_one_contact(site: Site) -> None:
    first = site.post("/contacts", "admin", MAIL, headers={"Idempotency-Key": "k1"})
    second = site.post("/contacts", "admin", MAIL, headers={"Idempotency-Key": "k1"})
    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"


def test_what_can_be_told_and_how(site: Site, api: Api) -> None:
    told = site.get("/notifying", "admin").json()
    assert [(m["means"], m["how"]) for m in told["means"]] == [("email", "recorded"), ("sms", "recorded")]
    assert {k["kind"] for k in told["kinds"] if k["usual"]} >= {"ticket.dispatched", "clock.lapsed"}
    assert [m["how"] for m in api.get("/notifying", "admin").json()["means"]] == ["off", "off"]


# --- the timeline ------------------------------------------------------------------------------------------------------


def test_the_timeline_says_who_was_told_what_when_with_what_result(site: Site) -> None:
    added(site)
    added(site, **TEXTS)
    number = site.take()
    site.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    site.tell()
    told = site.told(number, "supervisor")
    assert [
        (t["entry"], t["means_label"], t["unit"], t["to"], t["address"], t["state_label"]) for t in told
    ] == [
        ("dispatch", "电子邮件", "ZJJ", "值班室", "z***@unit.example.test", "仅记录"),
        ("dispatch", "短信", "ZJJ", "值班手机", "139****0009", "仅记录"),
    ]
    assert all(t["label"] == "派单" and number in t["content"] for t in told)
    assert all(t["at"] and t["settled_at"] and t["attempts"] == 1 for t in told)
    assert site.told(number, "ZJJ") == told


def test_a_unit_sees_what_it_was_told_itself_and_nothing_of_others(site: Site) -> None:
    added(site)
    added(site, unit="JTJ", address="jtj@unit.example.test")
    number = site.take()
    site.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "co_units": ["JTJ"]})
    site.act(number, "sign", "ZJJ", {})
    site.act(number, "sign", "JTJ", {})
    site.act(number, "remind", "supervisor", {"form": "sms", "content": "请抓紧。", "unit": "ZJJ"})
    site.tell()
    assert {(t["unit"], t["kind"]) for t in site.told(number, "supervisor")} == {
        ("ZJJ", "ticket.dispatched"),
        ("JTJ", "ticket.dispatched"),
        ("ZJJ", "ticket.reminded"),
    }
    assert {t["unit"] for t in site.told(number, "ZJJ")} == {"ZJJ"}
    assert {(t["unit"], t["kind"]) for t in site.told(number, "JTJ")} == {("JTJ", "ticket.dispatched")}
    assert site.get(f"/tickets/{number}/timeline", "CGJ").status_code == 404


def test_deliveries_to_a_units_system_stand_there_too(site: Site) -> None:
    made = site.post(
        "/subscriptions",
        "admin",
        {"unit": "ZJJ", "label": "市住建局办件系统", "url": "https://1.1.1.1/hotline?key=hidden"},
    )
    assert made.status_code == 201, made.text
    number = site.take()
    site.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "co_units": ["JTJ"]})
    site.tell()  # sorted, and so fanned out
    (told,) = site.told(number, "supervisor")
    assert (told["means"], told["to"], told["unit"]) == ("system", "市住建局办件系统", "ZJJ")
    assert (told["state_label"], told["attempts"], told["address"]) == ("待投递", 0, None)
    assert "hidden" not in json.dumps(told)
    assert site.told(number, "ZJJ") == [told]
    assert site.told(number, "JTJ") == []


def test_a_sealed_callers_ticket_tells_units_nothing_of_them(site: Site) -> None:
    added(site)
    number = site.take("tipoff")
    site.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    site.tell()
    (told,) = site.told(number, "ZJJ")
    assert told["address"] == "z***@unit.example.test", "the unit's own address is not the caller's"
    for word in ("测试甲", "13900000001", "测试路"):
        assert word not in json.dumps(told, ensure_ascii=False)


# --- notices -----------------------------------------------------------------------------------------------------------


def test_notices_are_listed_by_state_and_by_page(site: Site) -> None:
    added(site)
    numbers = []
    for _ in range(3):
        numbers.append(site.take())
        site.act(numbers[-1], "dispatch", "dispatcher", {"lead": "ZJJ"})
    site.tell()
    first = site.get("/notifications?limit=2&state=recorded", "admin").json()
    assert [n["number"] for n in first["items"]] == numbers[:0:-1]
    second = site.get(f"/notifications?limit=2&cursor={first['next']}", "admin").json()
    assert ([n["number"] for n in second["items"]], second["next"]) == (numbers[:1], None)
    assert site.get("/notifications?state=failed", "admin").json()["items"] == []
    assert len(site.get("/notifications", "ZJJ-lead").json()["items"]) == 3
    assert site.get("/notifications", "JTJ-lead").json()["items"] == []
    assert site.get("/notifications", "b-admin").json()["items"] == []
    assert site.get(f"/notifications/{first['items'][0]['id']}", "JTJ-lead").status_code == 404


def test_one_that_failed_is_sent_anew(site: Site) -> None:
    added(site)
    number = site.take()
    site.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    site.tell()
    (notice,) = site.get("/notifications", "admin").json()["items"]
    with site.world.engine.begin() as connection:
        connection.execute(text("UPDATE notifications SET state = 'failed', problem = '邮件被拒收（550）'"))
    assert site.post(f"/notifications/{notice['id']}/retry", "JTJ-lead", {}).status_code == 404
    again = site.post(f"/notifications/{notice['id']}/retry", "ZJJ-lead", {})
    assert (again.status_code, again.json()["state"], again.json()["retried_by"]) == (
        202,
        "waiting",
        "测试经办ZJJ",
    )
    refused = site.post(f"/notifications/{notice['id']}/retry", "admin", {})
    assert (refused.status_code, refused.json()["detail"]) == (422, "该通知待发送，不必重发。")


# --- delivery reports --------------------------------------------------------------------------------------------------


def report(site: Site, body: Any, secret: str = SECRET, *, at: datetime | None = None) -> Any:
    raw = json.dumps(body).encode()
    headers = signed_headers(secret, "rep-1", raw, at or site.now) | {"content-type": "application/json"}
    return site.client.post("/api/v1/notifications/reports", content=raw, headers=headers)


def text_on_its_way(site: Site) -> tuple[str, str]:
    """A ticket whose unit was sent a text, and the id it went out under."""
    added(site, **TEXTS)
    number = site.take()
    site.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    site.tell()
    with site.world.engine.begin() as connection:
        row = connection.execute(
            text("UPDATE notifications SET state = 'sent' RETURNING id, created_at, round")
        ).one()
    return number, f"ntf-{row.id}-{int(row.created_at.timestamp())}-{row.round}"


def test_the_gateways_report_shows_on_the_timeline(site: Site) -> None:
    number, key = text_on_its_way(site)
    answer = report(
        site, {"reports": [{"id": key, "delivered": True}, {"id": "other-1", "delivered": False}]}
    )
    assert (answer.status_code, answer.json()) == (200, {"known": 1, "unknown": 1})
    (told,) = site.told(number, "ZJJ")
    assert (told["state_label"], told["problem"]) == ("已送达", None)


def test_a_report_that_is_not_the_gateways_is_refused(site: Site, api: Api) -> None:
    number, key = text_on_its_way(site)
    body = {"reports": [{"id": key, "delivered": True}]}
    another = "whsec_" + "YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3RzISEhIQ=="
    assert report(site, body, another).status_code == 401
    assert report(site, body, at=w.china("2026-03-02 08:54")).status_code == 401
    assert site.client.post("/api/v1/notifications/reports", json=body).status_code == 401
    assert site.post("/notifications/reports", "admin", body).status_code == 401
    raw = json.dumps(body).encode()
    headers = signed_headers(SECRET, "rep-1", raw, site.now) | {"content-type": "application/json"}
    altered = raw.replace(b"true", b"false")
    assert (
        site.client.post("/api/v1/notifications/reports", content=altered, headers=headers).status_code == 401
    )
    assert site.told(number, "ZJJ")[0]["state_label"] == "已发出"
    without = api.client.post("/api/v1/notifications/reports", content=raw, headers=headers)
    assert without.status_code == 401, "a site without a gateway believes nobody"


def test_a_report_that_cannot_be_read_is_refused_with_its_field(site: Site) -> None:
    unreadable: list[Any] = [
        {"reports": []},
        {"reports": [{"id": "x"}]},
        {"reports": [{"id": "\u0000", "delivered": 1}]},
    ]
    for body in unreadable:
        assert report(site, body).status_code == 422, body
