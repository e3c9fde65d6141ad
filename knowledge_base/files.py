"""Files that belong to a version of an article: a form to fill in, the policy's own text. Kept like the tickets' attachments."""

import hashlib
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.fields import Line, Order
from hotline.recordings import lock_bytes
from hotline.storage.blobs import BlobStore
from hotline.uploads import file_name
from knowledge_base.articles import find, own_article, version_of
from knowledge_base.models import ArticleFile
from workflow.errors import LimitExceeded, NotFound, OrderInvalid
from workflow.vocabulary import VersionState

MOST: Final = 20
_OPEN = (VersionState.DRAFT, VersionState.SENT_BACK)


class FileOrder(Order):
    """A file's name; its bytes come beside it."""

    name: Line


def attach(
    session: Session,
    actor: Actor,
    blobs: BlobStore,
    article_id: int,
    version: int,
    name: str,
    content: bytes,
    *,
    at: datetime,
) -> ArticleFile:
    """Add a file to the newest version while it is a draft; what was submitted stays as it is.

    Raises `NotFound`, `OrderInvalid`, `LimitExceeded` (field `file`). The caller commits.
    """
    article = own_article(session, actor, article_id)
    found = version_of(session, article.id, version)
    if found is None:
        raise NotFound(f"知识 {article_id} 没有第 {version} 版。", field="version")
    if found.state not in _OPEN or found.version != article.current_version:
        raise OrderInvalid("只能为最新的草稿添加附件；已提交或已发布的请先保存新版本。", field="version")
    if len(files_of(session, article_id, version)) >= MOST:
        raise LimitExceeded(f"一个版本最多 {MOST} 个附件。", field="file")
    lock_bytes(
        session, hashlib.sha256(content).hexdigest()
    )  # a recording of the same bytes may be at its end
    blob = blobs.put(content)
    file = ArticleFile(
        article_id=article.id,
        version=version,
        name=file_name(name, blob.media_type),
        media_type=blob.media_type,
        size=blob.size,
        sha256=blob.sha256,
        added_by=actor.name,
        added_at=at,
    )
    session.add(file)
    session.flush()
    return file


def files_of(session: Session, article_id: int, version: int) -> list[ArticleFile]:
    """The files of a version."""
    rows = session.execute(
        select(ArticleFile)
        .where(col(ArticleFile.article_id) == article_id, col(ArticleFile.version) == version)
        .order_by(col(ArticleFile.id))
    )
    return list(rows.scalars())


def content_of_file(
    session: Session, actor: Actor, blobs: BlobStore, article_id: int, version: int, file_id: int
) -> tuple[ArticleFile, bytes]:
    """A file and its bytes, for who may read the version. Raises `NotFound`."""
    find(session, actor, f"{article_id}@{version}")
    file = session.get(ArticleFile, file_id)
    if file is None or (file.article_id, file.version) != (article_id, version):
        raise NotFound("这一版没有该附件。", field="file")
    return file, blobs.get(file.sha256)
