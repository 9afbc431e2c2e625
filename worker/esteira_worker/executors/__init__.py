"""How a task's function is run: on the loop, in a thread, or in a process that can be killed."""

from esteira_worker.executors.asynchronous import AsyncExecutor
from esteira_worker.executors.executor import Executor
from esteira_worker.executors.process import ProcessExecutor
from esteira_worker.executors.thread import ThreadExecutor

__all__ = ["AsyncExecutor", "Executor", "ProcessExecutor", "ThreadExecutor"]
