"""Heartbeats for many runs from one task."""

import heapq
from collections.abc import Callable
from itertools import count
from math import inf

from anyio import CancelScope, Semaphore, create_task_group

from relay_sdk._clock import Clock
from relay_sdk._lease import AsyncLease
from relay_sdk._log import logger

AT_ONCE = 20
LONGEST_SLEEP = 3600.0


class AsyncPulse:
    """Keeps leases alive until their runs end or are lost."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, AsyncLease, Callable[[], None]]] = []
        self._numbers = count()
        self._sleeping = CancelScope()
        self._until = inf

    def add(self, lease: AsyncLease, lost: Callable[[], None]) -> None:
        """Keep a lease alive from now on; call `lost` when that cannot be done."""
        self._push(lease, lost, lease.run.interval(None))

    async def run(self) -> None:
        """Send heartbeats until cancelled, some at a time."""
        turns = Semaphore(AT_ONCE)
        async with create_task_group() as group:
            while True:
                self._until = self._due[0][0] if self._due else inf
                wait = self._until - self._clock.monotonic()
                if wait > 0:
                    with CancelScope() as self._sleeping:
                        await self._clock.asleep(min(wait, LONGEST_SLEEP))
                    continue
                _, _, lease, lost = heapq.heappop(self._due)
                await turns.acquire()
                group.start_soon(self._beat, lease, lost, turns)

    async def _beat(self, lease: AsyncLease, lost: Callable[[], None], turns: Semaphore) -> None:
        try:
            again = await lease.beat()
        except Exception as error:
            logger.exception("the heartbeat of %r failed", lease.run.raw.id)
            lease.run.lost = f"its heartbeat failed: {error!r}"
            again = None
        finally:
            turns.release()
        if again is not None:
            self._push(lease, lost, again)
        elif lease.run.lost is not None:
            lost()

    def _push(self, lease: AsyncLease, lost: Callable[[], None], wait: float) -> None:
        due = self._clock.monotonic() + wait
        heapq.heappush(self._due, (due, next(self._numbers), lease, lost))
        if due < self._until:
            self._sleeping.cancel()
