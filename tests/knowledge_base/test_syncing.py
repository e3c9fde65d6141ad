"""Two engines with a database each: what the province publishes the prefecture has, by push and by pull, once, whatever fails.

Real servers (uvicorn) on real sockets; the puller that is killed is a process of its own.
"""

import base64
import contextlib
import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import uvicorn
from sqlalchemy import func, select, text
from sqlmodel import Session, col

from api.main import create_app
from api.wiring import Runtime
from hotline.access import Actor
from hotline.case import Desk
from hotline.exchange import outbox
from hotline.organisation import Platform
from hotline.people import accounts
from hotline.settings import Settings
from hotline.storage.store import make_engine
from knowledge_base import articles, feed, files, importing, lifecycle, peers, sending, syncing
from knowledge_base.models import Article, ArticleVersion, KnowledgeChange, Peer
from knowledge_base.orders import ArticleOrder, StepOrder
from tests import world as w
from tests.knowledge_base import shelf
from tests.processes import hotlines
from workflow.errors import OrderInvalid
from workflow.vocabulary import KnowledgeStep, Role, Scope, VersionState

if TYPE_CHECKING:
    from tests.postgres_server import Server

AT = w.china("2026-03-02 09:00")


@dataclass
class Engine:
    """One platform's engine: its world, its address, and the time on its clock."""

    world: w.World
    url: str
    now: datetime = AT
    address: str = ""

    def desk(self, session: Session) -> Desk:
        """The operator's desk."""
        operator = Actor("system", None, "命令行", frozenset({Role.ADMIN}))
        return Desk(session, operator, self.now, self.world.office)

    def add_peer(self, platform: str, url: str, secret: str, *, pulls: bool) -> int:
        """Register a peer; its key."""
        order = peers.PeerOrder(platform=platform, name="测试对端", url=url, secret=secret, pulls=pulls)
        with Session(self.world.engine) as session:
            peer, _ = peers.add(self.desk(session), order, anywhere=True)
            session.commit()
            return int(peer.id)

    def push(self) -> int:
        """One run of the job until it finds nothing; how many changes were tried."""
        done = 0
        while True:
            with Session(self.world.engine, expire_on_commit=False) as session:
                count = sending.push_due(session, self.world.office, self.now)
                session.commit()
            done += count
            if count == 0:
                return done

    def peer(self, peer_id: int) -> Peer:
        """A peer as it stands."""
        with Session(self.world.engine) as session:
            return session.get_one(Peer, peer_id)

    def standing(self, platform: str = "00") -> dict[str, tuple[Any, ...]]:
        """What is here of a platform's articles, by where they are at home: state, wording and validity of every published version."""
        with Session(self.world.engine) as session:
            rows = session.execute(
                select(Article, ArticleVersion, Platform)
                .join(ArticleVersion, col(ArticleVersion.article_id) == col(Article.id))
                .join(Platform, col(Platform.id) == col(Article.platform_id))
                .where(col(Platform.code) == platform, col(ArticleVersion.published_at).is_not(None))
            ).all()
            found = {}
            for article, version, home in rows:
                mine = feed.identity(article, home.code)
                stands = article.published_version == version.version
                found[f"{mine.platform}/{mine.article}@{version.version}"] = (
                    version.state,
                    stands,
                    version.question,
                    version.answer,
                    version.content_sha256,
                )
            return found


@contextlib.contextmanager
def running(server: "Server", folder: Path) -> Iterator[Engine]:
    """An engine with a database of its own, answering on a real socket."""
    name = server.clone()
    url = server.url_of(name)
    world = w.build(make_engine(url), folder)
    world.office.policy = replace(world.office.policy, allow_private_targets=True)
    engine = Engine(world, url)
    settings = Settings(data_dir=folder, failures_per_address=1000)
    app = create_app(Runtime(settings, world.engine, world.office, lambda: engine.now))
    served = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=served.run, daemon=True)
    thread.start()
    while not served.started:
        time.sleep(0.01)
    port = served.servers[0].sockets[0].getsockname()[1]
    engine.address = f"http://127.0.0.1:{port}"
    yield engine
    served.should_exit = True
    thread.join(20)
    world.engine.dispose()
    server.drop(name)


