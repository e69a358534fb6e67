"""The SQL of every operation on PostgreSQL; each statement takes many operations."""

from collections.abc import Iterable, Sequence
from typing import LiteralString

from relay_sdk.local import dates
from relay_sdk.local.operations import Action, NewJob

Parameters = dict[str, str | int]

CHANNEL = "relay_sdk"

JOB = """jobs.queue, jobs.id, jobs.timeout, jobs.max_retries, jobs.retries_remaining,
jobs.data::text, jobs.state::text, jobs.run_id::text, jobs.expires_at, jobs.run_at,
jobs.updated_at, jobs.created_at"""

_KEYS = """unnest(%(queues)s::text[], %(ids)s::text[], %(run_ids)s::uuid[])
    WITH ORDINALITY AS asked(queue, id, run_id, n)"""
_IS_ASKED = """jobs.queue = asked.queue AND jobs.id = asked.id"""
_IS_ITS_RUN = """(asked.run_id IS NULL OR jobs.run_id = asked.run_id)"""

REMOVE = f"""
DELETE FROM jobs USING {_KEYS} WHERE {_IS_ASKED} AND {_IS_ITS_RUN}
RETURNING asked.n, jobs.run_at"""

CHANGE: dict[Action, LiteralString] = {
    "remove": f"DELETE FROM jobs USING {_KEYS} WHERE {_IS_ASKED} RETURNING 1",
    "requeue": f"""UPDATE jobs SET in_flight = FALSE, run_id = NULL, updated_at = %(now)s::timestamp
        FROM {_KEYS} WHERE {_IS_ASKED} AND jobs.in_flight RETURNING 1""",
    "run_now": f"""UPDATE jobs SET run_at = %(now)s::timestamp, updated_at = %(now)s::timestamp
        FROM {_KEYS} WHERE {_IS_ASKED} AND jobs.in_flight = FALSE
            AND jobs.run_at > %(now)s::timestamp RETURNING 1""",
}

_PURGE = """
WITH first AS MATERIALIZED (
    SELECT ctid, id FROM jobs WHERE queue = %(queue)s {}
    ORDER BY id LIMIT %(limit)s FOR UPDATE
), gone AS (DELETE FROM jobs USING first WHERE jobs.ctid = first.ctid)
SELECT id FROM first"""

PURGE = _PURGE.format("")
PURGE_AFTER = _PURGE.format("AND id > %(after)s")

EXISTS = f"SELECT asked.n FROM {_KEYS} JOIN jobs ON {_IS_ASKED}"

GET = f"SELECT asked.n, {JOB} FROM {_KEYS} JOIN jobs ON {_IS_ASKED}"

HEARTBEAT = f"""
UPDATE jobs SET state = asked.state, updated_at = %(now)s::timestamp,
    expires_at = %(now)s::timestamp + timeout
FROM unnest(%(queues)s::text[], %(ids)s::text[], %(run_ids)s::uuid[], %(states)s::jsonb[])
    WITH ORDINALITY AS asked(queue, id, run_id, state, n)
WHERE {_IS_ASKED} AND jobs.in_flight AND {_IS_ITS_RUN} RETURNING asked.n"""

# PostgreSQL before 18 has only UUIDs of version 4; the random end of one is used here.
_RUN_ID = "overlay(gen_random_uuid()::text PLACING %(beginning)s::text FROM 1)::uuid"

# MATERIALIZED chooses and locks the rows once: a plain subquery could run again, and more rows
# would be updated.
CLAIM = f"""
WITH ready AS MATERIALIZED (
    SELECT sized.ctid
    FROM unnest(%(queues)s::text[], %(limits)s::int8[]) AS asked(queue, most)
    CROSS JOIN LATERAL (
        SELECT found.ctid, sum(found.size) OVER (ROWS UNBOUNDED PRECEDING) - found.size AS before
        FROM (
            SELECT jobs.ctid,
                octet_length(jobs.data::text) + coalesce(octet_length(jobs.state::text), 0) AS size
            FROM jobs
            WHERE jobs.queue = asked.queue AND jobs.in_flight = FALSE
                AND jobs.run_at <= %(now)s::timestamp
            ORDER BY jobs.run_at LIMIT asked.most FOR UPDATE SKIP LOCKED
        ) AS found
    ) AS sized
    WHERE sized.before <= %(size)s::int8
)
UPDATE jobs SET in_flight = TRUE, run_id = {_RUN_ID}, updated_at = %(now)s::timestamp,
    expires_at = %(now)s::timestamp + timeout
FROM ready WHERE jobs.ctid = ready.ctid RETURNING {JOB}"""

_FIRST = """(
    SELECT jobs.run_at FROM jobs WHERE jobs.queue = asked.queue AND jobs.in_flight = FALSE
        AND {} ORDER BY jobs.run_at LIMIT 1)"""

