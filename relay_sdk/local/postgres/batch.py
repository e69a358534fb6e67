"""The operations of a batch, sorted so that each kind takes one statement."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from relay_sdk.local import validation
from relay_sdk.local.exceptions import BackendError
from relay_sdk.local.operations import (
    Change,
    Claim,
    Enqueue,
    Exists,
    Get,
    Heartbeat,
    NewJob,
    Operation,
    Purge,
    Remove,
    Requeue,
    Reschedule,
)

from . import sql
from .statements import (
    ChangeStatement,
    ClaimStatement,
    FoundStatement,
    GetStatement,
    HeartbeatStatement,
    InsertUniqueStatement,
    Key,
    LeftStatement,
    PurgeStatement,
    RemoveStatement,
    Statement,
    by_key,
    job_key,
)


class Batch:
    """Operations that arrived together, so that any order of them is right.

    All servers take locks in the order of the keys, so that two batches seldom wait for each other.
    """

    def __init__(self, operations: Sequence[Operation[Any]], now: int) -> None:
        self.now = now
        self.outcomes: list[object] = [None] * len(operations)
        self.arrivals: dict[str, int] = {}
        """The queues that gain jobs, and when the first of these jobs is due."""
        self.in_savepoints: list[tuple[int, Enqueue | Requeue]] = []
        """The operations that may have to be undone, so each needs a savepoint."""
        self._kinds: defaultdict[type, list[tuple[int, Any]]] = defaultdict(list)
        self._single: list[tuple[int, NewJob]] = []
        self._ignore: list[NewJob] = []
        self._replace: list[NewJob] = []
        for n, operation in enumerate(operations):
            self._add(n, operation)

    def _add(self, n: int, operation: Operation[Any]) -> None:
        match operation:
            case Enqueue():
                self._add_jobs(n, operation)
            case Requeue():
                self.in_savepoints.append((n, operation))
            case Change(queue, _, "requeue" | "run_now"):
                self.arrivals[queue] = self.now
                self._kinds[Change].append((n, operation))
            case Reschedule(job):
                self.add_arrivals([job])
                self._kinds[Reschedule].append((n, operation))
            case _:
                self._kinds[type(operation)].append((n, operation))

    def _add_jobs(self, n: int, enqueue: Enqueue) -> None:
        if not enqueue.jobs:
            return
        if enqueue.mode == "unique" and len(enqueue.jobs) > 1:
            self.in_savepoints.append((n, enqueue))
            return
        try:
            jobs = list(validation.check_jobs(enqueue.jobs))
        except BackendError as error:
            self.outcomes[n] = error
            return
        self.add_arrivals(jobs)
        match enqueue.mode:
            case "unique":
                self._single.append((n, jobs[0]))
            case "ignore":
                self._ignore += jobs
            case "replace":
                self._replace += jobs

    def add_arrivals(self, jobs: Iterable[NewJob]) -> None:
        """Note that the queues of these jobs gain them."""
        for job in jobs:
            due = max(job.run_at, self.now)
            self.arrivals[job.queue] = min(due, self.arrivals.get(job.queue, due))

    def statements(self) -> Iterator[Statement]:
        """Yield the statements that need no savepoint and come first."""
        if found := self._kinds[Remove]:
            yield RemoveStatement(sql.REMOVE, *by_key(found))
        for n, change in self._kinds[Change]:
            yield ChangeStatement(n, change, self.now)
        for n, purge in self._kinds[Purge]:
            yield PurgeStatement(n, purge)
        for part in _distinct(self._kinds[Heartbeat]):
            yield HeartbeatStatement(part, self.now)
        for n, operation in self._kinds[Reschedule]:
            parameters = sql.new_jobs([operation.job], self.now)
            yield FoundStatement(sql.RESCHEDULE, parameters, [n])
        if self._single:
            yield InsertUniqueStatement(
                sorted(self._single, key=lambda each: each[1][:2]), self.now
            )
        if self._ignore:
            yield Statement(sql.INSERT_NEW, sql.new_jobs(self._ignore, self.now))
        if self._replace:
            jobs = last_of_each(self._replace)
            yield Statement(sql.REPLACE, sql.new_jobs(jobs, self.now))

    def last_statements(self) -> Iterator[Statement]:
        """Yield the statements that must see the changes of the others."""
        if found := self._kinds[Claim]:
            claims = ClaimStatement(found, self.now)
            yield claims
            if any(claim.find_left for _, claim in found):
                yield LeftStatement(claims, found, self.now)
        if found := self._kinds[Get]:
            yield GetStatement(sql.GET, *by_key(found))
        if found := self._kinds[Exists]:
            yield FoundStatement(sql.EXISTS, *by_key(found))
        if self.arrivals:
            notifications = [f"{due} {queue}" for queue, due in self.arrivals.items()]
            yield Statement(sql.NOTIFY, {"payloads": sql.texts(notifications)})


def last_of_each(jobs: Iterable[NewJob]) -> list[NewJob]:
    """Keep the last job of each key, since one statement can change a row only once."""
    kept: dict[Key, NewJob] = {}
    for job in jobs:
        kept.pop((job.queue, job.id), None)
        kept[job.queue, job.id] = job
    return list(kept.values())


def _distinct(found: Iterable[tuple[int, Heartbeat]]) -> Iterator[list[tuple[int, Heartbeat]]]:
    """Split the heartbeats so that no part has two of the same job."""
    left = list(found)
    while left:
        part: dict[Key, tuple[int, Heartbeat]] = {}
        left = [each for each in left if part.setdefault(job_key(each), each) is not each]
        yield list(part.values())
