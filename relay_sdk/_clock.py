"""Time, as far as waiting needs it. Tests put a virtual clock in its place."""

import threading
import time
from datetime import UTC, datetime
from typing import Protocol

import anyio


class Stopped(Exception):
    """A wait was ended by the event it was given."""


class Clock(Protocol):
    """What tells the time and waits."""

    def now(self) -> datetime:
        """The time of day, aware."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow."""
        ...

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Block; raise `Stopped` as soon as `stop` is set."""
        ...

    async def asleep(self, seconds: float) -> None:
        """Wait in a task, on asyncio or trio."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        seconds = min(seconds, threading.TIMEOUT_MAX)
        if stop is None:
            time.sleep(seconds)
        elif stop.wait(seconds):
            raise Stopped

    async def asleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class News:
    """A wait in a thread that other threads may end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._came = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait some seconds at most; tell whether news came."""
        try:
            self._clock.sleep(seconds, self._came)
        except Stopped:
            self._came.clear()
            return True
        return False

    def tell(self) -> None:
        """End the wait, or the next one."""
        self._came.set()


class AsyncNews:
    """A wait in a task that other tasks may end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: anyio.CancelScope | None = None

    async def wait(self, seconds: float) -> bool:
        """Wait some seconds at most; tell whether news came."""
        with anyio.CancelScope() as self._waiting:
            await self._clock.asleep(seconds)
        return self._waiting.cancel_called

    def tell(self) -> None:
        """End the wait, if there is one."""
        if self._waiting is not None:
            self._waiting.cancel()
