"""Operations on jobs, as data, so that a store can perform many at once.

A handler is a generator that yields at most one operation: `found = yield from Exists(queue, id)`.
The app collects the operations of all requests of a batch, and a `Store` performs them together.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

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
    """One atomic operation whose result is an R."""

    __slots__ = ()

    def __iter__(self) -> "Flow[R]":
        result: R = yield self
        return result


Flow: TypeAlias = Generator[Operation[Any], Any, R]


@dataclass(slots=True)
class Enqueue(Operation[None]):
    """Insert jobs in order; in mode unique, the first conflict raises JobExistsError."""

    jobs: Sequence[NewJob]
    mode: Mode


class Claimed(NamedTuple):
    """The claimed jobs and, with `find_left`, the run_at of the first job that is left."""

    jobs: list[Job]
    left: int | None = None


@dataclass(slots=True)
class Claim(Operation[Claimed]):
    """Put up to `limit` ready jobs in flight, earliest run_at first; fewer if they are large."""

    queue: str
    limit: int
    find_left: bool = False


@dataclass(slots=True)
class Get(Operation[Job | None]):
    """Return the job, or None."""

    queue: str
    id: str


@dataclass(slots=True)
class Exists(Operation[bool]):
    """Return whether the job exists."""

    queue: str
    id: str


@dataclass(slots=True)
class Heartbeat(Operation[bool]):
    """Extend a job in flight and replace its state; without run_id, any run of the job."""

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
    """Delete a job, and return its run_at; with run_id, only if that run holds the job."""

    queue: str
    id: str
    run_id: str | None = None


@dataclass(slots=True)
class Requeue(Operation[bool]):
    """Replace a run of a job by new jobs; do nothing if the run does not hold the job."""

    run: Remove
    new: Enqueue


Action = Literal["remove", "requeue", "run_now"]


@dataclass(slots=True)
class Change(Operation[int]):
    """Remove jobs, requeue running ones or make scheduled ones due; return how many changed."""

    queue: str
    ids: Sequence[str]
    action: Action


class Purged(NamedTuple):
    """How many jobs were removed, and the id of the last one if there may be more."""

    removed: int
    last: str | None


@dataclass(slots=True)
class Purge(Operation[Purged]):
    """Remove up to `limit` jobs of a queue, in the order of their ids, after `after`."""

    queue: str
    after: str | None
    limit: int
