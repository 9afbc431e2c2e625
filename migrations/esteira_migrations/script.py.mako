"""${message.capitalize()}."""

from __future__ import annotations

from esteira_migrations.frozen import run

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    run(__file__)
