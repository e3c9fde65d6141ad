"""Two engines with a database each: what the province publishes the prefecture has, by push and by pull, once, whatever fails.

Real servers (uvicorn) on real sockets; the puller that is killed is a process of its own.
"""

import base64
import json
import random
import time
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import func, select, text
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.exchange import outbox
from knowledge_base import articles, files, importing, lifecycle, syncing
from knowledge_base.models import Article, ArticleVersion, KnowledgeChange, Peer
from knowledge_base.orders import ArticleOrder, StepOrder
from tests.knowledge_base import shelf
from tests.knowledge_base.engines import (
    AT,
    Engine,
    changes_of,
    forget,
    joined,
    machine,
    published,
    pull,
    take_in,
)
from tests.processes import hotlines
from workflow.vocabulary import KnowledgeStep, Role, VersionState

# --- push --------------------------------------------------------------------------------------------------------------


def test_what_the_province_publishes_corrects_and_withdraws_the_prefecture_has(
    two: tuple[Engine, Engine],
) -> None:
    above, below = two
    peer = joined(above, below)
    one = published(above, "供暖标准？", "不低于**18℃**。", guide={"limit": "2(工作日)"}, unit=None)
    published(above, "公积金？", "凭证办理。")
    assert above.push() == 2
    assert below.standing() == above.standing()
    assert len(below.standing()) == 2
    assert (above.peer(peer).failures, above.peer(peer).last_problem) == (0, None)
    published(above, "供暖标准？", "不低于**20℃**。", article=int(one.partition("@")[0]), corrects=True)
    assert above.push() == 1
    assert below.standing() == above.standing()
    assert [v[0] for k, v in sorted(below.standing().items()) if k.startswith(f"00/{one[:-2]}@")] == [
        VersionState.SUPERSEDED,
        VersionState.PUBLISHED,
    ]
    shelf.withdraw(above.world, above.now, one, prefix="p-")
    assert above.push() == 1
    assert below.standing() == above.standing()
    assert above.push() == 0
    with Session(below.world.engine) as session:  # and tells its own index and subscribers so
        told = session.execute(select(KnowledgeChange).order_by(col(KnowledgeChange.id))).scalars().all()
        assert [c.what.value for c in told] == ["published", "published", "published", "withdrawn"]
        agent = below.world.actor(session, "agent")
        version = articles.find(session, agent, f"{told[1].article_id}")
        assert (version.question, version.answer) == ("公积金？", "凭证办理。")


def test_the_provinces_article_is_read_only_there_and_local_overrides_stay(
    two: tuple[Engine, Engine],
) -> None:
    above, below = two
    joined(above, below)
    name = published(above, "公交换乘？", "按各市规定。")
    above.push()
    with Session(below.world.engine) as session:
        synced = session.execute(select(Article)).scalar_one()
        for login in ("p-editor", "p-supervisor"):
            with pytest.raises(Exception, match="由其来源平台维护"):
                articles.write(
                    session,
                    below.world.actor(session, login),
                    ArticleOrder(question="改", answer="改"),
                    at=AT,
                    article_id=synced.id,
                )
            with pytest.raises(Exception, match="由其来源平台维护"):
                lifecycle.take_step(
                    session,
                    below.world.actor(session, login),
                    synced.id,
                    KnowledgeStep.WITHDRAW,
                    StepOrder(reason="测试"),
                    at=AT,
                )
        source = synced.id
    local = shelf.publish(below.world, AT, "公交换乘？", "本市两次。", source=source, relation="overrides")
    published(above, "公交换乘？", "全省统一一次。", article=int(name.partition("@")[0]))
    above.push()
    token = below.world.tokens["agent"]
    view = httpx2.get(
        f"{below.address}/api/v1/knowledge/{source}", headers={"Authorization": f"Bearer {token}"}
    ).json()
    assert (view["version"], view["synced"], view["tell_instead"], view["acts"]) == (2, True, local, [])
    assert [x["text"] for x in view["local"]] == ["本市两次。"]


def test_replays_and_any_order_come_to_the_same(two: tuple[Engine, Engine]) -> None:
    above, below = two
    first = published(above, "甲？", "一。")
    key = int(first.partition("@")[0])
    second = published(above, "乙？", "一。")
    changes = [changes_of(above)]
    published(above, "甲？", "二。", article=key)
    shelf.withdraw(above.world, AT, second, prefix="p-")
    changes.append(changes_of(above))
    published(above, "甲？", "三。", article=key)
    changes.append(changes_of(above))
    snapshots = [change for told in changes for change in told]  # each change as it looked at three moments
    dice = random.Random(7)
    for _ in range(8):
        order = snapshots * 2
        dice.shuffle(order)
        for part in (order[:5], order[5:9], order[9:], changes[-1]):
            take_in(below, part)
        assert below.standing() == above.standing()
        forget(below)


def test_a_version_with_other_content_is_refused_and_told(two: tuple[Engine, Engine]) -> None:
    above, below = two
    published(above, "甲？", "一。")
    told = changes_of(above)
    assert take_in(below, told).new == 1
    told[0].document.answer = "被改过的一。"
    taken = take_in(below, told)
    assert (taken.new, taken.turned, taken.known) == (0, 0, 0)
    assert "不同的内容" in taken.refused[0]
    assert below.standing() == above.standing()
    told[0].document.platform = "01"
    assert "不是平台 00" in take_in(below, told).refused[0]
    told[0].document.platform, told[0].document.version, told[0].document.areas = "00", 9, ["x" * 99]
    assert "内容不符合要求" in take_in(below, told).refused[0]


