"""Run tasks in a test's own process, against a real database, with the parts of a real worker.

    async with testing.Worker(app, database_url) as worker:
        job = await worker.run(fulfil, Order(id=1))

- worker.py: Worker, for asynchronous tests
- sync_worker.py: SyncWorker, the same for plain ones
- database.py: fresh databases with the schema in them
- clock.py: the queue's clock, moved
- faults.py: steps that fail as planned
"""

from esteira.testing.database import database
from esteira.testing.sync_worker import SyncWorker
from esteira.testing.worker import Worker

__all__ = ["SyncWorker", "Worker", "database"]
