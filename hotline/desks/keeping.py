"""What a person keeps for themselves: saved filters (常用筛选) and unfinished forms (表单草稿), which outlive a reload, a seat and a restart."""

import json
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import Session, col

from hotline.case import Desk
from hotline.desks import worklists
from hotline.desks.tables import FormDraft, SavedFilter
from hotline.fields import Order, keepable, says_something
from hotline.privacy.sealing import of_form_draft
from hotline.queues import FilterWords
from workflow.errors import AccessRefused, LimitExceeded, NotFound, VersionConflict

MOST_FILTERS: Final = 30
MOST_DRAFTS: Final = 50
DRAFT_BYTES: Final = 64 * 1024
DRAFTS_KEPT: Final = timedelta(days=7)

FilterName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=40),
    AfterValidator(keepable),
    AfterValidator(says_something),
]


class FilterOrder(Order):
    """常用筛选: a name, the queue it narrows, and the list's own filters."""

    name: FilterName = Field(examples=["湟中区供热"])
    queue: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")] | None = Field(
        default=None, examples=["to_dispatch"]
    )
    filters: FilterWords = FilterWords()
    sort: Annotated[str, StringConstraints(pattern=r"^(received|due)$")] | None = None


def _sendable(content: dict[str, Any]) -> dict[str, Any]:
    """What can be sent back as JSON. Raises `ValueError`."""
    try:
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise ValueError("包含不完整的字符（孤立的代理项），请检查编码") from None
    except ValueError:
        raise ValueError("包含 JSON 没有的数值（NaN、Infinity）") from None
    return content


class DraftOrder(Order):
    """表单草稿: whatever the form holds, as JSON of at most 64 KB."""

    content: Annotated[dict[str, Any], AfterValidator(_sendable)] = Field(
        examples=[{"title": "暖气不热", "area": "630104000000"}]
    )


def _person(desk: Desk) -> int:
    if desk.actor.kind != "person" or desk.actor.id is None:
        raise AccessRefused("接口没有自己的筛选和草稿；请以人员身份登录。")
    return desk.actor.id


# --- saved filters ---------------------------------------------------------------------------------------------------------


def filters(desk: Desk) -> list[SavedFilter]:
    """The person's saved filters, in the order they were made."""
    statement = (
        select(SavedFilter).where(col(SavedFilter.person_id) == _person(desk)).order_by(col(SavedFilter.id))
    )
    return list(desk.session.execute(statement).scalars())


def save_filter(desk: Desk, order: FilterOrder, filter_id: int | None = None) -> SavedFilter:
    """A new saved filter, or another content for the one with this key. Raises `LimitExceeded` beyond 30, `NotFound`. The caller commits."""
    person = _person(desk)
    if order.queue is not None:
        worklists.worklist_of(desk.actor, order.queue)
    query = order.model_dump(mode="json", include={"queue", "sort"}, exclude_none=True)
    query["filters"] = order.filters.model_dump(mode="json", exclude_defaults=True)
    if filter_id is not None:
        found = _own_filter(desk, filter_id)
        found.name, found.query, found.saved_at = order.name, query, desk.at
    else:
        desk.session.execute(select(func.pg_advisory_xact_lock(_FILTER_LOCK, person)))
        if len(filters(desk)) >= MOST_FILTERS:
            raise LimitExceeded(f"常用筛选至多保存 {MOST_FILTERS} 个，请先删除不用的。", field="name")
        found = SavedFilter(person_id=person, name=order.name, query=query, saved_at=desk.at)
    desk.session.add(found)
    desk.session.flush()
    return found


_FILTER_LOCK: Final = 12345_008


def remove_filter(desk: Desk, filter_id: int) -> SavedFilter:
    """删除. Raises `NotFound`. The caller commits."""
    found = _own_filter(desk, filter_id)
    desk.session.delete(found)
    desk.session.flush()
    return found


def _own_filter(desk: Desk, filter_id: int) -> SavedFilter:
    found = desk.session.get(SavedFilter, filter_id, with_for_update=True)
    if found is None or found.person_id != _person(desk):
        raise NotFound("没有这个常用筛选。", field="filter")
    return found


