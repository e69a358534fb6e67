"""Read jobs and their numbers from an SQLite file, for the dashboard."""

import re
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from time import monotonic

from relay_sdk.local.exceptions import BackendError
from relay_sdk.local.job_reader import (
    MAX_PAYLOAD_PREVIEW,
    MAX_QUEUES,
    MAX_SCANNED_JOBS,
    READ_TIMEOUT,
    JobPage,
    JobQuery,
    QueueCounts,
    prefix_end,
)
from relay_sdk.local.operations import Job

TIMEOUT_CHECK_STEPS = 100_000
"""Instructions of SQLite's virtual machine between two checks of the timeout."""

# Each step of the recursion finds the next queue in the index on queue and id.
_NAMES = """
WITH RECURSIVE names (queue) AS (
    SELECT min(queue) FROM jobs WHERE {}
    UNION ALL
    SELECT (SELECT min(queue) FROM jobs WHERE queue > names.queue)
    FROM names WHERE names.queue IS NOT NULL
)
SELECT queue FROM names WHERE queue IS NOT NULL LIMIT :limit"""

_READY = """
SELECT count(*), min(run_at) FROM (
    SELECT run_at FROM jobs INDEXED BY jobs_ready
    WHERE queue = ? AND run_id IS NULL AND run_at <= ? ORDER BY run_at LIMIT ?)"""

_SCHEDULED = """
SELECT count(*) FROM (
    SELECT 1 FROM jobs INDEXED BY jobs_ready
    WHERE queue = ? AND run_id IS NULL AND run_at > ? LIMIT ?)"""

# The index jobs_leased does not have the queue.
_RUNNING = """
SELECT queue, count(*) FROM (
    SELECT queue FROM jobs INDEXED BY jobs_leased WHERE run_id IS NOT NULL LIMIT ?)
GROUP BY queue"""

_STATUS = {
    None: "TRUE",
    "ready": "seen.run_id IS NULL AND seen.run_at <= :now",
    "scheduled": "seen.run_id IS NULL AND seen.run_at > :now",
    "running": "seen.run_id IS NOT NULL",
}

_PAGE = """
SELECT seen.place, jobs.queue, jobs.id, timeout, max_retries, retries_remaining,
    substr(payload, 1, :start), NULL, jobs.run_id, jobs.expires_at, jobs.run_at, updated_at,
    created_at
FROM (
    SELECT rowid AS place, queue, id, run_id, run_at FROM jobs {range} LIMIT :scan
) AS seen CROSS JOIN jobs ON jobs.rowid = seen.place
WHERE seen.queue = :queue AND {status} LIMIT :limit"""

_LAST = "SELECT {key}, rowid FROM jobs {range} LIMIT 1 OFFSET :scan - 1"

_POSITION = re.compile(r"(-?[0-9]{1,18})\.([0-9]{1,18})")


class SqliteJobReader:
    """Reads through a second connection.

    A database in memory has only one, so the reader holds the lock of the app, and counts less far.
    """

    shared = False

    def __init__(self, path: str | None, shared_connection: sqlite3.Connection, lock: Lock) -> None:
        self._path = path
        self._shared_connection = shared_connection
        self._lock = lock
        self.max_count: int = 10_000 if path is None else 100_000
        self._connection: sqlite3.Connection | None = None

    def queues(
        self, after: str | None, now: int, limit: int
    ) -> tuple[list[QueueCounts], str | None]:
        with self._connect_for_read() as connection:
            execute = connection.execute
            statement = _NAMES.format("TRUE" if after is None else "queue > :after")
            rows = execute(statement, {"after": after, "limit": MAX_QUEUES + 1}).fetchall()
            running: dict[str, int] = dict(execute(_RUNNING, (limit,)).fetchall())
            counted: list[QueueCounts] = []
            for (queue,) in rows[:MAX_QUEUES]:
                ready, oldest = execute(_READY, (queue, now, limit)).fetchone()
                (scheduled,) = execute(_SCHEDULED, (queue, now, limit)).fetchone()
                counted.append(QueueCounts(queue, ready, scheduled, running.get(queue, 0), oldest))
        return counted, counted[-1].queue if len(rows) > MAX_QUEUES else None

    def jobs(self, query: JobQuery, now: int) -> JobPage:
        key, where = _range(query)
        parameters: dict[str, str | int | None] = {
            "queue": query.queue,
            "low": query.prefix,
            "high": prefix_end(query.prefix),
            "now": now,
            "start": MAX_PAYLOAD_PREVIEW,
            "scan": MAX_SCANNED_JOBS,
            "limit": query.limit,
            **_after(query, key),
        }
        with self._connect_for_read() as connection:
            page = _PAGE.format(range=where, status=_STATUS[query.status])
            rows = connection.execute(page, parameters).fetchall()
            jobs = [Job._make(row[1:]) for row in rows]
            if len(jobs) == query.limit:
                return JobPage(jobs, _position(key, getattr(jobs[-1], key), rows[-1][0]))
            last = connection.execute(_LAST.format(key=key, range=where), parameters).fetchone()
        return JobPage(jobs, _position(key, *last) if last else None)

    def job(self, queue: str, id: str) -> Job | None:
        with self._connect_for_read() as connection:
            row = connection.execute(
                "SELECT * FROM jobs WHERE queue = ? AND id = ?", (queue, id)
            ).fetchone()
        return row and Job._make(row)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    @contextmanager
    def _connect_for_read(self) -> Generator[sqlite3.Connection]:
        """Yield a connection in a transaction that ends after a timeout."""
        end = monotonic() + READ_TIMEOUT
        try:
            if self._path is None:
                with self._lock:
                    yield self._shared_connection
                return
            if self._connection is None:
                # A file that was deleted must not be created again.
                self._connection = sqlite3.connect(
                    f"{Path(self._path).as_uri()}?mode=rw",
                    uri=True,
                    timeout=READ_TIMEOUT,
                    isolation_level=None,
                    check_same_thread=False,
                )
                self._connection.execute("PRAGMA query_only = ON")
            self._connection.set_progress_handler(lambda: monotonic() > end, TIMEOUT_CHECK_STEPS)
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise BackendError(f"db error: ERROR: {error}", retryable=True) from None


def _range(query: JobQuery) -> tuple[str, str]:
    """Return the column that orders the jobs, and the SQL after FROM."""
    has_after = query.after is not None
    if query.prefix or query.status is None:
        high = " AND id < :high" if prefix_end(query.prefix) else ""
        low = "id > :key" if has_after else "id >= :low"
        return "id", f"WHERE queue = :queue AND {low}{high} ORDER BY id"
    column = "expires_at" if query.status == "running" else "run_at"
    after = f" AND {column} >= :key AND ({column} > :key OR rowid > :place)" if has_after else ""
    if column == "expires_at":
        where = f"INDEXED BY jobs_leased WHERE run_id IS NOT NULL{after}"
    else:
        due = "run_at <= :now" if query.status == "ready" else "run_at > :now"
        where = f"INDEXED BY jobs_ready WHERE queue = :queue AND run_id IS NULL AND {due}{after}"
    return column, f"{where} ORDER BY {column}, rowid"


def _after(query: JobQuery, key: str) -> dict[str, str | int | None]:
    if key == "id" or query.after is None:
        return {"key": query.after}
    found = _POSITION.fullmatch(query.after)
    if not found:
        raise ValueError("not a position in this order")
    return {"key": int(found[1]), "place": int(found[2])}


def _position(key: str, value: object, rowid: int) -> str:
    return str(value) if key == "id" else f"{value}.{rowid}"
