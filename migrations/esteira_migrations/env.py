"""Alembic's environment: runs the revisions on the connection that `upgrade` opened and holds the lock on."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table_schema="esteira", transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
