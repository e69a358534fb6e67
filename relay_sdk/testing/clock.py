"""Time that a test moves."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel

from relay_sdk._base.clock import Stopped

GLANCE = 0.005
"""Real seconds between looks at a clock that others move."""


class Clock:
    """A clock that stands still until it is moved.

    With `skip`, a wait moves the clock: right for a single thread or task. Without, a wait ends
    when the clock has been moved far enough, or when that much time has really passed.
    """

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC), *, skip: bool = True):
        self._start = start
        self._skip = skip
        self._passed = timedelta()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The time of day."""
        return self._start + self._passed

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self._passed.total_seconds()

    def advance(self, seconds: float | timedelta) -> None:
        """Move the clock forward, by seconds or a timedelta."""
        step = seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
        if step < timedelta():
            raise ValueError(f"a clock can only go forward, not by {seconds}")
        with self._lock:
            self._passed += step

    def skip(self, seconds: float) -> None:
        """Move the clock forward by a wait; even the shortest one moves it."""
        self.advance(max(timedelta(seconds=seconds), timedelta.resolution))

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Wait in a thread; raise `Stopped` as soon as `stop` is set."""
        if self._skip:
            self.skip(seconds)
        else:
            over = self._over(seconds)
            event = stop or threading.Event()
            while not over() and not event.wait(GLANCE):
                pass
        if stop is not None and stop.is_set():
            raise Stopped

    async def asleep(self, seconds: float) -> None:
        """Wait in a task."""
        if self._skip:
            self.skip(seconds)
            await anyio.lowlevel.checkpoint()
        else:
            over = self._over(seconds)
            await anyio.lowlevel.checkpoint()
            while not over():  # noqa: ASYNC110 another thread may move the clock
                await anyio.sleep(GLANCE)

    def _over(self, seconds: float) -> Callable[[], bool]:
        """Make the test whether a wait that begins now is over."""
        moved, real = self.monotonic() + seconds, time.monotonic() + seconds
        return lambda: self.monotonic() >= moved or time.monotonic() >= real
