"""What goes wrong with a server of our own."""

from __future__ import annotations

from esteira.errors import EsteiraError


class EmbeddedPostgresError(EsteiraError):
    """Say why the embedded PostgreSQL cannot do what it was asked, and what helps."""
