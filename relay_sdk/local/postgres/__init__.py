"""Jobs in PostgreSQL, in the tables of Relay v0.2.0, which any number of servers can share."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .store import PostgresStore


def open_store(url: str) -> "PostgresStore":
    """Connect, and create the tables if they do not exist.

    Raise OSError if the database cannot be used, and ValueError if it is another program's.
    """
    try:
        from .store import PostgresStore
    except ImportError as error:
        raise ImportError(  # psycopg is not installed, or cannot find libpq
            "a PostgreSQL database needs psycopg: pip install 'relay-job-sdk[postgres]'"
        ) from error
    return PostgresStore(url)
