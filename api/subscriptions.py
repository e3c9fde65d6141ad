"""订阅与投递 over HTTP: who is told what at which address, how the deliveries went, sending again. For administrators and unit leads."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field, StringConstraints

from api.problems import PROBLEMS
from api.wiring import Edge, EdgeDep, ReadDep, with_example
from hotline import fields
from hotline.case import Desk
from hotline.exchange import dead_letters, subscriptions
from hotline.exchange.dead_letters import Posted
from hotline.exchange.envelopes import Envelope, envelope, id_of
from hotline.exchange.tables import Subscription
from hotline.fields import Whole
from hotline.organisation import OrgUnit, Platform
from hotline.people import personnel
from workflow.vocabulary import DeliveryState, SubscriptionState

router = APIRouter(prefix="/api/v1", tags=["事件订阅"], responses=PROBLEMS)

Url = Annotated[
    str,
    StringConstraints(pattern=r"^https?://[^\s]{1,490}$"),
    Field(
        description="接收地址，https；不能指向本机、内部网络",
        examples=["https://unit.example.gov.cn/hotline"],
    ),
]
Label = Annotated[fields.Line, StringConstraints(max_length=100)]
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,30}\.[a-z_]{1,30}$")]
Kinds = Annotated[
    list[Kind],
    Field(max_length=100, description="事件类型；空为全部", json_schema_extra=fields.pick("event_kind")),
]
Secret = Annotated[
    str,
    StringConstraints(pattern=r"^whsec_[A-Za-z0-9+/=]{32,128}$"),
    Field(description="自备的签名密钥，whsec_ 加至少 24 字节的 Base64；缺省由系统生成"),
]


class SubscriptionView(BaseModel):
    """A subscription; its secrets are never shown."""

    id: int
    platform: str
    unit: str | None
    label: str
    url: str
    types: list[str]
    state: SubscriptionState
    owner: str
    created_at: datetime
    changed_at: datetime
    older_secret_until: datetime | None = Field(description="旧密钥的有效期；此前的消息同时带两个签名")
    failures: int = Field(description="连续失败次数")
    closed_until: datetime | None = Field(description="暂缓投递到何时（熔断，或接收方要求）")
    last_ok_at: datetime | None
    last_problem: str | None
    last_problem_at: datetime | None


class SubscriptionWithSecret(SubscriptionView):
    """A subscription and its secret, told only here."""

    secret: str


class DeliveryTryView(BaseModel):
    """One attempt."""

    at: datetime
    status: int | None = Field(description="接收方的状态码；空为没有答复")
    ms: int
    problem: str | None = None


class DeliveryView(BaseModel):
    """One event on its way to one subscription."""

    id: int
    subscription: int
    event: str = Field(description="事件编号，即 webhook-id")
    type: str
    number: str | None = Field(description="工单编号")
    state: DeliveryState
    replayed_by: str | None
    tries: list[DeliveryTryView]
    created_at: datetime
    settled_at: datetime | None
    problem: str | None


class DeliveryWhole(DeliveryView):
    """A delivery with what is sent."""

    envelope: Envelope


class DeliveryPage(BaseModel):
    """Deliveries, newest first; `next` is the cursor of the page after it."""

    items: list[DeliveryView]
    next: int | None


class Replayed(BaseModel):
    """How many events will be sent again."""

    count: int


class AddSubscription(fields.Order):
    """新增订阅: of a unit or of a platform; a unit's lead for the own unit."""

    unit: fields.Code | None = Field(default=None, title="承办单位", json_schema_extra=fields.pick("unit"))
    platform: fields.Code | None = Field(
        default=None, title="平台", json_schema_extra=fields.pick("platform")
    )
    label: Label = Field(title="名称")
    url: Url = Field(title="接收地址")
    types: Kinds = Field(title="事件类型", default=[])
    secret: Secret | None = Field(default=None, title="签名密钥")


class ChangeSubscription(fields.Order):
    """变更: what is left out stays."""

    label: Label | None = Field(default=None, title="名称")
    url: Url | None = Field(default=None, title="接收地址")
    types: Kinds | None = Field(default=None, title="事件类型")


class RotateSigning(fields.Order):
    """更换密钥; for the overlap messages bear both signatures."""

    overlap_hours: Whole = Field(title="新旧密钥并用（小时）", default=24, ge=0, le=24 * 30)
    secret: Secret | None = Field(default=None, title="签名密钥")


