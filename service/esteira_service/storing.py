"""Store jobs in one statement, so that those who are refused do not hinder the others."""

from __future__ import annotations

from collections.abc import Sequence

from esteira.client import Client
from esteira.errors import EsteiraError, InvalidInput, KeyInFlight
from esteira.new_job import Enqueued, NewJob

MAX_JOBS = 1000
MAX_CHARACTERS = 8 << 20


async def store(client: Client, jobs: Sequence[NewJob]) -> list[Enqueued | EsteiraError]:
    """Return what became of each job, or why it is not stored: InvalidInput, KeyInFlight.

    Raises DatabaseUnavailable where nobody knows.
    """
    try:
        return list(await client.enqueue_each(jobs))
    except (InvalidInput, KeyInFlight) as error:
        # Nothing was stored. Halving finds the guilty ones; the others do not pay for them.
        if len(jobs) == 1:
            return [error]
    middle = len(jobs) // 2
    return [*await store(client, jobs[:middle]), *await store(client, jobs[middle:])]
