"""An SQLite file as the source or the target of a migration."""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from relay_sdk.local.migration_store import (
    JobVersion,
    job_conflict,
    job_versions,
    parse_job_versions,
    take_batch,
)
from relay_sdk.local.operations import Job

from .store import SqliteStore

_MARKS = ", ".join("?" * len(Job._fields))
_PUT = f"INSERT INTO jobs VALUES ({_MARKS}) ON CONFLICT DO NOTHING"  # noqa: S608  only marks


class SqliteMigrationStore:
    """An SQLite file that no other program has open."""

    def __init__(self, path: str) -> None:
        self.name: str = f"SQLite file {str(Path(path).absolute())!r}"
        self._store = SqliteStore(path, busy_timeout=0.5)
        self._connection = self._store.connection
        try:
            # Leaving WAL mode takes all locks, and the exclusive mode keeps them.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS moved (source TEXT PRIMARY KEY, keys TEXT NOT NULL)"
            )
        except sqlite3.OperationalError as error:
            self._store.close()
            raise OSError(
                f"the {self.name} is in use ({error}): stop its server first. To move without "
                "stopping, start a server on the other database, point producers at that one, "
                "and run workers on both until this one is empty"
            ) from None

    def count(self) -> int:
        count: int = self._connection.execute("SELECT count(*) FROM jobs").fetchone()[0]
        return count

    def first(self) -> list[Job]:
        rows = self._connection.execute("SELECT * FROM jobs ORDER BY queue, id")
        return take_batch(map(Job._make, rows))

    def delete(self, versions: Sequence[JobVersion]) -> int:
        with self._store.transaction():
            return self._connection.executemany(
                "DELETE FROM jobs WHERE queue = ? AND id = ? AND run_id IS ? AND updated_at = ?",
                versions,
            ).rowcount

    def put(self, jobs: Sequence[Job], source: str) -> None:
        with self._store.transaction():
            new: set[tuple[str, str]] = set()
            for job in jobs:
                done = self._connection.execute(_PUT, job)
                if done.rowcount:
                    new.add((job.queue, job.id))
            if len(new) < len(jobs):
                raise job_conflict(jobs, new, self.name)
            self._connection.execute(
                "INSERT OR REPLACE INTO moved VALUES (?, ?)",
                (source, json.dumps(job_versions(jobs))),
            )

    def moved_from(self, source: str) -> list[JobVersion]:
        rows = self._connection.execute("SELECT keys FROM moved WHERE source = ?", (source,))
        return parse_job_versions(row[0] for row in rows)

    def forget(self, source: str) -> None:
        self._connection.execute("DELETE FROM moved WHERE source = ?", (source,))

    def close(self) -> None:
        if self._connection.execute("SELECT 1 FROM moved").fetchone() is None:
            self._connection.execute("DROP TABLE moved")
        self._store.close()
