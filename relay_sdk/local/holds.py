"""Requests for jobs that wait until there are some."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Generic, Protocol, TypeVar

LONGEST = 60
"""Seconds that a request is held at most."""

LATE = 0.001
"""Seconds after which a job that becomes due is surely due by the server's clock."""


class Held(Protocol):
    """A request that is held, and how many jobs it takes."""

    @property
    def num_jobs(self) -> int: ...


H = TypeVar("H", bound=Held)


class Holds(Generic[H]):
    """Who waits for the jobs of which queue, first come, first served.

    `wake` is called with each request that is to be asked anew, since there may be jobs for it.
    """

    def __init__(self, wake: Callable[[H], None]) -> None:
        self._wake = wake
        self._queues: dict[str, OrderedDict[H, None]] = {}
        self._timers: dict[str, tuple[int, asyncio.TimerHandle]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, queue: str, request: H, *, first: bool) -> None:
        """Hold a request; first, if it was woken and found nothing."""
        waiting = self._queues.setdefault(queue, OrderedDict())
        waiting[request] = None
        if first:
            waiting.move_to_end(request, last=False)

    def remove(self, queue: str, request: H) -> bool:
        """Hold a request no longer; tell whether it was held."""
        waiting = self._queues.get(queue)
        if waiting is None or request not in waiting:
            return False
        del waiting[request]
        if not waiting:
            del self._queues[queue]
            if queue in self._timers:
                self._timers.pop(queue)[1].cancel()
        return True

    def clear(self) -> list[H]:
        """Hold nothing any longer; return what was held."""
        held = [(queue, request) for queue, waiting in self._queues.items() for request in waiting]
        for queue, request in held:
            self.remove(queue, request)
        return [request for _, request in held]

    def first(self, queue: str, jobs: int) -> list[H]:
        """Tell who is to be given so many jobs; any thread may ask."""
        found: list[H] = []
        # Each takes one job at least. The copy is made in one step, whatever others do meanwhile.
        for request in list(islice(self._queues.get(queue, ()), max(0, jobs))):
            if jobs <= 0:
                break
            found.append(request)
            jobs -= request.num_jobs
        return found

    def gained(self, queue: str, jobs: int) -> None:
        """Wake as many as there are jobs for."""
        for request in self.first(queue, jobs):
            self.remove(queue, request)
            self._wake(request)

    def look(self) -> None:
        """Wake one for each queue, since any may have gained jobs."""
        for queue in list(self._queues):
            self.gained(queue, 1)

    def due(self, queue: str, moment: int, seconds: float) -> None:
        """Wake one when a job becomes due in so many seconds, unless one becomes due earlier."""
        if queue not in self._queues or seconds > LONGEST:
            return
        if queue in self._timers:
            earlier, timer = self._timers[queue]
            if earlier <= moment:
                return
            timer.cancel()
        loop = asyncio.get_running_loop()
        timer = loop.call_later(seconds + LATE, self._is_due, queue)
        self._timers[queue] = moment, timer

    def _is_due(self, queue: str) -> None:
        del self._timers[queue]
        self.gained(queue, 1)