LEFT = f"""
SELECT asked.n, {_FIRST.format("TRUE")}, {_FIRST.format("jobs.run_at > %(now)s::timestamp")}
FROM unnest(%(queues)s::text[]) WITH ORDINALITY AS asked(queue, n)"""

_INSERT = """
INSERT INTO jobs (queue, id, timeout, max_retries, retries_remaining, data, state, run_at,
                  updated_at, created_at)
SELECT queue, id, make_interval(secs => timeout), retries, retries, data, state, run_at,
    %(now)s::timestamp, %(now)s::timestamp
FROM unnest(%(queues)s::text[], %(ids)s::text[], %(timeouts)s::int4[], %(retries)s::int2[],
            %(payloads)s::jsonb[], %(states)s::jsonb[], %(run_ats)s::timestamp[])
    AS new(queue, id, timeout, retries, data, state, run_at)
ON CONFLICT (queue, id) DO """

INSERT_NEW = _INSERT + "NOTHING"

INSERT_RETURNING = _INSERT + "NOTHING RETURNING queue, id"

_CHANGED = """timeout = {0}.timeout, max_retries = {0}.{1}, retries_remaining = {0}.{1},
    data = {0}.data, state = {0}.state, in_flight = FALSE, run_id = NULL, run_at = {0}.run_at"""

REPLACE = f"""{_INSERT} UPDATE SET {_CHANGED.format("excluded", "max_retries")},
    updated_at = excluded.updated_at"""

RESCHEDULE = f"""
UPDATE jobs SET {_CHANGED.format("new", "retries")}, updated_at = %(now)s::timestamp
FROM (SELECT make_interval(secs => timeout) AS timeout, queue, id, retries, data, state, run_at
      FROM unnest(%(queues)s::text[], %(ids)s::text[], %(timeouts)s::int4[], %(retries)s::int2[],
                  %(payloads)s::jsonb[], %(states)s::jsonb[], %(run_ats)s::timestamp[])
          AS row(queue, id, timeout, retries, data, state, run_at)) AS new
WHERE jobs.queue = new.queue AND jobs.id = new.id AND jobs.in_flight RETURNING 1"""

ALL = f"SELECT {JOB} FROM jobs ORDER BY queue, id"

NOTIFY = f"SELECT pg_notify('{CHANNEL}', payload) FROM unnest(%(payloads)s::text[]) AS payload"

CLAIM_REAP_INTERVAL = """
UPDATE internal_state SET last_run = %(now)s::timestamp
WHERE id = 'reap' AND last_run NOT BETWEEN %(before)s::timestamp AND %(after)s::timestamp"""

_OVER = """
WITH over AS MATERIALIZED (
    SELECT ctid FROM jobs
    WHERE in_flight = TRUE AND expires_at < %(now)s::timestamp AND {}
    ORDER BY expires_at LIMIT %(most)s FOR UPDATE SKIP LOCKED
)"""

DROP_EXPIRED = f"""{_OVER.format("retries_remaining = 0")}
DELETE FROM jobs USING over WHERE jobs.ctid = over.ctid
RETURNING jobs.queue, jobs.id"""

# Another version of Relay stored a number below 0 for jobs without a limit of retries.
REQUEUE_EXPIRED = f"""{_OVER.format("retries_remaining IS DISTINCT FROM 0")}
UPDATE jobs SET in_flight = FALSE, run_id = NULL,
    retries_remaining = retries_remaining - (retries_remaining > 0)::int
FROM over WHERE jobs.ctid = over.ctid RETURNING jobs.queue"""

# A plan that was made for an empty table may read all jobs of a queue to find one by its key.
DISCARD_PLANS = "DISCARD PLANS"

CLOCK = "SELECT clock_timestamp() AT TIME ZONE 'UTC'"


def new_jobs(jobs: Sequence[NewJob], now: int) -> Parameters:
    """Return the parameters of the statements that insert jobs."""
    queues, ids, timeouts, retries, payloads, states, run_ats = zip(*jobs, strict=True)
    return {
        "queues": texts(queues),
        "ids": texts(ids),
        "timeouts": numbers(timeouts),
        "retries": numbers(retries),
        "payloads": texts(payloads),
        "states": texts(states),
        "run_ats": numbers(map(dates.to_text, run_ats)),
        "now": dates.to_text(now),
    }


def keys(asked: Iterable[tuple[str, str, str | None]]) -> Parameters:
    """Return the parameters of the statements that find jobs or runs by their keys."""
    queues, ids, run_ids = zip(*asked, strict=True)
    return {"queues": texts(queues), "ids": texts(ids), "run_ids": texts(run_ids)}


def texts(values: Iterable[str | None]) -> str:
    """Return the text of an array; the adaptation of psycopg takes ten times as long."""
    items = ["NULL" if value is None else f'"{_escaped(value)}"' for value in values]
    return f"{{{','.join(items)}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def numbers(values: Iterable[int | str | None]) -> str:
    """Return the text of an array of values that need no quotes."""
    return f"{{{','.join(['NULL' if value is None else str(value) for value in values])}}}"
