"""The version of the database schema that this release of Esteira works with."""

from __future__ import annotations

from esteira.errors import SchemaMismatch

SCHEMA_VERSION = "0001"


def check_schema(found: str | None) -> None:
    """Refuse a schema that this release does not know.

    `found` is the version_num of esteira.alembic_version, None where there is none. Raises SchemaMismatch.
    """
    if found == SCHEMA_VERSION:
        return
    if found is None:
        raise SchemaMismatch("the database has no Esteira schema; make it with: esteira migrate")
    # Versions are numbers of four digits, so that text compares as they do.
    if found < SCHEMA_VERSION:
        raise SchemaMismatch(
            f"the database's schema is {found} and this Esteira needs {SCHEMA_VERSION};"
            " back the database up, then run: esteira migrate"
        )
    raise SchemaMismatch(
        f"the database's schema is {found}, newer than the {SCHEMA_VERSION} that this Esteira knows;"
        " upgrade Esteira here to the release that migrated it (pip install --upgrade esteira)"
    )
