"""An article's life over HTTP: written, reviewed, checked, published, read, corrected, withdrawn; who may and who sees what. Art. 19-23."""

from typing import Any

from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline.models import OutboxEvent
from hotline.organisation import Person
from knowledge_base import lifecycle
from knowledge_base.models import KnowledgeChange
from tests import world as w
from tests.api.conftest import Api
from tests.knowledge_base import shelf
from workflow.vocabulary import STAFF, KnowledgeStep, Role, VersionState

BODY = {
    "question": "供暖室温标准是多少度？",
    "answer": "居民卧室、起居室温度**不低于18℃**。",
    "categories": ["010101"],
    "areas": ["630104"],
    "synonyms": ["暖气不热"],
}


def write(api: Api, login: str = "ZJJ", *, status: int = 201, **changes: Any) -> Any:
    response = api.post("/knowledge", login, BODY | changes)
    assert response.status_code == status, response.text
    return response.json()


def revise(api: Api, article: int, login: str, *, status: int = 201, **changes: Any) -> Any:
    headers = changes.pop("headers", {})
    response = api.post(f"/knowledge/{article}/versions", login, BODY | changes, headers=headers)
    assert response.status_code == status, response.text
    return response.json()


def step(
    api: Api, article: int, which: str, login: str, *, status: int = 200, headers: Any = None, **body: Any
) -> Any:
    response = api.post(f"/knowledge/{article}/{which}", login, body, headers=headers or {})
    assert response.status_code == status, response.text
    return response.json()


def published(api: Api, login: str = "ZJJ", **changes: Any) -> int:
    article = int(write(api, login, **changes)["article"])
    step(api, article, "submit", login)
    if login.isupper():
        step(api, article, "unit_approve", f"{login}-lead")
    prefix = {"HDJ": "b-", "SJT": "p-", "p-editor": "p-"}.get(login, "")
    step(api, article, "publish", f"{prefix}supervisor")
    return article


# --- the life ----------------------------------------------------------------------------------------------------------


def test_a_units_article_from_draft_to_publication_to_withdrawal(api: Api) -> None:
    draft = write(api)
    article = draft["article"]
    assert (draft["name"], draft["state"], draft["unit"], draft["acts"]) == (
        f"{article}@1",
        "draft",
        "ZJJ",
        ["write", "submit", "withdraw"],
    )
    assert draft["areas"] == ["630104000000"]
    assert step(api.at("2026-03-02 10:00"), article, "submit", "ZJJ")["state"] == "unit_review"
    assert step(api.at("2026-03-02 11:00"), article, "unit_approve", "ZJJ-lead")["state"] == "platform_check"
    done = step(api.at("2026-03-03 09:00"), article, "publish", "editor")
    assert (done["state"], done["tellable"], done["review_on"]) == ("published", True, "2027-03-03")
    assert [(s["step"], s["actor_name"], s["at"][:16]) for s in done["steps"]] == [
        ("write", "测试经办ZJJ", "2026-03-02T01:00"),
        ("submit", "测试经办ZJJ", "2026-03-02T02:00"),
        ("unit_approve", "测试经办ZJJ", "2026-03-02T03:00"),
        ("publish", "测试知识库管理员editor", "2026-03-03T01:00"),
    ]
    withdrawn = step(api, article, "withdraw", "ZJJ-lead", reason="标准即将调整。")
    assert (withdrawn["state"], withdrawn["published_version"]) == ("withdrawn", None)
    assert "已撤下" in withdrawn["why_not"]
    with Session(api.world.engine) as session:
        events = session.execute(
            select(col(OutboxEvent.type)).where(col(OutboxEvent.type).startswith("knowledge."))
        ).scalars()
        assert list(events) == ["knowledge.published", "knowledge.withdrawn"]
        changes = session.execute(select(KnowledgeChange).order_by(col(KnowledgeChange.id))).scalars()
        assert [c.what for c in changes] == [VersionState.PUBLISHED, VersionState.WITHDRAWN]


