"""Which queue is asked for jobs, when, and for how many: no slot is promised twice."""

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
from relay_sdk.worker.execution import AWAY

MOST_AT_ONCE = 250
"""Jobs that one request asks for at most: what comes is read and started in one go."""
REMIND = 300.0
"""Seconds after which trouble that lasts is said again."""


@define(eq=False)
class _Queue:
    """What is known of a queue."""

    name: str
    more: bool | None = None
    """Whether the last answer was full; `None` before the first."""
    asks: int = 0
    due: float = -inf
    idle: Iterator[float] | None = None
    """The waits of one that is empty."""
    away: Iterator[float] | None = None
    """The waits of one that cannot be asked."""


@frozen(eq=False)
class Ask:
    """A request for jobs, and whether the server may hold it until there is one."""

    queue: _Queue
    jobs: int
    hold: bool
    sent: float
    cut: Callable[[], object]


class Slots:
    """The slots of one worker: each is free, promised to a request, or has a handler that runs.

    A queue has one request on its way, and a second one while it has more jobs and half of the
    slots are free. One that is empty is asked again after a growing wait, counted from when it was
    asked last: a request that the server has held is followed by the next at once. Of several
    queues, the one that was asked longest ago comes first.
    """

    def __init__(self, number: int, queues: list[str], idle: Backoff, clock: Clock) -> None:
        self.asks: set[Ask] = set()  # that are on their way
        self._number = number
        self._free = number
        self._ending = 0  # whose handlers have returned, and whose slots are free
        self._idle = idle
        self._clock = clock
        self._lock = threading.Lock()
        self._queues = [_Queue(name) for name in queues]
        self._called = False
        self._asked_at = self._reached = -inf
        self._said: tuple[str, float] | None = None

    def call(self) -> bool:
        """Tell whether someone is to come and `ask`, whom nobody has called yet."""
        with self._lock:
            if self._called or self._next(self._now()) is None:
                return False
            self._called = True
            return True

    def ask(self, cut: Callable[[], object] = lambda: None) -> Ask | None:
        """Promise slots to a request that is to be sent now, if there is one; `cut` ends it."""
        with self._lock:
            self._called = False
            now = self._now()
            queue = self._next(now)
            if queue is None:
                return None
            jobs, hold = min(self._free, MOST_AT_ONCE), queue.more is False
            if hold and len(self._queues) > 1:
                # A held request keeps its slots from the other queues: it has one, and only while
                # no queue has work for it and most are left.
                quiet = not any(queue.more for queue in self._queues)
                hold = quiet and self._number >= 2 * len(self._queues)
                jobs = 1 if hold else jobs
            self._queues.remove(queue)
            self._queues.append(queue)
            queue.asks += 1
            self._free -= jobs
            ask = Ask(queue, jobs, hold, now, cut)
            self.asks.add(ask)
            return ask

    def _next(self, now: float) -> _Queue | None:
        if not self._free:
            return None
        for queue in self._queues:
            another = queue.asks == 1 and queue.more and not self.few
            if queue.due <= now and (not queue.asks or another):
                return queue
        return None

    @property
    def few(self) -> bool:
        """Whether less than half of the slots are free."""
        return 2 * self._free < self._number

    def wait(self) -> float:
        """Give the seconds until somebody may have to be called again."""
        with self._lock:
            now = self._now()
            self._asked_at = now
            if not self._called and self._next(now):
                return 0.0
            return min((queue.due for queue in self._queues if queue.due > now), default=inf) - now

    def waited(self, seconds: float) -> None:
        """Note that so much time has passed: a clock of tests stands still while threads wait."""
        with self._lock:
            self._reached = self._asked_at + seconds

    def _now(self) -> float:
        return max(self._clock.monotonic(), self._reached)

    def free(self, ask: Ask, jobs: int = 0) -> None:
        """Free the slots that a request was promised and has no jobs for."""
        with self._lock:
            self._free += ask.jobs - jobs
            self.asks.discard(ask)
            ask.queue.asks -= 1

    def returned(self) -> bool:
        """Free the slot of a job whose handler has returned, if not too many of them are left.

        So the request for the next job need not wait for the reply to the completion of this one.
        """
        with self._lock:
            if self._ending == self._number:
                return False
            self._ending += 1
            self._free += 1
            return True

    def ended(self, *, returned: bool = False) -> None:
        """Free the slot of a job, unless that was done when its handler `returned`."""
        with self._lock:
            if returned:
                self._ending -= 1
            else:
                self._free += 1

    def close(self) -> None:
        """Ask for nothing more."""
        with self._lock:
            self._queues = []

    def answered(self, ask: Ask, jobs: int) -> None:
        """Note how many jobs came."""
        queue = ask.queue
        with self._lock:
            queue.more = jobs >= ask.jobs
            if jobs:
                queue.idle, queue.due = None, -inf
            else:
                queue.idle = queue.idle or iter(self._idle)
                queue.due = ask.sent + next(queue.idle, self._idle.maximum)
            back, queue.away = queue.away is not None, None
            back = back and not any(queue.away for queue in self._queues)
        if back:
            self._said = None
            logger.warning("the server can be reached again")

    def failed(self, ask: Ask, error: RelayError) -> None:
        """Note that a queue could not be asked; say so at first, and now and then."""
        queue = ask.queue
        now = self._now()
        with self._lock:
            queue.away = queue.away or iter(AWAY)
            queue.due = now + max(next(queue.away), requested_delay(error, AWAY))
        passing = isinstance(error, RetryableError)
        trouble = "cannot reach the server" if passing else "the server refuses this worker"
        level = logging.INFO
        if self._said is None or self._said[0] != trouble or now >= self._said[1] + REMIND:
            self._said = trouble, now
            level = logging.WARNING if passing else logging.ERROR
        logger.log(level, "%s; with_retries: %s", trouble, error)
