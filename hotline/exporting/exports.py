"""数据导出: asked with purpose and scope, approved by another person, made from what the asker may see, watermarked, sealed at rest,
downloaded by the asker only, destroyed when its time is over."""

import hashlib
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from pydantic import Field
from sqlalchemy import func, select
from sqlmodel import Session, col

from hotline.access import SYSTEM, Actor
from hotline.auditing import audit
from hotline.auditing.trail import ExportRequest
from hotline.case import Desk, Office
from hotline.exporting.files import Watermark, write
from hotline.exporting.rows import Rows
from hotline.fields import Line, Order, Prose, Whole
from hotline.models import Ticket
from hotline.organisation import AccessToken, OrgUnit, Person
from hotline.people.accounts import actor_for
from hotline.people.identity import MachineClient
from hotline.privacy.masking import mask_text
from hotline.privacy.sealed_files import SealedFiles
from hotline.privacy.sealing import SealBroken
from hotline.queues import Filters, FilterWords, filters_of, matching
from workflow.errors import AccessRefused, LimitExceeded, NotFound, OrderInvalid, OutOfSight, RuleBroken
from workflow.vocabulary import AuditKind, ExportState, PersonalField, Purpose, Role

log = logging.getLogger("hotline.exports")

MOST_ROWS: Final = 200_000
AT_ONCE: Final = 5_000
"""Rows up to which the file is made while the approver waits; a larger one is made by the ticker."""

_DRAFT_FOR: Final = timedelta(hours=1)
UNDECIDED_FOR: Final = timedelta(days=30)
"""How long a request waits for a decision before it lapses."""

ASKERS: Final = frozenset({Role.DISPATCHER, Role.SUPERVISOR, Role.REVIEWER, Role.AUDITOR, Role.UNIT_LEAD})
"""Who may ask for an export."""

OPENERS: Final = frozenset({Role.DISPATCHER, Role.SUPERVISOR})
"""Whose exports may hold callers' fields unmasked; which callers', is `hotline.access.may_open`."""

Openable = Literal[PersonalField.NAME, PersonalField.PHONE, PersonalField.ADDRESS, PersonalField.ID_NUMBER]


class ExportOrder(Order):
    """申请导出: what for, which tickets, which of the callers' fields unmasked, as which kind of file."""

    purpose: Purpose = Field(title="用途")
    explanation: Prose = Field(title="说明")
    filters: FilterWords = Field(title="范围", default_factory=lambda: FilterWords())
    unmasked: tuple[Openable, ...] = Field(
        title="不脱敏的来电人信息", json_schema_extra={"x-words": "personal_field"}, default=(), max_length=4
    )
    format: Literal["xlsx", "csv"] = Field(default="xlsx", title="文件格式")


class ApprovalOrder(Order):
    """批准导出: why, and for how many hours the file may be downloaded (by default and at most the installation's)."""

    reason: Line = Field(title="理由")
    hours: Whole | None = Field(title="可下载时长（小时）", default=None, ge=1, le=24 * 30)


class AlreadyDecided(RuleBroken):
    """A request that somebody decided, or that lapsed, meanwhile."""

    code = "already_decided"


class NotReady(RuleBroken):
    """A file that is not there yet: not approved, or still being made."""

    code = "export_not_ready"


# --- asking ------------------------------------------------------------------------------------------------------------


def ask(desk: Desk, order: ExportOrder) -> ExportRequest:
    """申请导出. Raises `AccessRefused` (art. 15), `LimitExceeded` over 200,000 rows, `OrderInvalid`."""
    actor = desk.actor
    if actor.home_id is None:
        raise AccessRefused("只有热线平台和承办单位的人员可以申请导出。")
    unmasked = sorted({field.value for field in order.unmasked})
    if unmasked and (actor.is_unit or not actor.roles & OPENERS):
        raise AccessRefused("您不能查看来电人信息，导出时也不能取消脱敏。", article="15", field="unmasked")
    if order.filters.text is not None and mask_text(order.filters.text) != order.filters.text:
        raise OrderInvalid("筛选文字中不得写来电人信息。", article="15", field="filters.text")
    rows = _counted(desk.session, actor, filters_of(order.filters, desk.at))
    export = ExportRequest(
        platform_id=actor.home_id,
        unit_id=actor.unit_id,
        asked_by=actor.key,
        asked_by_name=actor.name,
        asked_at=desk.at,
        purpose=order.purpose,
        explanation=mask_text(order.explanation),
        filters=order.filters.model_dump(mode="json", exclude_defaults=True),
        unmasked=unmasked,
        file_format=order.format,
        state=ExportState.ASKED,
        rows=rows,
    )
    desk.session.add(export)
    desk.session.flush()
    told = {"purpose": export.purpose.value, "unmasked": unmasked, "format": order.format, "rows": rows}
    _record(desk.session, desk.office, AuditKind.EXPORT_ASKED, export, desk.actor, desk.at, told)
    return export


