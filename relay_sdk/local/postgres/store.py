"""The jobs in PostgreSQL: each batch is one transaction and, mostly, one exchange."""

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any, TypeAlias

import psycopg

from relay_sdk.local import dates
from relay_sdk.local.exceptions import BackendError
from relay_sdk.local.operations import Operation
from relay_sdk.local.store import ArrivalCallback, Reaped

from . import connection, schema, sql
from .batch import Batch
from .connection import Connection
from .job_reader import PostgresJobReader
from .listener import NotificationListener
from .savepoints import execute_in_savepoint
from .sql import Parameters
from .statements import Statement

log: logging.Logger = logging.getLogger("relay_sdk.local")

_Cursor: TypeAlias = psycopg.Cursor[tuple[Any, ...]]

ATTEMPTS = 3
"""How often a batch is tried that conflicts with a batch of another server."""

RECONNECT_INTERVAL = 0.5
"""Seconds between attempts to connect; requests in between fail at once."""

PLAN_LIFETIME = 1.0
"""Seconds that plans are kept: a table can grow fast."""

REAP_LIMIT = 5000
"""Jobs that one transaction drops, and that it requeues."""

REAP_TIME_LIMIT = 1.0
"""Seconds that the reaper may take; the jobs that are left wait for the next interval."""


