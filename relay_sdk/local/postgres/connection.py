"""A connection to PostgreSQL whose every wait has an end."""

import time
from struct import Struct
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import conninfo
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import Loader
from psycopg.pq import ConnStatus, Format
from psycopg.pq.abc import PGconn

from relay_sdk.local.answers import BackendError

R = TypeVar("R")

CONNECT_TIMEOUT = 5
PATIENCE = 20.0
"""Seconds that one exchange with the database may take before its connection is given up."""

DEFAULTS: dict[str, str | int] = {
    "application_name": "relay-sdk",
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives_idle": 30,
    "tcp_user_timeout": 20_000,  # milliseconds
}

# Our statements look up rows by an index. Let no plan depend on what statistics there are yet.
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
_EPOCH = 946_684_800_000_000  # the year 2000, where PostgreSQL has its zero


class _Moment(Loader):
    """A timestamp as microseconds since 1970."""

    format = Format.BINARY

    def load(self, data: Buffer) -> int:
        return int.from_bytes(data, "big", signed=True) + _EPOCH


class _Seconds(Loader):
    """An interval as whole seconds; what no timeout can be is 30, as Relay has it."""

    format = Format.BINARY

    def load(self, data: Buffer) -> int:
        microseconds, days, months = _INTERVAL.unpack(data)
        seconds = microseconds // 10**6 + 86_400 * (days + 30 * months)
        return seconds if 0 <= seconds < 2**31 else 30


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """Gives up what takes too long, also where PostgreSQL accepts and says nothing."""

    def wait(self, gen: PQGen[R], interval: float = 0.1, timeout: float | None = None) -> R:
        bounded = _bounded(gen, self.pgconn)
        if timeout is None:  # psycopg 3.2 knows no other
            return super().wait(bounded, interval)
        return super().wait(bounded, interval, timeout)


def _bounded(gen: PQGen[R], pgconn: PGconn) -> PQGen[R]:
    end = time.monotonic() + PATIENCE
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > end:
                pgconn.finish()
                raise psycopg.OperationalError(f"no word from it for {PATIENCE:g} seconds")
            wanted = gen.send(ready)
    except StopIteration as done:
        result: R = done.value
        return result


def connect(url: str) -> Connection:
    """Connect, with our settings; raise psycopg.Error."""
    asked = conninfo.conninfo_to_dict(url)
    usual = {name: to for name, to in DEFAULTS.items() if name not in asked}
    connection = Connection.connect(conninfo.make_conninfo(url, **usual), autocommit=True)
    try:
        connection.adapters.register_loader("timestamp", _Moment)
        connection.adapters.register_loader("interval", _Seconds)
        connection.execute(_SET)
    except BaseException:
        connection.close()
        raise
    return connection


def describe(url: str) -> str:
    """Name the database without its password; raise ValueError if the URL is none."""
    try:
        asked = conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        # The driver's own message may show the password.
        raise ValueError(
            "the database's URL cannot be read; it should look like "
            "postgresql://user:password@host:5432/name?sslmode=require, percent-encoded"
        ) from None
    place = str(asked.get("host") or asked.get("service") or "this machine")
    return f"PostgreSQL database {asked.get('dbname') or 'of the user'!r} at {place!r}"


def is_alive(connection: Connection) -> bool:
    """Tell whether the other side has not closed the connection while it was idle."""
    if connection.closed:
        return False
    try:
        connection.pgconn.consume_input()  # a last word, maybe
        connection.pgconn.consume_input()  # the end
    except psycopg.OperationalError:
        return False
    return connection.pgconn.status == ConnStatus.OK


# Of an error's code: https://www.postgresql.org/docs/current/errcodes-appendix.html
_IN_THE_WAY = ("40",)  # a deadlock, say
_WAITED = ("55P03", "57014")
_LOST = ("08", "25006", "57P", "58", "XX")
_FULL = ("53",)


def was_in_the_way(error: psycopg.Error) -> bool:
    """Tell whether another transaction was, so that the same may work at once."""
    return _has_code(error, _IN_THE_WAY)


def is_lost(error: psycopg.Error, connection: Connection) -> bool:
    """Tell whether only another connection can help, maybe to another host."""
    return connection.closed or _is_silent(error) or _has_code(error, _LOST)


def concerns_all(error: psycopg.Error) -> bool:
    """Tell whether it does not lie in the operation: the database is away, full or read-only."""
    return _is_silent(error) or _has_code(error, _LOST + _FULL)


def passes(error: psycopg.Error) -> bool:
    """Tell whether the same may work later."""
    return concerns_all(error) or _has_code(error, _IN_THE_WAY + _WAITED)


def _is_silent(error: psycopg.Error) -> bool:
    # What psycopg itself finds wrong with a parameter is no OperationalError.
    return error.sqlstate is None and isinstance(error, psycopg.OperationalError)


def _has_code(error: psycopg.Error, starts: tuple[str, ...]) -> bool:
    return error.sqlstate is not None and error.sqlstate.startswith(starts)


def message(error: psycopg.Error) -> str:
    """Say on one line what PostgreSQL said."""
    return error.diag.message_primary or str(error).partition("\n")[0].strip()


def backend_error(error: psycopg.Error) -> BackendError:
    """Say to a client what happened, without where the database is."""
    text = error.diag.message_primary or "the connection to the database failed"
    return BackendError(f"db error: ERROR: {text}", retryable=passes(error))
