"""The jobs in an SQLite file, and every operation on them."""

import logging
import os
import sqlite3
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from importlib import resources
from threading import Lock
from typing import Any

from relay_sdk.local import run_ids, validation
from relay_sdk.local.exceptions import BackendError, JobExistsError
from relay_sdk.local.operations import (
    Change,
    Claim,
    Claimed,
    Enqueue,
    Exists,
    Get,
    Heartbeat,
    Job,
    Mode,
    NewJob,
    Operation,
    Purge,
    Purged,
    Remove,
    Requeue,
    Reschedule,
)
from relay_sdk.local.store import ArrivalCallback, Listener, Reaped

from . import sql
from .job_reader import SqliteJobReader

log: logging.Logger = logging.getLogger("relay_sdk.local")

APPLICATION_ID = 0x52454C59
SCHEMA_VERSION = 1

MAX_CLAIM_CHARACTERS = 16 * 1024 * 1024
"""Characters of payload and state after which a claim ends."""

REAP_LIMIT = 1000
"""Timed-out jobs that one call of `reap` drops, and that it requeues."""


_RETRYABLE = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
}  # fmt: skip


@contextmanager
def database_errors(message: str) -> Generator[None]:
    """Log errors of the database, and raise them as BackendErrors for the client."""
    try:
        yield
    except (sqlite3.Error, BackendError) as error:
        log.warning("%s: %s", message, error)
        if isinstance(error, BackendError):
            raise
        # The low byte is the primary code; errors of the sqlite3 module itself have none.
        kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
        text = f"db error: ERROR: {error}"
        raise BackendError(text, retryable=kind in _RETRYABLE) from None


