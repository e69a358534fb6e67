"""The SQL of every operation on the jobs of an SQLite file."""

from relay_sdk.local.operations import Action, Mode

# The parameters are the seven values of a NewJob, and the time now.
INSERT = """
INSERT INTO jobs (queue, id, timeout, max_retries, retries_remaining, payload, state,
                  run_at, updated_at, created_at)
VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8, ?8)
ON CONFLICT (queue, id) DO """

# The new rowid puts the job behind those of its queue with the same run_at.
_REPLACEMENT = """UPDATE SET
    rowid = (SELECT max(rowid) + 1 FROM jobs),
    timeout = ?3, max_retries = ?4, retries_remaining = ?4, payload = ?5, state = ?6,
    run_id = NULL, expires_at = NULL, run_at = ?7, updated_at = ?8"""

ON_CONFLICT: dict[Mode, str] = {
    "unique": "NOTHING",
    "ignore": "NOTHING",
    "replace": _REPLACEMENT,
}

RESCHEDULE = (
    _REPLACEMENT.replace("UPDATE SET", "UPDATE jobs SET")
    + " WHERE queue = ?1 AND id = ?2 AND run_id IS NOT NULL"
)

SELECT_READY = """
SELECT rowid FROM jobs WHERE queue = ? AND run_id IS NULL AND run_at <= ?
ORDER BY run_at, rowid LIMIT ?"""

SELECT_FIRST = "SELECT min(run_at) FROM jobs WHERE queue = ? AND run_id IS NULL"

CLAIM = """
UPDATE jobs SET run_id = ?1, updated_at = ?2, expires_at = ?2 + timeout * 1000000
WHERE rowid = ?3 RETURNING *"""

HEARTBEAT = """
UPDATE jobs SET state = ?4, updated_at = ?5, expires_at = ?5 + timeout * 1000000
WHERE queue = ?1 AND id = ?2 AND run_id = coalesce(?3, run_id)"""

REMOVE = """
DELETE FROM jobs WHERE queue = ?1 AND id = ?2 AND (?3 IS NULL OR run_id = ?3)
RETURNING run_at"""

CHANGE: dict[Action, str] = {
    "remove": "DELETE FROM jobs WHERE queue = :queue AND id = :id",
    "requeue": """UPDATE jobs SET run_id = NULL, expires_at = NULL, updated_at = :now
        WHERE queue = :queue AND id = :id AND run_id IS NOT NULL""",
    "run_now": """UPDATE jobs SET run_at = :now, updated_at = :now
        WHERE queue = :queue AND id = :id AND run_id IS NULL AND run_at > :now""",
}

PURGE = """
DELETE FROM jobs WHERE rowid IN (
    SELECT rowid FROM jobs WHERE queue = ?1 AND {} ORDER BY id LIMIT ?3) RETURNING id"""

DROP_EXPIRED = """
DELETE FROM jobs WHERE rowid IN (
    SELECT rowid FROM jobs
    WHERE run_id IS NOT NULL AND expires_at < ? AND retries_remaining = 0 LIMIT ?)
RETURNING queue, id"""

REQUEUE_EXPIRED = """
UPDATE jobs SET run_id = NULL, expires_at = NULL, retries_remaining = retries_remaining - 1
WHERE rowid IN (
    SELECT rowid FROM jobs WHERE run_id IS NOT NULL AND expires_at < ? LIMIT ?)
RETURNING queue, run_at"""
