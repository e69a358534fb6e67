"""Operations of which it is seen only afterwards whether they may stay."""

from collections.abc import Sequence
from typing import Any, LiteralString, TypeAlias

import psycopg

from relay_sdk.local import storable
from relay_sdk.local.answers import BackendError
from relay_sdk.local.operations import Enqueue, NewJob, Remove, Requeue

from . import statements
from .connection import Connection
from .turn import Turn, conflict, last_of_each

_Cursor: TypeAlias = psycopg.Cursor[tuple[Any, ...]]


def carefully(database: Connection, turn: Turn, operation: Enqueue | Requeue) -> object:
    """Do it, look what it met, and undo it alone if it must fail."""
    run, new = (
        (None, operation) if isinstance(operation, Enqueue) else (operation.run, operation.new)
    )
    jobs, error = _storable(new)
    insert: LiteralString = statements.REPLACE if new.mode == "replace" else statements.INSERT_NEW
    database.execute("SAVEPOINT part", prepare=False)
    gone, came = _replace(database, turn, run, jobs, insert)
    there = gone is None or gone.rowcount > 0
    if there and new.mode == "unique" and came and came.rowcount < len(jobs):
        database.execute("ROLLBACK TO part", prepare=False)
        _, came = _replace(database, turn, run, jobs, statements.INSERT_AND_TELL)
        error = conflict(set(came.fetchall() if came else ()), jobs) or error
    if error is not None or not there:
        database.execute("ROLLBACK TO part", prepare=False)
    else:
        turn.tell(jobs)
    database.execute("RELEASE part", prepare=False)
    if there and error is not None:
        return error
    return there if run else None


def _replace(
    database: Connection,
    turn: Turn,
    run: Remove | None,
    jobs: Sequence[NewJob],
    insert: LiteralString,
) -> tuple[_Cursor | None, _Cursor | None]:
    """Remove a run, if one is named, and insert jobs, if there are any."""
    gone = came = None
    with database.pipeline() as pipeline:
        if run is not None:
            key = statements.keys([(run.queue, run.id, run.run_id)])
            gone = database.execute(statements.REMOVE, key, prepare=False)
        if jobs:
            came = database.execute(insert, statements.new_jobs(jobs, turn.now), prepare=False)
        pipeline.sync()
    return gone, came


def _storable(new: Enqueue) -> tuple[list[NewJob], Exception | None]:
    """Give the jobs up to the first that cannot be stored, and why."""
    good: list[NewJob] = []
    try:
        for job in storable.jobs(new.jobs):
            good.append(job)  # noqa: PERF402  what came before an error is wanted
    except BackendError as error:
        return good, error
    return (last_of_each(good) if new.mode == "replace" else good), None
