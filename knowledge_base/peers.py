"""同步平台: which other engines follow our feed by push, and whose articles we take in; each with a shared secret for signatures."""

from datetime import datetime
from typing import Final

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.case import Desk
from hotline.exchange import outbox
from hotline.exchange.wire import check_url
from hotline.fields import Line, Order
from hotline.organisation import Platform
from hotline.privacy.sealing import of_peer
from knowledge_base.feed import PlatformCode
from knowledge_base.models import Peer
from knowledge_base.orders import Url
from workflow.errors import LimitExceeded, NotFound, OrderInvalid, OutOfSight

MOST: Final = 50


class PeerOrder(Order):
    """An engine to exchange articles with: to be sent those of `platform`, or (`pulls`) the one that maintains `platform`'s."""

    platform: PlatformCode = Field(description="所交换的知识属于哪个平台")
    name: Line
    url: Url = Field(
        description="推送：对方接收的完整网址，如 https://a.example.gov.cn/api/v1/knowledge/sync；拉取：对方系统的网址"
    )
    pulls: bool = Field(default=False, description="接收对方的知识；缺省为把本方知识推送给对方")
    secret: Line | None = Field(
        default=None, description="双方共用的签名密钥（whsec_ 开头）；缺省自动生成，只显示一次"
    )


class PeerSwitch(Order):
    """Whether a peer is served."""

    active: bool


class PeerView(BaseModel):
    """A peer without its secret, and how the exchange stands."""

    id: int
    platform: str
    name: str
    url: str
    pulls: bool
    active: bool
    cursor: int = Field(description="已送达或已接收到的变更序号")
    failures: int
    next_at: datetime | None
    last_ok_at: datetime | None
    last_problem: str | None


class PeerAdded(PeerView):
    """A peer just registered, with the secret to give to the other side."""

    secret: str


def add(desk: Desk, order: PeerOrder, *, anywhere: bool = False) -> tuple[Peer, str]:
    """Register a peer; it and the secret, which is told only here. `anywhere`: for the operator, who may name any platform.

    Raises `OrderInvalid`, `TargetRefused` (field `url`), `LimitExceeded`. The caller commits.
    """
    platform = platform_of(desk.session, order.platform)
    if not anywhere and platform.id not in desk.actor.platform_ids:
        raise OrderInvalid(
            "只能登记本平台知识的同步；接收上级平台的知识由系统管理员在命令行登记。", field="platform"
        )
    check_url(order.url, allow_private=desk.office.policy.allow_private_targets)
    if order.secret is not None:
        outbox.check_secret(order.secret)
    count = len(desk.session.execute(select(col(Peer.id)).where(col(Peer.platform_id) == platform.id)).all())
    if count >= MOST:
        raise LimitExceeded(f"一个平台最多登记 {MOST} 个同步平台。", field="platform")
    secret = order.secret or outbox.make_secret()
    peer = Peer(
        platform_id=platform.id,
        name=order.name[:100],
        url=order.url,
        pulls=order.pulls,
        secret=b"",
    )
    desk.session.add(peer)
    desk.session.flush()
    peer.secret = desk.office.sealer.seal(secret, of_peer(peer.id))
    desk.session.flush()
    return peer, secret


def platform_of(session: Session, code: str) -> Platform:
    """The platform with this code. Raises `OrderInvalid`."""
    statement = select(Platform).where(col(Platform.code) == code)
    found: Platform | None = session.execute(statement).scalar_one_or_none()
    if found is None:
        raise OrderInvalid(f"没有代码为 {code} 的热线平台。", field="platform")
    return found


def switch(session: Session, actor: Actor, peer_id: int, *, active: bool) -> Peer:
    """Serve a peer again, or no longer. Raises `NotFound`. The caller commits."""
    peer = session.get(Peer, peer_id, with_for_update=True)
    if peer is None or (actor.kind != "system" and peer.platform_id not in actor.platform_ids):
        raise (NotFound if peer is None else OutOfSight)("没有这个同步平台。", field="peer")
    peer.active, peer.failures, peer.next_at = active, 0, None
    session.add(peer)
    session.flush()
    return peer


def listed(session: Session, actor: Actor) -> list[Peer]:
    """The peers of the actor's platforms."""
    statement = select(Peer).order_by(col(Peer.id))
    if actor.kind != "system":
        statement = statement.where(col(Peer.platform_id).in_(sorted(actor.platform_ids)))
    return list(session.execute(statement).scalars())


def view(session: Session, peer: Peer) -> PeerView:
    """A peer as it is shown."""
    platform = session.get_one(Platform, peer.platform_id)
    facts = {name: getattr(peer, name) for name in PeerView.model_fields if name != "platform"}
    return PeerView(platform=platform.code, **facts)
