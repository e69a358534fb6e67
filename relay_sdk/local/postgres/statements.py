"""The statements of a batch, each with the results that its operations get from its rows."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, LiteralString

from relay_sdk.local import dates, run_ids
from relay_sdk.local.exceptions import JobExistsError
from relay_sdk.local.operations import (
    Change,
    Claim,
    Claimed,
    Heartbeat,
    Job,
    NewJob,
    Purge,
    Purged,
)

from . import sql
from .sql import Parameters

MAX_CLAIM_BYTES = 16 * 1024 * 1024
"""Bytes of payload and state after which a batch claims no more jobs of a queue."""

Rows = Sequence[tuple[Any, ...]]
Key = tuple[str, str]


class Statement:
    """One statement, from which no operation needs a result."""

    def __init__(self, sql: LiteralString, parameters: Parameters) -> None:
        self.sql: LiteralString = sql
        self.parameters = parameters

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        """Set the outcomes of the operations from the rows."""


class FoundStatement(Statement):
    """Returns the numbers, from 1, of the operations that found a job."""

    def __init__(self, sql: LiteralString, parameters: Parameters, indexes: Sequence[int]) -> None:
        super().__init__(sql, parameters)
        self.indexes = indexes

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        hit = {row[0] for row in rows}
        for n, index in enumerate(self.indexes, 1):
            outcomes[index] = n in hit


class GetStatement(FoundStatement):
    """Returns jobs."""

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        for n, *job in rows:
            outcomes[self.indexes[n - 1]] = Job._make(job)


class RemoveStatement(FoundStatement):
    """Returns the run_at of each job that was removed."""

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        for n, run_at in rows:
            outcomes[self.indexes[n - 1]] = run_at


class ChangeStatement(Statement):
    """Returns one row for each job that was changed."""

    def __init__(self, index: int, change: Change, now: int) -> None:
        parameters = sql.keys((change.queue, id, None) for id in sorted(change.ids))
        parameters["now"] = dates.to_text(now)
        super().__init__(sql.CHANGE[change.action], parameters)
        self._index = index

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        outcomes[self._index] = len(rows)


class PurgeStatement(Statement):
    """Returns the ids of the removed jobs, in their order."""

    def __init__(self, index: int, purge: Purge) -> None:
        parameters: Parameters = {"queue": purge.queue, "limit": purge.limit}
        if purge.after is not None:
            parameters["after"] = purge.after
        super().__init__(sql.PURGE if purge.after is None else sql.PURGE_AFTER, parameters)
        self._index, self._limit = index, purge.limit

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        last: str | None = rows[-1][0] if len(rows) == self._limit else None
        outcomes[self._index] = Purged(len(rows), last)


class HeartbeatStatement(FoundStatement):
    """Heartbeats of different jobs: an update applies only one to each row."""

    def __init__(self, found: Sequence[tuple[int, Heartbeat]], now: int) -> None:
        parameters, indexes = by_key(found)
        states = [beat.state for _, beat in sorted(found, key=job_key)]
        parameters |= {"states": sql.texts(states), "now": dates.to_text(now)}
        super().__init__(sql.HEARTBEAT, parameters, indexes)


class InsertUniqueStatement(Statement):
    """Inserts jobs of single enqueues in mode unique, and returns the new ones."""

    def __init__(self, found: Sequence[tuple[int, NewJob]], now: int) -> None:
        super().__init__(sql.INSERT_RETURNING, sql.new_jobs([job for _, job in found], now))
        self._found = found

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        new = {(queue, id) for queue, id in rows}
        for index, job in self._found:
            outcomes[index] = conflict(new, [job])


class ClaimStatement(Statement):
    """Claims jobs for all claims of each queue together; the first claim gets the first jobs."""

    def __init__(self, found: Sequence[tuple[int, Claim]], now: int) -> None:
        self._found = found
        self.more: dict[str, bool] = {}
        """For each queue, whether more ready jobs may be left."""
        self._limits: defaultdict[str, int] = defaultdict(int)
        for _, claim in found:
            self._limits[claim.queue] = min(self._limits[claim.queue] + claim.limit, 2**63 - 1)
        queues = sorted(self._limits)
        super().__init__(
            sql.CLAIM,
            {
                "queues": sql.texts(queues),
                "limits": sql.numbers(self._limits[queue] for queue in queues),
                "size": MAX_CLAIM_BYTES,
                "now": dates.to_text(now),
                "beginning": run_ids.time_prefix(now),
            },
        )

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        ready: defaultdict[str, list[Job]] = defaultdict(list)
        for row in rows:
            ready[row[0]].append(Job._make(row))
        for queue, limit in self._limits.items():
            jobs = ready[queue]
            jobs.sort(key=lambda job: job.run_at)
            size = 4 * sum(
                len(job.payload) + len(job.state or "") for job in jobs
            )  # at most 4 bytes a character
            self.more[queue] = len(jobs) == limit or size > MAX_CLAIM_BYTES
        for index, claim in self._found:
            jobs = ready[claim.queue]
            outcomes[index] = Claimed(jobs[: claim.limit])
            ready[claim.queue] = jobs[claim.limit :]


class LeftStatement(Statement):
    """Finds when the first of the jobs that are left is due.

    A ready job that the claims skipped is locked by a server that claims or changes it now.
    """

    def __init__(
        self, claims: ClaimStatement, found: Sequence[tuple[int, Claim]], now: int
    ) -> None:
        self._claims = claims
        self._found = [(index, claim) for index, claim in found if claim.find_left]
        self._queues = sorted({claim.queue for _, claim in self._found})
        queues = sql.texts(self._queues)
        super().__init__(sql.LEFT, {"queues": queues, "now": dates.to_text(now)})

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        left: dict[str, int | None] = {}
        for row in rows:
            n: int = row[0]
            queue = self._queues[n - 1]
            left[queue] = row[1] if self._claims.more[queue] else row[2]
        for index, claim in self._found:
            claimed = outcomes[index]
            assert isinstance(claimed, Claimed)  # noqa: S101  the claims come first
            outcomes[index] = claimed._replace(left=left[claim.queue])


def conflict(new: set[Key], jobs: Iterable[NewJob]) -> JobExistsError | None:
    """Return an error for the first job that is not one of the new ones."""
    for job in jobs:
        if (job.queue, job.id) not in new:
            return JobExistsError(job.queue, job.id)
        new.discard((job.queue, job.id))
    return None


def job_key(each: tuple[int, Any]) -> Key:
    """Return the key of the job of an operation."""
    return each[1].queue, each[1].id


def by_key(found: Sequence[tuple[int, Any]]) -> tuple[Parameters, list[int]]:
    """Return the parameters of operations in the order of their keys, and their indexes."""
    found = sorted(found, key=job_key)
    keys = [(each.queue, each.id, getattr(each, "run_id", None)) for _, each in found]
    return sql.keys(keys), [n for n, _ in found]
