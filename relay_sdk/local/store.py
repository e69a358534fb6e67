"""The jobs table and every operation on it."""

import logging
import os
import sqlite3
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from importlib import resources
from threading import Lock
from typing import TYPE_CHECKING, Any

from . import run_ids, storable
from .answers import BackendError, JobExistsError
from .operations import (
    Action,
    Change,
    Claim,
    Claimed,
    Enqueue,
    Exists,
    Get,
    Heartbeat,
    Job,
    JobsCame,
    Mode,
    NewJob,
    Operation,
    Purge,
    Purged,
    Reaped,
    Remove,
    Requeue,
    Reschedule,
    Wakeups,
)

if TYPE_CHECKING:
    from .dashboard.reader import Reader

log: logging.Logger = logging.getLogger("relay_sdk.local")

APPLICATION_ID = 0x52454C59
SCHEMA_VERSION = 1


# The values of a job, and now as the eighth.
_INSERT = """
INSERT INTO jobs (queue, id, timeout, max_retries, retries_remaining, payload, state,
                  run_at, updated_at, created_at)
VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8, ?8)
ON CONFLICT (queue, id) DO """

# Of equal run_at it comes after what is in the queue already.
_REPLACEMENT = """UPDATE SET
    rowid = (SELECT max(rowid) + 1 FROM jobs),
    timeout = ?3, max_retries = ?4, retries_remaining = ?4, payload = ?5, state = ?6,
    run_id = NULL, expires_at = NULL, run_at = ?7, updated_at = ?8"""

_ON_CONFLICT: dict[Mode, str] = {
    "unique": "NOTHING",
    "ignore": "NOTHING",
    "replace": _REPLACEMENT,
}

_RESCHEDULE = (
    _REPLACEMENT.replace("UPDATE SET", "UPDATE jobs SET")
    + " WHERE queue = ?1 AND id = ?2 AND run_id IS NOT NULL"
)

SELECT_READY = """
SELECT rowid FROM jobs WHERE queue = ? AND run_id IS NULL AND run_at <= ?
ORDER BY run_at, rowid LIMIT ?"""

SELECT_FIRST = "SELECT min(run_at) FROM jobs WHERE queue = ? AND run_id IS NULL"

_CLAIM = """
UPDATE jobs SET run_id = ?1, updated_at = ?2, expires_at = ?2 + timeout * 1000000
WHERE rowid = ?3 RETURNING *"""

_HEARTBEAT = """
UPDATE jobs SET state = ?4, updated_at = ?5, expires_at = ?5 + timeout * 1000000
WHERE queue = ?1 AND id = ?2 AND run_id = coalesce(?3, run_id)"""

_REMOVE = """
DELETE FROM jobs WHERE queue = ?1 AND id = ?2 AND (?3 IS NULL OR run_id = ?3)
RETURNING run_at"""

_CHANGE: dict[Action, str] = {
    "remove": "DELETE FROM jobs WHERE queue = :queue AND id = :id",
    "requeue": """UPDATE jobs SET run_id = NULL, expires_at = NULL, updated_at = :now
        WHERE queue = :queue AND id = :id AND run_id IS NOT NULL""",
    "run_now": """UPDATE jobs SET run_at = :now, updated_at = :now
        WHERE queue = :queue AND id = :id AND run_id IS NULL AND run_at > :now""",
}

_PURGE = """
DELETE FROM jobs WHERE rowid IN (
    SELECT rowid FROM jobs WHERE queue = ?1 AND {} ORDER BY id LIMIT ?3) RETURNING id"""

DROP_EXPIRED = """
DELETE FROM jobs WHERE rowid IN (
    SELECT rowid FROM jobs
    WHERE run_id IS NOT NULL AND expires_at < ? AND retries_remaining = 0 LIMIT ?)
RETURNING queue, id"""

REQUEUE_EXPIRED = """
UPDATE jobs SET run_id = NULL, expires_at = NULL, retries_remaining = retries_remaining - 1
WHERE rowid IN (
    SELECT rowid FROM jobs WHERE run_id IS NOT NULL AND expires_at < ? LIMIT ?)
RETURNING queue, run_at"""

CLAIM_SIZE = 16 * 1024 * 1024
"""Characters of payload and state after which a claim ends."""

REAP = 1000
"""Jobs that one look for expired ones drops, and puts back."""


_RETRYABLE = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
}  # fmt: skip


@contextmanager
def told(what: str) -> Generator[None]:
    """Log that the database fails, and say it as to clients, and whether they may try again."""
    try:
        yield
    except (sqlite3.Error, BackendError) as error:
        log.warning("%s: %s", what, error)
        if isinstance(error, BackendError):
            raise
        # The low byte is the kind; errors of the module itself have no code.
        kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
        message = f"db error: ERROR: {error}"
        raise BackendError(message, retryable=kind in _RETRYABLE) from None


