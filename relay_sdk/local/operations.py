"""What requests ask of the jobs, as data, so that a store can do many at once.

A handler is a generator of at most one operation: `found = yield from Exists(queue, id)`. Whoever
drives it gives the operations of all requests of a turn to a `Database` together.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from .dashboard.reader import Reader

R = TypeVar("R")

Mode = Literal["unique", "ignore", "replace"]


class NewJob(NamedTuple):
    """A job as it is enqueued; payload and state are JSON text."""

    queue: str
    id: str
    timeout: int
    max_retries: int | None
    payload: str
    state: str | None
    run_at: int


class Job(NamedTuple):
    """A job as it is stored."""

    queue: str
    id: str
    timeout: int
    max_retries: int | None
    retries_remaining: int | None
    payload: str
    state: str | None
    run_id: str | None
    expires_at: int | None
    run_at: int
    updated_at: int
    created_at: int


class Operation(Generic[R]):
    """One thing to do, all of it or nothing, whose result is an R."""

    __slots__ = ()

    def __iter__(self) -> "Flow[R]":
        result: R = yield self
        return result


Flow: TypeAlias = Generator[Operation[Any], Any, R]


@dataclass(slots=True)
class Enqueue(Operation[None]):
    """Insert jobs in order; the first conflict is a JobExistsError if unique."""

    jobs: Sequence[NewJob]
    mode: Mode


class Claimed(NamedTuple):
    """Jobs that were claimed, and, if it was asked for, the run_at of the first that is left."""

    jobs: list[Job]
    left: int | None = None


@dataclass(slots=True)
class Claim(Operation[Claimed]):
    """Put up to limit ready jobs in flight, earliest run_at first; fewer, when they are large."""

    queue: str
    limit: int
    tell_left: bool = False


@dataclass(slots=True)
class Get(Operation[Job | None]):
    """Read a job."""

    queue: str
    id: str


@dataclass(slots=True)
class Exists(Operation[bool]):
    """Tell whether a job is there."""

    queue: str
    id: str


@dataclass(slots=True)
class Heartbeat(Operation[bool]):
    """Extend a job in flight and replace its state; without run_id, whoever holds it."""

    queue: str
    id: str
    run_id: str | None
    state: str | None


@dataclass(slots=True)
class Reschedule(Operation[bool]):
    """Put a job in flight back into its queue, changed."""

    job: NewJob


@dataclass(slots=True)
class Remove(Operation[int | None]):
    """Delete a job, and give its run_at; with run_id, only if that run holds it."""

    queue: str
    id: str
    run_id: str | None = None


@dataclass(slots=True)
class Requeue(Operation[bool]):
    """Replace a run of a job by new jobs; do nothing when the run is not there."""

    run: Remove
    new: Enqueue


Action = Literal["remove", "requeue", "run_now"]


@dataclass(slots=True)
class Change(Operation[int]):
    """Remove jobs, put running ones back or let waiting ones run now, and tell how many."""

    queue: str
    ids: Sequence[str]
    action: Action


class Purged(NamedTuple):
    """How many jobs were removed, and the id of the last if there may be more."""

    removed: int
    last: str | None


@dataclass(slots=True)
class Purge(Operation[Purged]):
    """Remove up to limit jobs of a queue, those with the first ids after the one given."""

    queue: str
    after: str | None
    limit: int


class Reaped(NamedTuple):
    """What a reaper found: the jobs that are gone, those that are back, and if it saw them all."""

    dropped: list[tuple[str, str]]
    requeued: list[tuple[str, int]]  # queue and run_at
    complete: bool


JobsCame: TypeAlias = Callable[[str | None, int], None]
"""Told, in any thread, that a queue has gained jobs, and when the first of them is due.

The queue is None when any may have gained some.
"""


class Wakeups(Protocol):
    """Tells of the jobs that others store, until it is closed."""

    def close(self) -> None: ...


class Database(Protocol):
    """Jobs in a database. Every moment is in microseconds since 1970 UTC.

    Not thread-safe, but for `clock`: its owner holds a lock.
    """

    def perform(
        self, operations: Iterable[Operation[Any]], now: int, *, write: bool = True
    ) -> list[object]:
        """Do all with one commit; each can fail alone, and its result is an exception then.

        Raise and log a BackendError when the database fails, and nothing is kept.
        """
        ...

    def reap(self, now: int, interval: int) -> Reaped:
        """Put back jobs whose time is over, and drop those without retries left.

        Where servers share the database, one of them does it each interval. Raise and log a
        BackendError when the database fails.
        """
        ...

    def listen(self, jobs_came: JobsCame) -> Wakeups | None:
        """Tell of the jobs that other servers store; None where there are no others.

        Some may never be told of, so whoever waits looks now and then all the same.
        """
        ...

    def look(self, lock: Lock) -> "Reader":
        """Read beside the turns; where there can be no second connection, with their lock."""
        ...

    def clock(self) -> int:
        """Tell the time by which its servers agree."""
        ...

    def close(self) -> None: ...
