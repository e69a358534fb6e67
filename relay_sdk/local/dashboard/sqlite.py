"""Jobs and their numbers, read from a SQLite file."""

import re
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

from relay_sdk.local.answers import BackendError
from relay_sdk.local.operations import Job

from .reader import QUEUES, SCAN, SECONDS, START, Ask, Counted, Page, end_of

if TYPE_CHECKING:
    from relay_sdk.local.store import Store

STEPS = 100_000
"""Of SQLite's machine, after each of which it is seen whether there is time left."""

# Each queue is found by a step in the index on queue and id.
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

# That index does not know the queue.
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

_PLACE = re.compile(r"(-?[0-9]{1,18})\.([0-9]{1,18})")


class SqliteReader:
    """Has a connection of its own; what is in memory is counted less far, with the turns' lock."""

    shared = False

    def __init__(self, store: "Store", lock: Lock) -> None:
        self._store = store
        self._lock = lock
        self.most: int = 10_000 if store.path is None else 100_000
        self._own: sqlite3.Connection | None = None

    def queues(self, after: str | None, now: int, most: int) -> tuple[list[Counted], str | None]:
        with self._reading() as connection:
            execute = connection.execute
            statement = _NAMES.format("TRUE" if after is None else "queue > :after")
            rows = execute(statement, {"after": after, "limit": QUEUES + 1}).fetchall()
            running: dict[str, int] = dict(execute(_RUNNING, (most,)).fetchall())
            counted: list[Counted] = []
            for (queue,) in rows[:QUEUES]:
                ready, oldest = execute(_READY, (queue, now, most)).fetchone()
                (scheduled,) = execute(_SCHEDULED, (queue, now, most)).fetchone()
                counted.append(Counted(queue, ready, scheduled, running.get(queue, 0), oldest))
        return counted, counted[-1].queue if len(rows) > QUEUES else None

    def jobs(self, ask: Ask, now: int) -> Page:
        key, where = _range(ask)
        parameters: dict[str, str | int | None] = {
            "queue": ask.queue,
            "low": ask.prefix,
            "high": end_of(ask.prefix),
            "now": now,
            "start": START,
            "scan": SCAN,
            "limit": ask.limit,
            **_after(ask, key),
        }
        with self._reading() as connection:
            page = _PAGE.format(range=where, status=_STATUS[ask.status])
            rows = connection.execute(page, parameters).fetchall()
            jobs = [Job._make(row[1:]) for row in rows]
            if len(jobs) == ask.limit:
                return Page(jobs, _place(key, getattr(jobs[-1], key), rows[-1][0]))
            last = connection.execute(_LAST.format(key=key, range=where), parameters).fetchone()
        return Page(jobs, _place(key, *last) if last else None)

    def job(self, queue: str, id: str) -> Job | None:
        with self._reading() as connection:
            row = connection.execute(
                "SELECT * FROM jobs WHERE queue = ? AND id = ?", (queue, id)
            ).fetchone()
        return row and Job._make(row)

    def close(self) -> None:
        if self._own is not None:
            self._own.close()

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        """Give a connection that sees one moment; end what takes too long."""
        end = monotonic() + SECONDS
        try:
            if self._store.path is None:
                with self._lock:
                    yield self._store.connection
                return
            if self._own is None:
                # Where the file was deleted, none is made in its place.
                self._own = sqlite3.connect(
                    f"{Path(self._store.path).as_uri()}?mode=rw",
                    uri=True,
                    timeout=SECONDS,
                    isolation_level=None,
                    check_same_thread=False,
                )
                self._own.execute("PRAGMA query_only = ON")
            self._own.set_progress_handler(lambda: monotonic() > end, STEPS)
            self._own.execute("BEGIN")
            try:
                yield self._own
            finally:
                self._own.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise BackendError(f"db error: ERROR: {error}", retryable=True) from None


def _range(ask: Ask) -> tuple[str, str]:
    """Give the column that orders the jobs, and what follows FROM."""
    begun = ask.after is not None
    if ask.prefix or ask.status is None:
        high = " AND id < :high" if end_of(ask.prefix) else ""
        low = "id > :key" if begun else "id >= :low"
        return "id", f"WHERE queue = :queue AND {low}{high} ORDER BY id"
    column = "expires_at" if ask.status == "running" else "run_at"
    after = f" AND {column} >= :key AND ({column} > :key OR rowid > :place)" if begun else ""
    if column == "expires_at":
        where = f"INDEXED BY jobs_leased WHERE run_id IS NOT NULL{after}"
    else:
        due = "run_at <= :now" if ask.status == "ready" else "run_at > :now"
        where = f"INDEXED BY jobs_ready WHERE queue = :queue AND run_id IS NULL AND {due}{after}"
    return column, f"{where} ORDER BY {column}, rowid"


def _after(ask: Ask, key: str) -> dict[str, str | int | None]:
    if key == "id" or ask.after is None:
        return {"key": ask.after}
    found = _PLACE.fullmatch(ask.after)
    if not found:
        raise ValueError("no place in this order")
    return {"key": int(found[1]), "place": int(found[2])}


def _place(key: str, value: object, rowid: int) -> str:
    return str(value) if key == "id" else f"{value}.{rowid}"