class TurnSubscription(fields.Order):
    """启用、暂停、停用."""

    state: SubscriptionState = Field(title="状态")


class NoOrder(fields.Order):
    """Nothing to say."""


class ReplayRange(fields.Order):
    """重发一段时间的事件."""

    since: fields.Instant = Field(title="起")
    until: fields.Instant = Field(title="止")
    dead_only: bool = Field(
        title="只重发投递失败的",
        default=True,
        description="只重发投递失败的；否则重发该订阅这段时间的全部事件",
    )
    types: Kinds = Field(title="事件类型", default=[])


class DeliveryQuery(BaseModel):
    """The filters of the list."""

    model_config = {"extra": "forbid"}

    state: DeliveryState | None = None
    cursor: int | None = Field(default=None, ge=1, le=2**62)
    limit: int = Field(default=50, ge=1, le=200)


def _view(subscription: Subscription, platform: str, unit: str | None) -> SubscriptionView:
    return SubscriptionView(
        **subscription.model_dump(
            exclude={"secret", "older_secret", "older_until", "platform_id", "unit_id"}
        ),
        platform=platform,
        unit=unit,
        older_secret_until=subscription.older_until,
    )


def _placed(edge: Edge, subscription: Subscription) -> SubscriptionView:
    platform = edge.session.get_one(Platform, subscription.platform_id)
    unit = edge.session.get_one(OrgUnit, subscription.unit_id) if subscription.unit_id is not None else None
    return _view(subscription, platform.code, unit.code if unit else None)


def _with_secret(edge: Edge, made: tuple[Subscription, str]) -> SubscriptionWithSecret:
    return SubscriptionWithSecret(**_placed(edge, made[0]).model_dump(), secret=made[1])


# --- subscriptions -----------------------------------------------------------------------------------------------------


@router.get(
    "/subscriptions",
    summary="订阅列表",
    operation_id="list_subscriptions",
    response_model=list[SubscriptionView],
)
def list_subscriptions(edge: ReadDep) -> list[SubscriptionView]:
    """The subscriptions within reach."""
    return [_view(*row) for row in subscriptions.listed(edge.session, edge.actor)]


@router.post(
    "/subscriptions",
    status_code=201,
    summary="新增订阅",
    operation_id="add_subscription",
    response_model=SubscriptionWithSecret,
    openapi_extra=with_example(
        {
            "unit": "XN-ZJJ",
            "label": "市住建局办件系统",
            "url": "https://unit.example.gov.cn/hotline",
            "types": ["ticket.dispatched", "clock.due_soon", "clock.lapsed"],
        }
    ),
)
def add_subscription(order: AddSubscription, edge: EdgeDep) -> Response:
    """A new subscription; its secret is told here and nowhere else."""

    def add(desk: Desk) -> tuple[Subscription, str]:
        platform, unit = personnel.place(desk, order.platform, order.unit)
        return subscriptions.add(
            desk,
            label=order.label,
            url=order.url,
            types=order.types,
            unit=unit,
            platform=platform if unit is None else None,
            secret=order.secret,
        )

    return edge.perform(order, add, lambda made: _with_secret(edge, made), status=201, secret=True)


@router.post(
    "/subscriptions/{subscription}/change",
    summary="变更订阅",
    operation_id="change_subscription",
    response_model=SubscriptionView,
    openapi_extra=with_example({"url": "https://unit.example.gov.cn/hotline/v2"}),
)
def change_subscription(subscription: fields.KeyPath, order: ChangeSubscription, edge: EdgeDep) -> Response:
    """Another name, address or set of events; what is left out stays."""
    return edge.perform(
        order,
        lambda desk: subscriptions.change(
            desk, subscription, label=order.label, url=order.url, types=order.types
        ),
        lambda found: _placed(edge, found),
    )


@router.post(
    "/subscriptions/{subscription}/state",
    summary="启用、暂停或停用订阅",
    operation_id="turn_subscription",
    response_model=SubscriptionView,
    openapi_extra=with_example({"state": "paused"}),
)
def turn_subscription(subscription: fields.KeyPath, order: TurnSubscription, edge: EdgeDep) -> Response:
    """What waits while it is paused goes out once it is active again; while it is disabled nothing is kept for it."""
    return edge.perform(
        order,
        lambda desk: subscriptions.turn(desk, subscription, order.state),
        lambda found: _placed(edge, found),
    )


