"""The worker: a supervisor, and the engine processes that claim and run jobs under it."""

from esteira_worker.supervisor import run_worker

__all__ = ["run_worker"]
