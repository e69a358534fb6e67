"""The interface of a store: the jobs in one database."""

from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any, NamedTuple, Protocol, TypeAlias

from .job_reader import JobReader
from .operations import Operation


class Reaped(NamedTuple):
    """The timed-out jobs that were dropped or requeued, and whether none is left."""

    dropped: list[tuple[str, str]]
    requeued: list[tuple[str, int]]  # queue and run_at
    complete: bool


ArrivalCallback: TypeAlias = Callable[[str | None, int], None]
"""Called in any thread when a queue has gained jobs, with the time when the first of them is due.

The queue is None if any queue may have gained jobs.
"""


class Listener(Protocol):
    """Calls an ArrivalCallback for the jobs that other servers store, until it is closed."""

    def close(self) -> None: ...


class Store(Protocol):
    """The jobs in one database. Every time is in microseconds since 1970 UTC.

    Not thread-safe, except for `clock`: the owner holds a lock.
    """

    def perform(
        self, operations: Iterable[Operation[Any]], now: int, *, write: bool = True
    ) -> list[object]:
        """Perform all operations with one commit, and return their results.

        Each can fail alone: its result is an exception then. If the database fails, no change is
        kept, and a BackendError is logged and raised.
        """
        ...

    def reap(self, now: int, interval: int) -> Reaped:
        """Requeue jobs that timed out, and drop those without retries left.

        Where servers share the database, one of them does it in each interval. If the database
        fails, a BackendError is logged and raised.
        """
        ...

    def listen(self, on_arrival: ArrivalCallback) -> Listener | None:
        """Listen for jobs that other servers store; return None if there are no other servers.

        A notification may be missed, so long polls also need to poll now and then.
        """
        ...

    def open_reader(self, lock: Lock) -> JobReader:
        """Return a reader that works beside the batches.

        The reader holds the lock if the database cannot have a second connection.
        """
        ...

    def clock(self) -> int:
        """Return the time that all servers of this database use."""
        ...

    def close(self) -> None: ...
