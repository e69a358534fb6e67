"""A PostgreSQL database as the source or the target of a migration."""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import psycopg

from relay_sdk.local import dates
from relay_sdk.local.migration_store import (
    JobVersion,
    job_conflict,
    job_versions,
    parse_job_versions,
    take_batch,
)
from relay_sdk.local.operations import Job

from . import connection, schema, sql
from .sql import numbers, texts

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


def _raises_os_error(
    method: Callable[Concatenate["PostgresMigrationStore", P], R],
) -> Callable[Concatenate["PostgresMigrationStore", P], R]:
    """Turn psycopg's errors into OSErrors with a message for the user."""

    @wraps(method)
    def wrapper(self: "PostgresMigrationStore", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except psycopg.Error as error:
            raise OSError(
                f"the {self.name} failed: {connection.message(error)}. Start the move again"
            ) from None

    return wrapper


class PostgresMigrationStore:
    """A PostgreSQL database; all methods raise OSError if it fails."""

    def __init__(self, url: str) -> None:
        self.name: str = connection.describe(url)
        try:
            self._connection = connection.connect(url)
            schema.create_tables(self._connection, self.name)
            self._connection.execute("SET application_name = 'relay-sdk move'")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS relay_sdk_moved "
                "(source VARCHAR PRIMARY KEY, keys VARCHAR NOT NULL)"
            )
        except psycopg.Error as error:
            raise OSError(f"cannot use the {self.name}: {connection.message(error)}") from None

    @_raises_os_error
    def refuse_users(self) -> None:
        """Raise OSError if a server has the database open, as far as this role can see."""
        row = self._connection.execute(_USERS).fetchone()
        if row and row[0]:
            self.close()
            raise OSError(f"the {self.name} is in use: stop its servers first")

    @_raises_os_error
    def count(self) -> int:
        row = self._connection.execute("SELECT count(*) FROM jobs").fetchone()
        return row[0] if row else 0

    @_raises_os_error
    def first(self) -> list[Job]:
        with self._connection.cursor(binary=True) as cursor:
            return take_batch(map(Job._make, cursor.stream(sql.ALL)))

    @_raises_os_error
    def delete(self, versions: Sequence[JobVersion]) -> int:
        if not versions:
            return 0
        queues, ids, run_ids, updated = zip(*versions, strict=True)
        parameters = {
            "queues": texts(queues),
            "ids": texts(ids),
            "run_ids": texts(run_ids),
            "updated": _timestamps(updated),
        }
        return self._connection.execute(_DELETE, parameters, prepare=False).rowcount

    @_raises_os_error
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
                    "expire": _timestamps(job.expires_at for job in jobs),
                    "run_ats": _timestamps(job.run_at for job in jobs),
                    "updated": _timestamps(job.updated_at for job in jobs),
                    "created": _timestamps(job.created_at for job in jobs),
                },
            )
            new = {(queue, id) for queue, id in rows}
            if len(new) < len(jobs):
                raise job_conflict(jobs, new, self.name)
            self._connection.execute(_NOTE, (source, json.dumps(job_versions(jobs))))

    @_raises_os_error
    def moved_from(self, source: str) -> list[JobVersion]:
        rows = self._connection.execute(
            "SELECT keys FROM relay_sdk_moved WHERE source = %s", (source,)
        )
        return parse_job_versions(row[0] for row in rows)

    @_raises_os_error
    def forget(self, source: str) -> None:
        self._connection.execute("DELETE FROM relay_sdk_moved WHERE source = %s", (source,))

    def close(self) -> None:
        with suppress(psycopg.Error):
            if not self._connection.execute("SELECT FROM relay_sdk_moved").fetchall():
                self._connection.execute("DROP TABLE relay_sdk_moved")
        self._connection.close()


def _timestamps(times: Iterable[int | None]) -> str:
    return numbers(None if time is None else dates.to_text(time) for time in times)
