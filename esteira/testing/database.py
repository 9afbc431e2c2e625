"""Fresh databases with the schema in them: copies of one that was migrated once."""

from __future__ import annotations

import atexit
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from esteira.database import SyncDatabase
from esteira.embedded import EmbeddedPostgres
from esteira_migrations import upgrade


@contextmanager
def database() -> Iterator[str]:
    """Make a fresh database with the schema, give its address, and drop it, whoever is still connected to it.

    On the server at ESTEIRA_TEST_DATABASE_URL (an account that may create databases), else on an embedded one, which
    runs until this process ends. The first takes a second or two, each one after it a tenth.
    """
    server, template = _server()
    with _made(server, template) as url:
        yield url


@cache
def _server() -> tuple[str, str]:
    """Return the address of the server's own database, and the name of the one that is copied."""
    stack = ExitStack()
    server = os.environ.get("ESTEIRA_TEST_DATABASE_URL") or stack.enter_context(_embedded())
    url = stack.enter_context(_made(server, "template1"))
    # After the embedded server's own, so that it runs before.
    atexit.register(stack.close)
    upgrade(url)
    return server, urlsplit(url).path[1:]


@contextmanager
def _embedded() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="esteira-testing-") as folder:
        # As root PostgreSQL runs under another account, which has to get there.
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "data", durable=False) as server:
            yield server.url()


@contextmanager
def _made(server: str, template: str) -> Iterator[str]:
    name = f"esteira_testing_{secrets.token_hex(8)}"
    _execute(server, f"create database {name} template {template}")
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        _execute(server, f"drop database {name} with (force)")


def _execute(server: str, statement: str) -> None:
    admin = SyncDatabase(server, session_name="esteira-testing")
    try:
        admin.fetch(statement)
    finally:
        admin.close()
