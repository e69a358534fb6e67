"""The store: turns of operations, each in one transaction and, mostly, one exchange."""

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any, TypeAlias

import psycopg

from relay_sdk.local import dates
from relay_sdk.local.answers import BackendError
from relay_sdk.local.dashboard.reader import Reader
from relay_sdk.local.operations import JobsCame, Operation, Reaped

from . import connection, statements, tables
from .careful import carefully
from .connection import Connection
from .looking import PostgresReader
from .statements import Parameters
from .turn import Statement, Turn
from .wakeups import Wakeups

log: logging.Logger = logging.getLogger("relay_sdk.local")

_Cursor: TypeAlias = psycopg.Cursor[tuple[Any, ...]]

ATTEMPTS = 3
"""How often a turn is tried that another server's turn was in the way of."""

PAUSE = 0.5
"""Seconds between tries to connect; who asks meanwhile is told that it failed."""

PLANS = 1.0
"""Seconds that plans are kept: a table can grow fast."""

REAPED = 5000
"""Jobs that are put back or dropped in one transaction."""

REAPING = 1.0
"""Seconds that a turn of the reaper may take; what is left has to wait for the next."""


class PostgresStore:
    """Jobs in PostgreSQL; it holds nothing that another server would miss."""

    def __init__(self, url: str) -> None:
        self.url: str = url
        self.name: str = connection.describe(url)
        self._closed = False
        self._ahead = 0
        self._failed_at: float | None = None
        self._trouble = BackendError("")
        self._next_try = 0.0
        self._plans_end = 0.0
        self._pid = 0
        self._open: Connection | None = None
        try:
            self._open = self._connect()
            tables.prepare(self._open, self.name)
            tables.warn(self._open, self.name)
            self._look_at_the_clock(self._open)
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
        """Tell the time of the database's machine."""
        return time.time_ns() // 1000 + self._ahead

    def perform(
        self,
        operations: Iterable[Operation[Any]],
        now: int,
        *,
        write: bool = True,  # noqa: ARG002  reading locks nothing either way
    ) -> list[object]:
        """Do all in one transaction; what cannot be stored is found by doing each alone."""
        operations = list(operations)  # what is asked is read before a transaction begins
        if not operations:
            return []
        try:
            return self._attempt(operations, now)
        except psycopg.Error as error:
            if self._open is None or connection.concerns_all(error):
                raise self._note(error) from None
            if len(operations) == 1:
                return [self._note(error)]
        return self._each_alone(operations, now)

    def _each_alone(self, operations: Sequence[Operation[Any]], now: int) -> list[object]:
        outcomes: list[object] = []
        waited = 0
        for operation in operations:
            if waited > 1:  # for locks, and it would take too long to wait for each
                outcomes.append(self._trouble)
                continue
            try:
                outcomes += self.perform([operation], now)
            except BackendError as error:  # what was done alone is done
                outcomes.append(error)
            last = outcomes[-1]
            waited += isinstance(last, BackendError) and last.retryable
        return outcomes

    def _attempt(self, operations: Sequence[Operation[Any]], now: int) -> list[object]:
        for left in reversed(range(ATTEMPTS)):
            try:
                outcomes = self._turn(self._connected(), Turn(operations, now))
            except psycopg.Error as error:
                self._undo(error)
                if not (left and connection.was_in_the_way(error)):
                    raise
            except BaseException:
                self._drop()  # who knows what it would say next
                raise
            else:
                self._note_success()
                return outcomes
        raise AssertionError

    def _turn(self, database: Connection, turn: Turn) -> list[object]:
        if time.monotonic() > self._plans_end:
            database.execute(statements.PLAN_ANEW, prepare=False)
            self._plans_end = time.monotonic() + PLANS
        first, last = list(turn.statements()), list(turn.last_statements())
        if turn.careful:
            with database.pipeline():
                database.execute("BEGIN", prepare=False)
                sent = [_send(database, each, prepare=False) for each in first]
                for n, operation in turn.careful:
                    turn.outcomes[n] = carefully(database, turn, operation)
                last = list(turn.last_statements())  # they may have more to tell
                sent += [_send(database, each, prepare=False) for each in last]
                database.execute("COMMIT", prepare=False)
            # After a ROLLBACK psycopg drops, once, what it prepared before and with the next.
            self._plans_end = 0.0
        elif len(first) + len(last) > 1:
            with database.pipeline():
                # Without these two it would be one transaction, too, but psycopg mistakes the
                # failure of one that nobody committed.
                database.execute("BEGIN", prepare=True)
                sent = [_send(database, each) for each in first + last]
                database.execute("COMMIT", prepare=True)
        else:
            sent = [_send(database, each) for each in first + last]
        for each, cursor in zip(first + last, sent, strict=True):
            each.read(cursor.fetchall() if cursor.description else (), turn.outcomes)
        return turn.outcomes

    def reap(self, now: int, interval: int) -> Reaped:
        """Put back the jobs whose time is over, if no other server did it in this interval."""
        reaped = Reaped([], [], complete=True)  # as far as this server may go in this interval
        end = time.monotonic() + REAPING
        try:
            database = self._connected()
            self._look_at_the_clock(database)
            turn: Parameters = {
                "now": dates.to_text(now),
                "before": dates.to_text(now - interval + 1),
                "after": dates.to_text(now + interval),  # a clock may have been set back
            }
            if not database.execute(statements.TAKE_TURN_TO_REAP, turn).rowcount:
                return reaped
            over: Parameters = {"now": turn["now"], "most": REAPED}
            while time.monotonic() < end:
                with database.transaction():
                    gone = database.execute(statements.DROP_EXPIRED, over).fetchall()
                    back = database.execute(statements.REQUEUE_EXPIRED, over).fetchall()
                    news = [f"{now} {queue}" for queue in {row[0] for row in back}]
                    if news:
                        database.execute(statements.NOTIFY, {"news": statements.texts(news)})
                reaped.dropped.extend((queue, id) for queue, id in gone)
                reaped.requeued.extend((queue, now) for (queue,) in back)
                if max(len(gone), len(back)) < REAPED:
                    break
        except psycopg.Error as error:
            self._undo(error)
            trouble = self._note(error)
            if not (reaped.dropped or reaped.requeued) and connection.concerns_all(error):
                raise trouble from None
        return reaped

    def listen(self, jobs_came: JobsCame) -> Wakeups:
        """Tell of the jobs that other servers of this code store."""
        return Wakeups(self.url, jobs_came, lambda: self._pid)

    def look(self, lock: Lock) -> Reader:  # noqa: ARG002  it has a connection of its own
        return PostgresReader(self.url)

    def _look_at_the_clock(self, database: Connection) -> None:
        before = time.time_ns() // 1000
        with database.cursor(binary=True) as cursor:
            row = cursor.execute(statements.CLOCK).fetchone()
        after = time.time_ns() // 1000
        if row:
            # It told its time at some moment between these: on a busy machine, not in the middle.
            least, most = row[0] - after, row[0] - before
            self._ahead = min(max(self._ahead, least), most)

    def _connected(self) -> Connection:
        if self._closed:
            raise BackendError("db error: ERROR: the server has stopped")
        if self._open is not None and not connection.is_alive(self._open):
            self._drop()
        if self._open is None:
            if time.monotonic() < self._next_try:
                raise self._trouble
            try:
                self._open = self._connect()
                self._look_at_the_clock(self._open)
            except psycopg.Error:
                self._next_try = time.monotonic() + PAUSE
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
        """Leave the connection as if nothing had been asked of it, or leave it."""
        if self._open is None:
            return
        if not connection.is_lost(error, self._open):
            try:
                self._open.execute("ROLLBACK")
            except psycopg.Error:
                self._drop()
        else:
            self._drop()

    def _note(self, error: psycopg.Error) -> BackendError:
        """Log what failed, once until it works again."""
        self._trouble = connection.backend_error(error)
        if not self._trouble.retryable:
            log.warning("The %s refused: %s", self.name, connection.message(error))
        elif self._failed_at is None:
            self._failed_at = time.monotonic()
            log.error(
                "The %s fails: %s. Requests are answered so, and it is tried again",
                self.name,
                connection.message(error),
            )
        return self._trouble

    def _note_success(self) -> None:
        if self._failed_at is not None:
            seconds = time.monotonic() - self._failed_at
            log.warning("The %s works again, after %.1f seconds", self.name, seconds)
            self._failed_at = None


def _send(database: Connection, each: Statement, *, prepare: bool = True) -> _Cursor:
    # After a ROLLBACK psycopg prepares all anew, and forgets what a pipeline prepared beside it.
    return database.execute(each.sql, each.parameters, prepare=prepare, binary=True)
