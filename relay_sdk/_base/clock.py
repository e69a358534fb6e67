"""Time, as far as waiting needs it. Tests put a virtual clock in its job_label."""

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
