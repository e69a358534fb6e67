"""Read jobs and their numbers from PostgreSQL, for the dashboard."""

import re
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, LiteralString

import psycopg

from relay_sdk.local import dates
from relay_sdk.local.job_reader import (
    MAX_PAYLOAD_PREVIEW,
    MAX_QUEUES,
    MAX_SCANNED_JOBS,
    READ_TIMEOUT,
    JobPage,
    JobQuery,
    QueueCounts,
    prefix_end,
)
from relay_sdk.local.operations import Job

from . import connection, sql
from .connection import Connection

_NAMES: LiteralString = """
WITH RECURSIVE names (queue) AS (
    (SELECT queue FROM jobs WHERE {} ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT jobs.queue FROM jobs WHERE jobs.queue > names.queue ORDER BY 1 LIMIT 1)
    FROM names WHERE names.queue IS NOT NULL
)
SELECT queue FROM names WHERE queue IS NOT NULL LIMIT %(limit)s"""

_COUNT: LiteralString = """(
    SELECT count(*), min(run_at) FROM (
        SELECT jobs.run_at FROM jobs WHERE jobs.queue = asked.queue AND jobs.in_flight = {}
        ORDER BY jobs.run_at LIMIT %(most)s) AS found) AS {} (jobs, first)"""

_COUNTS = f"""
SELECT asked.queue, ready.jobs, scheduled.jobs, running.jobs, ready.first
FROM unnest(%(queues)s::text[]) AS asked(queue)
CROSS JOIN LATERAL {_COUNT.format("FALSE AND jobs.run_at <= %(now)s::timestamp", "ready")}
CROSS JOIN LATERAL {_COUNT.format("FALSE AND jobs.run_at > %(now)s::timestamp", "scheduled")}
CROSS JOIN LATERAL {_COUNT.format("TRUE", "running")}"""

_STATUS: dict[str | None, LiteralString] = {
    None: "TRUE",
    "ready": "in_flight = FALSE AND run_at <= %(now)s::timestamp",
    "scheduled": "in_flight = FALSE AND run_at > %(now)s::timestamp",
    "running": "in_flight = TRUE",
}

_PAGE: LiteralString = """
SELECT place::text, queue, id, timeout, max_retries, retries_remaining,
    left(data::text, %(start)s), NULL::text, run_id::text, expires_at, run_at, updated_at,
    created_at
FROM (SELECT ctid AS place, * FROM jobs {range} LIMIT %(scan)s) AS seen
WHERE {status} AND starts_with(id, %(low)s) LIMIT %(limit)s"""

_LAST: LiteralString = "SELECT {key}, ctid::text FROM jobs {range} LIMIT 1 OFFSET %(scan)s - 1"

_WHOLE = f"SELECT {sql.JOB} FROM jobs WHERE queue = %(queue)s AND id = %(id)s"

# Ids with the same prefix are neighbours in the index only in these collations.
_SORTS_BY_CODE_POINT = """
SELECT datcollate IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8') FROM pg_database
WHERE datname = current_database()"""

_POSITION = re.compile(r"(-?[0-9]{1,18})\.(\([0-9]{1,10},[0-9]{1,5}\))")


class PostgresJobReader:
    """Reads through a second connection, which the first call opens."""

    shared = True
    max_count = 100_000

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None
        self._by_code_point = False

    def queues(
        self, after: str | None, now: int, limit: int
    ) -> tuple[list[QueueCounts], str | None]:
        with self._connect_for_read() as cursor:
            names = _NAMES.format("TRUE" if after is None else "queue > %(after)s")
            cursor.execute(names, {"limit": MAX_QUEUES + 1, "after": after})
            queues: list[str] = [row[0] for row in cursor.fetchall()]
            asked = sql.texts(queues[:MAX_QUEUES])
            at = dates.to_text(now)
            cursor.execute(_COUNTS, {"queues": asked, "now": at, "most": limit})
            counted = [QueueCounts._make(row) for row in cursor.fetchall()]
        return counted, queues[MAX_QUEUES - 1] if len(queues) > MAX_QUEUES else None

    def jobs(self, query: JobQuery, now: int) -> JobPage:
        with self._connect_for_read() as cursor:
            high = prefix_end(query.prefix) if self._by_code_point else None
            key, where = _range(query, high)
            parameters: dict[str, str | int | None] = {
                "queue": query.queue,
                "low": query.prefix,
                "high": high,
                "now": dates.to_text(now),
                "start": MAX_PAYLOAD_PREVIEW,
                "scan": MAX_SCANNED_JOBS,
                "limit": query.limit,
                **_after(query, key),
            }
            page = _PAGE.format(range=where, status=_STATUS[query.status])
            rows = cursor.execute(page, parameters).fetchall()
            jobs = [Job._make(row[1:]) for row in rows]
            if len(jobs) == query.limit:
                return JobPage(jobs, _position(key, getattr(jobs[-1], key), rows[-1][0]))
            cursor.execute(_LAST.format(key=key, range=where), parameters)
            last = cursor.fetchone()
        return JobPage(jobs, _position(key, *last) if last else None)

    def job(self, queue: str, id: str) -> Job | None:
        with self._connect_for_read() as cursor:
            row = cursor.execute(_WHOLE, {"queue": queue, "id": id}).fetchone()
        return Job._make(row) if row else None

    def close(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    @contextmanager
    def _connect_for_read(self) -> Generator[psycopg.Cursor[tuple[Any, ...]]]:
        try:
            if self._connection is None or not connection.is_alive(self._connection):
                self.close()
                self._connection = connection.connect(self._url)
                self._connection.execute(
                    f"SET statement_timeout = {READ_TIMEOUT * 1000:.0f}".encode()
                )
                self._connection.execute("SET default_transaction_read_only = on")
                found = self._connection.execute(_SORTS_BY_CODE_POINT).fetchone()
                self._by_code_point = found == (True,)
            with self._connection.cursor(binary=True) as cursor:
                yield cursor
        except psycopg.Error as error:
            self.close()
            raise connection.backend_error(error) from None


def _range(query: JobQuery, high: str | None) -> tuple[LiteralString, LiteralString]:
    """Return the column that orders the jobs, and the SQL after FROM."""
    has_after = query.after is not None
    if query.prefix or query.status is None:
        low: LiteralString = "id > %(key)s" if has_after else "id >= %(low)s"
        end: LiteralString = " AND id < %(high)s" if high else ""
        return "id", f"WHERE queue = %(queue)s AND {low}{end} ORDER BY id"
    # The index orders jobs with the same run_at by their ctid.
    after: LiteralString = """ AND run_at >= %(key)s::timestamp
        AND (run_at > %(key)s::timestamp OR ctid > %(place)s::tid)"""
    which = _STATUS[query.status]
    return (
        "run_at",
        f"""WHERE queue = %(queue)s AND {which}{after if has_after else ""}
        ORDER BY run_at""",
    )


def _after(query: JobQuery, key: str) -> dict[str, str | int | None]:
    if key == "id" or query.after is None:
        return {"key": query.after}
    found = _POSITION.fullmatch(query.after)
    if not found:
        raise ValueError("not a position in this order")
    return {"key": dates.to_text(int(found[1])), "place": found[2]}


def _position(key: str, value: object, ctid: str) -> str:
    return str(value) if key == "id" else f"{value}.{ctid}"
