"""通知 over HTTP: the contact book, what was sent to whom, sending anew, and the gateway's delivery reports (状态报告)."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field, StringConstraints
from sqlmodel import Session

from api import shield
from api.problems import PROBLEMS, Unauthenticated
from api.session import NO_CREDENTIALS
from api.who import Who, address_of
from api.wiring import (
    Edge,
    EdgeDep,
    IdempotencyKey,
    IfMatch,
    ReadDep,
    Runtime,
    checked_key,
    expected_version,
    refuse_unknown_query,
    with_example,
)
from hotline import fields
from hotline.access import Actor
from hotline.case import Desk
from hotline.exchange.envelopes import CATALOGUE
from hotline.exchange.outbox import is_signed
from hotline.notifying import contacts, records, wording
from hotline.notifying.contacts import Entry
from hotline.notifying.records import Noted, Report
from hotline.notifying.senders import open_senders
from hotline.people import personnel
from workflow.vocabulary import Means, NoticeState

router = APIRouter(prefix="/api/v1", tags=["通知"], responses=PROBLEMS)

Label = Annotated[fields.Line, StringConstraints(max_length=100)]
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,30}\.[a-z_]{1,30}$")]
Kinds = Annotated[
    list[Kind],
    Field(max_length=100, description="通知类型；空为常用的", json_schema_extra=fields.pick("notice_kind")),
]
Address = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9@._%+\- ]{5,254}$"),
    Field(
        description="电子邮件地址，或 11 位手机号；加密保存，只显示脱敏的",
        examples=["zhiban@unit.example.gov.cn"],
    ),
]
ReportId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9\-]{1,60}$")]
ReportCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:\-]{1,20}$")]


class ContactView(BaseModel):
    """A contact; its address is shown masked."""

    id: int
    platform: str
    unit: str | None
    person: str | None = Field(description="人员登录名；该人员停用后不再通知")
    label: str
    means: Means
    address: str = Field(description="脱敏", examples=["139****0001"])
    kinds: list[str]
    active: bool
    created_at: datetime
    changed_at: datetime
    changed_by: str


class NoticeTryView(BaseModel):
    """One attempt."""

    at: datetime
    status: int | None = Field(description="邮件服务器或短信网关的应答码；空为没有答复")
    ms: int
    round: int = Field(description="第几次（重发后加一）")
    problem: str | None = None


class NotificationView(BaseModel):
    """One message to one contact, and what became of it."""

    id: int
    contact: int
    kind: str
    label: str
    number: str | None = Field(description="工单编号")
    means: Means
    recipient: str
    address: str = Field(description="脱敏")
    subject: str
    content: str
    segments: int = Field(description="短信条数：70 字以内一条，更长的每 67 字一条；电子邮件为 0")
    urgent: bool = Field(description="夜间也发送")
    state: NoticeState
    tries: list[NoticeTryView]
    created_at: datetime
    next_at: datetime | None = Field(description="下次发送时间")
    settled_at: datetime | None
    reported_at: datetime | None = Field(description="运营商状态报告的时间")
    provider_id: str | None = Field(description="短信网关的编号")
    problem: str | None
    retried_by: str | None


class NotificationPage(BaseModel):
    """Notices, newest first; `next` is the cursor of the page after it."""

    items: list[NotificationView]
    next: int | None


class KindView(BaseModel):
    """A kind of notice somebody may choose."""

    kind: str
    label: str
    usual: bool = Field(description="没有选择类型的联系人也收到")
    urgent: bool = Field(description="夜间也发送短信")
    platform: bool = Field(description="热线平台的联系人可以选择")


class MeansView(BaseModel):
    """Which means this site has."""

    means: Means
    how: str = Field(description="smtp、gateway、recorded（仅记录）或 off（未设置）", examples=["gateway"])
    quiet: str | None = Field(description="短信免打扰时段", examples=["21:00-08:00"])


class NotifyingView(BaseModel):
    """What can be told, and how."""

    means: list[MeansView]
    kinds: list[KindView]


class AddContact(fields.Order):
    """新增联系人: of a unit or of a platform; a unit's lead for the own unit."""

    unit: fields.Code | None = Field(default=None, title="承办单位", json_schema_extra=fields.pick("unit"))
    platform: fields.Code | None = Field(
        default=None, title="平台", json_schema_extra=fields.pick("platform")
    )
    person: fields.Line | None = Field(
        default=None,
        title="人员",
        description="人员登录名；不是本系统人员的留空",
        json_schema_extra=fields.pick("person"),
    )
    label: Label = Field(title="名称", examples=["值班室"])
    means: Means = Field(title="方式")
    address: Address = Field(title="地址")
    kinds: Kinds = Field(title="通知类型", default=[])


