"""Send the heartbeats of any number of runs: 50 at once, not counting those that hang."""

import heapq
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
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
from relay_sdk._engine.limiter import InFlightLimiter
from relay_sdk._engine.run import Run
from relay_sdk._engine.thread_pool import ThreadPool

MAX_SLEEP = 3600.0
"""The longest wait between two checks of the schedule, in seconds."""


@define(eq=False)
class KeptRun:
    """A run that gets a heartbeat every `interval` seconds; `cancel` is called if it is lost."""

    run: Run
    cancel: Callable[[], object] = lambda: None
    interval: float | None = None
    number: int = field(default=-1, init=False)


class BaseHeartbeatScheduler(ABC):
    """Keeps runs alive until they are dropped, end, or are lost."""

    def __init__(self, clock: Clock, wakeup: Wakeup | AsyncWakeup) -> None:
        self._clock = clock
        self._wakeup = wakeup
        self._lock = threading.Lock()
        self._numbers = count()
        self._kept: dict[int, KeptRun] = {}
        self._due: list[tuple[float, int]] = []  # a heap of times and numbers
        # Limits the threads or tasks that send. In a worker on tasks, the heartbeats then take
        # their turn with those of the handlers, once they have the lock of their run.
        self._limiter = InFlightLimiter()
        self._sleeps_until = inf
        self._closed = False

    def add(self, kept: KeptRun) -> None:
        """Keep a run alive; its first heartbeat is due after an interval."""
        with self._lock:
            kept.number = next(self._numbers)
            self._kept[kept.number] = kept
            self._schedule(kept, kept.run.heartbeat_interval(kept.interval))

    def drop(self, kept: KeptRun) -> None:
        """Stop keeping a run alive."""
        with self._lock:
            self._kept.pop(kept.number, None)
            if len(self._due) > 2 * len(self._kept) + 100:
                self._due = [entry for entry in self._due if entry[1] in self._kept]
                heapq.heapify(self._due)

    @abstractmethod
    def _start(self, kept: KeptRun) -> None:
        """Run `_send` in a thread or task of its own."""

    def _schedule(self, kept: KeptRun, seconds: float | None) -> None:
        if seconds is not None and kept.number in self._kept:
            heapq.heappush(self._due, (self._clock.monotonic() + seconds, kept.number))
        if self._next_due() < self._sleeps_until:
            self._wakeup.notify()

    def _next_due(self) -> float:
        """Return when the next heartbeat may be sent."""
        while self._due and self._due[0][1] not in self._kept:
            heapq.heappop(self._due)
        return max(self._due[0][0], self._limiter.opens_at("heartbeat")) if self._due else inf

    def _take_due(self, now: float) -> KeptRun | None:
        """Return a run whose heartbeat is sent now, if one is due and may be sent."""
        if self._next_due() > now:
            return None
        kept = self._kept[heapq.heappop(self._due)[1]]
        self._limiter.acquire("heartbeat", kept, now)
        return kept

    def _run(self) -> Flow[None]:
        """Start heartbeats when they are due."""
        while not self._closed:
            with self._lock:
                now = self._clock.monotonic()
                kept = self._take_due(now)
                self._sleeps_until = self._next_due()
            if kept is not None:
                self._start(kept)
                continue
            yield Invoke(partial(self._wakeup.wait, min(self._sleeps_until - now, MAX_SLEEP)))

    def _send(self, kept: KeptRun | None) -> Flow[None]:
        """Send a heartbeat, and then those that were due while it was under way."""
        while kept is not None and not self._closed:
            run, seconds = kept.run, None
            try:
                seconds = yield from run.keep_alive(kept.interval)
            except Exception as error:
                run.log.exception("the heartbeat of %s failed", run.label)
                run.lifecycle.lose(f"its heartbeat failed: {error!r}")
            if seconds is None and run.lifecycle.lost_reason is not None:
                kept.cancel()
            with self._lock:
                self._limiter.release("heartbeat", kept)
                sent, kept = kept, self._take_due(self._clock.monotonic())
                self._schedule(sent, seconds)


class HeartbeatScheduler(BaseHeartbeatScheduler):
    """Keeps runs alive from threads."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver.config.clock, Wakeup(driver.config.clock))
        self._driver = driver
        self._threads = ThreadPool()

    def __enter__(self) -> Self:
        self._threads.start("relay_sdk heartbeats", partial(self._driver.run, self._run()))
        return self

    def __exit__(self, *_: object) -> None:
        """Stop sending heartbeats. One that is under way is not waited for."""
        self._closed = True
        self._wakeup.notify()
        self._threads.close()

    def _start(self, kept: KeptRun) -> None:
        send = partial(self._driver.run, self._send(kept))
        self._threads.start_or_run("relay_sdk heartbeat", send)


class AsyncHeartbeatScheduler(BaseHeartbeatScheduler):
    """Keeps runs alive from tasks."""

    _group: TaskGroup

    def __init__(self, driver: AsyncDriver) -> None:
        super().__init__(driver.config.clock, AsyncWakeup(driver.config.clock))
        self._driver = driver

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
        async with create_task_group() as self._group:
            await self._driver.run(self._run())

    def _start(self, kept: KeptRun) -> None:
        self._group.start_soon(self._driver.run, self._send(kept))
