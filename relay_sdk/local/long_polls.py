"""Requests for jobs that wait until there are some."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Generic, Protocol, TypeVar

from .request import Request

MAX_WAIT = 60
"""Seconds that a request waits at most."""

DUE_MARGIN = 0.001
"""Seconds after which a job that becomes due is surely due by the server's clock."""


class LongPoll(Protocol):
    """A request that waits for jobs."""

    @property
    def num_jobs(self) -> int:
        """How many jobs the request takes."""
        ...


P = TypeVar("P", bound=LongPoll)


class LongPolls(Generic[P]):
    """The waiting requests of each queue, first come, first served.

    `wake` is called with each request that is to be executed again because its queue may have
    gained jobs.
    """

    def __init__(self, wake: Callable[[P], None]) -> None:
        self._wake = wake
        self._queues: dict[str, OrderedDict[P, None]] = {}
        self._timers: dict[str, tuple[int, asyncio.TimerHandle]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, queue: str, request: P, *, first: bool) -> None:
        """Add a request, in front of the others if it was woken and found no job."""
        waiting = self._queues.setdefault(queue, OrderedDict())
        waiting[request] = None
        if first:
            waiting.move_to_end(request, last=False)

    def remove(self, queue: str, request: P) -> bool:
        """Remove a request; return whether it was waiting."""
        waiting = self._queues.get(queue)
        if waiting is None or request not in waiting:
            return False
        del waiting[request]
        if not waiting:
            del self._queues[queue]
            if queue in self._timers:
                self._timers.pop(queue)[1].cancel()
        return True

    def clear(self) -> list[P]:
        """Remove and return all requests."""
        removed = [(queue, poll) for queue, waiting in self._queues.items() for poll in waiting]
        for queue, request in removed:
            self.remove(queue, request)
        return [request for _, request in removed]

    def first(self, queue: str, jobs: int) -> list[P]:
        """Return the first requests that can take this many jobs; any thread may call this."""
        found: list[P] = []
        # Each request takes at least one job. The copy is made in one step, so that other threads
        # may change the queue at the same time.
        for request in list(islice(self._queues.get(queue, ()), max(0, jobs))):
            if jobs <= 0:
                break
            found.append(request)
            jobs -= request.num_jobs
        return found

    def notify(self, queue: str, jobs: int) -> None:
        """Wake as many requests as this many jobs are enough for."""
        for request in self.first(queue, jobs):
            self.remove(queue, request)
            self._wake(request)

    def notify_all_queues(self) -> None:
        """Wake one request of each queue, because any queue may have gained jobs."""
        for queue in list(self._queues):
            self.notify(queue, 1)

    def notify_later(self, queue: str, due: int, seconds: float) -> None:
        """Wake one request when a job becomes due, unless another job becomes due earlier."""
        if queue not in self._queues or seconds > MAX_WAIT:
            return
        if queue in self._timers:
            earlier, timer = self._timers[queue]
            if earlier <= due:
                return
            timer.cancel()
        loop = asyncio.get_running_loop()
        timer = loop.call_later(seconds + DUE_MARGIN, self._notify_due, queue)
        self._timers[queue] = due, timer

    def _notify_due(self, queue: str) -> None:
        del self._timers[queue]
        self.notify(queue, 1)


def preferred_wait(request: Request) -> int:
    """Return how many seconds the client prefers to wait (RFC 7240), or 0."""
    for preference in request.headers.get("prefer", "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            digits = value.strip().strip('"')
            if not (digits.isascii() and digits.isdigit()):
                return 0
            digits = digits.lstrip("0")
            return MAX_WAIT if len(digits) > 2 else min(int(digits or "0"), MAX_WAIT)
    return 0