class ChangeContact(fields.Order):
    """变更: what is left out stays."""

    label: Label | None = Field(default=None, title="名称")
    address: Address | None = Field(default=None, title="地址")
    kinds: Kinds | None = Field(default=None, title="通知类型")
    active: bool | None = Field(default=None, title="启用")


class NoOrder(fields.Order):
    """Nothing to say."""


class ReportOrder(fields.Order):
    """状态报告 of one text."""

    id: ReportId = Field(description="送交短信时的 id", examples=["ntf-1024-1772413800-1"])
    delivered: bool = Field(description="是否送达手机")
    code: ReportCode | None = Field(default=None, description="运营商的状态码", examples=["DELIVRD"])


class ReportsOrder(fields.Order):
    """状态报告, many at once."""

    reports: list[ReportOrder] = Field(min_length=1, max_length=500)


class ReportsTaken(BaseModel):
    """How many of the reports were about texts of this system."""

    known: int
    unknown: int


class NotificationQuery(BaseModel):
    """The filters of the list."""

    model_config = {"extra": "forbid"}

    state: NoticeState | None = None
    means: Means | None = None
    contact: int | None = Field(default=None, ge=1, le=2**62)
    cursor: int | None = Field(default=None, ge=1, le=2**62)
    limit: int = Field(default=50, ge=1, le=200)


# --- the contact book --------------------------------------------------------------------------------------------------


def _contact(entry: Entry) -> ContactView:
    kept = ("id", "label", "means", "kinds", "active", "created_at", "changed_at", "changed_by")
    return ContactView(
        **{name: getattr(entry.contact, name) for name in kept},
        platform=entry.platform,
        unit=entry.unit,
        person=entry.person,
        address=entry.contact.shown,
    )


@router.get(
    "/contacts",
    summary="通知联系人列表",
    operation_id="list_contacts",
    response_model=list[ContactView],
)
def list_contacts(edge: ReadDep) -> list[ContactView]:
    """The contacts within reach."""
    return [_contact(entry) for entry in contacts.listed(edge.session, edge.actor)]


@router.post(
    "/contacts",
    status_code=201,
    summary="新增通知联系人",
    operation_id="add_contact",
    response_model=ContactView,
    openapi_extra=with_example(
        {
            "unit": "XN-ZJJ",
            "label": "值班室",
            "means": "email",
            "address": "zhiban@unit.example.gov.cn",
            "kinds": ["ticket.dispatched", "clock.due_soon", "clock.lapsed"],
        }
    ),
)
def add_contact(order: AddContact, edge: EdgeDep) -> Response:
    """Somebody without a system is told from now on, by e-mail or text message."""

    def add(desk: Desk) -> Entry:
        platform, unit = personnel.place(desk, order.platform, order.unit)
        return contacts.add(
            desk,
            label=order.label,
            means=order.means,
            address=order.address,
            kinds=order.kinds,
            unit=unit,
            platform=platform if unit is None else None,
            person=order.person,
        )

    return edge.perform(order, add, _contact, status=201)


@router.post(
    "/contacts/{contact}/change",
    summary="变更通知联系人",
    operation_id="change_contact",
    response_model=ContactView,
    openapi_extra=with_example({"kinds": ["ticket.dispatched"], "active": True}),
)
def change_contact(contact: fields.KeyPath, order: ChangeContact, edge: EdgeDep) -> Response:
    """Another name, address or set of kinds; on or off. What is left out stays."""
    return edge.perform(
        order,
        lambda desk: contacts.change(
            desk,
            contact,
            label=order.label,
            address=order.address,
            kinds=order.kinds,
            active=order.active,
        ),
        _contact,
    )


@router.post(
    "/contacts/{contact}/remove",
    summary="删除通知联系人",
    operation_id="remove_contact",
    response_model=ContactView,
    openapi_extra=with_example({}),
)
def remove_contact(contact: fields.KeyPath, order: NoOrder, edge: EdgeDep) -> Response:
    """The address is destroyed; what the contact was told stays on record."""
    return edge.perform(order, lambda desk: contacts.remove(desk, contact), _contact)


@router.post(
    "/contacts/{contact}/test",
    status_code=202,
    summary="测试通知联系人",
    operation_id="test_contact",
    response_model=NotificationView,
    openapi_extra=with_example({}),
)
def test_contact(contact: fields.KeyPath, order: NoOrder, edge: EdgeDep) -> Response:
    """A test message is sent; how it went is read at `/notifications/{id}`."""
    signature = edge.runtime.settings.sms_signature
    return edge.perform(
        order,
        lambda desk: Noted(contacts.test(desk, contact, signature), None),
        _notification,
        status=202,
    )


