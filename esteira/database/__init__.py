"""The database, and the only place that imports its drivers: asyncpg for asynchronous code, psycopg for plain code."""

from esteira.database.callers import CallersConnection, Row, SyncCallersConnection, fetch_with, sync_fetch_with
from esteira.database.listener import Listener
from esteira.database.pool import Connection, Database
from esteira.database.pooler import is_pooled_sync
from esteira.database.sqlstates import translate, translated
from esteira.database.sync import SyncConnection, SyncDatabase

__all__ = [
    "CallersConnection",
    "Connection",
    "Database",
    "Listener",
    "Row",
    "SyncCallersConnection",
    "SyncConnection",
    "SyncDatabase",
    "fetch_with",
    "is_pooled_sync",
    "sync_fetch_with",
    "translate",
    "translated",
]
