"""Many articles through one step at once: all or none, each row saying why. Art. 22."""

from typing import Any

from sqlalchemy import func, select, text
from sqlmodel import Session, col

from hotline.exchange import outbox
from hotline.models import OutboxEvent
from knowledge_base.models import Article, ArticleStep, KnowledgeChange
from tests import world as w
from tests.api.conftest import Api
from tests.api.test_knowledge import published, step, write
from workflow.vocabulary import KnowledgeStep, VersionState


def batch(
    api: Api,
    which: str,
    login: str,
    articles: list[int],
    *,
    status: int = 200,
    headers: Any = None,
    **more: Any,
) -> Any:
    body = {"step": which, "articles": [{"article": article} for article in articles]} | more
    answer = api.post("/knowledge/batch", login, body, headers=headers or {})
    assert answer.status_code == status, answer.text
    return answer.json()


def states(api: Api, articles: list[int]) -> list[str]:
    return [api.get(f"/knowledge/{article}", "editor").json()["state"] for article in articles]


def changes(api: Api) -> int:
    with Session(api.world.engine) as session:
        return int(session.execute(select(func.count()).select_from(KnowledgeChange)).scalar_one())


def test_drafts_pass_through_the_steps_together(api: Api) -> None:
    drafts = [int(write(api, question=f"第{n}个问题？")["article"]) for n in range(5)]
    for which, login, state in (
        ("submit", "ZJJ", "unit_review"),
        ("unit_approve", "ZJJ-lead", "platform_check"),
        ("publish", "editor", "published"),
    ):
        done = batch(api, which, login, drafts)
        assert (done["done"], done["refused"]) == (5, 0)
        assert [row["article"] for row in done["rows"]] == drafts
        assert {row["state"] for row in done["rows"]} == {state}
    assert states(api, drafts) == ["published"] * 5
    assert changes(api) == 5
    with Session(api.world.engine) as session:
        told = select(func.count()).where(col(OutboxEvent.type) == outbox.KNOWLEDGE[VersionState.PUBLISHED])
        assert session.execute(told).scalar_one() == 5
        taken = select(col(ArticleStep.step)).where(col(ArticleStep.article_id) == drafts[0])
        assert list(session.execute(taken.order_by(col(ArticleStep.id))).scalars()) == [
            KnowledgeStep.WRITE,
            KnowledgeStep.SUBMIT,
            KnowledgeStep.UNIT_APPROVE,
            KnowledgeStep.PUBLISH,
        ]


def test_one_that_cannot_keeps_all_back_and_says_why(api: Api) -> None:
    ours = int(write(api, "editor", question="平台自己写的？")["article"])
    theirs = int(write(api, question="单位写的？")["article"])
    step(api, ours, "submit", "editor")
    step(api, theirs, "submit", "ZJJ")
    step(api, theirs, "unit_approve", "ZJJ-lead")
    told = batch(api, "publish", "editor", [theirs, ours, 999999])
    assert (told["done"], told["refused"]) == (0, 2)
    good, own, unknown = told["rows"]
    assert (good["state"], good["problem"]) == ("published", None)
    assert "四眼原则" in own["problem"]["detail"]
    assert own["problem"]["status"] == 403
    assert unknown["problem"]["field"] == "article"
    assert states(api, [ours, theirs]) == ["platform_check", "platform_check"]
    assert changes(api) == 0
    some = batch(api, "publish", "editor", [theirs, ours], skip_refused=True)
    assert (some["done"], some["refused"]) == (1, 1)
    assert states(api, [ours, theirs]) == ["platform_check", "published"]
    assert changes(api) == 1
    with Session(api.world.engine) as session:
        refused = (
            "SELECT count(*) FROM audit WHERE kind = 'refused' AND what ->> 'operation' = 'publish_article'"
        )
        assert session.execute(text(refused)).scalar_one() == 2, (
            "own texts; what is not there at all is no refusal"
        )


def test_a_batch_under_a_key_is_taken_once(api: Api) -> None:
    article = int(write(api)["article"])
    key = {"Idempotency-Key": "batch-1"}
    first = batch(api, "submit", "ZJJ", [article], headers=key)
    assert batch(api, "submit", "ZJJ", [article], headers=key) == first
    assert batch(api, "submit", "ZJJ", [article])["rows"][0]["problem"]["status"] == 409


def test_each_step_keeps_its_own_rights_reasons_and_order(api: Api) -> None:
    article = published(api)
    batch(api, "publish", "ZJJ", [article], status=403)
    batch(api, "write", "editor", [article], status=422)
    batch(api, "withdraw", "editor", [article, article], status=422)
    batch(api, "withdraw", "editor", [], status=422)
    owed = batch(api, "withdraw", "editor", [article])["rows"][0]["problem"]
    assert owed["field"] == "reason"
    assert batch(api, "withdraw", "editor", [article], reason="标准调整。")["done"] == 1
    with Session(api.world.engine) as session:
        assert session.get_one(Article, article).withdrawn_at == w.china("2026-03-02 09:00")
