"""Our articles sent to who follows us: signed, in order, again with longer waits where it failed. Art. 19, 21."""

import base64
import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from pydantic import ValidationError
from sqlalchemy import exists, select
from sqlmodel import Session, col

from hotline.case import Office
from hotline.exchange import outbox
from hotline.organisation import Platform
from hotline.privacy.sealing import of_peer
from hotline.storage.blobs import BlobStore
from knowledge_base import feed
from knowledge_base.feed import Change, FileNote
from knowledge_base.models import Article, KnowledgeChange, Peer
from knowledge_base.syncing import MESSAGE_TYPE, MOST_CHANGES, Delivery, Taken
from workflow.errors import NotFound

_MESSAGE_BYTES: Final = 4 * 1024 * 1024
_FILE_BYTES: Final = 3 * 1024 * 1024
"""Bytes of files that go along in one message; larger ones are fetched by who pulls."""

_SHORTEST_WAIT, _LONGEST_WAIT = timedelta(seconds=5), timedelta(hours=1)


def push_due(session: Session, office: Office, as_of: datetime) -> int:
    """Send one peer what it has not had, up to one message; how many changes. On failure it waits, longer each time.

    The caller commits; a peer is locked meanwhile, so replicas send to different ones.
    """
    waiting = exists(
        select(col(KnowledgeChange.id)).where(
            col(KnowledgeChange.platform_id) == col(Peer.platform_id),
            col(KnowledgeChange.id) > col(Peer.cursor),
        )
    )
    due = col(Peer.next_at).is_(None) | (col(Peer.next_at) <= as_of)
    peer = session.execute(
        select(Peer)
        .where(col(Peer.active), ~col(Peer.pulls), due, waiting)
        .order_by(col(Peer.id))
        .limit(1)
        .with_for_update(skip_locked=True)
    ).scalar_one_or_none()
    if peer is None:
        return 0
    delivery = _next_delivery(session, office.blobs, peer)
    body = delivery.model_dump_json(exclude_none=True).encode()
    first, last = delivery.changes[0].cursor, delivery.changes[-1].cursor
    secret = office.sealer.open(peer.secret, of_peer(peer.id))
    try:
        answer = outbox.send_signed(
            peer.url,
            secret,
            f"knowledge-{delivery.platform}-{first}-{last}",
            body,
            at=as_of,
            allow_private=office.policy.allow_private_targets,
        )
    except (outbox.SendFailed, outbox.TargetRefused) as error:
        _failed(peer, str(error), as_of)
    else:
        peer.cursor, peer.failures, peer.next_at = last, 0, None
        peer.last_ok_at, peer.last_problem = as_of, _refusals(answer.body)
    session.add(peer)
    return len(delivery.changes)


def _next_delivery(session: Session, blobs: BlobStore, peer: Peer) -> Delivery:
    platform = session.get_one(Platform, peer.platform_id)
    page = feed.page(session, col(Article.platform_id) == platform.id, peer.cursor, MOST_CHANGES)
    sent: list[Change] = []
    size = 0
    for change in page.changes:
        _send_along(blobs, change.document.files)
        size += len(change.model_dump_json())
        if sent and size > _MESSAGE_BYTES:
            break
        sent.append(change)
    return Delivery(type=MESSAGE_TYPE, platform=platform.code, changes=sent)


def _send_along(blobs: BlobStore, files: Iterable[FileNote]) -> None:
    room = _FILE_BYTES
    for note in files:
        if note.size > room:
            continue
        try:
            note.content = base64.b64encode(blobs.get(note.sha256)).decode()
        except NotFound:
            continue
        room -= note.size


def _failed(peer: Peer, problem: str, at: datetime) -> None:
    peer.failures += 1
    wait = min(_SHORTEST_WAIT * 2 ** min(peer.failures - 1, 12), _LONGEST_WAIT)
    peer.next_at = at + wait * random.uniform(0.5, 1.5)  # noqa: S311 - so that peers do not all come back at once
    peer.last_problem = problem[:500]


def _refusals(body: bytes) -> str | None:
    try:
        refused = Taken.model_validate_json(body).refused
    except ValidationError:
        return None
    return "对方未接受：" + "；".join(refused)[:500] if refused else None
