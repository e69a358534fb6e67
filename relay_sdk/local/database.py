"""Open the database that a file name or a URL names."""

import os

from .sqlite.store import SqliteStore
from .store import Store


def is_postgres_url(db: str | os.PathLike[str]) -> bool:
    """Return whether this is the URL of a PostgreSQL database, not the name of a file."""
    return isinstance(db, str) and db.startswith(("postgresql://", "postgres://"))


def open_database(db: str | os.PathLike[str]) -> Store:
    """Open the PostgreSQL database of a URL, or an SQLite file."""
    if is_postgres_url(db):
        from .postgres import open_store  # psycopg is optional

        return open_store(str(db))
    return SqliteStore(db)