class PostgresStore:
    """Jobs in PostgreSQL; it keeps no state that another server would need."""

    def __init__(self, url: str) -> None:
        self.url: str = url
        self.name: str = connection.describe(url)
        self._closed = False
        self._clock_offset = 0
        self._failed_at: float | None = None
        self._last_error = BackendError("")
        self._next_connect = 0.0
        self._plans_end = 0.0
        self._pid = 0
        self._open: Connection | None = None
        try:
            self._open = self._connect()
            schema.create_tables(self._open, self.name)
            schema.warn_about_settings(self._open, self.name)
            self._read_clock(self._open)
            log.info("Jobs are in the %s", self.name)
        except psycopg.Error as error:
            self.close()
            raise OSError(f"cannot use the {self.name}: {connection.message(error)}") from None
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<PostgresStore: {self.name}>"

    def close(self) -> None:
        self._closed = True
        self._drop()

    def clock(self) -> int:
        """Return the time of the database's machine."""
        return time.time_ns() // 1000 + self._clock_offset

    def perform(
        self,
        operations: Iterable[Operation[Any]],
        now: int,
        *,
        write: bool = True,  # noqa: ARG002  a transaction that reads takes no locks
    ) -> list[object]:
        """Perform all in one transaction, or each alone to find those that fail."""
        operations = list(
            operations
        )  # the iterable parses requests, which must not delay a transaction
        if not operations:
            return []
        try:
            return self._attempt(operations, now)
        except psycopg.Error as error:
            if self._open is None or connection.is_outage(error):
                raise self._record_failure(error) from None
            if len(operations) == 1:
                return [self._record_failure(error)]
        return self._each_alone(operations, now)

    def _each_alone(self, operations: Sequence[Operation[Any]], now: int) -> list[object]:
        outcomes: list[object] = []
        waited = 0
        for operation in operations:
            if waited > 1:  # two waited for locks in vain: waiting for each would take too long
                outcomes.append(self._last_error)
                continue
            try:
                outcomes += self.perform([operation], now)
            except BackendError as error:  # the operations before are committed
                outcomes.append(error)
            last = outcomes[-1]
            waited += isinstance(last, BackendError) and last.retryable
        return outcomes

    def _attempt(self, operations: Sequence[Operation[Any]], now: int) -> list[object]:
        for left in reversed(range(ATTEMPTS)):
            try:
                outcomes = self._execute(self._connected(), Batch(operations, now))
            except psycopg.Error as error:
                self._undo(error)
                if not (left and connection.is_conflict(error)):
                    raise
            except BaseException:
                self._drop()  # the state of the connection is unknown
                raise
            else:
                self._record_success()
                return outcomes
        raise AssertionError

    def _execute(self, database: Connection, batch: Batch) -> list[object]:
        if time.monotonic() > self._plans_end:
            database.execute(sql.DISCARD_PLANS, prepare=False)
            self._plans_end = time.monotonic() + PLAN_LIFETIME
        first, last = list(batch.statements()), list(batch.last_statements())
        if batch.in_savepoints:
            with database.pipeline():
                database.execute("BEGIN", prepare=False)
                sent = [_send(database, each, prepare=False) for each in first]
                for n, operation in batch.in_savepoints:
                    batch.outcomes[n] = execute_in_savepoint(database, batch, operation)
                last = list(batch.last_statements())  # there may be more arrivals to notify of
                sent += [_send(database, each, prepare=False) for each in last]
                database.execute("COMMIT", prepare=False)
            # After a ROLLBACK psycopg drops all prepared statements, with those of the next batch.
            self._plans_end = 0.0
        elif len(first) + len(last) > 1:
            with database.pipeline():
                # A pipeline is one transaction without BEGIN and COMMIT too, but psycopg does not
                # handle a failure of this implicit transaction correctly.
                database.execute("BEGIN", prepare=True)
                sent = [_send(database, each) for each in first + last]
                database.execute("COMMIT", prepare=True)
        else:
            sent = [_send(database, each) for each in first + last]
        for each, cursor in zip(first + last, sent, strict=True):
            each.read(cursor.fetchall() if cursor.description else (), batch.outcomes)
        return batch.outcomes

    def reap(self, now: int, interval: int) -> Reaped:
        """Reap the jobs that timed out, if no other server did it in this interval."""
        reaped = Reaped([], [], complete=True)  # this server does nothing more in this interval
        end = time.monotonic() + REAP_TIME_LIMIT
        try:
            database = self._connected()
            self._read_clock(database)
            interval_now: Parameters = {
                "now": dates.to_text(now),
                "before": dates.to_text(now - interval + 1),
                "after": dates.to_text(now + interval),  # the clock may have been set back
            }
            if not database.execute(sql.CLAIM_REAP_INTERVAL, interval_now).rowcount:
                return reaped
            over: Parameters = {"now": interval_now["now"], "most": REAP_LIMIT}
            while time.monotonic() < end:
                with database.transaction():
                    dropped = database.execute(sql.DROP_EXPIRED, over).fetchall()
                    requeued = database.execute(sql.REQUEUE_EXPIRED, over).fetchall()
                    notifications = [f"{now} {queue}" for queue in {row[0] for row in requeued}]
                    if notifications:
                        database.execute(sql.NOTIFY, {"payloads": sql.texts(notifications)})
                reaped.dropped.extend((queue, id) for queue, id in dropped)
                reaped.requeued.extend((queue, now) for (queue,) in requeued)
                if max(len(dropped), len(requeued)) < REAP_LIMIT:
                    break
        except psycopg.Error as error:
            self._undo(error)
            backend_error = self._record_failure(error)
            if not (reaped.dropped or reaped.requeued) and connection.is_outage(error):
                raise backend_error from None
        return reaped

    def listen(self, on_arrival: ArrivalCallback) -> NotificationListener:
        """Listen for jobs that other servers of this kind store."""
        return NotificationListener(self.url, on_arrival, lambda: self._pid)

    def open_reader(self, lock: Lock) -> PostgresJobReader:  # noqa: ARG002  has its own connection
        return PostgresJobReader(self.url)

    def _read_clock(self, database: Connection) -> None:
        before = time.time_ns() // 1000
        with database.cursor(binary=True) as cursor:
            row = cursor.execute(sql.CLOCK).fetchone()
        after = time.time_ns() // 1000
        if row:
            # The database read its clock at some time between these two, which can be far apart
            # on a busy machine.
            least, most = row[0] - after, row[0] - before
            self._clock_offset = min(max(self._clock_offset, least), most)

    def _connected(self) -> Connection:
        if self._closed:
            raise BackendError("db error: ERROR: the server has stopped")
        if self._open is not None and not connection.is_alive(self._open):
            self._drop()
        if self._open is None:
            if time.monotonic() < self._next_connect:
                raise self._last_error
            try:
                self._open = self._connect()
                self._read_clock(self._open)
            except psycopg.Error:
                self._next_connect = time.monotonic() + RECONNECT_INTERVAL
                raise
        return self._open

    def _connect(self) -> Connection:
        opened = connection.connect(self.url)
        self._pid = opened.info.backend_pid
        return opened

    def _drop(self) -> None:
        if self._open is not None:
            with suppress(psycopg.Error):
                self._open.close()
            self._open = None

    def _undo(self, error: psycopg.Error) -> None:
        """Roll back, or drop the connection if it is lost."""
        if self._open is None:
            return
        if not connection.is_lost(error, self._open):
            try:
                self._open.execute("ROLLBACK")
            except psycopg.Error:
                self._drop()
        else:
            self._drop()

    def _record_failure(self, error: psycopg.Error) -> BackendError:
        """Log a failure; an outage is logged once until the database works again."""
        self._last_error = connection.backend_error(error)
        if not self._last_error.retryable:
            log.warning("The %s refused: %s", self.name, connection.message(error))
        elif self._failed_at is None:
            self._failed_at = time.monotonic()
            log.error(
                "The %s fails: %s. Requests get this error until it works again",
                self.name,
                connection.message(error),
            )
        return self._last_error

    def _record_success(self) -> None:
        if self._failed_at is not None:
            seconds = time.monotonic() - self._failed_at
            log.warning("The %s works again, after %.1f seconds", self.name, seconds)
            self._failed_at = None


def _send(database: Connection, each: Statement, *, prepare: bool = True) -> _Cursor:
    # After a ROLLBACK psycopg prepares all statements again, and forgets those that a pipeline
    # prepared at the same time.
    return database.execute(each.sql, each.parameters, prepare=prepare, binary=True)