@pytest.fixture
def two(postgres_server: "Server", tmp_path: Path) -> Iterator[tuple[Engine, Engine]]:
    """The province's engine and a prefecture's, both knowing the same tree of platforms."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with running(postgres_server, tmp_path / "a") as above, running(postgres_server, tmp_path / "b") as below:
        yield above, below


def joined(above: Engine, below: Engine) -> int:
    """The province pushes to the prefecture; its peer there."""
    secret = outbox.make_secret()
    below.add_peer("00", above.address, secret, pulls=True)
    return above.add_peer("00", f"{below.address}/api/v1/knowledge/sync", secret, pulls=False)


def published(engine: Engine, question: str, answer: str, **more: Any) -> str:
    return shelf.publish(engine.world, engine.now, question, answer, prefix="p-", **more)


def machine(engine: Engine, platform: str) -> str:
    """A token of a platform's machine, for knowledge only."""
    with Session(engine.world.engine) as session:
        home = session.get_one(Platform, engine.world.platforms[platform])
        token = accounts.issue_token(
            session, label="同步接口", at=w.BORN, platform=home, roles=[Role.EDITOR], scopes=[Scope.KNOWLEDGE]
        )
        session.commit()
    return token


def pull(above: Engine, below: Engine, token: str) -> syncing.Taken:
    """Follow the province's feed to its end, in this process."""
    with Session(below.world.engine, expire_on_commit=False) as session:
        peer = session.execute(select(Peer).where(col(Peer.pulls))).scalar_one()
        operator = below.desk(session).actor
        return syncing.pull(session, below.world.office, peer, token, by=operator, clock=lambda: below.now)


def post(below: Engine, body: bytes, headers: dict[str, str]) -> httpx2.Response:
    return httpx2.post(
        f"{below.address}/api/v1/knowledge/sync",
        content=body,
        headers={"content-type": "application/json"} | headers,
        timeout=30,
    )


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
    changes = [_changes(above)]
    published(above, "甲？", "二。", article=key)
    shelf.withdraw(above.world, AT, second, prefix="p-")
    changes.append(_changes(above))
    published(above, "甲？", "三。", article=key)
    changes.append(_changes(above))
    snapshots = [change for told in changes for change in told]  # each change as it looked at three moments
    dice = random.Random(7)
    for _ in range(8):
        order = snapshots * 2
        dice.shuffle(order)
        for part in (order[:5], order[5:9], order[9:], changes[-1]):
            _take_in(below, part)
        assert below.standing() == above.standing()
        _forget(below)


def test_a_version_with_other_content_is_refused_and_told(two: tuple[Engine, Engine]) -> None:
    above, below = two
    published(above, "甲？", "一。")
    told = _changes(above)
    assert _take_in(below, told).new == 1
    told[0].document.answer = "被改过的一。"
    taken = _take_in(below, told)
    assert (taken.new, taken.turned, taken.known) == (0, 0, 0)
    assert "不同的内容" in taken.refused[0]
    assert below.standing() == above.standing()
    told[0].document.platform = "01"
    assert "不是平台 00" in _take_in(below, told).refused[0]
    told[0].document.platform, told[0].document.version, told[0].document.areas = "00", 9, ["x" * 99]
    assert "内容不符合要求" in _take_in(below, told).refused[0]


def _changes(above: Engine) -> list[feed.Change]:
    with Session(above.world.engine) as session:
        page = feed.changes(session, above.world.actor(session, "p-editor"), 0, feed.MOST)
    return feed.ChangePage.model_validate_json(page.model_dump_json()).changes


def _take_in(below: Engine, changes: list[feed.Change]) -> syncing.Taken:
    with Session(below.world.engine) as session:
        home = session.get_one(Platform, below.world.platforms["00"])
        taken = syncing.take_in(
            session, below.world.office, home, changes, by=below.desk(session).actor, at=below.now
        )
        session.commit()
    return taken


def _forget(below: Engine) -> None:
    with Session(below.world.engine) as session:
        for table in ("knowledge_changes", "knowledge_steps", "knowledge_files", "knowledge_versions"):
            session.execute(text(f"DELETE FROM {table}"))
        session.execute(text("DELETE FROM knowledge_articles"))
        session.commit()


# --- signatures --------------------------------------------------------------------------------------------------------


