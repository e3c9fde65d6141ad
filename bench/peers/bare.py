"""The limit: FastAPI that checks a body and runs one INSERT, committed, on the PostgreSQL of PEER_DATABASE_URL. Nothing else."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel


class Demand(BaseModel):
    """As much as a ticket's demand says."""

    title: str
    content: str
    category: str
    area: str


class Kept(BaseModel):
    """The row's key."""

    id: int


@asynccontextmanager
async def _pooled(app: FastAPI) -> AsyncIterator[None]:
    url = os.environ["PEER_DATABASE_URL"]
    async with AsyncConnectionPool(url, min_size=8, max_size=8, kwargs={"autocommit": True}) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=_pooled)


@app.post("/demands", status_code=201)
async def keep(request: Request, demand: Demand) -> Kept:
    """One row, one commit."""
    async with request.app.state.pool.connection() as connection:
        cursor = await connection.execute(
            "INSERT INTO bare_demands (title, content, category, area) VALUES (%s, %s, %s, %s) RETURNING id",
            (demand.title, demand.content, demand.category, demand.area),
        )
        (key,) = await cursor.fetchone()
    return Kept(id=key)
