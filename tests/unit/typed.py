"""What a type checker sees: test_types.py runs mypy on this file."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, assert_type

import asyncpg
import psycopg
from pydantic import BaseModel
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from esteira import App, Context, Handle, Retry, SyncContext, SyncHandle, Unique


class Order(BaseModel):
    id: int


class Receipt(BaseModel):
    charge: str


app = App("shop")


@app.task(retry=Retry(attempts=5), unique=Unique("id", on_conflict="reject"))
async def fulfil(order: Order, ctx: Context) -> Receipt:
    return await ctx.step("charge", charge)


@app.task()
def resize(path: str, ctx: SyncContext) -> int:
    return ctx.step("measure", lambda: len(path))


async def charge() -> Receipt:
    return Receipt(charge="1")


async def from_async_code(ctx: Context, plain: SyncContext) -> None:
    called = assert_type(fulfil(Order(id=1), ctx), Coroutine[Any, Any, Receipt])
    assert_type(await called, Receipt)
    assert_type(resize("a", plain), int)
    resize(7, plain)  # type: ignore[arg-type]

    handle = await fulfil.enqueue(Order(id=1), delay="1m")
    assert_type(handle, Handle[Receipt])
    assert_type(await handle.result(), Receipt)
    assert_type(await (await resize.enqueue({"path": "a"})).result(), int)
    assert_type(await app.client.enqueue(fulfil, Order(id=1)), Handle[Receipt])
    assert_type(await app.client.enqueue("shop.fulfil", {"id": 1}), Handle[Any])


def from_plain_code() -> None:
    handle = fulfil.enqueue_sync(Order(id=1))
    assert_type(handle, SyncHandle[Receipt])
    assert_type(handle.result(), Receipt)
    assert_type(resize.enqueue_sync({"path": "a"}).result(timeout=1), int)
    assert_type(app.sync_client.enqueue(resize, {"path": "a"}), SyncHandle[int])


async def in_transactions(
    pool: asyncpg.Pool[asyncpg.Record], plain: psycopg.AsyncConnection, one: AsyncConnection, two: AsyncSession
) -> None:
    async with pool.acquire() as db:
        await fulfil.enqueue(Order(id=1), db=db)
    for other in (plain, one, two):
        await fulfil.enqueue(Order(id=1), db=other)


def in_plain_transactions(plain: psycopg.Connection, one: Connection, two: Session) -> None:
    for other in (plain, one, two):
        fulfil.enqueue_sync(Order(id=1), db=other)