def _counted(session: Session, actor: Actor, filters: Filters) -> int:
    """How many rows the export has now. Raises `LimitExceeded`."""
    found = select(col(Ticket.id)).where(*matching(actor, filters)).limit(MOST_ROWS + 1).subquery()
    rows = int(session.execute(select(func.count()).select_from(found)).scalar_one())
    if rows > MOST_ROWS:
        raise LimitExceeded(f"符合条件的工单超过 {MOST_ROWS} 个，请缩小范围后分次申请。", field="filters")
    return rows


def _record(
    session: Session,
    office: Office,
    kind: AuditKind,
    export: ExportRequest,
    actor: Actor,
    at: datetime,
    what: dict[str, Any],
) -> None:
    audit.record(
        session,
        kind,
        at=at,
        actor=actor,
        platform_id=export.platform_id,
        what={"export": export.id} | what,
        algorithm=office.policy.algorithm,
    )


# --- deciding ----------------------------------------------------------------------------------------------------------


def may_decide(actor: Actor, export: ExportRequest) -> bool:
    """Whether this actor could decide the request: a supervisor in person of its platform or one above, and not its asker."""
    return (
        actor.kind == "person"
        and not actor.is_unit
        and Role.SUPERVISOR in actor.roles
        and export.platform_id in actor.platform_ids
        and actor.key != export.asked_by
    )


def approve(desk: Desk, export_id: int, order: ApprovalOrder) -> ExportRequest:
    """批准导出. Up to 5,000 rows the file is made now, else by the ticker, from what the asker may see at that time.

    Raises `NotFound`, `AccessRefused` (not one's own, nor one's machine's), `AlreadyDecided`, `LimitExceeded`, `OrderInvalid`.
    """
    export = _to_decide(desk, export_id)
    longest = desk.office.policy.export_hours
    if order.hours is not None and order.hours > longest:
        raise LimitExceeded(f"导出文件至多可下载 {longest} 小时。", field="hours")
    asker = asker_of(desk.session, export, desk.at)
    if asker is None:
        raise OrderInvalid("申请人已离岗、停用或不再具有相应角色，不能批准。")
    export.rows = _counted(desk.session, asker, _filters(export, desk.at))
    export.opens_hours = order.hours or longest
    _decide(desk, export, ExportState.PREPARING, order.reason)
    told = {"approved": True, "hours": export.opens_hours, "rows": export.rows, "unmasked": export.unmasked}
    if export.rows <= AT_ONCE:
        told |= _make(desk.session, desk.office, export, asker, desk.at)
    _record(desk.session, desk.office, AuditKind.EXPORT_DECIDED, export, desk.actor, desk.at, told)
    return export


def refuse(desk: Desk, export_id: int, reason: str) -> ExportRequest:
    """不予批准, with a reason. Raises `NotFound`, `AccessRefused`, `AlreadyDecided`."""
    export = _to_decide(desk, export_id)
    _decide(desk, export, ExportState.REFUSED, reason)
    files_of(desk.office).destroy(
        name_of(export)
    )  # an approval that was killed before its commit may have left one
    told = {"approved": False}
    _record(desk.session, desk.office, AuditKind.EXPORT_DECIDED, export, desk.actor, desk.at, told)
    return export


def _to_decide(desk: Desk, export_id: int) -> ExportRequest:
    export = desk.session.get(ExportRequest, export_id, with_for_update=True, populate_existing=True)
    if export is None:
        raise NotFound("没有这份导出申请，或不在您的权限范围内。")
    if not visible(desk.actor, export):
        raise OutOfSight("没有这份导出申请，或不在您的权限范围内。")
    if export.asked_by == desk.actor.key or _is_behind(desk.session, desk.actor, export):
        raise AccessRefused("导出申请须由申请人以外的人员审批，不能审批本人或本人接口客户端的申请。")
    if not may_decide(desk.actor, export):
        raise AccessRefused("导出申请由所属平台或上级平台的督办主管本人审批。")
    if export.state is not ExportState.ASKED:
        raise AlreadyDecided(
            f"该申请已由{export.decided_by_name or '系统'}处理，现为“{export.state.label}”。"
        )
    return export


def _is_behind(session: Session, person: Actor, export: ExportRequest) -> bool:
    """Whether a machine asked that this person set up."""
    kind, _, key = export.asked_by.partition(":")
    if not kind.endswith("_client"):
        return False
    client = session.get(MachineClient, int(key))
    return client is not None and client.created_by == person.name


