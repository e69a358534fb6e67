"""The jobs table and every operation on it."""

import os
import sqlite3
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import Any
from uuid import uuid4

from . import storable
from .answers import BackendError, JobExistsError
from .operations import (
    Claim,
    Enqueue,
    Exists,
    Get,
    Heartbeat,
    Job,
    Mode,
    NewJob,
    Operation,
    Remove,
    Requeue,
    Reschedule,
)

APPLICATION_ID = 0x52454C59
SCHEMA_VERSION = 1

_INSERT = """
INSERT INTO jobs (queue, id, timeout, max_retries, retries_remaining, payload, state,
                  run_at, updated_at, created_at)
VALUES (:queue, :id, :timeout, :max_retries, :max_retries, :payload, :state, :run_at, :now, :now)
ON CONFLICT (queue, id) DO """

_REPLACEMENT = """UPDATE SET
    timeout = :timeout, max_retries = :max_retries, retries_remaining = :max_retries,
    payload = :payload, state = :state, run_id = NULL, expires_at = NULL,
    run_at = :run_at, updated_at = :now"""

_RESCHEDULE = (
    _REPLACEMENT.replace("UPDATE SET", "UPDATE jobs SET")
    + " WHERE queue = :queue AND id = :id AND run_id IS NOT NULL"
)

SELECT_READY = """
SELECT rowid FROM jobs WHERE queue = ? AND run_id IS NULL AND run_at <= ?
ORDER BY run_at, rowid LIMIT ?"""

_CLAIM = """
UPDATE jobs SET run_id = :run_id, updated_at = :now, expires_at = :now + timeout * 1000000
WHERE rowid = :rowid RETURNING *"""

_HEARTBEAT = """
UPDATE jobs SET state = :state, updated_at = :now, expires_at = :now + timeout * 1000000
WHERE queue = :queue AND id = :id AND run_id = coalesce(:run_id, run_id)"""

_REMOVE = """
DELETE FROM jobs WHERE queue = :queue AND id = :id AND (:run_id IS NULL OR run_id = :run_id)"""

DROP_EXPIRED = """
DELETE FROM jobs WHERE run_id IS NOT NULL AND expires_at < ? AND retries_remaining = 0
RETURNING queue, id"""

REQUEUE_EXPIRED = """
UPDATE jobs SET run_id = NULL, expires_at = NULL, retries_remaining = retries_remaining - 1
WHERE run_id IS NOT NULL AND expires_at < ?"""


class Store:
    """Jobs in one SQLite file; every moment is in microseconds since 1970 UTC.

    Not thread-safe: its owner holds a lock.
    """

    def __init__(self, path: str | os.PathLike[str], *, busy_timeout: float = 5.0) -> None:
        if not os.fspath(path):
            raise ValueError("the database needs a file name, or :memory:")
        try:
            self.connection: sqlite3.Connection = sqlite3.connect(
                path,
                timeout=busy_timeout,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise OSError(f"cannot open the database {os.fspath(path)}: {error}") from error
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

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Keep everything inside or nothing; an inner one can fail alone."""
        outermost = not self.connection.in_transaction
        self.connection.execute("BEGIN IMMEDIATE" if outermost else "SAVEPOINT part")
        try:
            yield
            self.connection.execute("COMMIT" if outermost else "RELEASE part")
        except BaseException:
            if outermost:
                self._roll_back("ROLLBACK")
            else:
                self._roll_back("ROLLBACK TO part", "RELEASE part")
            raise

    def _roll_back(self, *statements: str) -> None:
        # A full disk, say, has made SQLite roll everything back already.
        if self.connection.in_transaction:
            for statement in statements:
                self.connection.execute(statement)

    def perform(self, operations: Sequence[Operation[Any]], now: int) -> list[object]:
        """Do all with one commit, in order, each in a part of its own."""
        with self.transaction():
            return [self._outcome(operation, now) for operation in operations]

    def _outcome(self, operation: Operation[Any], now: int) -> object:
        try:
            with self.transaction():
                return self._do(operation, now)
        except (JobExistsError, BackendError) as error:
            return error

    def _do(self, operation: Operation[Any], now: int) -> object:
        match operation:
            case Enqueue():
                self.enqueue(storable.jobs(operation.jobs), operation.mode, now)
                return None
            case Claim():
                return self.claim(operation.queue, operation.limit, now)
            case Get():
                return self.get(operation.queue, operation.id)
            case Exists():
                return self.exists(operation.queue, operation.id)
            case Heartbeat(queue, id, run_id, state):
                return self.heartbeat(queue, id, run_id, state, now)
            case Reschedule():
                return self.reschedule(operation.job, now)
            case Remove():
                return self.remove(operation.queue, operation.id, operation.run_id)
            case Requeue(run, new):
                there = self.remove(run.queue, run.id, run.run_id)
                if there:
                    self.enqueue(storable.jobs(new.jobs), new.mode, now)
                return there
            case _:
                raise TypeError(f"no store knows {operation}")

    def clock(self) -> int:
        return time.time_ns() // 1000

    def enqueue(self, jobs: Iterable[NewJob], mode: Mode, now: int) -> None:
        """Insert jobs in order; raise JobExistsError at the first conflict if unique."""
        insert = _INSERT + (_REPLACEMENT if mode == "replace" else "NOTHING")
        for job in jobs:
            cursor = self.connection.execute(insert, {**job._asdict(), "now": now})
            if mode == "unique" and not cursor.rowcount:
                raise JobExistsError(job.queue, job.id)

    def claim(self, queue: str, limit: int, now: int) -> list[Job]:
        """Put up to limit ready jobs in flight, earliest run_at first."""
        ready = self.connection.execute(SELECT_READY, (queue, now, limit)).fetchall()
        claims = ({"run_id": str(uuid4()), "now": now, "rowid": rowid} for (rowid,) in ready)
        return [Job._make(self.connection.execute(_CLAIM, claim).fetchone()) for claim in claims]

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
        values = {"queue": queue, "id": id, "run_id": run_id, "state": state, "now": now}
        cursor = self.connection.execute(_HEARTBEAT, values)
        return cursor.rowcount > 0

    def reschedule(self, job: NewJob, now: int) -> bool:
        """Put a job in flight back into its queue, changed."""
        cursor = self.connection.execute(_RESCHEDULE, {**job._asdict(), "now": now})
        return cursor.rowcount > 0

    def remove(self, queue: str, id: str, run_id: str | None = None) -> bool:
        """Delete a job; with run_id, only if that run holds it."""
        cursor = self.connection.execute(_REMOVE, {"queue": queue, "id": id, "run_id": run_id})
        return cursor.rowcount > 0

    def reap(self, now: int, interval: int = 0) -> list[tuple[str, str]]:  # noqa: ARG002  shared by none
        """Requeue the jobs whose time is over; return those dropped for want of retries."""
        with self.transaction():
            dropped: list[tuple[str, str]] = self.connection.execute(
                DROP_EXPIRED, (now,)
            ).fetchall()
            self.connection.execute(REQUEUE_EXPIRED, (now,))
        return dropped
