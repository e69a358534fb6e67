"""The clock of the SDK. Tests replace it with a virtual one."""

import threading
import time
from datetime import UTC, datetime
from typing import Protocol

import anyio


class Stopped(Exception):
    """A wait ended early because its event was set."""


class Clock(Protocol):
    """The interface of clocks."""

    def now(self) -> datetime:
        """Return the time of day, with a time zone."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never decrease, from any starting point."""
        ...

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Block for some seconds; raise `Stopped` as soon as `stop` is set."""
        ...

    async def asleep(self, seconds: float) -> None:
        """Sleep in a task of asyncio or trio."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        # `Event.wait` raises OverflowError above this maximum.
        seconds = min(seconds, threading.TIMEOUT_MAX)
        if stop is None:
            time.sleep(seconds)
        elif stop.wait(seconds):
            raise Stopped

    async def asleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)