@router.get(
    "/notifying",
    summary="通知方式和类型",
    operation_id="read_notifying",
    response_model=NotifyingView,
)
def read_notifying(edge: ReadDep) -> NotifyingView:
    """Which means this site has, and what a contact may be told."""
    settings = edge.runtime.settings
    how = open_senders(settings).how
    return NotifyingView(
        means=[
            MeansView(means=each, how=how[each], quiet=settings.sms_quiet if each is Means.SMS else None)
            for each in Means
        ],
        kinds=[
            KindView(
                kind=kind,
                label=CATALOGUE[kind].label,
                usual=template.usual,
                urgent=template.urgent,
                platform=template.platform,
            )
            for kind, template in wording.templates().items()
            if kind != wording.TESTED
        ],
    )


# --- what was sent -----------------------------------------------------------------------------------------------------


def _notification(noted: Noted) -> NotificationView:
    found = noted.notification
    kept: dict[str, Any] = {
        name: getattr(found, name)
        for name in NotificationView.model_fields
        if name not in ("contact", "label", "number", "address")
    }
    known = CATALOGUE.get(found.kind)
    return NotificationView(
        **kept,
        contact=found.contact_id,
        label=known.label if known else "测试",
        number=noted.number,
        address=found.shown,
    )


@router.get(
    "/notifications",
    summary="通知记录",
    operation_id="list_notifications",
    response_model=NotificationPage,
)
def list_notifications(query: Annotated[NotificationQuery, Query()], edge: ReadDep) -> NotificationPage:
    """What was sent within reach, newest first; `state=failed` and `given_up` list what did not arrive."""
    found = records.listed(
        edge.desk(),
        state=query.state,
        means=query.means,
        contact=query.contact,
        before=query.cursor,
        limit=query.limit,
    )
    following = found[-1].notification.id if len(found) == query.limit else None
    return NotificationPage(items=[_notification(each) for each in found], next=following)


@router.get(
    "/notifications/{notification}",
    summary="一条通知记录",
    operation_id="read_notification",
    response_model=NotificationView,
)
def read_notification(notification: fields.KeyPath, edge: ReadDep) -> NotificationView:
    """One notice with every attempt."""
    return _notification(records.one(edge.desk(), notification))


@router.post(
    "/notifications/{notification}/retry",
    status_code=202,
    summary="重发一条通知",
    operation_id="retry_notification",
    response_model=NotificationView,
    openapi_extra=with_example({}),
)
def retry_notification(notification: fields.KeyPath, order: NoOrder, edge: EdgeDep) -> Response:
    """What failed or was given up is tried anew, to the contact's address of today."""
    return edge.perform(order, lambda desk: records.retry(desk, notification), _notification, status=202)


# --- delivery reports --------------------------------------------------------------------------------------------------


async def _raw(request: Request) -> bytes:
    """The body as it came, which the signature is about."""
    return await request.body()


def reporting(
    request: Request,
    raw: Annotated[bytes, Depends(_raw)],
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Iterator[Edge]:
    """The SMS gateway, by its signature alone. One that is not good is charged to its address."""
    runtime: Runtime = request.app.state.runtime
    shield.check_address(request)
    refuse_unknown_query(request)
    at = runtime.clock()
    secret = runtime.settings.sms_secret
    if secret is None or not is_signed(secret.get_secret_value(), request.headers, raw, at):
        shield.failed(request)
        raise Unauthenticated("签名无效或已过期，或本系统没有设置短信网关；请核对双方的密钥和时钟。")
    gateway = Actor("gateway", None, "短信网关", frozenset(), address=address_of(request))
    with Session(runtime.engine, expire_on_commit=False) as session:
        yield Edge(
            request,
            runtime,
            session,
            Who(gateway),
            at,
            expected_version(if_match),
            checked_key(idempotency_key),
        )


@router.post(
    "/notifications/reports",
    summary="短信状态报告",
    operation_id="report_texts",
    response_model=ReportsTaken,
    openapi_extra=NO_CREDENTIALS
    | with_example({"reports": [{"id": "ntf-1024-1772413800-1", "delivered": True, "code": "DELIVRD"}]}),
    description="短信网关的回执，按 Standard Webhooks 以 HOTLINE_SMS_SECRET 签名（`webhook-id`、`webhook-timestamp`、"
    "`webhook-signature`），不需要令牌。重复送达不改变结果。",
)
def report_texts(order: ReportsOrder, edge: Annotated[Edge, Depends(reporting)]) -> Response:
    """Whether texts arrived, as the carrier says."""
    told = [Report(each.id, each.delivered, each.code) for each in order.reports]
    return edge.perform(
        order,
        lambda desk: records.take_reports(desk.session, desk.at, told),
        lambda known: ReportsTaken(known=known, unknown=len(told) - known),
    )
