"""Move all jobs from one database to another, unchanged.

A batch of jobs is stored in the target together with their versions, and then deleted from the
source. If the program ends between these two steps, the next migration first deletes from the
source the jobs that the target has already, so no job is lost or duplicated.
"""

from collections.abc import Callable
from pathlib import Path

from .database import is_postgres_url
from .migration_store import MigrationStore, job_versions
from .sqlite.migration import SqliteMigrationStore


def open_migration_store(location: str, *, is_source: bool = False) -> MigrationStore:
    """Open `sqlite:FILE` or a `postgresql://` URL.

    Raise OSError if it cannot be used or is in use, and ValueError if it is not Relay's.
    """
    if is_postgres_url(location):
        return _open_postgres(location, is_source=is_source)
    kind, _, path = location.partition(":")
    if kind != "sqlite" or not path:
        raise ValueError("a place is sqlite:FILE or postgresql://USER@HOST/DATABASE")
    if is_source and not Path(path).exists():
        raise OSError(f"there is no file {path}")
    return SqliteMigrationStore(path)


def _open_postgres(url: str, *, is_source: bool) -> MigrationStore:
    try:
        from .postgres.migration import PostgresMigrationStore  # psycopg is optional
    except ImportError as error:
        raise ImportError(
            "a PostgreSQL database needs psycopg: pip install 'relay-job-sdk[postgres]'"
        ) from error
    store = PostgresMigrationStore(url)
    if is_source:
        store.refuse_users()
    return store


def migrate(
    source: MigrationStore, target: MigrationStore, on_progress: Callable[[int], None]
) -> int:
    """Move all jobs, and return how many; `on_progress` gets the number of each batch."""
    moved = source.delete(target.moved_from(source.name))
    on_progress(moved)
    while jobs := source.first():
        target.put(jobs, source.name)
        source.delete(job_versions(jobs))
        moved += len(jobs)
        on_progress(len(jobs))
    target.forget(source.name)
    return moved
