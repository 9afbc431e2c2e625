"""The database, and the only place that imports its drivers: asyncpg for asynchronous code, psycopg for plain code."""

from esteira.database.listener import Listener
from esteira.database.pool import Connection, Database
from esteira.database.pooler import is_pooled_sync
from esteira.database.sqlstates import translated
from esteira.database.sync import SyncConnection, SyncDatabase

__all__ = ["Connection", "Database", "Listener", "SyncConnection", "SyncDatabase", "is_pooled_sync", "translated"]
