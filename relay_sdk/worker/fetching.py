"""Decide which queue to fetch from, when, and how many jobs."""

import logging
import threading
from collections.abc import Callable, Iterator
from math import inf

from attrs import define, frozen

from relay_sdk._base.clock import Clock
from relay_sdk._base.log import logger
from relay_sdk._engine.retries import requested_delay
from relay_sdk.backoff import Backoff
from relay_sdk.exceptions import RelayError, RetryableError
from relay_sdk.worker.execution import OUTAGE_BACKOFF

MAX_JOBS_PER_FETCH = 250
"""The most jobs of one fetch, because all of them are decoded before the first one starts."""
LOG_AGAIN_AFTER = 300.0
"""Seconds after which a lasting outage is logged again."""


@define(eq=False)
class _Queue:
    """The state of a queue, as its last replies show it."""

    name: str
    has_more: bool | None = None
    """Whether the last fetch got all jobs that it asked for; `None` before the first reply."""
    fetches: int = 0
    due: float = -inf
    idle_waits: Iterator[float] | None = None
    """The delays between fetches while the queue is empty."""
    outage_waits: Iterator[float] | None = None
    """The delays between fetches while they fail."""


@frozen(eq=False)
class Fetch:
    """A request for jobs. With `long_poll` the server may hold it until there is a job."""

    queue: _Queue
    jobs: int
    long_poll: bool
    sent_at: float
    cancel: Callable[[], object]


class Slots:
    """The slots of one worker: each is free, reserved by a fetch, or taken by a running handler.

    A queue has one fetch under way, and a second one while it has more jobs and half of the slots
    are free. An empty queue is polled again after a growing delay, counted from its last fetch: a
    fetch that the server has held is followed by the next at once. Of several queues, the one whose
    last fetch is oldest comes first.
    """

    def __init__(self, number: int, queues: list[str], idle: Backoff, clock: Clock) -> None:
        self.fetches: set[Fetch] = set()  # those under way
        self._number = number
        self._free = number
        self._freed_early = 0  # slots whose handlers have returned, and whose jobs have not ended
        self._idle = idle
        self._clock = clock
        self._lock = threading.Lock()
        self._queues = [_Queue(name) for name in queues]
        self._fetcher_called = False
        self._looked_at = self._reached = -inf
        self._logged: tuple[str, float] | None = None

    def call_fetcher(self) -> bool:
        """Return whether the caller must start a thread or task that calls `reserve`."""
        with self._lock:
            if self._fetcher_called or self._next(self._now()) is None:
                return False
            self._fetcher_called = True
            return True

    def reserve(self, cancel: Callable[[], object] = lambda: None) -> Fetch | None:
        """Reserve slots for a fetch that is to be sent now, if one is due; `cancel` ends it."""
        with self._lock:
            self._fetcher_called = False
            now = self._now()
            queue = self._next(now)
            if queue is None:
                return None
            jobs, long_poll = min(self._free, MAX_JOBS_PER_FETCH), queue.has_more is False
            if long_poll and len(self._queues) > 1:
                # The other queues cannot use the slots of a held fetch. So it reserves only one,
                # and only while all queues are empty and most slots stay free.
                all_empty = not any(queue.has_more for queue in self._queues)
                long_poll = all_empty and self._number >= 2 * len(self._queues)
                jobs = 1 if long_poll else jobs
            self._queues.remove(queue)
            self._queues.append(queue)
            queue.fetches += 1
            self._free -= jobs
            fetch = Fetch(queue, jobs, long_poll, now, cancel)
            self.fetches.add(fetch)
            return fetch

    def _next(self, now: float) -> _Queue | None:
        if not self._free:
            return None
        for queue in self._queues:
            second = queue.fetches == 1 and queue.has_more and not self.mostly_taken
            if queue.due <= now and (not queue.fetches or second):
                return queue
        return None

    @property
    def mostly_taken(self) -> bool:
        """Whether fewer than half of the slots are free."""
        return 2 * self._free < self._number

    def until_due(self) -> float:
        """Return the seconds until a fetch may be due."""
        with self._lock:
            now = self._now()
            self._looked_at = now
            if not self._fetcher_called and self._next(now):
                return 0.0
            return min((queue.due for queue in self._queues if queue.due > now), default=inf) - now

    def waited(self, seconds: float) -> None:
        """Record that some seconds have passed: the clock of a test stops while threads wait."""
        with self._lock:
            self._reached = self._looked_at + seconds

    def _now(self) -> float:
        return max(self._clock.monotonic(), self._reached)

    def free_unused(self, fetch: Fetch, jobs: int = 0) -> None:
        """Free the slots of a fetch that has ended, except those for the jobs that it got."""
        with self._lock:
            self._free += fetch.jobs - jobs
            self.fetches.discard(fetch)
            fetch.queue.fetches -= 1

    def free_early(self) -> bool:
        """Free the slot of a job whose handler has returned, unless too many jobs are ending.

        So the fetch of the next job need not wait for the reply to the completion of this one.
        """
        with self._lock:
            if self._freed_early == self._number:
                return False
            self._freed_early += 1
            self._free += 1
            return True

    def free(self, *, freed_early: bool = False) -> None:
        """Free the slot of a job that has ended, unless `free_early` has done so."""
        with self._lock:
            if freed_early:
                self._freed_early -= 1
            else:
                self._free += 1

    def close(self) -> None:
        """Stop fetching."""
        with self._lock:
            self._queues = []

    def succeeded(self, fetch: Fetch, jobs: int) -> None:
        """Record how many jobs a fetch got."""
        queue = fetch.queue
        with self._lock:
            queue.has_more = jobs >= fetch.jobs
            if jobs:
                queue.idle_waits, queue.due = None, -inf
            else:
                queue.idle_waits = queue.idle_waits or iter(self._idle)
                queue.due = fetch.sent_at + next(queue.idle_waits, self._idle.maximum)
            recovered, queue.outage_waits = queue.outage_waits is not None, None
            recovered = recovered and not any(queue.outage_waits for queue in self._queues)
        if recovered:
            self._logged = None
            logger.warning("the server can be reached again")

    def failed(self, fetch: Fetch, error: RelayError) -> None:
        """Record that a fetch failed; log it the first time, and again while the outage lasts."""
        queue = fetch.queue
        now = self._now()
        with self._lock:
            queue.outage_waits = queue.outage_waits or iter(OUTAGE_BACKOFF)
            queue.due = now + max(next(queue.outage_waits), requested_delay(error, OUTAGE_BACKOFF))
        retryable = isinstance(error, RetryableError)
        problem = "cannot reach the server" if retryable else "the server refuses this worker"
        level = logging.INFO
        if self._is_news(problem, now):
            self._logged = problem, now
            level = logging.WARNING if retryable else logging.ERROR
        logger.log(level, "%s; retrying: %s", problem, error)

    def _is_news(self, problem: str, now: float) -> bool:
        if self._logged is None:
            return True
        logged, at = self._logged
        return problem != logged or now >= at + LOG_AGAIN_AFTER
