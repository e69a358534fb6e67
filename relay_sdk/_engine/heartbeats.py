"""What keeps leases alive: heartbeats for any number of runs, none of which waits for another."""

import heapq
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from math import inf
from typing import Self

from anyio import create_task_group
from anyio.abc import TaskGroup
from attrs import define, field

from relay_sdk._base.clock import Clock
from relay_sdk._base.flow import Flow, Invoke
from relay_sdk._base.wakeup import AsyncWakeup, Wakeup
from relay_sdk._engine.driver import AsyncDriver, Driver
from relay_sdk._engine.limiter import Lane
from relay_sdk._engine.run import Run
from relay_sdk._engine.thread_pool import Threads

LONGEST_SLEEP = 3600.0


@define(eq=False)
class Lease:
    """A run to keep alive.

    `beat` is given the `interval` that the user has chosen; it sends a heartbeat and gives the
    seconds until the next, `None` at the end. `cancel` is called when the run was lost.
    """

    run: Run
    beat: Callable[[float | None], float | None | Awaitable[float | None]]
    cancel: Callable[[], object] = lambda: None
    interval: float | None = None
    number: int = field(default=-1, init=False)


class BaseHeartbeatScheduler(ABC):
    """Keeps leases alive until they are dropped, end, or are lost."""

    def __init__(self, clock: Clock, news: Wakeup | AsyncWakeup) -> None:
        self._clock = clock
        self._wakeup = news
        self._lock = threading.Lock()
        self._count = count()
        self._kept: dict[int, Lease] = {}
        self._due: list[tuple[float, int]] = []  # a heap, which holds on to no lease
        self._lane = Lane()
        self._until = inf
        self._closed = False

    def add(self, lease: Lease) -> None:
        """Keep a lease alive; its first heartbeat is due after an interval."""
        with self._lock:
            lease.number = next(self._count)
            self._kept[lease.number] = lease
            self._push(lease, lease.run.interval(lease.interval))

    def drop(self, lease: Lease) -> None:
        """Forget a lease."""
        with self._lock:
            self._kept.pop(lease.number, None)
            if len(self._due) > 2 * len(self._kept) + 100:
                self._due = [entry for entry in self._due if entry[1] in self._kept]
                heapq.heapify(self._due)

    @abstractmethod
    def _start(self, lease: Lease) -> None:
        """Run `_beat` beside all else."""

    def _push(self, lease: Lease, wait: float | None) -> None:
        if wait is not None and lease.number in self._kept:
            heapq.heappush(self._due, (self._clock.monotonic() + wait, lease.number))
        if self._next() < self._until:
            self._wakeup.notify()

    def _next(self) -> float:
        """Give the moment at which the next heartbeat may be sent."""
        while self._due and self._due[0][1] not in self._kept:
            heapq.heappop(self._due)
        return max(self._due[0][0], self._lane.opens()) if self._due else inf

    def _take(self, now: float) -> Lease | None:
        """Take a lease whose heartbeat is sent now, if any."""
        if self._next() > now:
            return None
        lease = self._kept[heapq.heappop(self._due)[1]]
        self._lane.enter(lease, now)
        return lease

    def _keep(self) -> Flow[None]:
        """Send heartbeats when they are due."""
        while not self._closed:
            with self._lock:
                now = self._clock.monotonic()
                lease = self._take(now)
                self._until = self._next()
            if lease is not None:
                self._start(lease)
                continue
            yield Invoke(partial(self._wakeup.wait, min(self._until - now, LONGEST_SLEEP)))

    def _beat(self, lease: Lease | None) -> Flow[None]:
        """Send a heartbeat, and then those that wait for it to be answered."""
        while lease is not None and not self._closed:
            run, again = lease.run, None
            try:
                again = yield Invoke(partial(lease.beat, lease.interval))
            except Exception as error:
                run.log.exception("the heartbeat of %s failed", run.where)
                run.lost = f"its heartbeat failed: {error!r}"
            if again is None and run.lost is not None:
                lease.cancel()
            with self._lock:
                self._lane.leave(lease)
                beaten, lease = lease, self._take(self._clock.monotonic())
                self._push(beaten, again)


class HeartbeatScheduler(BaseHeartbeatScheduler):
    """Keeps leases alive from threads."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver.config.clock, Wakeup(driver.config.clock))
        self._driver = driver
        self._threads = Threads()

    def __enter__(self) -> Self:
        self._threads.start("relay_sdk keeper", partial(self._driver.run, self._keep()))
        return self

    def __exit__(self, *_: object) -> None:
        """Send no more heartbeats. One that is on its way is not waited for."""
        self._closed = True
        self._wakeup.notify()
        self._threads.close()

    def _start(self, lease: Lease) -> None:
        beat = partial(self._driver.run, self._beat(lease))
        self._threads.start_or_run("relay_sdk heartbeat", beat)


class AsyncHeartbeatScheduler(BaseHeartbeatScheduler):
    """Keeps leases alive from tasks."""

    _group: TaskGroup

    def __init__(self, driver: AsyncDriver) -> None:
        super().__init__(driver.config.clock, AsyncWakeup(driver.config.clock))
        self._driver = driver

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
        async with create_task_group() as self._group:
            await self._driver.run(self._keep())

    def _start(self, lease: Lease) -> None:
        self._group.start_soon(self._driver.run, self._beat(lease))
