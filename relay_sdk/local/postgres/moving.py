"""A PostgreSQL database that jobs leave or come to."""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import psycopg

from relay_sdk.local import dates
from relay_sdk.local.moving import Key, batch, in_the_way, keys_in, keys_of
from relay_sdk.local.operations import Job

from . import connection, statements, tables
from .statements import numbers, texts

P = ParamSpec("P")
R = TypeVar("R")

_USERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name IN ('relay', 'relay-sdk')
    AND pid <> pg_backend_pid()"""

_PUT = """
INSERT INTO jobs (queue, id, timeout, max_retries, retries_remaining, data, state, in_flight,
                  run_id, expires_at, run_at, updated_at, created_at)
SELECT queue, id, make_interval(secs => timeout), retries, remaining, data, state,
    run_id IS NOT NULL, run_id, expires_at, run_at, updated_at, created_at
FROM unnest(%(queues)s::text[], %(ids)s::text[], %(timeouts)s::int4[], %(retries)s::int2[],
            %(remaining)s::int2[], %(payloads)s::jsonb[], %(states)s::jsonb[], %(run_ids)s::uuid[],
            %(expire)s::timestamp[], %(run_ats)s::timestamp[], %(updated)s::timestamp[],
            %(created)s::timestamp[])
    AS new(queue, id, timeout, retries, remaining, data, state, run_id, expires_at, run_at,
           updated_at, created_at)
ON CONFLICT (queue, id) DO NOTHING RETURNING queue, id"""

_DELETE = """
DELETE FROM jobs USING unnest(%(queues)s::text[], %(ids)s::text[], %(run_ids)s::uuid[],
                              %(updated)s::timestamp[]) AS old(queue, id, run_id, updated_at)
WHERE jobs.queue = old.queue AND jobs.id = old.id AND jobs.run_id IS NOT DISTINCT FROM old.run_id
    AND jobs.updated_at = old.updated_at"""

_NOTE = """
INSERT INTO relay_sdk_moved VALUES (%s, %s)
ON CONFLICT (source) DO UPDATE SET keys = excluded.keys"""


def _telling(
    method: Callable[Concatenate["PostgresSide", P], R],
) -> Callable[Concatenate["PostgresSide", P], R]:
    """Let a method raise OSError with a message for whoever moves."""

    @wraps(method)
    def told(self: "PostgresSide", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except psycopg.Error as error:
            raise OSError(
                f"the {self.name} failed: {connection.message(error)}. Start the move again"
            ) from None

    return told


class PostgresSide:
    """Raises OSError when the database fails."""

    def __init__(self, url: str) -> None:
        self.name: str = connection.describe(url)
        try:
            self._connection = connection.connect(url)
            tables.prepare(self._connection, self.name)
            self._connection.execute("SET application_name = 'relay-sdk move'")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS relay_sdk_moved "
                "(source VARCHAR PRIMARY KEY, keys VARCHAR NOT NULL)"
            )
        except psycopg.Error as error:
            raise OSError(f"cannot use the {self.name}: {connection.message(error)}") from None

    @_telling
    def refuse_users(self) -> None:
        """Raise OSError while a server has the database open, as far as our role can see."""
        row = self._connection.execute(_USERS).fetchone()
        if row and row[0]:
            self.close()
            raise OSError(f"the {self.name} is in use: stop its servers first")

    @_telling
    def count(self) -> int:
        row = self._connection.execute("SELECT count(*) FROM jobs").fetchone()
        return row[0] if row else 0

    @_telling
    def first(self) -> list[Job]:
        with self._connection.cursor(binary=True) as cursor:
            return batch(map(Job._make, cursor.stream(statements.ALL)))

    @_telling
    def delete(self, keys: Sequence[Key]) -> int:
        if not keys:
            return 0
        queues, ids, run_ids, updated = zip(*keys, strict=True)
        parameters = {
            "queues": texts(queues),
            "ids": texts(ids),
            "run_ids": texts(run_ids),
            "updated": _moments(updated),
        }
        return self._connection.execute(_DELETE, parameters, prepare=False).rowcount

    @_telling
    def put(self, jobs: Sequence[Job], source: str) -> None:
        with self._connection.transaction():
            rows = self._connection.execute(
                _PUT,
                {
                    "queues": texts(job.queue for job in jobs),
                    "ids": texts(job.id for job in jobs),
                    "timeouts": numbers(job.timeout for job in jobs),
                    "retries": numbers(job.max_retries for job in jobs),
                    "remaining": numbers(job.retries_remaining for job in jobs),
                    "payloads": texts(job.payload for job in jobs),
                    "states": texts(job.state for job in jobs),
                    "run_ids": texts(job.run_id for job in jobs),
                    "expire": _moments(job.expires_at for job in jobs),
                    "run_ats": _moments(job.run_at for job in jobs),
                    "updated": _moments(job.updated_at for job in jobs),
                    "created": _moments(job.created_at for job in jobs),
                },
            )
            new = {(queue, id) for queue, id in rows}
            if len(new) < len(jobs):
                raise in_the_way(jobs, new, self.name)
            self._connection.execute(_NOTE, (source, json.dumps(keys_of(jobs))))

    @_telling
    def noted(self, source: str) -> list[Key]:
        rows = self._connection.execute(
            "SELECT keys FROM relay_sdk_moved WHERE source = %s", (source,)
        )
        return keys_in(row[0] for row in rows)

    @_telling
    def forget(self, source: str) -> None:
        self._connection.execute("DELETE FROM relay_sdk_moved WHERE source = %s", (source,))

    def close(self) -> None:
        with suppress(psycopg.Error):
            if not self._connection.execute("SELECT FROM relay_sdk_moved").fetchall():
                self._connection.execute("DROP TABLE relay_sdk_moved")
        self._connection.close()


def _moments(moments: Iterable[int | None]) -> str:
    return numbers(None if moment is None else dates.to_text(moment) for moment in moments)
