"""What requests ask of the jobs, as data, so that a store can do many at once.

A handler is a generator: `found = yield from Exists(queue, id)`. Whoever drives it gathers the
operations of all requests of a turn, and gives them to a `Database` together.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

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


@dataclass(slots=True)
class Claim(Operation[list[Job]]):
    """Put up to limit ready jobs in flight, earliest run_at first."""

    queue: str
    limit: int


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
class Remove(Operation[bool]):
    """Delete a job; with run_id, only if that run holds it."""

    queue: str
    id: str
    run_id: str | None = None


@dataclass(slots=True)
class Requeue(Operation[bool]):
    """Replace a run of a job by new jobs; do nothing when the run is not there."""

    run: Remove
    new: Enqueue


class Database(Protocol):
    """Jobs in a database. Every moment is in microseconds since 1970 UTC.

    Not thread-safe: its owner holds a lock.
    """

    def perform(self, operations: Sequence[Operation[Any]], now: int) -> list[object]:
        """Do all with one commit; each can fail alone, and its result is an exception then.

        Raise BackendError when the database fails, and nothing is kept.
        """
        ...

    def reap(self, now: int, interval: int) -> list[tuple[str, str]]:
        """Requeue the jobs whose time is over; return those dropped for want of retries.

        Where servers share the database, one of them does it each interval.
        """
        ...

    def clock(self) -> int:
        """Tell the time by which its servers agree."""
        ...

    def close(self) -> None: ...
