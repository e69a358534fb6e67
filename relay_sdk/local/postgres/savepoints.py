"""Enqueues and requeues that may have to be undone, each in a savepoint."""

from collections.abc import Sequence
from typing import Any, LiteralString, TypeAlias

import psycopg

from relay_sdk.local import validation
from relay_sdk.local.exceptions import BackendError
from relay_sdk.local.operations import Enqueue, NewJob, Remove, Requeue

from . import sql
from .batch import Batch, last_of_each
from .connection import Connection
from .statements import conflict

_Cursor: TypeAlias = psycopg.Cursor[tuple[Any, ...]]


def execute_in_savepoint(
    database: Connection, batch: Batch, operation: Enqueue | Requeue
) -> object:
    """Execute an operation, and undo it alone if a job exists already or its run is gone."""
    run, new = (
        (None, operation) if isinstance(operation, Enqueue) else (operation.run, operation.new)
    )
    jobs, error = _check_jobs(new)
    insert: LiteralString = sql.REPLACE if new.mode == "replace" else sql.INSERT_NEW
    database.execute("SAVEPOINT part", prepare=False)
    removed, inserted = _replace(database, batch, run, jobs, insert)
    run_found = removed is None or removed.rowcount > 0
    if run_found and new.mode == "unique" and inserted and inserted.rowcount < len(jobs):
        database.execute("ROLLBACK TO part", prepare=False)
        _, inserted = _replace(database, batch, run, jobs, sql.INSERT_RETURNING)
        error = conflict(set(inserted.fetchall() if inserted else ()), jobs) or error
    if error is not None or not run_found:
        database.execute("ROLLBACK TO part", prepare=False)
    else:
        batch.add_arrivals(jobs)
    database.execute("RELEASE part", prepare=False)
    if run_found and error is not None:
        return error
    return run_found if run else None


def _replace(
    database: Connection,
    batch: Batch,
    run: Remove | None,
    jobs: Sequence[NewJob],
    insert: LiteralString,
) -> tuple[_Cursor | None, _Cursor | None]:
    """Remove a run, if one is named, and insert jobs, if there are any."""
    removed = inserted = None
    with database.pipeline() as pipeline:
        if run is not None:
            key = sql.keys([(run.queue, run.id, run.run_id)])
            removed = database.execute(sql.REMOVE, key, prepare=False)
        if jobs:
            inserted = database.execute(insert, sql.new_jobs(jobs, batch.now), prepare=False)
        pipeline.sync()
    return removed, inserted


def _check_jobs(new: Enqueue) -> tuple[list[NewJob], Exception | None]:
    """Return the jobs before the first that cannot be stored, and its error."""
    valid: list[NewJob] = []
    try:
        for job in validation.check_jobs(new.jobs):
            valid.append(job)  # noqa: PERF402  the jobs before an error are kept
    except BackendError as error:
        return valid, error
    return (last_of_each(valid) if new.mode == "replace" else valid), None