# --- failure -----------------------------------------------------------------------------------------------------------


def test_a_push_that_fails_waits_longer_each_time_and_loses_nothing(two: tuple[Engine, Engine]) -> None:
    above, below = two
    secret = outbox.make_secret()
    peer = above.add_peer(
        "00", f"http://127.0.0.1:{hotlines.free_port()}/api/v1/knowledge/sync", secret, pulls=False
    )
    published(above, "甲？", "一。")
    waits = []
    for _ in range(4):
        assert above.push() == 1
        row = above.peer(peer)
        assert row.next_at is not None
        assert row.cursor == 0
        assert row.last_problem
        waits.append((row.next_at - above.now).total_seconds())
        assert above.push() == 0  # not before its time
        above.now = row.next_at
    assert above.peer(peer).failures == 4
    for n, wait in enumerate(waits):
        assert 2.5 * 2**n <= wait <= 7.5 * 2**n
    with Session(above.world.engine) as session:
        session.execute(
            text("UPDATE knowledge_peers SET url = :url"), {"url": f"{below.address}/api/v1/knowledge/sync"}
        )
        session.commit()
    below.add_peer("00", above.address, secret, pulls=True)
    below.now = above.now
    assert above.push() == 1
    assert below.standing() == above.standing()
    assert (above.peer(peer).failures, above.peer(peer).next_at) == (0, None)


def test_files_go_along_by_push_and_by_pull(two: tuple[Engine, Engine]) -> None:
    above, below = two
    joined(above, below)
    with Session(above.world.engine) as session:
        editor = above.world.actor(session, "p-editor")
        version = articles.write(session, editor, ArticleOrder(question="表？", answer="见附件。"), at=AT)
        content = "申请表".encode() * 1000
        files.attach(
            session, editor, above.world.office.blobs, version.article_id, 1, "表.txt", content, at=AT
        )
        session.commit()
        key = version.article_id
    shelf.step(above.world, AT, key, KnowledgeStep.SUBMIT, "p-editor")
    shelf.step(above.world, AT, key, KnowledgeStep.PUBLISH, "p-supervisor")
    above.push()
    assert _files(below) == [content]
    forget(below)
    assert pull(above, below, machine(above, "01")).new == 1
    assert _files(below) == [content]
    forged = changes_of(above)
    forged[0].document.files[0].content = base64.b64encode(b"another").decode()
    forget(below)
    assert "哈希不符" in take_in(below, forged).refused[0]
    forged[0].document.files[
        0
    ].content = None  # whose bytes lie in the prefecture's store, but the sender does not show them
    assert take_in(below, forged).new == 1
    assert _files(below) == []


def _files(below: Engine) -> list[bytes]:
    with Session(below.world.engine) as session:
        agent = below.world.actor(session, "agent")
        article = session.execute(select(Article)).scalar_one()
        return [
            files.content_of_file(session, agent, below.world.office.blobs, article.id, 1, file.id)[1]
            for file in files.files_of(session, article.id, 1)
        ]


# --- pull, killed in the middle ------------------------------------------------------------------------------------------


@pytest.mark.processes
def test_a_pull_killed_in_the_middle_goes_on_where_it_was(two: tuple[Engine, Engine], tmp_path: Path) -> None:
    above, below = two
    rows = "".join(
        json.dumps({"code": f"T-{n}", "question": f"第{n}问？", "answer": f"答{n}。"}) + "\n"
        for n in range(700)
    )
    with Session(above.world.engine) as session:
        operator = Actor("system", None, "命令行", frozenset({Role.EDITOR}), above.world.platforms["00"])
        importing.import_rows(
            session,
            operator,
            importing.read_rows(rows.encode()),
            at=AT,
            preview=False,
            publisher=above.world.actor(session, "p-editor"),
        )
        session.commit()
    environment = {"HOTLINE_SYNC_TOKEN": machine(above, "01"), "HOTLINE_ALLOW_PRIVATE_TARGETS": "true"}
    arguments = ("knowledge", "sync", "--from", above.address, "--json")
    process = hotlines.start(tmp_path / "cli", below.url, *arguments, **environment)
    cursor = _wait_for_cursor(below, process)
    process.kill()
    arrived = _count(below)
    assert 0 < arrived < 700, "killed too late to show anything"
    assert arrived % syncing.MOST_CHANGES == 0
    assert _cursor(below) >= cursor
    for _ in range(2):
        process = hotlines.start(tmp_path / "cli", below.url, *arguments, **environment)
        assert process.popen.wait(120) == 0, process.log.read_text()
    assert below.standing() == above.standing()
    assert _count(below) == 700
    assert json.loads(process.log.read_text())["new"] == 0


def _wait_for_cursor(below: Engine, process: hotlines.Process) -> int:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if (cursor := _cursor(below)) > 0:
            return cursor
        assert process.popen.poll() is None, process.log.read_text()
        time.sleep(0.005)
    raise AssertionError("nothing came")


def _cursor(below: Engine) -> int:
    with Session(below.world.engine) as session:
        return int(session.execute(select(func.coalesce(func.max(col(Peer.cursor)), 0))).scalar_one())


def _count(below: Engine) -> int:
    with Session(below.world.engine) as session:
        return int(session.execute(select(func.count()).select_from(ArticleVersion)).scalar_one())