# --- drafts ----------------------------------------------------------------------------------------------------------------


def save_draft(desk: Desk, form: str, order: DraftOrder) -> FormDraft:
    """Keep an unfinished form for seven days. The caller commits.

    Raises `LimitExceeded` beyond 64 KB or 50 forms, `VersionConflict` where another seat saved it since the revision in If-Match.
    """
    person = _person(desk)
    content = json.dumps(order.content, separators=(",", ":"))
    if len(content.encode()) > DRAFT_BYTES:
        raise LimitExceeded("草稿超过 64 KB 的上限；附件请在登记后上传。", field="content")
    _check_revision(desk, person, form)
    held = (
        select(func.count())
        .select_from(FormDraft)
        .where(
            col(FormDraft.person_id) == person,
            col(FormDraft.form) != form,
            col(FormDraft.expires_at) > desk.at,
        )
    )
    if desk.session.execute(held).scalar_one() >= MOST_DRAFTS:
        raise LimitExceeded(f"未完成的表单至多 {MOST_DRAFTS} 份，请先完成或放弃一些。", field="form")
    values = {
        "person_id": person,
        "form": form,
        "sealed": desk.office.sealer.seal(content, of_form_draft(person, form)),
        "saved_at": desk.at,
        "expires_at": desk.at + DRAFTS_KEPT,
    }
    kept = upsert(FormDraft.__table__).values(**values, revision=1)  # type: ignore[attr-defined]
    anew = {name: kept.excluded[name] for name in ("sealed", "saved_at", "expires_at")}
    desk.session.execute(
        kept.on_conflict_do_update(
            index_elements=["person_id", "form"],
            set_=anew | {"revision": FormDraft.__table__.c.revision + 1},  # type: ignore[attr-defined]
        )
    )
    found = _draft(desk, person, form)
    assert found is not None
    return found


def _check_revision(desk: Desk, person: int, form: str) -> None:
    if desk.expected_version is None:
        return
    found = _draft(desk, person, form, locked=True)
    if found is not None and found.revision != desk.expected_version:
        raise VersionConflict(
            "这份草稿已在另一处修改，请先取回再保存。",
            extra={"version": found.revision, "saved_at": found.saved_at.isoformat()},
        )


def _draft(desk: Desk, person: int, form: str, *, locked: bool = False) -> FormDraft | None:
    statement = select(FormDraft).where(col(FormDraft.person_id) == person, col(FormDraft.form) == form)
    if locked:
        statement = statement.with_for_update()
    return desk.session.execute(statement.execution_options(populate_existing=True)).scalar_one_or_none()


def drafts(desk: Desk) -> list[FormDraft]:
    """The person's unfinished forms, the newest first; what is in them is read one by one."""
    statement = (
        select(FormDraft)
        .where(col(FormDraft.person_id) == _person(desk), col(FormDraft.expires_at) > desk.at)
        .order_by(col(FormDraft.saved_at).desc(), col(FormDraft.id).desc())
    )
    return list(desk.session.execute(statement).scalars())


def read_draft(desk: Desk, form: str) -> tuple[FormDraft, dict[str, Any]]:
    """One unfinished form of the person's own and what is in it. Raises `NotFound`, `SealBroken`."""
    person = _person(desk)
    found = _draft(desk, person, form)
    if found is None or found.expires_at <= desk.at:
        raise NotFound("没有这份草稿，或已过期。", field="form")
    content: dict[str, Any] = json.loads(desk.office.sealer.open(found.sealed, of_form_draft(person, form)))
    return found, content


def discard_draft(desk: Desk, form: str) -> bool:
    """放弃, or finished: whether there was one. The caller commits."""
    gone = desk.session.execute(
        delete(FormDraft).where(col(FormDraft.person_id) == _person(desk), col(FormDraft.form) == form)
    )
    return bool(gone.rowcount)  # type: ignore[attr-defined]


def forget_drafts(session: Session, as_of: datetime) -> int:
    """Drop the drafts that have expired; returns how many. The caller commits."""
    gone = session.execute(delete(FormDraft).where(col(FormDraft.expires_at) <= as_of))
    return int(gone.rowcount)  # type: ignore[attr-defined]
