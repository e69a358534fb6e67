"""What keeps leases alive: heartbeats for any number of runs, none of which waits for another."""

import heapq
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from math import inf
from types import TracebackType
from typing import Generic, Self, TypeAlias, TypeVar

from anyio import CancelScope, create_task_group
from attrs import frozen

from relay_sdk._clock import Clock, Stopped
from relay_sdk._log import logger
from relay_sdk._run import Run
from relay_sdk._threads import Threads

Beat: TypeAlias = Callable[[], float | None]
AsyncBeat: TypeAlias = Callable[[], Awaitable[float | None]]
B = TypeVar("B", Beat, AsyncBeat)

LONGEST_SLEEP = 3600.0
AT_ONCE = 50
"""How many heartbeats are on their way at once, those that hang aside."""
HANGING = 1.0
"""Seconds after which a heartbeat hangs, and others need not wait for it."""


@frozen(eq=False)
class Lease(Generic[B]):
    """A run to keep alive.

    `beat` sends a heartbeat and gives the seconds until the next, `None` at the end. `lost` is
    called when the run was lost.
    """

    run: Run
    beat: B
    lost: Callable[[], object] = lambda: None


class _Sent:
    """A heartbeat on its way."""

    def __init__(self, moment: float) -> None:
        self.moment = moment
        self.answered = False


class _Due(Generic[B]):
    """Leases by the moment of their next heartbeat."""

    def __init__(self) -> None:
        self._count = count()
        self._numbers: dict[Lease[B], int] = {}
        self._waiting: dict[int, Lease[B]] = {}
        self._heap: list[tuple[float, int]] = []  # holds on to no lease that was dropped
        self._sent: deque[_Sent] = deque(maxlen=AT_ONCE)

    def add(self, lease: Lease[B]) -> None:
        self._numbers[lease] = next(self._count)

    def drop(self, lease: Lease[B]) -> None:
        self._waiting.pop(self._numbers.pop(lease, -1), None)
        if len(self._heap) > 2 * len(self._waiting) + 100:
            self._heap = [entry for entry in self._heap if entry[1] in self._waiting]
            heapq.heapify(self._heap)

    def push(self, moment: float, lease: Lease[B]) -> None:
        if lease in self._numbers:
            number = self._numbers[lease]
            self._waiting[number] = lease
            heapq.heappush(self._heap, (moment, number))

    def first(self) -> float:
        """Give the moment at which the next heartbeat may be sent."""
        while self._heap and self._heap[0][1] not in self._waiting:
            heapq.heappop(self._heap)
        if not self._heap:
            return inf
        full = len(self._sent) == AT_ONCE and not self._sent[0].answered
        return max(self._heap[0][0], self._sent[0].moment + HANGING if full else -inf)

    def pop(self, now: float) -> tuple[Lease[B], _Sent]:
        """Take the lease whose heartbeat is sent now."""
        self._sent.append(_Sent(now))
        return self._waiting.pop(heapq.heappop(self._heap)[1]), self._sent[-1]


def _judge(lease: Lease[B], again: float | None, error: Exception | None) -> None:
    """Tell after a heartbeat whether the run was lost."""
    if error is not None:
        logger.error("the heartbeat of %s failed", lease.run.where, exc_info=error)
        lease.run.lost = f"its heartbeat failed: {error!r}"
    if again is None and lease.run.lost is not None:
        lease.lost()


class Keeper:
    """Keeps leases alive from threads until they are dropped, end, or are lost."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: _Due[Beat] = _Due()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closed = False
        self._threads = Threads()

    def __enter__(self) -> Self:
        self._threads.start("relay_sdk keeper", self._keep)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Send no more heartbeats. One that is on its way is not waited for."""
        self._closed = True
        self._news.set()
        self._threads.close()

    def add(self, lease: Lease[Beat], first: float) -> None:
        """Keep a lease alive; its first heartbeat is due in some seconds."""
        with self._lock:
            self._due.add(lease)
        self._push(lease, first)

    def drop(self, lease: Lease[Beat]) -> None:
        """Forget a lease."""
        with self._lock:
            self._due.drop(lease)

    def _push(self, lease: Lease[Beat], wait: float | None) -> None:
        with self._lock:
            if wait is not None:
                self._due.push(self._clock.monotonic() + wait, lease)
        self._news.set()

    def _keep(self) -> None:
        while not self._closed:
            with self._lock:
                now = self._clock.monotonic()
                wait = self._due.first() - now
                beat = None if wait > 0 else partial(self._beat, *self._due.pop(now))
            if beat is None:
                try:
                    self._clock.sleep(min(wait, LONGEST_SLEEP), self._news)
                except Stopped:
                    self._news.clear()
                continue
            try:
                self._threads.start("relay_sdk heartbeat", beat)
            except RuntimeError as error:
                logger.warning("no thread for a heartbeat: %s", error)
                beat()

    def _beat(self, lease: Lease[Beat], sent: _Sent) -> None:
        again, failure = None, None
        try:
            again = lease.beat()
        except Exception as error:  # noqa: BLE001 it is told with the lease
            failure = error
        sent.answered = True
        _judge(lease, again, failure)
        self._push(lease, again)


class AsyncKeeper:
    """Keeps leases alive from tasks until they are dropped, end, or are lost."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: _Due[AsyncBeat] = _Due()
        self._sleeping: CancelScope | None = None
        self._until = inf

    def add(self, lease: Lease[AsyncBeat], first: float) -> None:
        """Keep a lease alive; its first heartbeat is due in some seconds."""
        self._due.add(lease)
        self._push(lease, first)

    def drop(self, lease: Lease[AsyncBeat]) -> None:
        """Forget a lease."""
        self._due.drop(lease)

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
        async with create_task_group() as group:
            while True:
                now = self._clock.monotonic()
                self._until = self._due.first()
                if self._until <= now:
                    group.start_soon(self._beat, *self._due.pop(now))
                    continue
                with CancelScope() as self._sleeping:
                    await self._clock.asleep(min(self._until - now, LONGEST_SLEEP))

    def _push(self, lease: Lease[AsyncBeat], wait: float | None) -> None:
        if wait is not None:
            self._due.push(self._clock.monotonic() + wait, lease)
        if self._due.first() < self._until and self._sleeping is not None:
            self._sleeping.cancel()

    async def _beat(self, lease: Lease[AsyncBeat], sent: _Sent) -> None:
        again, failure = None, None
        try:
            again = await lease.beat()
        except Exception as error:  # noqa: BLE001 it is told with the lease
            failure = error
        sent.answered = True
        _judge(lease, again, failure)
        self._push(lease, again)
