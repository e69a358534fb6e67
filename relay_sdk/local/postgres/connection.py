"""A connection to PostgreSQL on which every wait has a timeout."""

import time
from struct import Struct
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import conninfo
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import Loader
from psycopg.pq import ConnStatus, Format
from psycopg.pq.abc import PGconn

from relay_sdk.local.exceptions import BackendError

R = TypeVar("R")

CONNECT_TIMEOUT = 5
"""Seconds."""

EXCHANGE_TIMEOUT = 20.0
"""Seconds that one exchange with the database may take before its connection is closed."""

DEFAULTS: dict[str, str | int] = {
    "application_name": "relay-sdk",
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives_idle": 30,
    "tcp_user_timeout": 20_000,  # milliseconds
}

# All statements find rows by an index. These settings keep plans independent of statistics, which
# may not exist yet.
SETTINGS: dict[LiteralString, LiteralString] = {
    "TimeZone": "UTC",
    "default_transaction_isolation": "read committed",
    "lock_timeout": "2s",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "30s",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_sort": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "client_min_messages": "error",
}
_SET = "SELECT " + ", ".join(
    f"set_config('{name}', '{to}', false)" for name, to in SETTINGS.items()
)

_INTERVAL = Struct("!qii")
_EPOCH = 946_684_800_000_000  # the year 2000, the epoch of PostgreSQL


class _TimestampLoader(Loader):
    """Loads a timestamp as microseconds since 1970."""

    format = Format.BINARY

    def load(self, data: Buffer) -> int:
        return int.from_bytes(data, "big", signed=True) + _EPOCH


class _IntervalLoader(Loader):
    """Loads an interval as whole seconds; one that cannot be a timeout becomes 30, as in Relay."""

    format = Format.BINARY

    def load(self, data: Buffer) -> int:
        microseconds, days, months = _INTERVAL.unpack(data)
        seconds = microseconds // 10**6 + 86_400 * (days + 30 * months)
        return seconds if 0 <= seconds < 2**31 else 30


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection with a timeout for each exchange, even if PostgreSQL never responds."""

    def wait(self, gen: PQGen[R], interval: float = 0.1, timeout: float | None = None) -> R:
        bounded = _with_timeout(gen, self.pgconn)
        if timeout is None:  # the only call that psycopg 3.2 supports
            return super().wait(bounded, interval)
        return super().wait(bounded, interval, timeout)


def _with_timeout(gen: PQGen[R], pgconn: PGconn) -> PQGen[R]:
    end = time.monotonic() + EXCHANGE_TIMEOUT
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > end:
                pgconn.finish()
                raise psycopg.OperationalError(f"no response for {EXCHANGE_TIMEOUT:g} seconds")
            wanted = gen.send(ready)
    except StopIteration as done:
        result: R = done.value
        return result


def connect(url: str) -> Connection:
    """Connect with the settings that this server needs; raise psycopg.Error."""
    parameters = conninfo.conninfo_to_dict(url)
    defaults = {name: to for name, to in DEFAULTS.items() if name not in parameters}
    connection = Connection.connect(conninfo.make_conninfo(url, **defaults), autocommit=True)
    try:
        connection.adapters.register_loader("timestamp", _TimestampLoader)
        connection.adapters.register_loader("interval", _IntervalLoader)
        connection.execute(_SET)
    except BaseException:
        connection.close()
        raise
    return connection


def describe(url: str) -> str:
    """Return a name of the database without the password; raise ValueError for a bad URL."""
    try:
        parameters = conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        # The message of psycopg may show the password.
        raise ValueError(
            "the database's URL cannot be read; it should look like "
            "postgresql://user:password@host:5432/name?sslmode=require, percent-encoded"
        ) from None
    place = str(parameters.get("host") or parameters.get("service") or "this machine")
    return f"PostgreSQL database {parameters.get('dbname') or 'of the user'!r} at {place!r}"


def is_alive(connection: Connection) -> bool:
    """Return False if the database closed the connection while it was idle."""
    if connection.closed:
        return False
    try:
        connection.pgconn.consume_input()  # maybe a last message
        connection.pgconn.consume_input()  # the end of the stream
    except psycopg.OperationalError:
        return False
    return connection.pgconn.status == ConnStatus.OK


# Prefixes of error codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
_CONFLICT_CODES = ("40",)  # such as a deadlock
_TIMEOUT_CODES = ("55P03", "57014")
_LOST_CODES = ("08", "25006", "57P", "58", "XX")
_FULL_CODES = ("53",)


def is_conflict(error: psycopg.Error) -> bool:
    """Return whether another transaction interfered, so that a retry may work at once."""
    return _has_code(error, _CONFLICT_CODES)


def is_lost(error: psycopg.Error, connection: Connection) -> bool:
    """Return whether a retry needs another connection, maybe to another host."""
    return connection.closed or _has_no_code(error) or _has_code(error, _LOST_CODES)


def is_outage(error: psycopg.Error) -> bool:
    """Return whether any operation would fail: the database is away, full or read-only."""
    return _has_no_code(error) or _has_code(error, _LOST_CODES + _FULL_CODES)


def is_retryable(error: psycopg.Error) -> bool:
    """Return whether the same operation may work later."""
    return is_outage(error) or _has_code(error, _CONFLICT_CODES + _TIMEOUT_CODES)


def _has_no_code(error: psycopg.Error) -> bool:
    # For a bad parameter psycopg raises other errors than OperationalError.
    return error.sqlstate is None and isinstance(error, psycopg.OperationalError)


def _has_code(error: psycopg.Error, starts: tuple[str, ...]) -> bool:
    return error.sqlstate is not None and error.sqlstate.startswith(starts)


def message(error: psycopg.Error) -> str:
    """Return the message of PostgreSQL on one line."""
    return error.diag.message_primary or str(error).partition("\n")[0].strip()


def backend_error(error: psycopg.Error) -> BackendError:
    """Return an error for the client, which does not name the host of the database."""
    text = error.diag.message_primary or "the connection to the database failed"
    return BackendError(f"db error: ERROR: {text}", retryable=is_retryable(error))
