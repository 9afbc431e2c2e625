"""What the account that is logged in to the database may do, in the words of the roles that `esteira roles` makes."""

from __future__ import annotations

from typing import NamedTuple

from esteira.errors import PermissionDenied

READ, ENQUEUE, OPERATE, WORK = "read jobs", "enqueue", "cancel and retry", "run jobs"
GRANT = "grant it esteira_service or esteira_worker, which `esteira roles` makes"


class Rights(NamedTuple):
    """An account, and what it may not do."""

    account: str
    missing: tuple[str, ...]

    def require(self, *purposes: str) -> None:
        """Raise PermissionDenied, saying what to grant, where one of these is missing."""
        if any(purpose in self.missing for purpose in purposes):
            raise PermissionDenied(f"{self}: {GRANT}")

    def __str__(self) -> str:
        return f"the database account {self.account} may not {', '.join(self.missing)}"
