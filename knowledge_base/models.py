"""Knowledge articles as rows. A version, once written, is never changed: a ticket can always show what was told."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, ForeignKey, Text, UniqueConstraint
from sqlmodel import Field, SQLModel


class Article(SQLModel, table=True):
    """知识条目: one question and the unit answerable for its answer."""

    __tablename__ = "knowledge_articles"
    id: int = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    platform_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("platforms.id"), nullable=False, index=True)
    )
    unit_id: int | None = Field(
        default=None, sa_column=Column(BigInteger, ForeignKey("units.id"), nullable=True)
    )
    category_code: str | None = Field(default=None, max_length=12)
    current_version: int = 0
    withdrawn_at: datetime | None = None


class ArticleVersion(SQLModel, table=True):
    """One immutable wording of an article."""

    __tablename__ = "knowledge_versions"
    id: int = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    article_id: int = Field(sa_column=Column(BigInteger, ForeignKey("knowledge_articles.id"), nullable=False))
    version: int
    question: str = Field(sa_column=Column(Text, nullable=False))
    answer: str = Field(sa_column=Column(Text, nullable=False))
    legal_basis: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    written_by: str = Field(max_length=100)
    written_at: datetime

    __table_args__ = (UniqueConstraint("article_id", "version", name="ux_knowledge_versions"),)