def test_what_is_not_signed_by_a_peer_is_refused(two: tuple[Engine, Engine]) -> None:
    above, below = two
    secret = outbox.make_secret()
    below.add_peer("00", above.address, secret, pulls=True)
    published(above, "甲？", "一。")
    changes = _changes(above)
    body = (
        syncing.Delivery(type=syncing.MESSAGE_TYPE, platform="00", changes=changes).model_dump_json().encode()
    )

    def signed(at: datetime = AT, by: str = secret, of: bytes = body) -> dict[str, str]:
        return outbox.signed_headers(by, "message-1", of, at)

    stale = AT - timedelta(minutes=5, seconds=1)
    wrong: dict[str, tuple[bytes, dict[str, str]]] = {
        "nothing": (body, {}),
        "another secret": (body, signed(by=outbox.make_secret())),
        "an old message": (body, signed(stale)),
        "a message from the future": (body, signed(AT + timedelta(minutes=5, seconds=1))),
        "another body": (body.replace("一。".encode(), "二。".encode()), signed()),
        "another id": (body, signed() | {"webhook-id": "message-2"}),
        "another time": (body, signed() | {"webhook-timestamp": str(int(AT.timestamp()) + 1)}),
        "another version": (
            body,
            signed() | {"webhook-signature": signed()["webhook-signature"].replace("v1,", "v2,")},
        ),
        "no id": (body, signed() | {"webhook-id": ""}),
        "no time": (body, signed() | {"webhook-timestamp": "now"}),
        "another platform": (b'{"type":"knowledge.changes","platform":"01","changes":[]}', signed()),
    }
    for name, (content, headers) in wrong.items():
        answer = post(below, content, headers)
        assert answer.status_code == 401, (name, answer.text)
    for content in (b"{", b"\xff", b""):
        assert post(below, content, signed()).status_code in (400, 401, 422)
    assert below.standing() == {}
    assert post(below, body, signed()).json() == {"new": 1, "turned": 0, "known": 0, "refused": []}
    assert post(below, body, signed()).json() == {"new": 0, "turned": 0, "known": 1, "refused": []}
    bad = b'{"type":"knowledge.changes","platform":"00","changes":[{}]}'
    assert post(below, bad, signed(of=bad)).status_code == 422


def test_a_token_delivers_only_for_a_registered_source(two: tuple[Engine, Engine]) -> None:
    above, below = two
    published(above, "甲？", "一。")
    delivery = syncing.Delivery(type=syncing.MESSAGE_TYPE, platform="00", changes=_changes(above))
    body = delivery.model_dump_json().encode()
    token = {"Authorization": f"Bearer {machine(below, '01')}"}
    assert post(below, body, token).status_code == 403
    editor = {"Authorization": f"Bearer {below.world.tokens['editor']}"}
    below.add_peer("00", above.address, outbox.make_secret(), pulls=True)
    assert post(below, body, editor).status_code == 403
    assert post(below, body, token).json()["new"] == 1
    assert below.standing() == above.standing()


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


def test_addresses_inside_are_not_sent_to_unless_allowed(two: tuple[Engine, Engine]) -> None:
    above, below = two
    peer = joined(above, below)
    published(above, "甲？", "一。")
    above.world.office.policy = replace(above.world.office.policy, allow_private_targets=False)
    above.push()
    assert "内部网络" in (above.peer(peer).last_problem or "")
    assert below.standing() == {}
    for url in (
        "http://127.0.0.1/x",
        "http://[::1]/x",
        "http://10.0.0.8/x",
        "http://169.254.169.254/latest",
        "http://localhost/x",
    ):
        with pytest.raises(OrderInvalid), Session(above.world.engine) as session:
            peers.add(
                above.desk(session), peers.PeerOrder(platform="00", name="测试", url=url), anywhere=True
            )


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
    _forget(below)
    assert pull(above, below, machine(above, "01")).new == 1
    assert _files(below) == [content]
    forged = _changes(above)
    forged[0].document.files[0].content = base64.b64encode(b"another").decode()
    _forget(below)
    assert "哈希不符" in _take_in(below, forged).refused[0]
    forged[0].document.files[
        0
    ].content = None  # whose bytes lie in the prefecture's store, but the sender does not show them
    assert _take_in(below, forged).new == 1
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
