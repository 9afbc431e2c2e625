"""What is long is compressed once, by the best method that the server has, and moves as it is."""

from __future__ import annotations

import random
from base64 import b64encode
from typing import Any

import pytest

METHODS = "select enumvals::text[] from pg_settings where name = 'default_toast_compression'"
STORED = """
select pg_column_compression(payload) as method, pg_column_size(payload) as size, payload
from esteira.job
where id = $1
"""
LEAVES = """
select attstorage::text, attcompression::text
from pg_attribute
join pg_class on pg_class.oid = attrelid
where relname like 'job\\_finished\\_%' and relkind = 'r' and attname = 'payload'
"""


@pytest.mark.parametrize(
    ("text", "shrinks"),
    [("word " * 4000, True), (b64encode(random.Random(1).randbytes(15_000)).decode(), False)],
    ids=["words", "noise"],
)
async def test_a_long_payload_is_compressed_once(queue: Any, text: str, *, shrinks: bool) -> None:
    best = "lz4" if "lz4" in await queue.connection.fetchval(METHODS) else "pglz"
    job = await queue.running(payload={"text": text})
    before = await queue.connection.fetchrow(STORED, job)
    assert before["method"] == (best if shrinks else None)
    assert (before["size"] < len(text) / 10) == shrinks
    assert await queue.complete(job) == [job]
    assert await queue.connection.fetchrow(STORED, job) == before


async def test_every_day_takes_payloads_as_they_are(queue: Any) -> None:
    lz4 = "lz4" in await queue.connection.fetchval(METHODS)
    await queue.call("maintain_partitions", 20)
    leaves = await queue.connection.fetch(LEAVES)
    assert len(leaves) > 15
    assert {tuple(leaf) for leaf in leaves} == {("e", "l" if lz4 else "")}
