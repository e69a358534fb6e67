"""Heartbeats for many runs from one task."""

from collections.abc import Callable
from math import inf

from anyio import CancelScope, Semaphore, create_task_group

from relay_sdk._clock import Clock
from relay_sdk._due import LONGEST_SLEEP, Due
from relay_sdk._lease import AsyncLease
from relay_sdk._log import logger

AT_ONCE = 20


class AsyncPulse:
    """Keeps leases alive until they are dropped, end or are lost."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: Due[AsyncLease] = Due()
        self._lost: dict[AsyncLease, Callable[[], None]] = {}
        self._sleeping: CancelScope | None = None
        self._until = inf

    def add(self, lease: AsyncLease, lost: Callable[[], None]) -> None:
        """Keep a lease alive from now on; call `lost` when that cannot be done."""
        moment = self._clock.monotonic() + lease.run.interval(None)
        self._lost[lease] = lost
        self._due.add(lease, moment)
        self._wake(moment)

    def drop(self, lease: AsyncLease) -> None:
        """Forget a lease."""
        self._due.drop(lease)
        self._lost.pop(lease, None)

    async def run(self) -> None:
        """Send heartbeats until cancelled, some at a time."""
        turns = Semaphore(AT_ONCE)
        async with create_task_group() as group:
            while True:
                self._until = self._due.first()
                wait = self._until - self._clock.monotonic()
                if wait > 0:
                    with CancelScope() as self._sleeping:
                        await self._clock.asleep(min(wait, LONGEST_SLEEP))
                    continue
                lease = self._due.pop()
                await turns.acquire()
                group.start_soon(self._beat, lease, turns)

    async def _beat(self, lease: AsyncLease, turns: Semaphore) -> None:
        try:
            again = await lease.beat()
        except Exception as error:
            logger.exception("the heartbeat of %r failed", lease.run.raw.id)
            lease.run.lost = f"its heartbeat failed: {error!r}"
            again = None
        finally:
            turns.release()
        if again is not None:
            moment = self._clock.monotonic() + again
            self._due.again(lease, moment)
            self._wake(moment)
        elif lease.run.lost is not None and lease in self._lost:
            self._lost[lease]()

    def _wake(self, moment: float) -> None:
        if moment < self._until and self._sleeping is not None:
            self._sleeping.cancel()
