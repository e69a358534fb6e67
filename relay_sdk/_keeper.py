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
from attrs import define

from relay_sdk._clock import AsyncNews, Clock, News
from relay_sdk._flow import Flow, Invoke
from relay_sdk._lane import Lane
from relay_sdk._run import Run
from relay_sdk._session import AsyncSession, Session
from relay_sdk._threads import Threads

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


class _Due:
    """Leases by the moment of their next heartbeat."""

    def __init__(self) -> None:
        self._count = count()
        self._numbers: dict[Lease, int] = {}
        self._waiting: dict[int, Lease] = {}
        self._heap: list[tuple[float, int]] = []  # holds on to no lease that was dropped
        self._lane = Lane()

    def add(self, lease: Lease) -> None:
        self._numbers[lease] = next(self._count)

    def drop(self, lease: Lease) -> None:
        self._waiting.pop(self._numbers.pop(lease, -1), None)
        if len(self._heap) > 2 * len(self._waiting) + 100:
            self._heap = [entry for entry in self._heap if entry[1] in self._waiting]
            heapq.heapify(self._heap)

    def push(self, moment: float, lease: Lease) -> None:
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

    def take(self, now: float, sent: Lease | None = None) -> Lease | None:
        """Take a lease whose heartbeat is sent now, if any; the one of `sent` was answered."""
        self._lane.leave(sent)
        if self.first() > now:
            return None
        lease = self._waiting.pop(heapq.heappop(self._heap)[1])
        self._lane.enter(lease, now)
        return lease


class BaseKeeper(ABC):
    """Keeps leases alive until they are dropped, end, or are lost."""

    def __init__(self, clock: Clock, news: News | AsyncNews) -> None:
        self._clock = clock
        self._news = news
        self._due = _Due()
        self._lock = threading.Lock()
        self._until = inf
        self._closed = False

    def add(self, lease: Lease) -> None:
        """Keep a lease alive; its first heartbeat is due after an interval."""
        with self._lock:
            self._due.add(lease)
            self._push(lease, lease.run.interval(lease.interval))

    def drop(self, lease: Lease) -> None:
        """Forget a lease."""
        with self._lock:
            self._due.drop(lease)

    @abstractmethod
    def _start(self, lease: Lease) -> None:
        """Run `_beat` beside all else."""

    def _push(self, lease: Lease, wait: float | None) -> None:
        if wait is not None:
            self._due.push(self._clock.monotonic() + wait, lease)
        if self._due.first() < self._until:
            self._news.tell()

    def _keep(self) -> Flow[None]:
        """Send heartbeats when they are due."""
        while not self._closed:
            with self._lock:
                now = self._clock.monotonic()
                lease = self._due.take(now)
                self._until = self._due.first()
            if lease is not None:
                self._start(lease)
                continue
            yield Invoke(partial(self._news.wait, min(self._until - now, LONGEST_SLEEP)))

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
                beaten, lease = lease, self._due.take(self._clock.monotonic(), lease)
                self._push(beaten, again)


class Keeper(BaseKeeper):
    """Keeps leases alive from threads."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.policy.clock, News(session.policy.clock))
        self._session = session
        self._threads = Threads()

    def __enter__(self) -> Self:
        self._threads.start("relay_sdk keeper", partial(self._session.run, self._keep()))
        return self

    def __exit__(self, *_: object) -> None:
        """Send no more heartbeats. One that is on its way is not waited for."""
        self._closed = True
        self._news.tell()
        self._threads.close()

    def _start(self, lease: Lease) -> None:
        beat = partial(self._session.run, self._beat(lease))
        try:
            self._threads.start("relay_sdk heartbeat", beat)
        except RuntimeError as error:
            lease.run.log.warning("no thread for a heartbeat: %s", error)
            beat()


class AsyncKeeper(BaseKeeper):
    """Keeps leases alive from tasks."""

    _group: TaskGroup

    def __init__(self, session: AsyncSession) -> None:
        super().__init__(session.policy.clock, AsyncNews(session.policy.clock))
        self._session = session

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
        async with create_task_group() as self._group:
            await self._session.run(self._keep())

    def _start(self, lease: Lease) -> None:
        self._group.start_soon(self._session.run, self._beat(lease))
