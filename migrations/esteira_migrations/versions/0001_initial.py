"""The whole queue."""

from __future__ import annotations

from esteira_migrations.frozen import run

revision = "0001"
down_revision = None


def upgrade() -> None:
    run(__file__)
