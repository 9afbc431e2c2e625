"""The database schema's migrations: upgrade to the newest, and ask which one a database is at.

A new revision is made by `alembic.command.revision(config(), "what it does", rev_id="0002")`; its SQL stands in a
file of the same name beside it. There are no downgrades: a mistake is put right by the next revision.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from esteira.database import is_pooled_sync, translate
from esteira.errors import ConfigurationError, PermissionDenied
from esteira.schema import check_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

SCHEMA = "esteira"
# What a member of the owner makes belongs to that member unless it acts as the owner, and then no verb could use it.
_AS_OWNER = """
select set_config('role', owner.rolname, false)
from pg_namespace join pg_roles as owner on owner.oid = nspowner
where nspname = :name and owner.rolname <> current_user and pg_has_role(owner.oid, 'member')"""

_log = structlog.get_logger("esteira.migrations")


def upgrade(database_url: str) -> None:
    """Bring the database at a postgresql:// address to the newest schema.

    Where several processes do it at once, one works and the others wait for it. Each revision is one transaction.
    All is done as the schema's owner where the account is a member of that role.
    Raises SchemaMismatch when the database is newer than this release, PermissionDenied, ConfigurationError for a
    connection pooler's address: between its transactions a migration holds a lock of its session.
    """
    with _forbidden(), _connect(database_url) as connection, _alone(connection):
        found = _version(connection)
        if found == head():
            return
        if found not in _known():
            check_schema(found)
        if connection.scalar(text("select to_regnamespace(:name) is null"), {"name": SCHEMA}):
            connection.execute(text(f"create schema {SCHEMA}"))
        connection.execute(text(_AS_OWNER), {"name": SCHEMA})
        connection.commit()
        settings = config()
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
        _log.info("schema_migrated", before=found, after=head())


def head() -> str:
    """Return the newest revision that this release brings."""
    newest = _scripts().get_current_head()
    assert newest is not None
    return newest


def current(database_url: str) -> str | None:
    """Return the revision that the database is at, None without Esteira's schema."""
    with _forbidden(), _connect(database_url) as connection:
        return _version(connection)


def roles() -> str:
    """Return the SQL that makes the roles and hands the schema over to them, for psql."""
    return Path(__file__).with_name("roles.sql").read_text(encoding="utf-8")


def config() -> Config:
    """Return Alembic's configuration; there is no alembic.ini."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    return settings


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(config())


def _known() -> set[str | None]:
    return {None, *(script.revision for script in _scripts().walk_revisions())}


@contextmanager
def _connect(database_url: str) -> Iterator[Connection]:
    # libpq reads the address itself: SQLAlchemy would not understand several hosts, or a socket's folder.
    engine = create_engine(
        "postgresql+psycopg://?application_name=esteira-migrate",
        connect_args={"conninfo": database_url},
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        yield connection


@contextmanager
def _forbidden() -> Iterator[None]:
    """Say who may migrate; any other error of Postgres's is a bug here, and shows as what it is."""
    try:
        yield
    except DBAPIError as error:
        if error.orig is None or not isinstance(translate(error.orig), PermissionDenied):
            raise
        raise PermissionDenied(
            f"{str(error.orig).splitlines()[0]}: migrate as an account that may create a schema in this database"
            " (grant create on database …), and later as one that owns the schema esteira or is a member of its owner"
        ) from error


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Hold the database's migration lock on the migrating connection itself: if that dies, so does the lock."""
    _refuse_pooler(connection)
    connection.execute(text("set lock_timeout = 0"))
    connection.execute(text("set statement_timeout = 0"))
    lock = {"name": "esteira.migrate"}
    if not connection.scalar(text("select pg_try_advisory_lock(hashtext(:name))"), lock):
        _log.info("schema_migration_waits", reason="another process is migrating this database")
        began = time.monotonic()
        connection.execute(text("select pg_advisory_lock(hashtext(:name))"), lock)
        _log.info("schema_migration_waited", seconds=round(time.monotonic() - began, 1))
    # A migration that cannot get its table gives up: while it waited, every claim would queue up behind it.
    connection.execute(text("set lock_timeout = '10s'"))
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("select pg_advisory_unlock(hashtext(:name))"), lock)
        connection.commit()


def _refuse_pooler(connection: Connection) -> None:
    session = connection.connection.driver_connection
    assert session is not None
    if is_pooled_sync(session):
        raise ConfigurationError(
            "this address is a connection pooler's, and a migration needs a session of its own:"
            " set ESTEIRA_DIRECT_URL to PostgreSQL's own address"
        )


def _version(connection: Connection) -> str | None:
    found = MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA}).get_current_revision()
    connection.rollback()
    return found