class Store:
    """Jobs in one SQLite file; every moment is in microseconds since 1970 UTC.

    Not thread-safe: its owner holds a lock.
    """

    def __init__(self, path: str | os.PathLike[str], *, busy_timeout: float = 5.0) -> None:
        if not os.fspath(path):
            raise ValueError("the database needs a file name, or :memory:")
        self._busy_timeout = int(busy_timeout * 1000)
        self.path: str | None = None if os.fspath(path) == ":memory:" else os.path.abspath(path)
        try:
            if self.path is not None:
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            self.connection: sqlite3.Connection = sqlite3.connect(
                path,
                timeout=busy_timeout,
                isolation_level=None,
                check_same_thread=False,
            )
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise OSError(f"cannot open the database {os.fspath(path)}: {reason}") from error
        self._file = self._identity()
        try:
            self._prepare(path)
        except BaseException:
            self.connection.close()
            raise

    def _prepare(self, path: str | os.PathLike[str]) -> None:
        try:
            owner = self._pragma("application_id")
            tables = self.connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            if owner != APPLICATION_ID and (owner or tables):
                raise ValueError(f"{os.fspath(path)} is the database of another program")
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA synchronous = FULL")
            with self.transaction():
                self._create()
            version = self._pragma("user_version")
        except sqlite3.OperationalError as error:
            raise OSError(f"cannot use the database {os.fspath(path)}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{os.fspath(path)} is no SQLite database: {error}") from error
        if version != SCHEMA_VERSION:
            raise ValueError(
                f"{os.fspath(path)} has format {version}, and this version reads {SCHEMA_VERSION}"
            )

    def _create(self) -> None:
        if self._pragma("application_id") == APPLICATION_ID:
            return
        schema = resources.files("relay_sdk.local").joinpath("schema.sql").read_text("utf-8")
        for statement in schema.split(";"):
            self.connection.execute(statement)
        self.connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self.connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _pragma(self, name: str) -> int:
        value: int = self.connection.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    def close(self) -> None:
        self.connection.close()

    def check_file(self) -> None:
        """Raise BackendError when what was written last is not in the file of that name."""
        if self._identity() != self._file:
            raise BackendError(
                f"the database file {self.path} was deleted or replaced while the server ran; "
                "put it back, or restart the server",
                retryable=True,
            )

    def _identity(self) -> tuple[int, int] | None:
        if self.path is None:
            return None
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @contextmanager
    def transaction(self, *, write: bool = True) -> Generator[None]:
        """Keep everything inside or nothing; an inner one can fail alone."""
        outermost = not self.connection.in_transaction
        begin = "BEGIN IMMEDIATE" if write else "BEGIN"
        self.connection.execute(begin if outermost else "SAVEPOINT part")
        try:
            yield
            self.connection.execute("COMMIT" if outermost else "RELEASE part")
        except BaseException:
            if outermost:
                self._roll_back("ROLLBACK")
            else:
                self._roll_back("ROLLBACK TO part", "RELEASE part")
            raise

    @contextmanager
    def _at_once(self) -> Generator[None]:
        """Wait for no lock: whoever asks would wait for this, and then for his own."""
        self.connection.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            self.connection.execute(f"PRAGMA busy_timeout = {self._busy_timeout}")

    def _roll_back(self, *statements: str) -> None:
        # A full disk, say, has made SQLite roll everything back already.
        if self.connection.in_transaction:
            for statement in statements:
                self.connection.execute(statement)

    def perform(
        self, operations: Iterable[Operation[Any]], now: int, *, write: bool = True
    ) -> list[object]:
        """Do all with one commit, each when it is given, and in order."""
        with told("The database failed"):
            with self.transaction(write=write):
                outcomes = [self._outcome(operation, now) for operation in operations]
            self.check_file()
        return outcomes

    def _outcome(self, operation: Operation[Any], now: int) -> object:
        try:
            return self._do(operation, now)
        except sqlite3.Error:
            raise  # the transaction that all share is lost
        except Exception as error:  # noqa: BLE001  it is raised where the answer is made
            return error

    def _do(self, operation: Operation[Any], now: int) -> object:
        match operation:
            case Enqueue(jobs, mode):
                self._enqueue(jobs, mode, now)
                return None
            case Claim(queue, limit, tell_left):
                claimed = self.claim(queue, limit, now)
                return Claimed(claimed, self.first_run_at(queue) if tell_left else None)
            case Get():
                return self.get(operation.queue, operation.id)
            case Exists():
                return self.exists(operation.queue, operation.id)
            case Heartbeat(queue, id, run_id, state):
                return self.heartbeat(queue, id, run_id, state, now)
            case Reschedule():
                return self.reschedule(operation.job, now)
            case Change(queue, ids, action):
                asked = [{"queue": queue, "id": id, "now": now} for id in ids]
                return self.connection.executemany(_CHANGE[action], asked).rowcount
            case Purge(queue, after, limit):
                return self.purge(queue, after, limit)
            case Remove():
                return self.remove(operation.queue, operation.id, operation.run_id)
            case Requeue(run, new):
                with self.transaction():
                    there = self.remove(run.queue, run.id, run.run_id) is not None
                    if there:
                        self._enqueue(new.jobs, new.mode, now)
                return there
            case _:
                raise TypeError(f"no store knows {operation}")

    def _enqueue(self, jobs: Sequence[NewJob], mode: Mode, now: int) -> None:
        """Store all or none."""
        if len(jobs) == 1:
            self.enqueue(storable.jobs(jobs), mode, now)
        else:
            with self.transaction():
                self.enqueue(storable.jobs(jobs), mode, now)

    def clock(self) -> int:
        return time.time_ns() // 1000

    def listen(self, jobs_came: JobsCame) -> Wakeups | None:  # noqa: ARG002  there are no others
        return None

    def enqueue(self, jobs: Iterable[NewJob], mode: Mode, now: int) -> None:
        """Insert jobs in order; raise JobExistsError at the first conflict if unique."""
        insert = _INSERT + _ON_CONFLICT[mode]
        if mode != "unique":
            self.connection.executemany(insert, ((*job, now) for job in jobs))
            return
        execute = self.connection.cursor().execute
        for job in jobs:
            if not execute(insert, (*job, now)).rowcount:
                raise JobExistsError(job.queue, job.id)

    def claim(self, queue: str, limit: int, now: int) -> list[Job]:
        """Put up to limit ready jobs in flight, earliest run_at first.

        There may be fewer than are ready, when they are large.
        """
        cursor = self.connection.cursor()
        ready = cursor.execute(SELECT_READY, (queue, now, limit)).fetchall()
        claimed: list[Job] = []
        size = 0
        for (rowid,) in ready:
            row = cursor.execute(_CLAIM, (run_ids.new(now), now, rowid)).fetchone()
            job = Job._make(row)
            claimed.append(job)
            size += len(job.payload) + len(job.state or "")
            if size > CLAIM_SIZE:
                break
        return claimed

    def first_run_at(self, queue: str) -> int | None:
        """Tell the earliest run_at of a job that nobody has."""
        run_at: int | None = self.connection.execute(SELECT_FIRST, (queue,)).fetchone()[0]
        return run_at

    def get(self, queue: str, id: str) -> Job | None:
        row = self.connection.execute(
            "SELECT * FROM jobs WHERE queue = ? AND id = ?", (queue, id)
        ).fetchone()
        return row and Job._make(row)

    def exists(self, queue: str, id: str) -> bool:
        row = self.connection.execute(
            "SELECT 1 FROM jobs WHERE queue = ? AND id = ?", (queue, id)
        ).fetchone()
        return row is not None

    def heartbeat(
        self, queue: str, id: str, run_id: str | None, state: str | None, now: int
    ) -> bool:
        """Extend a job in flight and replace its state; without run_id, whoever holds it."""
        cursor = self.connection.execute(_HEARTBEAT, (queue, id, run_id, state, now))
        return cursor.rowcount > 0

    def reschedule(self, job: NewJob, now: int) -> bool:
        """Put a job in flight back into its queue, changed."""
        cursor = self.connection.execute(_RESCHEDULE, (*job, now))
        return cursor.rowcount > 0

    def remove(self, queue: str, id: str, run_id: str | None = None) -> int | None:
        """Delete a job, and give its run_at; with run_id, only if that run holds it."""
        row = self.connection.execute(_REMOVE, (queue, id, run_id)).fetchone()
        return row[0] if row else None

    def purge(self, queue: str, after: str | None, limit: int) -> Purged:
        """Delete the first jobs of a queue whose ids come after one."""
        statement = _PURGE.format("?2 IS NULL" if after is None else "id > ?2")
        ids: list[str] = [
            id for (id,) in self.connection.execute(statement, (queue, after, limit)).fetchall()
        ]
        return Purged(len(ids), max(ids) if len(ids) == limit else None)

    def look(self, lock: Lock) -> "Reader":
        from .dashboard.sqlite import SqliteReader

        return SqliteReader(self, lock)

    def reap(self, now: int, interval: int = 0) -> Reaped:  # noqa: ARG002  shared by none
        """Put back some of the jobs whose time is over, and drop those without retries left."""
        with told("Cannot look for jobs that timed out"), self._at_once(), self.transaction():
            execute = self.connection.execute
            dropped: list[tuple[str, str]] = execute(DROP_EXPIRED, (now, REAP)).fetchall()
            if len(dropped) == REAP:
                return Reaped(dropped, [], complete=False)
            requeued: list[tuple[str, int]] = execute(REQUEUE_EXPIRED, (now, REAP)).fetchall()
            return Reaped(dropped, requeued, complete=len(requeued) < REAP)
