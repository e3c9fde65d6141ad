"""Two engines with a database each, on real sockets, for tests of what passes between them."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import uvicorn
from sqlalchemy import select, text
from sqlmodel import Session, col

from api.main import create_app
from api.wiring import Runtime
from hotline.access import Actor
from hotline.case import Desk
from hotline.exchange import outbox
from hotline.organisation import Platform
from hotline.people import accounts
from hotline.settings import Settings
from knowledge_base import feed, peers, sending, syncing
from knowledge_base.models import Article, ArticleVersion, Peer
from tests import world as w
from tests.knowledge_base import shelf
from workflow.vocabulary import Role, Scope

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
    with server.world(folder) as world:
        yield from _answering(world, folder)


def _answering(world: w.World, folder: Path) -> Iterator[Engine]:
    world.office.policy = replace(world.office.policy, allow_private_targets=True)
    engine = Engine(world, world.engine.url.render_as_string(hide_password=False))
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


def changes_of(above: Engine) -> list[feed.Change]:
    with Session(above.world.engine) as session:
        page = feed.changes(session, above.world.actor(session, "p-editor"), 0, feed.MOST)
    return feed.ChangePage.model_validate_json(page.model_dump_json()).changes


def take_in(below: Engine, changes: list[feed.Change]) -> syncing.Taken:
    with Session(below.world.engine) as session:
        home = session.get_one(Platform, below.world.platforms["00"])
        taken = syncing.take_in(
            session, below.world.office, home, changes, by=below.desk(session).actor, at=below.now
        )
        session.commit()
    return taken


def forget(below: Engine) -> None:
    with Session(below.world.engine) as session:
        for table in ("knowledge_changes", "knowledge_steps", "knowledge_files", "knowledge_versions"):
            session.execute(text(f"DELETE FROM {table}"))
        session.execute(text("DELETE FROM knowledge_articles"))
        session.commit()
