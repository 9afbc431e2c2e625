from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from esteira.embedded import EmbeddedPostgres
from esteira_migrations import upgrade
from tests.postgres import open_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# As few as PostgreSQL allows, of 8 KB each.
PAGES = 64
FILL = "select pg_notify('other', repeat('x', 7000) || n) from generate_series(1, 40) as n"


def fill(producer: psycopg.Connection[object]) -> None:
    for _ in range(PAGES):
        producer.execute(FILL)


def test_a_job_is_enqueued_although_nobody_reads_notifications(postgres_bin: Path, psql: Callable[..., str]) -> None:
    if int(psql("show server_version_num")) < 170_000:
        pytest.skip("before PostgreSQL 17 there is always room for 8 GB of them")
    few = {"max_notify_queue_pages": str(PAGES)}
    with (
        open_folder() as folder,
        EmbeddedPostgres(folder / "data", durable=False, settings=few, bin_dir=postgres_bin) as server,
    ):
        upgrade(server.url())
        with psycopg.connect(server.url()) as deaf, psycopg.connect(server.url(), autocommit=True) as producer:
            deaf.execute("listen esteira")
            deaf.commit()
            deaf.execute("select 1")  # a session in a transaction reads none
            with pytest.raises(psycopg.errors.ProgramLimitExceeded):
                fill(producer)
            for enqueue in ("enqueue('t')", "enqueue_one('t', notify => true)"):
                producer.execute(f"select esteira.{enqueue}")
            assert producer.execute("select count(*) from esteira.job_live").fetchone() == (2,)
