"""What keeps leases alive: heartbeats for any number of runs, none of which waits for another."""

import heapq
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from math import inf
from types import TracebackType
from typing import Generic, Protocol, Self, TypeAlias, TypeVar

from anyio import CancelScope, create_task_group
from attrs import define

from relay_sdk._clock import Clock, Stopped
from relay_sdk._lane import Lane
from relay_sdk._run import Run
from relay_sdk._threads import Threads

Beat: TypeAlias = Callable[[], float | None]
AsyncBeat: TypeAlias = Callable[[], Awaitable[float | None]]
B = TypeVar("B", Beat, AsyncBeat)

LONGEST_SLEEP = 3600.0


@define(eq=False)
class Lease(Generic[B]):
    """A run to keep alive.

    `beat` sends a heartbeat and gives the seconds until the next, `None` at the end. `cancel` is
    called when the run was lost.
    """

    run: Run
    beat: B
    cancel: Callable[[], object] = lambda: None


class Keeps(Protocol[B]):
    """What keeps leases alive until they are dropped, end, or are lost."""

    def add(self, lease: Lease[B], first: float) -> None:
        """Keep a lease alive; its first heartbeat is due in some seconds."""

    def drop(self, lease: Lease[B]) -> None:
        """Forget a lease."""


class _Due(Generic[B]):
    """Leases by the moment of their next heartbeat."""

    def __init__(self) -> None:
        self._count = count()
        self._numbers: dict[Lease[B], int] = {}
        self._waiting: dict[int, Lease[B]] = {}
        self._heap: list[tuple[float, int]] = []  # holds on to no lease that was dropped
        self._lane = Lane()

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
        return max(self._heap[0][0], self._lane.opens())

    def take(self, now: float, sent: Lease[B] | None = None) -> Lease[B] | None:
        """Take a lease whose heartbeat is sent now, if any; the one of `sent` was answered."""
        self._lane.leave(sent)
        if self.first() > now:
            return None
        lease = self._waiting.pop(heapq.heappop(self._heap)[1])
        self._lane.enter(lease, now)
        return lease


def _judge(lease: Lease[B], again: float | None, error: Exception | None) -> None:
    """Tell after a heartbeat whether the run was lost."""
    if error is not None:
        lease.run.log.error("the heartbeat of %s failed", lease.run.where, exc_info=error)
        lease.run.lost = f"its heartbeat failed: {error!r}"
    if again is None and lease.run.lost is not None:
        lease.cancel()


class Keeper:
    """Keeps leases alive from threads until they are dropped, end, or are lost."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: _Due[Beat] = _Due()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._until = inf
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
        if wait is not None:
            self._due.push(self._clock.monotonic() + wait, lease)
        if self._due.first() < self._until:
            self._news.set()

    def _keep(self) -> None:
        while not self._closed:
            with self._lock:
                now = self._clock.monotonic()
                lease = self._due.take(now)
                self._until = self._due.first()
            if lease is None:
                try:
                    self._clock.sleep(min(self._until - now, LONGEST_SLEEP), self._news)
                except Stopped:
                    self._news.clear()
                continue
            try:
                self._threads.start("relay_sdk heartbeat", partial(self._beat, lease))
            except RuntimeError as error:
                lease.run.log.warning("no thread for a heartbeat: %s", error)
                self._beat(lease)

    def _beat(self, lease: Lease[Beat] | None) -> None:
        while lease is not None and not self._closed:
            again, failure = None, None
            try:
                again = lease.beat()
            except Exception as error:  # noqa: BLE001 it is told with the lease
                failure = error
            _judge(lease, again, failure)
            with self._lock:
                beaten, lease = lease, self._due.take(self._clock.monotonic(), lease)
                self._push(beaten, again)


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
                if lease := self._due.take(now):
                    group.start_soon(self._beat, lease)
                    continue
                self._until = self._due.first()
                with CancelScope() as self._sleeping:
                    await self._clock.asleep(min(self._until - now, LONGEST_SLEEP))

    def _push(self, lease: Lease[AsyncBeat], wait: float | None) -> None:
        if wait is not None:
            self._due.push(self._clock.monotonic() + wait, lease)
        if self._due.first() < self._until and self._sleeping is not None:
            self._sleeping.cancel()

    async def _beat(self, lease: Lease[AsyncBeat] | None) -> None:
        while lease is not None:
            again, failure = None, None
            try:
                again = await lease.beat()
            except Exception as error:  # noqa: BLE001 it is told with the lease
                failure = error
            _judge(lease, again, failure)
            beaten, lease = lease, self._due.take(self._clock.monotonic(), lease)
            self._push(beaten, again)
