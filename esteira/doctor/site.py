"""What the checks look at: the database as the service and the workers reach it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esteira.database import Database

if TYPE_CHECKING:
    from esteira.settings import Settings

SESSION_NAME = "esteira-doctor"
# A check that takes longer is given up.
DEADLINE_MS = 10_000


@dataclass(frozen=True)
class Site:
    """Hold the database, and the one that LISTEN goes to: past a pooler, where ESTEIRA_DIRECT_URL is set."""

    database: Database
    direct: Database
    has_direct_url: bool

    @classmethod
    def of(cls, settings: Settings) -> Site:
        """Return what these settings lead to. Raises ConfigurationError where they name no database."""
        url = settings.require_database_url()
        has_direct_url = settings.direct_url is not None
        return cls(_database(url), _database(settings.direct_url or url), has_direct_url)

    async def close(self) -> None:
        """Close the connections."""
        await self.database.close()
        await self.direct.close()

    async def rows(self, query: str, *args: object) -> list[Any]:
        """Return the rows of a query."""
        return await self.database.fetch(query, *args)

    async def row(self, query: str, *args: object) -> Any:
        """Return the only row of a query."""
        [row] = await self.database.fetch(query, *args)
        return row


def _database(url: str) -> Database:
    return Database(url, session_name=SESSION_NAME, size=2, settings={"statement_timeout": str(DEADLINE_MS)})