def test_sent_back_with_a_reason_at_either_review(api: Api) -> None:
    article = write(api)["article"]
    step(api, article, "submit", "ZJJ")
    assert step(api, article, "unit_send_back", "ZJJ-lead", status=422)["field"] == "reason"
    back = step(api, article, "unit_send_back", "ZJJ-lead", reason="请注明依据。")
    assert (back["state"], back["steps"][-1]["note"]) == ("sent_back", "请注明依据。")
    revise(api, article, "ZJJ", legal_basis="供热条例", based_on=1)
    step(api, article, "submit", "ZJJ")
    step(api, article, "unit_approve", "ZJJ-lead")
    assert step(api, article, "send_back", "supervisor", status=422)["field"] == "reason"
    assert step(api, article, "send_back", "supervisor", reason="口径不明确。")["state"] == "sent_back"
    assert [v["state"] for v in api.get(f"/knowledge/{article}/versions", "ZJJ").json()["versions"]] == [
        "sent_back",
        "superseded",
    ]


def test_a_new_version_supersedes_and_the_old_stays_readable(api: Api) -> None:
    article = published(api)
    revise(
        api,
        article,
        "ZJJ",
        answer="居民卧室、起居室温度**不低于20℃**。",
        change_note="标准提高",
        corrects=True,
    )
    assert api.get(f"/knowledge/{article}", "agent").json()["name"] == f"{article}@1"
    step(api, article, "submit", "ZJJ")
    step(api, article, "unit_approve", "ZJJ-lead")
    step(api, article, "publish", "editor")
    old, new = (api.get(f"/knowledge/{article}@{n}", "agent").json() for n in (1, 2))
    assert (old["state"], new["state"]) == ("superseded", "published")
    assert "18℃" in old["html"]
    assert "新版替代" in old["why_not"]
    diff = api.get(f"/knowledge/{article}/diff?from=1&to=2", "agent").json()
    assert [c["field"] for c in diff["changes"]] == ["answer"]
    ops = [(p["op"], p["text"]) for p in diff["changes"][0]["pieces"] if p["op"] != "equal"]
    assert ops == [("delete", "18"), ("insert", "20")]


def test_a_step_out_of_turn_is_refused_with_what_may_be_done(api: Api) -> None:
    article = write(api)["article"]
    body = step(api, article, "unit_approve", "ZJJ-lead", status=409)
    assert body["code"] == "illegal_step"
    assert "草稿" in body["detail"]
    assert body["open_steps"] == ["write", "submit", "withdraw"]
    assert step(api, article, "publish", "editor", status=409)["open_steps"] == ["write"]
    step(api, article, "submit", "ZJJ")
    assert step(api, article, "submit", "ZJJ", status=409)["code"] == "illegal_step"
    assert step(api, article, "reviewed", "editor", status=409)["code"] == "illegal_step"


def test_every_step_of_the_table_has_its_route_and_refuses_other_roles(api: Api) -> None:
    article = write(api)["article"]
    for rule in lifecycle.STEPS:
        for role in STAFF - lifecycle.roles_of(rule.step) - {Role.HANDLER, Role.UNIT_LEAD}:
            refused = step(api, article, rule.step.value, role.value, status=403, reason="测试")
            assert refused["code"] == "access_refused", (rule.step, role)


def test_every_state_is_reached_and_left_by_the_table() -> None:
    reached = {rule.to for rule in lifecycle.STEPS} | {VersionState.DRAFT, VersionState.SUPERSEDED}
    assert reached - {None} == set(VersionState)
    left = {state for rule in lifecycle.STEPS for state in rule.sources}
    assert left == set(VersionState) - {VersionState.WITHDRAWN, VersionState.SUPERSEDED}
    assert set(lifecycle.BY_ROUTE) | {KnowledgeStep.WRITE} == set(KnowledgeStep)


# --- four eyes ---------------------------------------------------------------------------------------------------------


def test_nobody_publishes_what_they_wrote(api: Api) -> None:
    article = write(api, "editor", unit="ZJJ")["article"]
    assert step(api, article, "submit", "editor")["state"] == "platform_check"
    assert "四眼" in step(api, article, "publish", "editor", status=403)["detail"]
    assert "publish" not in api.get(f"/knowledge/{article}@1", "editor").json()["acts"]
    assert "publish" in api.get(f"/knowledge/{article}@1", "supervisor").json()["acts"]
    assert step(api, article, "publish", "supervisor")["state"] == "published"