def _decide(desk: Desk, export: ExportRequest, state: ExportState, reason: str) -> None:
    export.state, export.decision_reason = state, mask_text(reason)
    export.decided_by, export.decided_by_name = desk.actor.key, desk.actor.name
    export.decided_at = desk.at
    desk.session.add(export)
    desk.session.flush()


def asker_of(session: Session, export: ExportRequest, at: datetime) -> Actor | None:
    """Who asked, as they stand now; None if they are no longer active, or no longer where they asked from."""
    kind, _, key = export.asked_by.partition(":")
    if kind == "person":
        person = session.get(Person, int(key))
        if person is None or not person.active:
            return None
        actor = actor_for(session, person)
    else:
        roles = _machine_roles(session, kind, int(key), at)
        if not roles:
            return None
        home = frozenset({export.platform_id}) if export.unit_id is None else frozenset[int]()
        actor = Actor(kind, int(key), export.asked_by_name, roles, home_id=export.platform_id)
        platform = export.platform_id if export.unit_id is None else None
        actor = replace(actor, platform_id=platform, unit_id=export.unit_id, platform_ids=home)
    unit = session.get(OrgUnit, export.unit_id) if export.unit_id is not None else None
    moved = (actor.home_id, actor.unit_id) != (export.platform_id, export.unit_id)
    return None if moved or (unit is not None and not unit.active) or not actor.roles & ASKERS else actor


def _machine_roles(session: Session, kind: str, key: int, at: datetime) -> frozenset[Role]:
    if kind.endswith("_client"):
        client = session.get(MachineClient, key)
        return frozenset(map(Role, client.roles)) if client and client.revoked_at is None else frozenset()
    token = session.get(AccessToken, key)
    if token is None or token.revoked_at is not None or (token.expires_at and token.expires_at <= at):
        return frozenset()
    return frozenset(map(Role, token.roles))


# --- making ------------------------------------------------------------------------------------------------------------


def make_due(session: Session, office: Office, at: datetime) -> int:
    """Make the file of one approved export that awaits it; how many were made. The caller commits."""
    export = session.execute(
        select(ExportRequest)
        .where(col(ExportRequest.state) == ExportState.PREPARING)
        .order_by(func.random())  # one that cannot be made keeps none of the others back
        .limit(1)
        .with_for_update(skip_locked=True)
    ).scalar_one_or_none()
    if export is None:
        return 0
    asker = asker_of(session, export, at)
    if asker is None:
        export.state, export.decision_reason = ExportState.REFUSED, "申请人已离岗、停用或调离，文件未生成。"
        session.add(export)
        told: dict[str, Any] = {"approved": False}
    else:
        told = {"approved": True} | _make(session, office, export, asker, at)
    _record(session, office, AuditKind.EXPORT_DECIDED, export, SYSTEM, at, told)
    return 1


def _make(
    session: Session, office: Office, export: ExportRequest, asker: Actor, at: datetime
) -> dict[str, Any]:
    """Write the file and seal it; what the audit trail says of it. A file already there, of a try that was undone, is replaced."""
    assert export.decided_at is not None
    assert export.opens_hours is not None
    mark = Watermark(
        export.id,
        export.asked_by_name,
        export.decided_by_name or "",
        at,
        f"{export.purpose.label}：{export.explanation[:60]}",
    )
    rows = Rows(session, office, asker, export, _filters(export, export.decided_at), at)
    files = files_of(office)
    with files.drafting() as folder:
        draft = folder / f"draft.{export.file_format}"
        write(export.file_format, draft, rows, mark)
        with draft.open("rb") as written:
            export.sha256 = hashlib.file_digest(written, "sha256").hexdigest()
        files.seal(name_of(export), draft)
    export.state, export.rows = ExportState.APPROVED, rows.count
    export.expires_at = at + timedelta(hours=export.opens_hours)
    session.add(export)
    session.flush()
    return {"rows": rows.count, "callers_opened": rows.opened, "sha256": export.sha256}


def _filters(export: ExportRequest, as_of: datetime) -> Filters:
    return filters_of(FilterWords.model_validate(export.filters), as_of)


def files_of(office: Office) -> SealedFiles:
    """Where exports lie, sealed."""
    return SealedFiles(office.blobs.folder / "exports", office.sealer)


def name_of(export: ExportRequest) -> str:
    """The name an export's file lies under."""
    return f"{export.id}.{export.file_format}.sealed"


# --- reading -----------------------------------------------------------------------------------------------------------


def visible(actor: Actor, export: ExportRequest) -> bool:
    """Whether this actor learns of the request: the asker, and the supervisors and auditors of its platform or one above."""
    if export.asked_by == actor.key:
        return True
    watching = bool(actor.roles & {Role.SUPERVISOR, Role.AUDITOR}) and not actor.is_unit
    return watching and export.platform_id in actor.platform_ids


