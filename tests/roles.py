"""Accounts that may do what one of the roles of sql/roles.sql may."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests.postgres import INSTALL

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLES = INSTALL.with_name("roles.sql")


def as_account(url: str, name: str, password: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}").geturl()


@contextmanager
def account(admin_url: str, *groups: str, options: str = "") -> Iterator[tuple[str, str]]:
    """Make an account that is a member of these roles; give its name and password, and drop it."""
    name, password = f"esteira_test_{secrets.token_hex(6)}", secrets.token_hex(12)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        made = sql.Identifier(name)
        admin.execute(
            sql.SQL("create role {} login password {} {}").format(made, sql.Literal(password), sql.SQL(options))  # type: ignore[arg-type]
        )
        try:
            for group in groups:
                admin.execute(sql.SQL("grant {} to {}").format(sql.Identifier(group), made))
            yield name, password
        finally:
            admin.execute(sql.SQL("drop owned by {0}; drop role {0}").format(made))