def test_a_lead_reviews_their_own_text_only_where_nobody_else_is(api: Api) -> None:
    article = write(api, "ZJJ-lead")["article"]
    step(api, article, "submit", "ZJJ-lead")
    assert "不能审核自己" in step(api, article, "unit_approve", "ZJJ-lead", status=403)["detail"]
    with Session(api.world.engine) as session:
        session.execute(
            text("UPDATE people SET active = false WHERE id = :id"), {"id": api.world.people["ZJJ"]}
        )
        session.commit()
        assert session.get_one(Person, api.world.people["ZJJ-lead"]).active
    approved = step(api, article, "unit_approve", "ZJJ-lead")
    assert "仅一人" in approved["steps"][-1]["note"]


def test_what_a_unit_wrote_is_not_pushed_past_its_lead_by_the_platform(api: Api) -> None:
    article = write(api)["article"]
    assert step(api, article, "submit", "editor", status=403)["code"] == "access_refused"
    step(api, article, "submit", "ZJJ")
    assert step(api, article, "publish", "editor", status=409)["code"] == "illegal_step"


# --- two at once -------------------------------------------------------------------------------------------------------


def test_a_save_on_an_older_version_is_refused_with_what_changed(api: Api) -> None:
    article = write(api)["article"]
    revise(api, article, "ZJJ", based_on=1)
    late = revise(api, article, "ZJJ", based_on=1, status=412)
    assert (late["version"], late["changes"][0]["by"]) == (2, "测试经办ZJJ")
    assert revise(api, article, "ZJJ", headers={"If-Match": '"1"'}, status=412)["code"] == "version_conflict"
    assert api.get(f"/knowledge/{article}", "ZJJ").headers["etag"] == '"2"'
    assert revise(api, article, "ZJJ", headers={"If-Match": '"2"'})["version"] == 3
    assert step(api, article, "submit", "ZJJ", headers={"If-Match": '"2"'}, status=412)["version"] == 3


def test_only_the_newest_version_moves_on(api: Api) -> None:
    article = write(api)["article"]
    step(api, article, "submit", "ZJJ")
    revise(api, article, "ZJJ", answer="新的写法。")
    body = step(api, article, "unit_approve", "ZJJ-lead", status=409, version=1)
    assert "第 2 版" in body["detail"]


# --- who sees what -----------------------------------------------------------------------------------------------------


def test_a_draft_is_seen_by_its_unit_and_the_platforms_checkers_only(api: Api) -> None:
    article = write(api)["article"]
    for login in ("ZJJ", "ZJJ-lead", "editor", "supervisor", "p-supervisor"):
        assert api.get(f"/knowledge/{article}@1", login).status_code == 200, login
    absent = api.get("/knowledge/999999@1", "agent").json()
    for login in ("agent", "dispatcher", "auditor", "JTJ", "b-editor", "b-supervisor", "HDJ", "p-editor"):
        hidden = api.get(f"/knowledge/{article}@1", login)
        assert hidden.status_code == 404, login
        assert hidden.json() | {"detail": ""} == absent | {"detail": ""}
        assert article not in listed(api, login, state="draft")
    assert article in listed(api, "ZJJ", state="draft")
    for login in ("JTJ", "b-editor", "p-editor"):
        assert step(api, article, "withdraw", login, status=404, reason="测试")["code"] == "not_found"


def listed(api: Api, login: str, **params: Any) -> list[int]:
    items = api.get("/knowledge", login, params=params).json()["items"]
    return [item["article"] for item in items]


def test_a_provinces_articles_are_seen_below_and_a_prefectures_not_beside(api: Api) -> None:
    province, mine, other = published(api, "SJT"), published(api), published(api, "HDJ")
    assert set(listed(api, "agent")) == {province, mine}
    assert set(listed(api, "CGJ")) == {province, mine}
    assert set(listed(api, "b-agent")) == {province, other}
    assert set(listed(api, "p-agent")) == {province}
    assert set(listed(api, "p-supervisor")) == {province, mine, other}
    assert api.get(f"/knowledge/{province}", "b-agent").json()["platform_name"] == "省热线"
    assert api.get(f"/knowledge/{mine}", "b-agent").status_code == 404
    revise(api, province, "editor", status=404)


