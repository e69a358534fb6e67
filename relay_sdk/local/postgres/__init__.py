"""Jobs in PostgreSQL, in the tables of Relay v0.2.0, which any number of servers share."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .store import PostgresStore


def open_store(url: str) -> "PostgresStore":
    """Connect, and make the tables where there are none.

    Raise OSError when the database cannot be used, and ValueError when it is something else's.
    """
    try:
        from .store import PostgresStore
    except ImportError as error:
        raise ImportError(  # psycopg is not there, or finds no libpq
            "a PostgreSQL database needs psycopg: pip install 'relay-job-sdk[postgres]'"
        ) from error
    return PostgresStore(url)
