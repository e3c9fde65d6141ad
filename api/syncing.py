"""Articles exchanged with other platforms' engines over HTTP: the feed, what they send us, and who they are. Art. 19, 21."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlmodel import Session

from api import shield
from api.problems import PROBLEMS, Unauthenticated
from api.who import Bearer, Cookie, Who, address_of
from api.wiring import (
    Edge,
    EdgeDep,
    IdempotencyKey,
    IfMatch,
    ReadDep,
    Runtime,
    open_edge,
    with_example,
)
from hotline import fields
from hotline.access import Actor
from hotline.auditing import audit
from hotline.case import Desk
from hotline.exchange import outbox
from hotline.privacy.sealing import of_peer
from knowledge_base import feed, peers, syncing
from knowledge_base.feed import ChangePage
from knowledge_base.models import Peer
from knowledge_base.peers import PeerAdded, PeerOrder, PeerSwitch, PeerView
from knowledge_base.syncing import Delivery, Taken
from workflow.errors import AccessRefused
from workflow.vocabulary import AuditKind

router = APIRouter(prefix="/api/v1/knowledge", tags=["知识库"], responses=PROBLEMS)


@router.get("/changes", summary="知识变更流", operation_id="knowledge_changes", response_model=ChangePage)
def knowledge_changes(
    edge: ReadDep,
    after: Annotated[int, Query(ge=0, le=2**62, description="上次返回的 next，从头开始为 0")] = 0,
    limit: Annotated[int, Query(ge=1, le=feed.MOST)] = 100,
) -> Response:
    """What was published or withdrawn behind a cursor, oldest first, each change with the version whole. Nothing is ever skipped."""
    page = feed.changes(edge.session, edge.actor, after, limit)
    return Response(page.model_dump_json(), media_type="application/json")


# --- what others send --------------------------------------------------------------------------------------------------


async def _raw(request: Request) -> bytes:
    """The body as it came, which the signature is about."""
    return await request.body()


def arriving(
    request: Request,
    bearer: Bearer,
    _cookie: Cookie,
    raw: Annotated[bytes, Depends(_raw)],
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Iterator[Edge]:
    """Whoever sends articles: an engine we share a secret with, by its signature, or a machine by its token."""
    if bearer is not None or "webhook-signature" not in request.headers:
        with open_edge(request, bearer, if_match, idempotency_key) as opened:
            yield opened
        return
    runtime: Runtime = request.app.state.runtime
    at = runtime.clock()
    shield.check_address(request)
    with Session(runtime.engine, expire_on_commit=False) as session:
        peer = _sender(session, runtime, request, raw)
        if peer is None:
            shield.failed(request)
            refusal = Unauthenticated("签名无效、已过期，或发送方没有在本平台登记；请核对双方的密钥和时钟。")
            _record_stranger(session, runtime, address_of(request), at)
            raise refusal
        actor = Actor(
            kind="peer",
            id=peer.id,
            name=peer.name,
            roles=frozenset(),
            platform_id=peer.platform_id,
            home_id=peer.platform_id,
            address=address_of(request),
        )
        yield Edge(request, runtime, session, Who(actor), at, None, None)


def _record_stranger(session: Session, runtime: Runtime, address: str | None, at: datetime) -> None:
    office = runtime.office
    if not office.unknown.admit(address, at):
        return
    what = {"operation": "receive_knowledge", "code": Unauthenticated.code}
    algorithm = office.policy.algorithm
    audit.record(
        session, AuditKind.REFUSED, at=at, actor=None, address=address, what=what, algorithm=algorithm
    )
    session.commit()


def _sender(session: Session, runtime: Runtime, request: Request, raw: bytes) -> Peer | None:
    """The peer whose secret the message was signed with."""
    try:
        told = json.loads(raw)
        code = str(told["platform"])[:2]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    for peer in syncing.peers_of_sender(session, code):
        secret = runtime.office.sealer.open(peer.secret, of_peer(peer.id))
        if outbox.is_signed(secret, request.headers, raw, runtime.clock()):
            return peer
    return None


ArrivalDep = Annotated[Edge, Depends(arriving)]
DELIVERY_EXAMPLE = {
    "type": syncing.MESSAGE_TYPE,
    "platform": "00",
    "changes": [
        {
            "cursor": 1,
            "what": "published",
            "at": "2026-11-20T09:00:00+08:00",
            "document": {
                "platform": "00",
                "article": 12,
                "version": 3,
                "state": "published",
                "kind": "qa",
                "question": "供暖室温标准是多少度？",
                "answer": "居民卧室、起居室温度不低于18℃。",
                "written_by": "省热线编辑",
                "written_at": "2026-11-19T09:00:00+08:00",
                "published_at": "2026-11-20T09:00:00+08:00",
            },
        }
    ],
}


@router.post(
    "/sync",
    summary="接收其他平台的知识",
    operation_id="receive_knowledge",
    openapi_extra=with_example(DELIVERY_EXAMPLE),
    response_model=Taken,
)
def receive_knowledge(delivery: Delivery, edge: ArrivalDep) -> Response:
    """Articles another platform's engine publishes, signed (Standard Webhooks) or with a machine's token; sent twice, or out of
    order, they come to the same."""
    home = peers.platform_of(edge.session, delivery.platform)
    if edge.actor.kind != "peer":
        _check_machine(edge, delivery.platform)
    elif edge.actor.platform_id != home.id:
        raise AccessRefused("发送方只能发送其登记平台的知识。", article="21")

    def take_in(desk: Desk) -> Taken:
        return syncing.take_in(desk.session, desk.office, home, delivery.changes, by=desk.actor, at=desk.at)

    return edge.perform(delivery, take_in, lambda taken: taken)


def _check_machine(edge: Edge, platform: str) -> None:
    if edge.actor.kind != "platform_machine":
        raise AccessRefused("接收其他平台的知识须使用签名，或平台接口的令牌。", article="21")
    if not syncing.peers_of_sender(edge.session, platform):
        raise AccessRefused(f"平台 {platform} 没有登记为本系统的知识来源。", article="21")


# --- who they are ------------------------------------------------------------------------------------------------------

PEER_EXAMPLE = {
    "platform": "01",
    "name": "省12345热线",
    "url": "https://12345.example.gov.cn/api/v1/knowledge/sync",
}


@router.get("/peers", summary="同步平台", operation_id="list_peers", response_model=list[PeerView])
def list_peers(edge: ReadDep) -> list[PeerView]:
    """Who the articles of the actor's platforms are exchanged with, and how it stands."""
    return [peers.view(edge.session, peer) for peer in peers.listed(edge.session, edge.actor)]