def test_a_prefecture_adds_to_and_overrides_a_province_article_visibly(api: Api) -> None:
    province = published(api, "SJT", question="公交免费换乘几次？", answer="按各市规定。")
    added = published(api, "ZJJ", source=province, relation="adds", answer="本市另有**学生卡**。")
    local = published(
        api, "editor", source=province, relation="overrides", answer="本市一小时内免费换乘两次。"
    )
    there = api.get(f"/knowledge/{province}", "agent").json()
    assert [(x["name"], x["relation_label"], x["platform_name"]) for x in there["local"]] == [
        (f"{local}@1", "本地替代", "测试市12345热线"),
        (f"{added}@1", "本地补充", "测试市12345热线"),
    ]
    assert there["tell_instead"] == f"{local}@1"
    assert "<strong>学生卡</strong>" in there["local"][1]["html"]
    own = api.get(f"/knowledge/{local}", "agent").json()
    assert (own["source"]["name"], own["source"]["platform_name"]) == (f"{province}@1", "省热线")
    lines = {x["article"]: x for x in api.get("/knowledge", "agent").json()["items"]}
    assert lines[local]["relation_label"] == "本地替代"
    assert lines[province]["local"] == ["本地替代：测试市12345热线", "本地补充：测试市12345热线"]
    elsewhere = api.get(f"/knowledge/{province}", "b-agent").json()
    assert (elsewhere["local"], elsewhere["tell_instead"]) == ([], None)
    again = write(api, "editor", source=province, relation="overrides", status=422)
    assert (again["field"], str(local) in again["detail"]) == ("source", True)
    assert write(api, "editor", source=local, relation="adds", status=422)["field"] == "source"
    assert write(api, "p-editor", source=local, relation="adds", status=422)["field"] == "source"
    step(api, local, "withdraw", "supervisor", reason="与省口径一致，不再替代。")
    assert api.get(f"/knowledge/{province}", "agent").json()["tell_instead"] is None


def test_lists_are_filtered_and_paged(api: Api) -> None:
    made = [
        published(api, question=f"第{n}问？", categories=["010101" if n % 2 else "020101"]) for n in range(5)
    ]
    first = api.get("/knowledge", "agent", params={"limit": 2}).json()
    second = api.get("/knowledge", "agent", params={"limit": 2, "cursor": first["next"]}).json()
    third = api.get("/knowledge", "agent", params={"limit": 2, "cursor": second["next"]}).json()
    assert [x["article"] for page in (first, second, third) for x in page["items"]] == made[::-1]
    assert third["next"] is None
    assert listed(api, "agent", category="02") == [made[4], made[2], made[0]]
    assert listed(api, "agent", unit="ZJJ", area="6301") == made[::-1]
    assert listed(api, "agent", unit="JTJ") == []
    assert listed(api, "agent", review_before="2027-03-02") == made[::-1]
    assert listed(api, "agent", review_before="2027-03-01") == []


# --- telling, and art. 23 ----------------------------------------------------------------------------------------------


def test_only_what_is_published_and_valid_is_told(api: Api) -> None:
    draft = write(api)["article"]
    order = {"act": "answer_at_once", "answer": "不低于18℃。", "knowledge_version": f"{draft}@1"}
    body = {"demand": w.demand().model_dump(mode="json", exclude_none=True), "decision": order}
    assert api.post("/tickets", "agent", body).status_code == 404  # not theirs to see
    refused = api.post("/tickets", "supervisor", body)
    assert (refused.status_code, refused.json()["field"]) == (422, "knowledge_version")
    assert "草稿" in refused.json()["detail"]
    step(api, draft, "submit", "ZJJ")
    step(api, draft, "unit_approve", "ZJJ-lead")
    step(api, draft, "publish", "editor")
    assert api.post("/tickets", "agent", body).status_code == 201
    coming = published(api, valid_from="2026-03-10", valid_until="2026-03-20")
    order["knowledge_version"] = f"{coming}@1"
    assert "2026-03-10" in api.at("2026-03-09 23:59").post("/tickets", "agent", body).json()["detail"]
    assert api.at("2026-03-20 23:59").post("/tickets", "agent", body).status_code == 201
    late = api.at("2026-03-21 00:00").post("/tickets", "agent", body)
    assert (late.status_code, "2026-03-20" in late.json()["detail"]) == (422, True)