def found(session: Session, actor: Actor, export_id: int) -> ExportRequest:
    """One request. Raises `NotFound`, `OutOfSight`."""
    export = session.get(ExportRequest, export_id)
    if export is None:
        raise NotFound("没有这份导出申请，或不在您的权限范围内。")
    if not visible(actor, export):
        raise OutOfSight("没有这份导出申请，或不在您的权限范围内。")
    return export


def listed(
    session: Session, actor: Actor, *, state: ExportState | None, before: int | None, limit: int
) -> list[ExportRequest]:
    """The actor's own requests and those they watch over, newest first, with keys below `before`."""
    own = col(ExportRequest.asked_by) == actor.key
    if actor.roles & {Role.SUPERVISOR, Role.AUDITOR} and not actor.is_unit:
        own |= col(ExportRequest.platform_id).in_(sorted(actor.platform_ids))
    statement = select(ExportRequest).where(own).order_by(col(ExportRequest.id).desc()).limit(limit)
    if state is not None:
        statement = statement.where(col(ExportRequest.state) == state)
    if before is not None:
        statement = statement.where(col(ExportRequest.id) < before)
    return list(session.execute(statement).scalars())


def download(desk: Desk, export_id: int) -> tuple[ExportRequest, bytes]:
    """The file, for its asker until it expires; counted and recorded each time. The caller commits before handing it out.

    Raises `NotFound`, `OutOfSight`, `AccessRefused`, `NotReady`.
    """
    export = desk.session.get(ExportRequest, export_id, with_for_update=True, populate_existing=True)
    if export is None:
        raise NotFound("没有这份导出申请，或不在您的权限范围内。")
    if not visible(desk.actor, export):
        raise OutOfSight("没有这份导出申请，或不在您的权限范围内。")
    if export.asked_by != desk.actor.key:
        raise AccessRefused("导出文件只能由申请人本人下载。")
    if (desk.actor.home_id, desk.actor.unit_id) != (export.platform_id, export.unit_id):
        raise AccessRefused("您已不在申请时的平台或单位，请重新申请。")
    if export.state in (ExportState.ASKED, ExportState.PREPARING, ExportState.REFUSED):
        raise NotReady(f"导出文件尚不能下载：该申请{export.state.label}。")
    if export.state is ExportState.EXPIRED or export.expires_at is None or export.expires_at <= desk.at:
        raise NotFound("导出文件已过下载期限，请重新申请。")
    try:
        content = files_of(desk.office).read(name_of(export))
    except (FileNotFoundError, SealBroken):
        content = b""
    if hashlib.sha256(content).hexdigest() != export.sha256:
        raise NotFound("导出文件已损坏或已不在存储中，请重新申请。")
    export.downloads += 1
    desk.session.add(export)
    told = {"sha256": export.sha256, "downloads": export.downloads}
    _record(desk.session, desk.office, AuditKind.EXPORT_READ, export, desk.actor, desk.at, told)
    return export, content


# --- destroying --------------------------------------------------------------------------------------------------------


def destroy_expired(session: Session, office: Office, at: datetime, *, batch: int = 100) -> int:
    """Destroy files whose time is over, and let requests lapse that nobody decided for 30 days; how many. The caller commits.

    A file the disk will not give up is left for a later run; one that is gone already is recorded once, like any other.
    """
    over = (col(ExportRequest.state) == ExportState.APPROVED) & (col(ExportRequest.expires_at) <= at)
    lapsed = (col(ExportRequest.state) == ExportState.ASKED) & (
        col(ExportRequest.asked_at) <= at - UNDECIDED_FOR
    )
    due = session.execute(
        select(ExportRequest)
        .where(over | lapsed)
        .order_by(func.random())  # what cannot be destroyed keeps none of the others back
        .limit(batch)
        .with_for_update(skip_locked=True)
    ).scalars()
    files_of(office).clear_drafts((at - _DRAFT_FOR).timestamp())
    done = [export for export in due if _destroyed(office, export)]
    for export in sorted(done, key=lambda export: (export.platform_id, export.id)):
        made = export.sha256 is not None
        export.state, export.destroyed_at = ExportState.EXPIRED, at if made else None
        session.add(export)
        if made:
            told = {"sha256": export.sha256, "downloads": export.downloads}
            _record(session, office, AuditKind.EXPORT_DESTROYED, export, SYSTEM, at, told)
    return len(done)


def _destroyed(office: Office, export: ExportRequest) -> bool:
    try:
        files_of(office).destroy(name_of(export))
    except OSError as error:
        log.warning("export %d could not be destroyed: %s", export.id, type(error).__name__)
        return False
    return True
