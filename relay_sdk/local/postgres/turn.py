"""The operations of a turn, sorted so that each kind takes one statement."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, LiteralString

from relay_sdk.local import dates, run_ids, storable
from relay_sdk.local.answers import BackendError, JobExistsError
from relay_sdk.local.operations import (
    Change,
    Claim,
    Claimed,
    Enqueue,
    Exists,
    Get,
    Heartbeat,
    Job,
    NewJob,
    Operation,
    Purge,
    Purged,
    Remove,
    Requeue,
    Reschedule,
)

from . import statements
from .statements import Parameters

CLAIM_SIZE = 16 * 1024 * 1024
"""Bytes of payload and state after which a turn claims no more jobs of a queue."""

Rows = Sequence[tuple[Any, ...]]
Key = tuple[str, str]


class Turn:
    """Operations that arrived together, so that any order of them is right.

    Those that take a lock go from key to key in one order, in all servers, so that two turns
    seldom wait for each other.
    """

    def __init__(self, operations: Sequence[Operation[Any]], now: int) -> None:
        self.now = now
        self.outcomes: list[object] = [None] * len(operations)
        self.news: dict[str, int] = {}
        """The queues that gain jobs, and when the first of them is due."""
        self.careful: list[tuple[int, Enqueue | Requeue]] = []
        """What may have to be undone when it is seen what it met."""
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
                self.careful.append((n, operation))
            case Change(queue, _, "requeue" | "run_now"):
                self.news[queue] = self.now
                self._kinds[Change].append((n, operation))
            case Reschedule(job):
                self.tell([job])
                self._kinds[Reschedule].append((n, operation))
            case _:
                self._kinds[type(operation)].append((n, operation))

    def _add_jobs(self, n: int, enqueue: Enqueue) -> None:
        if not enqueue.jobs:
            return
        if enqueue.mode == "unique" and len(enqueue.jobs) > 1:
            self.careful.append((n, enqueue))
            return
        try:
            jobs = list(storable.jobs(enqueue.jobs))
        except BackendError as error:
            self.outcomes[n] = error
            return
        self.tell(jobs)
        match enqueue.mode:
            case "unique":
                self._single.append((n, jobs[0]))
            case "ignore":
                self._ignore += jobs
            case "replace":
                self._replace += jobs

    def tell(self, jobs: Iterable[NewJob]) -> None:
        """Note that their queues gain these jobs."""
        for job in jobs:
            due = max(job.run_at, self.now)
            self.news[job.queue] = min(due, self.news.get(job.queue, due))

    def statements(self) -> Iterator["Statement"]:
        """Yield all but the careful ones."""
        if found := self._kinds[Remove]:
            yield Removes(statements.REMOVE, *_by_key(found))
        for n, change in self._kinds[Change]:
            yield Changed(n, change, self.now)
        for n, purge in self._kinds[Purge]:
            yield Purges(n, purge)
        for wave in _waves(self._kinds[Heartbeat]):
            yield Heartbeats(wave, self.now)
        for n, operation in self._kinds[Reschedule]:
            parameters = statements.new_jobs([operation.job], self.now)
            yield Found(statements.RESCHEDULE, parameters, [n])
        if self._single:
            yield Singles(sorted(self._single, key=lambda each: each[1][:2]), self.now)
        if self._ignore:
            yield Statement(statements.INSERT_NEW, statements.new_jobs(self._ignore, self.now))
        if self._replace:
            jobs = last_of_each(self._replace)
            yield Statement(statements.REPLACE, statements.new_jobs(jobs, self.now))

    def last_statements(self) -> Iterator["Statement"]:
        """Yield what may see what the others did."""
        if found := self._kinds[Claim]:
            claims = Claims(found, self.now)
            yield claims
            if any(claim.tell_left for _, claim in found):
                yield Left(claims, found, self.now)
        if found := self._kinds[Get]:
            yield Gets(statements.GET, *_by_key(found))
        if found := self._kinds[Exists]:
            yield Found(statements.EXISTS, *_by_key(found))
        if self.news:
            news = [f"{due} {queue}" for queue, due in self.news.items()]
            yield Statement(statements.NOTIFY, {"news": statements.texts(news)})


class Statement:
    """One statement, of which nobody waits for a result."""

    def __init__(self, sql: LiteralString, parameters: Parameters) -> None:
        self.sql: LiteralString = sql
        self.parameters = parameters

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        """Take from its rows what each of its operations gets."""


class Found(Statement):
    """Gives back the numbers, from 1, of those that hit a job."""

    def __init__(self, sql: LiteralString, parameters: Parameters, places: Sequence[int]) -> None:
        super().__init__(sql, parameters)
        self.places = places

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        hit = {row[0] for row in rows}
        for n, place in enumerate(self.places, 1):
            outcomes[place] = n in hit


class Gets(Found):
    """Gives back jobs."""

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        for n, *job in rows:
            outcomes[self.places[n - 1]] = Job._make(job)


class Removes(Found):
    """Gives back when those that are gone were due."""

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        for n, run_at in rows:
            outcomes[self.places[n - 1]] = run_at


class Changed(Statement):
    """Tells how many jobs it changed."""

    def __init__(self, place: int, change: Change, now: int) -> None:
        parameters = statements.keys((change.queue, id, None) for id in sorted(change.ids))
        parameters["now"] = dates.to_text(now)
        super().__init__(statements.CHANGE[change.action], parameters)
        self._place = place

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        outcomes[self._place] = len(rows)


class Purges(Statement):
    """Gives back the ids of the jobs that are gone, in their order."""

    def __init__(self, place: int, purge: Purge) -> None:
        parameters: Parameters = {"queue": purge.queue, "limit": purge.limit}
        if purge.after is not None:
            parameters["after"] = purge.after
        super().__init__(
            statements.PURGE if purge.after is None else statements.PURGE_AFTER, parameters
        )
        self._place, self._limit = place, purge.limit

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        last: str | None = rows[-1][0] if len(rows) == self._limit else None
        outcomes[self._place] = Purged(len(rows), last)


class Heartbeats(Found):
    """No two of one job: an update takes only one of them."""

    def __init__(self, found: Sequence[tuple[int, Heartbeat]], now: int) -> None:
        parameters, places = _by_key(found)
        states = [beat.state for _, beat in sorted(found, key=_key)]
        parameters |= {"states": statements.texts(states), "now": dates.to_text(now)}
        super().__init__(statements.HEARTBEAT, parameters, places)


class Singles(Statement):
    """Jobs that came alone, of each of which it must be told whether it was there."""

    def __init__(self, found: Sequence[tuple[int, NewJob]], now: int) -> None:
        super().__init__(
            statements.INSERT_AND_TELL, statements.new_jobs([job for _, job in found], now)
        )
        self._found = found

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        new = {(queue, id) for queue, id in rows}
        for place, job in self._found:
            outcomes[place] = conflict(new, [job])


class Claims(Statement):
    """All claims of one queue are one, and share what it finds in their order."""

    def __init__(self, found: Sequence[tuple[int, Claim]], now: int) -> None:
        self._found = found
        self.more: dict[str, bool] = {}
        """Of each queue whether there may be more for it to take."""
        self._limits: defaultdict[str, int] = defaultdict(int)
        for _, claim in found:
            self._limits[claim.queue] = min(self._limits[claim.queue] + claim.limit, 2**63 - 1)
        queues = sorted(self._limits)
        super().__init__(
            statements.CLAIM,
            {
                "queues": statements.texts(queues),
                "limits": statements.numbers(self._limits[queue] for queue in queues),
                "size": CLAIM_SIZE,
                "now": dates.to_text(now),
                "beginning": run_ids.beginning(now),
            },
        )

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        ready: defaultdict[str, list[Job]] = defaultdict(list)
        for row in rows:
            ready[row[0]].append(Job._make(row))
        for queue, limit in self._limits.items():
            jobs = ready[queue]
            jobs.sort(key=lambda job: job.run_at)
            size = 4 * sum(len(job.payload) + len(job.state or "") for job in jobs)  # at most
            self.more[queue] = len(jobs) == limit or size > CLAIM_SIZE
        for place, claim in self._found:
            jobs = ready[claim.queue]
            outcomes[place] = Claimed(jobs[: claim.limit])
            ready[claim.queue] = jobs[claim.limit :]


class Left(Statement):
    """Finds when the first job is due of those that the claims left.

    A ready one that the claims passed by is locked, by who takes or changes it now.
    """

    def __init__(self, claims: Claims, found: Sequence[tuple[int, Claim]], now: int) -> None:
        self._claims = claims
        self._found = [(place, claim) for place, claim in found if claim.tell_left]
        self._queues = sorted({claim.queue for _, claim in self._found})
        queues = statements.texts(self._queues)
        super().__init__(statements.LEFT, {"queues": queues, "now": dates.to_text(now)})

    def read(self, rows: Rows, outcomes: list[object]) -> None:
        left: dict[str, int | None] = {}
        for row in rows:
            n: int = row[0]
            queue = self._queues[n - 1]
            left[queue] = row[1] if self._claims.more[queue] else row[2]
        for place, claim in self._found:
            claimed = outcomes[place]
            assert isinstance(claimed, Claimed)  # noqa: S101  the claims were read before
            outcomes[place] = claimed._replace(left=left[claim.queue])


def last_of_each(jobs: Iterable[NewJob]) -> list[NewJob]:
    """Drop those that a later one replaces: one statement changes a row once."""
    kept: dict[Key, NewJob] = {}
    for job in jobs:
        kept.pop((job.queue, job.id), None)
        kept[job.queue, job.id] = job
    return list(kept.values())


def conflict(new: set[Key], jobs: Iterable[NewJob]) -> JobExistsError | None:
    """Find the first job that was there, where new ones are those that were not."""
    for job in jobs:
        if (job.queue, job.id) not in new:
            return JobExistsError(job.queue, job.id)
        new.discard((job.queue, job.id))
    return None


def _key(each: tuple[int, Any]) -> Key:
    return each[1].queue, each[1].id


def _by_key(found: Sequence[tuple[int, Any]]) -> tuple[Parameters, list[int]]:
    found = sorted(found, key=_key)
    asked = [(each.queue, each.id, getattr(each, "run_id", None)) for _, each in found]
    return statements.keys(asked), [n for n, _ in found]


def _waves(found: Iterable[tuple[int, Heartbeat]]) -> Iterator[list[tuple[int, Heartbeat]]]:
    """Cut them so that no wave has two of one job."""
    left = list(found)
    while left:
        wave: dict[Key, tuple[int, Heartbeat]] = {}
        left = [each for each in left if wave.setdefault(_key(each), each) is not each]
        yield list(wave.values())
