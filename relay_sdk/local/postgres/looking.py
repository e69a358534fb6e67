"""Jobs and their numbers, read from PostgreSQL."""

import re
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, LiteralString

import psycopg

from relay_sdk.local import dates
from relay_sdk.local.dashboard.reader import (
    QUEUES,
    SCAN,
    SECONDS,
    START,
    Ask,
    Counted,
    Page,
    end_of,
)
from relay_sdk.local.operations import Job

from . import connection, statements
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

_WHOLE = f"SELECT {statements.JOB} FROM jobs WHERE queue = %(queue)s AND id = %(id)s"

# Texts that begin alike are then next to each other.
_IN_CODE_POINTS = """
SELECT datcollate IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8') FROM pg_database
WHERE datname = current_database()"""

_PLACE = re.compile(r"(-?[0-9]{1,18})\.(\([0-9]{1,10},[0-9]{1,5}\))")


class PostgresReader:
    """Has a connection of its own, which it makes when it is asked first."""

    shared = True
    most = 100_000

    def __init__(self, url: str) -> None:
        self._url = url
        self._open: Connection | None = None
        self._in_code_points = False

    def queues(self, after: str | None, now: int, most: int) -> tuple[list[Counted], str | None]:
        with self._reading() as cursor:
            names = _NAMES.format("TRUE" if after is None else "queue > %(after)s")
            cursor.execute(names, {"limit": QUEUES + 1, "after": after})
            queues: list[str] = [row[0] for row in cursor.fetchall()]
            asked = statements.texts(queues[:QUEUES])
            at = dates.to_text(now)
            cursor.execute(_COUNTS, {"queues": asked, "now": at, "most": most})
            counted = [Counted._make(row) for row in cursor.fetchall()]
        return counted, queues[QUEUES - 1] if len(queues) > QUEUES else None

    def jobs(self, ask: Ask, now: int) -> Page:
        with self._reading() as cursor:
            high = end_of(ask.prefix) if self._in_code_points else None
            key, where = _range(ask, high)
            parameters: dict[str, str | int | None] = {
                "queue": ask.queue,
                "low": ask.prefix,
                "high": high,
                "now": dates.to_text(now),
                "start": START,
                "scan": SCAN,
                "limit": ask.limit,
                **_after(ask, key),
            }
            page = _PAGE.format(range=where, status=_STATUS[ask.status])
            rows = cursor.execute(page, parameters).fetchall()
            jobs = [Job._make(row[1:]) for row in rows]
            if len(jobs) == ask.limit:
                return Page(jobs, _place(key, getattr(jobs[-1], key), rows[-1][0]))
            cursor.execute(_LAST.format(key=key, range=where), parameters)
            last = cursor.fetchone()
        return Page(jobs, _place(key, *last) if last else None)

    def job(self, queue: str, id: str) -> Job | None:
        with self._reading() as cursor:
            row = cursor.execute(_WHOLE, {"queue": queue, "id": id}).fetchone()
        return Job._make(row) if row else None

    def close(self) -> None:
        if self._open is not None:
            with suppress(psycopg.Error):
                self._open.close()
            self._open = None

    @contextmanager
    def _reading(self) -> Generator[psycopg.Cursor[tuple[Any, ...]]]:
        try:
            if self._open is None or not connection.is_alive(self._open):
                self.close()
                self._open = connection.connect(self._url)
                self._open.execute(f"SET statement_timeout = {SECONDS * 1000:.0f}".encode())
                self._open.execute("SET default_transaction_read_only = on")
                found = self._open.execute(_IN_CODE_POINTS).fetchone()
                self._in_code_points = found == (True,)
            with self._open.cursor(binary=True) as cursor:
                yield cursor
        except psycopg.Error as error:
            self.close()
            raise connection.backend_error(error) from None


def _range(ask: Ask, high: str | None) -> tuple[LiteralString, LiteralString]:
    """Give the column that orders the jobs, and what follows FROM."""
    begun = ask.after is not None
    if ask.prefix or ask.status is None:
        low: LiteralString = "id > %(key)s" if begun else "id >= %(low)s"
        end: LiteralString = " AND id < %(high)s" if high else ""
        return "id", f"WHERE queue = %(queue)s AND {low}{end} ORDER BY id"
    # Of equal run_at the index has the jobs in the order of their places.
    after: LiteralString = """ AND run_at >= %(key)s::timestamp
        AND (run_at > %(key)s::timestamp OR ctid > %(place)s::tid)"""
    which = _STATUS[ask.status]
    return (
        "run_at",
        f"""WHERE queue = %(queue)s AND {which}{after if begun else ""}
        ORDER BY run_at""",
    )


def _after(ask: Ask, key: str) -> dict[str, str | int | None]:
    if key == "id" or ask.after is None:
        return {"key": ask.after}
    found = _PLACE.fullmatch(ask.after)
    if not found:
        raise ValueError("no place in this order")
    return {"key": dates.to_text(int(found[1])), "place": found[2]}


def _place(key: str, value: object, ctid: str) -> str:
    return str(value) if key == "id" else f"{value}.{ctid}"
