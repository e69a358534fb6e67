"""A clock that a test controls."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel

from relay_sdk._base.clock import Stopped

POLL_INTERVAL = 0.005
"""Real seconds between two looks at a clock that another thread may advance."""


class Clock:
    """A clock that stops between calls of `advance`.

    With `skip`, a wait advances the clock itself, which suits a single thread or task. Without
    `skip`, a wait ends when the clock has been advanced far enough, or after that much real time.
    """

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC), *, skip: bool = True):
        self._start = start
        self._skip = skip
        self._passed = timedelta()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the current date and time."""
        return self._start + self._passed

    def monotonic(self) -> float:
        """Return the seconds since the start."""
        return self._passed.total_seconds()

    def advance(self, seconds: float | timedelta) -> None:
        """Advance the clock by seconds or a timedelta."""
        step = seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
        if step < timedelta():
            raise ValueError(f"the clock cannot go back: advance({seconds}) is negative")
        with self._lock:
            self._passed += step

    def skip(self, seconds: float) -> None:
        """Advance the clock by a wait, and by at least a microsecond, so that loops end."""
        self.advance(max(timedelta(seconds=seconds), timedelta.resolution))

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Wait in a thread. Raise `Stopped` as soon as `stop` is set."""
        if self._skip:
            self.skip(seconds)
        else:
            is_over = self._deadline(seconds)
            event = stop or threading.Event()
            while not is_over() and not event.wait(POLL_INTERVAL):
                pass
        if stop is not None and stop.is_set():
            raise Stopped

    async def asleep(self, seconds: float) -> None:
        """Wait in a task."""
        if self._skip:
            self.skip(seconds)
            await anyio.lowlevel.checkpoint()
        else:
            is_over = self._deadline(seconds)
            await anyio.lowlevel.checkpoint()
            while not is_over():  # noqa: ASYNC110 another thread may advance the clock
                await anyio.sleep(POLL_INTERVAL)

    def _deadline(self, seconds: float) -> Callable[[], bool]:
        """Return a function that checks whether a wait that begins now is over."""
        moved, real = self.monotonic() + seconds, time.monotonic() + seconds
        return lambda: self.monotonic() >= moved or time.monotonic() >= real