def test_a_version_told_stays_readable_to_who_sees_the_ticket(api: Api) -> None:
    article = published(api)
    order = {"act": "answer_at_once", "answer": "不低于18℃。", "knowledge_version": f"{article}@1"}
    number = api.take(decision=order)
    step(api, article, "withdraw", "editor", reason="有误。")
    with Session(api.world.engine) as session:  # even if the article came to belong elsewhere
        session.execute(
            text("UPDATE knowledge_articles SET platform_id = :p"), {"p": api.world.platforms["02"]}
        )
        session.commit()
    assert api.get(f"/tickets/{number}", "agent").json()["knowledge_told"] == f"{article}@1"
    told = api.get(f"/knowledge/{article}@1", "agent").json()
    assert (told["state"], "18℃" in told["text"]) == ("withdrawn", True)


def test_an_update_for_art_23_names_the_units_own_article(api: Api) -> None:
    mine, theirs = write(api)["article"], write(api, "JTJ")["article"]
    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    api.act(number, "sign", "ZJJ", {"signed_by": "测试经办"})
    reply = {"content": "已答复。", "citizen_answered_at": "2026-03-02T08:59:00+08:00"}
    api.act(number, "reply", "ZJJ", reply | {"citizen_answered_at": "2026-03-02T09:00:00+08:00"})
    elements = dict.fromkeys(("quality", "process", "content", "completeness"), True)
    api.act(number, "review_pass", "reviewer", {"elements": elements})
    order = {"outcome": "submitted", "article": f"{theirs}@1"}
    assert api.act(number, "update_knowledge", "ZJJ", order, status=404)["code"] == "not_found"
    public = published(api, "JTJ")
    order["article"] = f"{public}@1"
    assert api.act(number, "update_knowledge", "ZJJ", order, status=422)["field"] == "article"
    order["article"] = f"{mine}@1"
    api.act(number, "update_knowledge", "ZJJ", order)


# --- what is written ---------------------------------------------------------------------------------------------------

WRONG: tuple[tuple[str, dict[str, Any]], ...] = (
    ("categories", {"categories": ["999999"]}),
    ("areas", {"areas": ["999999999999"]}),
    ("areas.0", {"areas": ["西宁"]}),
    ("unit", {"unit": "NONE"}),
    ("unit", {"unit": "JTJ"}),
    ("unit", {"unit": "HDJ"}),
    ("source_url", {"source_url": "javascript:alert(1)"}),
    ("source_url", {"source_url": "ftp://example.gov.cn/a"}),
    ("source_url", {"source_url": "https://a b"}),
    ("valid_until", {"valid_until": "2026-13-01"}),
    ("body", {"valid_from": "2026-03-02", "valid_until": "2026-03-01"}),
    ("question", {"question": "问" * 501}),
    ("question", {"question": " "}),
    ("answer", {"answer": ""}),
    ("synonyms", {"synonyms": ["甲\n乙"]}),
    ("body", {"relation": "adds"}),
    ("source", {"relation": "adds", "source": 999}),
    ("guide.phon", {"guide": {"phon": "12345"}}),
    ("kind", {"kind": "gossip"}),
)


def test_what_is_wrong_is_named(api: Api) -> None:
    for field, changes in WRONG:
        body = write(api, status=422, **changes)
        assert body["field"] == field, body


def test_a_guide_is_kept_with_its_limits_read(api: Api) -> None:
    guide = {
        "limit": "7(工作日)",
        "statutory_limit": "20个自然日",
        "phone": "0971-12345",
        "materials": "申请书\n身份证",
    }
    told = write(api, guide=guide)
    assert told["kind"] == "guide"
    assert told["guide"] == guide | {
        "limit_days": 7,
        "limit_unit": "working_day",
        "statutory_limit_days": 20,
        "statutory_limit_unit": "day",
    }
    assert "承诺办结时限：7(工作日)" in told["text"]
    assert revise(api, told["article"], "ZJJ", kind="qa", status=422)["field"] == "kind"