class SqliteStore:
    """Jobs in one SQLite file; every time is in microseconds since 1970 UTC.

    Not thread-safe: the owner holds a lock.
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
            raise ValueError(f"{os.fspath(path)} is not an SQLite database: {error}") from error
        if version != SCHEMA_VERSION:
            raise ValueError(
                f"{os.fspath(path)} has format {version}, and this version reads {SCHEMA_VERSION}"
            )

    def _create(self) -> None:
        if self._pragma("application_id") == APPLICATION_ID:
            return
        schema = resources.files("relay_sdk.local.sqlite").joinpath("schema.sql").read_text("utf-8")
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
        """Raise BackendError if the file that was opened is no longer at its path."""
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
        """Commit everything inside or nothing; an inner transaction can fail alone."""
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
    def _without_lock_wait(self) -> Generator[None]:
        """Do not wait for locks: requests would wait for this lock, and then for one of theirs."""
        self.connection.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            self.connection.execute(f"PRAGMA busy_timeout = {self._busy_timeout}")

    def _roll_back(self, *statements: str) -> None:
        # SQLite may have rolled back everything already, as on a full disk.
        if self.connection.in_transaction:
            for statement in statements:
                self.connection.execute(statement)

    def perform(
        self, operations: Iterable[Operation[Any]], now: int, *, write: bool = True
    ) -> list[object]:
        """Perform all with one commit, in order, each as soon as the iterable yields it."""
        with database_errors("The database failed"):
            with self.transaction(write=write):
                outcomes = [self._outcome(operation, now) for operation in operations]
            self.check_file()
        return outcomes

    def _outcome(self, operation: Operation[Any], now: int) -> object:
        try:
            return self._execute(operation, now)
        except sqlite3.Error:
            raise  # the transaction, which all operations share, is lost
        except Exception as error:  # noqa: BLE001  the handler raises it
            return error

    def _execute(self, operation: Operation[Any], now: int) -> object:
        match operation:
            case Enqueue(jobs, mode):
                self._enqueue(jobs, mode, now)
                return None
            case Claim(queue, limit, find_left):
                claimed = self.claim(queue, limit, now)
                return Claimed(claimed, self.first_run_at(queue) if find_left else None)
            case Get():
                return self.get(operation.queue, operation.id)
            case Exists():
                return self.exists(operation.queue, operation.id)
            case Heartbeat(queue, id, run_id, state):
                return self.heartbeat(queue, id, run_id, state, now)
            case Reschedule():
                return self.reschedule(operation.job, now)
            case Change(queue, ids, action):
                keys = [{"queue": queue, "id": id, "now": now} for id in ids]
                return self.connection.executemany(sql.CHANGE[action], keys).rowcount
            case Purge(queue, after, limit):
                return self.purge(queue, after, limit)
            case Remove():
                return self.remove(operation.queue, operation.id, operation.run_id)
            case Requeue(run, new):
                with self.transaction():
                    removed = self.remove(run.queue, run.id, run.run_id) is not None
                    if removed:
                        self._enqueue(new.jobs, new.mode, now)
                return removed
            case _:
                raise TypeError(f"unknown operation: {operation}")

    def _enqueue(self, jobs: Sequence[NewJob], mode: Mode, now: int) -> None:
        """Store all jobs or none."""
        if len(jobs) == 1:
            self.enqueue(validation.check_jobs(jobs), mode, now)
        else:
            with self.transaction():
                self.enqueue(validation.check_jobs(jobs), mode, now)

    def clock(self) -> int:
        return time.time_ns() // 1000

    def listen(self, on_arrival: ArrivalCallback) -> Listener | None:  # noqa: ARG002  there are no other servers
        return None

    def enqueue(self, jobs: Iterable[NewJob], mode: Mode, now: int) -> None:
        """Insert jobs in order; in mode unique, raise JobExistsError at the first conflict."""
        insert = sql.INSERT + sql.ON_CONFLICT[mode]
        if mode != "unique":
            self.connection.executemany(insert, ((*job, now) for job in jobs))
            return
        execute = self.connection.cursor().execute
        for job in jobs:
            if not execute(insert, (*job, now)).rowcount:
                raise JobExistsError(job.queue, job.id)

    def claim(self, queue: str, limit: int, now: int) -> list[Job]:
        """Put up to limit ready jobs in flight, earliest run_at first.

        Large jobs are claimed in smaller numbers.
        """
        cursor = self.connection.cursor()
        ready = cursor.execute(sql.SELECT_READY, (queue, now, limit)).fetchall()
        claimed: list[Job] = []
        size = 0
        for (rowid,) in ready:
            row = cursor.execute(sql.CLAIM, (run_ids.new_run_id(now), now, rowid)).fetchone()
            job = Job._make(row)
            claimed.append(job)
            size += len(job.payload) + len(job.state or "")
            if size > MAX_CLAIM_CHARACTERS:
                break
        return claimed

    def first_run_at(self, queue: str) -> int | None:
        """Return the earliest run_at of the jobs that are not in flight."""
        run_at: int | None = self.connection.execute(sql.SELECT_FIRST, (queue,)).fetchone()[0]
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
        """Extend a job in flight and replace its state; without run_id, any run of the job."""
        cursor = self.connection.execute(sql.HEARTBEAT, (queue, id, run_id, state, now))
        return cursor.rowcount > 0

    def reschedule(self, job: NewJob, now: int) -> bool:
        """Put a job in flight back into its queue, changed."""
        cursor = self.connection.execute(sql.RESCHEDULE, (*job, now))
        return cursor.rowcount > 0

    def remove(self, queue: str, id: str, run_id: str | None = None) -> int | None:
        """Delete a job, and return its run_at; with run_id, only if that run holds the job."""
        row = self.connection.execute(sql.REMOVE, (queue, id, run_id)).fetchone()
        return row[0] if row else None

    def purge(self, queue: str, after: str | None, limit: int) -> Purged:
        """Delete the first jobs of a queue whose ids come after `after`."""
        statement = sql.PURGE.format("?2 IS NULL" if after is None else "id > ?2")
        ids: list[str] = [
            id for (id,) in self.connection.execute(statement, (queue, after, limit)).fetchall()
        ]
        return Purged(len(ids), max(ids) if len(ids) == limit else None)

    def open_reader(self, lock: Lock) -> SqliteJobReader:
        return SqliteJobReader(self.path, self.connection, lock)

    def reap(self, now: int, interval: int = 0) -> Reaped:  # noqa: ARG002  there are no other servers
        """Requeue some of the jobs that timed out, and drop those without retries left."""
        with (
            database_errors("Cannot look for jobs that timed out"),
            self._without_lock_wait(),
            self.transaction(),
        ):
            execute = self.connection.execute
            dropped: list[tuple[str, str]] = execute(sql.DROP_EXPIRED, (now, REAP_LIMIT)).fetchall()
            if len(dropped) == REAP_LIMIT:
                return Reaped(dropped, [], complete=False)
            requeued: list[tuple[str, int]] = execute(
                sql.REQUEUE_EXPIRED, (now, REAP_LIMIT)
            ).fetchall()
            return Reaped(dropped, requeued, complete=len(requeued) < REAP_LIMIT)
