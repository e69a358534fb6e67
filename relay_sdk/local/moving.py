"""All jobs from one database to another, as they are; an end in the middle loses and doubles none.

A batch is stored in the target together with its keys, and then deleted from the source. What a
move that ended in between has stored is deleted from the source first.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .app import is_postgres
from .operations import Job
from .store import Store

if TYPE_CHECKING:
    from .postgres.moving import PostgresSide

BATCH = 1000
BATCH_SIZE = 16 * 1024 * 1024
"""Bytes of payloads and states, more or less, after which a batch is full."""

Key = tuple[str, str, str | None, int]
"""The queue and id of a job, who held it, and when it was changed last."""


class JobsInTheWayError(Exception):
    """A job of the source has the queue and id of another in the target."""


class Side(Protocol):
    """A database that jobs leave or come to."""

    name: str

    def count(self) -> int: ...
    def first(self) -> list[Job]: ...
    def delete(self, keys: Sequence[Key]) -> int: ...
    def put(self, jobs: Sequence[Job], source: str) -> None: ...
    def noted(self, source: str) -> list[Key]: ...
    def forget(self, source: str) -> None: ...
    def close(self) -> None: ...


def open_side(place: str, *, leaves: bool = False) -> Side:
    """Open `sqlite:FILE` or a `postgresql://` URL, whose jobs may leave.

    Raise OSError when it cannot be used or is in use, and ValueError when it is not Relay's.
    """
    if is_postgres(place):
        side = _postgres(place)
        if leaves:
            side.refuse_users()
        return side
    kind, _, path = place.partition(":")
    if kind != "sqlite" or not path:
        raise ValueError("a place is sqlite:FILE or postgresql://USER@HOST/DATABASE")
    if leaves and not Path(path).exists():
        raise OSError(f"there is no file {path}")
    return SqliteSide(path)


def _postgres(url: str) -> "PostgresSide":
    try:
        from .postgres.moving import PostgresSide
    except ImportError as error:
        raise ImportError(
            "a PostgreSQL database needs psycopg: pip install 'relay-job-sdk[postgres]'"
        ) from error
    return PostgresSide(url)


def move(source: Side, target: Side, show: Callable[[int], None]) -> int:
    """Move all jobs, and say after each batch how many it had; return how many there were."""
    moved = source.delete(target.noted(source.name))
    show(moved)
    while jobs := source.first():
        target.put(jobs, source.name)
        source.delete(keys_of(jobs))
        moved += len(jobs)
        show(len(jobs))
    target.forget(source.name)
    return moved


def keys_of(jobs: Iterable[Job]) -> list[Key]:
    """Give what tells whether a job is still as it was."""
    return [(job.queue, job.id, job.run_id, job.updated_at) for job in jobs]


def batch(rows: Iterator[Job]) -> list[Job]:
    """Take as many as are not too large together."""
    jobs: list[Job] = []
    size = 0
    for job in rows:
        jobs.append(job)
        size += len(job.payload) + len(job.state or "")
        if size > BATCH_SIZE or len(jobs) >= BATCH:
            break
    return jobs


def in_the_way(jobs: Iterable[Job], new: set[tuple[str, str]], name: str) -> JobsInTheWayError:
    """Name the first job that was there already."""
    old = next(job for job in jobs if (job.queue, job.id) not in new)
    return JobsInTheWayError(
        f"job {old.id!r} of queue {old.queue!r} is in the {name} too: delete it on one side, and "
        "start again"
    )


_MARKS = ", ".join("?" * len(Job._fields))
_PUT = f"INSERT INTO jobs VALUES ({_MARKS}) ON CONFLICT DO NOTHING"  # noqa: S608  only marks


class SqliteSide:
    """A SQLite file that nobody else has open."""

    def __init__(self, path: str) -> None:
        self.name: str = f"SQLite file {str(Path(path).absolute())!r}"
        self._store = Store(path, busy_timeout=0.5)
        self._connection = self._store.connection
        try:
            # Leaving the WAL takes all locks, and this mode keeps them.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS moved (source TEXT PRIMARY KEY, keys TEXT NOT NULL)"
            )
        except sqlite3.OperationalError as error:
            self._store.close()
            raise OSError(
                f"the {self.name} is in use ({error}): stop its server first. To move without "
                "stopping, start a server on the other database, let producers use that one, and "
                "workers both until this one is empty"
            ) from None

    def count(self) -> int:
        count: int = self._connection.execute("SELECT count(*) FROM jobs").fetchone()[0]
        return count

    def first(self) -> list[Job]:
        rows = self._connection.execute("SELECT * FROM jobs ORDER BY queue, id")
        return batch(map(Job._make, rows))

    def delete(self, keys: Sequence[Key]) -> int:
        with self._store.transaction():
            return self._connection.executemany(
                "DELETE FROM jobs WHERE queue = ? AND id = ? AND run_id IS ? AND updated_at = ?",
                keys,
            ).rowcount

    def put(self, jobs: Sequence[Job], source: str) -> None:
        with self._store.transaction():
            new: set[tuple[str, str]] = set()
            for job in jobs:
                done = self._connection.execute(_PUT, job)
                if done.rowcount:
                    new.add((job.queue, job.id))
            if len(new) < len(jobs):
                raise in_the_way(jobs, new, self.name)
            self._connection.execute(
                "INSERT OR REPLACE INTO moved VALUES (?, ?)", (source, json.dumps(keys_of(jobs)))
            )

    def noted(self, source: str) -> list[Key]:
        rows = self._connection.execute("SELECT keys FROM moved WHERE source = ?", (source,))
        return keys_in(row[0] for row in rows)

    def forget(self, source: str) -> None:
        self._connection.execute("DELETE FROM moved WHERE source = ?", (source,))

    def close(self) -> None:
        if self._connection.execute("SELECT 1 FROM moved").fetchone() is None:
            self._connection.execute("DROP TABLE moved")
        self._store.close()


def keys_in(notes: Iterable[str]) -> list[Key]:
    """Read keys as they were noted."""
    found = chain.from_iterable(json.loads(note) for note in notes)
    return [(queue, id, run_id, updated_at) for queue, id, run_id, updated_at in found]