@router.post(
    "/peers",
    status_code=201,
    summary="登记同步平台",
    operation_id="add_peer",
    openapi_extra=with_example(PEER_EXAMPLE),
    response_model=PeerAdded,
)
def add_peer(order: PeerOrder, edge: EdgeDep) -> Response:
    """Register an engine that is sent our articles; the answer holds the shared secret, which is told only here."""

    def run(desk: Desk) -> tuple[Peer, str]:
        peer, secret = peers.add(desk, order)
        edge.audit(
            AuditKind.ACCOUNT_CHANGED,
            platform_id=peer.platform_id,
            what={"peer": peer.id, "name": peer.name, "change": "added"},
        )
        return peer, secret

    def render(made: tuple[Peer, str]) -> PeerAdded:
        return PeerAdded(**peers.view(edge.session, made[0]).model_dump(), secret=made[1])

    return edge.perform(order, run, render, status=201, secret=True)


@router.post(
    "/peers/{peer}",
    summary="启停同步平台",
    operation_id="switch_peer",
    openapi_extra=with_example({"active": False}),
    response_model=PeerView,
)
def switch_peer(peer: fields.KeyPath, order: PeerSwitch, edge: EdgeDep) -> Response:
    """Stop exchanging with an engine, or begin again."""

    def run(desk: Desk) -> Peer:
        found = peers.switch(desk.session, desk.actor, peer, active=order.active)
        edge.audit(
            AuditKind.ACCOUNT_CHANGED,
            platform_id=found.platform_id,
            what={"peer": found.id, "name": found.name, "change": "on" if order.active else "off"},
        )
        return found

    return edge.perform(order, run, lambda found: peers.view(edge.session, found))