@router.post(
    "/subscriptions/{subscription}/rotate",
    summary="更换签名密钥",
    operation_id="rotate_subscription",
    response_model=SubscriptionWithSecret,
    openapi_extra=with_example({"overlap_hours": 24}),
)
def rotate_subscription(subscription: fields.KeyPath, order: RotateSigning, edge: EdgeDep) -> Response:
    """A new secret, told here and nowhere else; for the overlap every message bears both signatures."""
    return edge.perform(
        order,
        lambda desk: subscriptions.rotate(
            desk, subscription, overlap=timedelta(hours=order.overlap_hours), secret=order.secret
        ),
        lambda made: _with_secret(edge, made),
        secret=True,
    )


@router.post(
    "/subscriptions/{subscription}/test",
    status_code=202,
    summary="连通测试",
    operation_id="test_subscription",
    response_model=DeliveryView,
    openapi_extra=with_example({}),
)
def test_subscription(subscription: fields.KeyPath, order: NoOrder, edge: EdgeDep) -> Response:
    """An event about no ticket is sent; how it went is read at `/deliveries/{id}`."""
    return edge.perform(order, lambda desk: dead_letters.probe(desk, subscription), _delivery, status=202)


# --- deliveries --------------------------------------------------------------------------------------------------------


def _told(posted: Posted) -> dict[str, Any]:
    kept = ("id", "state", "replayed_by", "tries", "created_at", "settled_at", "problem")
    return {name: getattr(posted.delivery, name) for name in kept} | {
        "subscription": posted.delivery.subscription_id,
        "event": id_of(posted.fact.id),
        "type": posted.fact.type,
        "number": posted.fact.data.get("number"),
    }


def _delivery(posted: Posted) -> DeliveryView:
    return DeliveryView.model_validate(_told(posted))


@router.get(
    "/subscriptions/{subscription}/deliveries",
    summary="投递记录",
    operation_id="list_deliveries",
    response_model=DeliveryPage,
)
def list_deliveries(
    subscription: fields.KeyPath, query: Annotated[DeliveryQuery, Query()], edge: ReadDep
) -> DeliveryPage:
    """What went out, newest first; `state=dead` lists what nobody tries any more."""
    found = dead_letters.listed(
        edge.desk(), subscription, state=query.state, before=query.cursor, limit=query.limit
    )
    following = found[-1].delivery.id if len(found) == query.limit else None
    return DeliveryPage(items=[_delivery(each) for each in found], next=following)


@router.get(
    "/deliveries/{delivery}",
    summary="一条投递记录",
    operation_id="read_delivery",
    response_model=DeliveryWhole,
)
def read_delivery(delivery: fields.KeyPath, edge: ReadDep) -> DeliveryWhole:
    """One delivery with every attempt and what is sent."""
    posted = dead_letters.one(edge.desk(), delivery)
    sent = envelope(posted.fact, edge.runtime.settings.public_url)
    return DeliveryWhole.model_validate(_told(posted) | {"envelope": sent})


@router.post(
    "/deliveries/{delivery}/replay",
    status_code=202,
    summary="重发一个事件",
    operation_id="replay_delivery",
    response_model=DeliveryView,
    openapi_extra=with_example({}),
)
def replay_delivery(delivery: fields.KeyPath, order: NoOrder, edge: EdgeDep) -> Response:
    """The same event with the same id, behind what its ticket has waiting."""
    return edge.perform(order, lambda desk: dead_letters.replay(desk, delivery), _delivery, status=202)


@router.post(
    "/subscriptions/{subscription}/replay",
    status_code=202,
    summary="重发一段时间的事件",
    operation_id="replay_range",
    response_model=Replayed,
    openapi_extra=with_example(
        {"since": "2026-03-02T00:00:00+08:00", "until": "2026-03-03T00:00:00+08:00", "dead_only": True}
    ),
)
def replay_range(subscription: fields.KeyPath, order: ReplayRange, edge: EdgeDep) -> Response:
    """What failed in that time, or everything; at most 10,000 events at once."""
    return edge.perform(
        order,
        lambda desk: dead_letters.replay_range(
            desk,
            subscription,
            since=order.since,
            until=order.until,
            dead_only=order.dead_only,
            types=order.types,
        ),
        lambda count: Replayed(count=count),
        status=202,
    )