def test_reviewed_and_nothing_changed_sets_a_new_date(api: Api) -> None:
    article = published(api)
    told = step(api.at("2026-09-01 09:00"), article, "reviewed", "ZJJ-lead")
    assert (told["review_on"], told["version"], told["state"]) == ("2027-09-01", 1, "published")
    assert step(api, article, "reviewed", "editor", review_on="2026-12-01")["review_on"] == "2026-12-01"
    assert (
        step(api, article, "reviewed", "editor", review_on="2026-08-31", status=422)["field"] == "review_on"
    )


def test_what_has_expired_is_not_published(api: Api) -> None:
    article = write(api, valid_until="2026-03-03")["article"]
    step(api, article, "submit", "ZJJ")
    step(api, article, "unit_approve", "ZJJ-lead")
    assert (
        step(api.at("2026-03-04 09:00"), article, "publish", "editor", status=422)["field"] == "valid_until"
    )


# --- files -------------------------------------------------------------------------------------------------------------

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8cfc0f01f0005"
    "000101a5f645400000000049454e44ae426082"
)


def test_files_belong_to_a_version_and_are_carried_on(api: Api) -> None:
    article = write(api)["article"]

    def attach(version: int, content: bytes, name: str, status: int) -> Any:
        answer = api.client.post(
            f"/api/v1/knowledge/{article}/versions/{version}/files",
            headers=api.headers("ZJJ"),
            files={"file": (name, content, "text/plain")},
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    form = attach(1, "申请表".encode(), "../../申请表.txt", 201)
    assert (form["name"], form["media_type"]) == ("申请表.txt", "text/plain")
    picture = attach(1, PNG, "流程图.png", 201)
    assert attach(1, b"<html>", "x.html", 422)["field"] == "file"
    assert attach(1, b"MZ\x90\x00" + b"\x00" * 100, "x.exe", 422)["field"] == "file"
    got = api.get(f"/knowledge/{article}/versions/1/files/{form['id']}", "ZJJ")
    assert (got.content.decode(), got.headers["content-disposition"].split(";")[0]) == (
        "申请表",
        "attachment",
    )
    assert "sandbox" in got.headers["content-security-policy"]
    assert api.get(f"/knowledge/{article}/versions/1/files/{form['id']}", "agent").status_code == 404
    second = revise(api, article, "ZJJ", keep_files=[picture["id"]])
    assert [f["name"] for f in second["files"]] == ["流程图.png"]
    assert attach(1, PNG, "x.png", 422)["field"] == "version"
    assert revise(api, article, "ZJJ", keep_files=[form["id"]], status=422)["field"] == "keep_files"
    step(api, article, "submit", "ZJJ")
    assert attach(2, PNG, "x.png", 422)["field"] == "version"
    assert api.get(f"/knowledge/{article}/versions/2/files/{form['id']}", "ZJJ").status_code == 404


# --- the feed ----------------------------------------------------------------------------------------------------------


def test_the_feed_gives_each_change_once_in_order_to_who_sees_it(api: Api) -> None:
    one, two = published(api), published(api, "SJT")
    shelf.publish(api.world, w.china("2026-03-02 09:30"), "改", "改后。", article=one, unit="ZJJ")
    first = api.get("/knowledge/changes", "agent", params={"limit": 2}).json()
    assert (len(first["changes"]), first["more"]) == (2, True)
    rest = api.get("/knowledge/changes", "agent", params={"after": first["next"]}).json()
    assert (len(rest["changes"]), rest["more"]) == (1, False)
    documents = [c["document"] for c in first["changes"] + rest["changes"]]
    assert [(d["platform"], d["article"], d["version"], d["state"]) for d in documents] == [
        ("01", one, 1, "superseded"),
        ("00", two, 1, "published"),
        ("01", one, 2, "published"),
    ]
    assert documents[2]["unit"] == {"code": "ZJJ", "name": "测试市住建局"}
    assert api.get("/knowledge/changes", "agent", params={"after": rest["next"]}).json()["changes"] == []
    others = api.get("/knowledge/changes", "b-agent").json()["changes"]
    assert [c["document"]["article"] for c in others] == [two]
