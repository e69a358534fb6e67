"""Waits that other threads or tasks may end early."""

import threading

import anyio

from relay_sdk._base.clock import Clock, Stopped


class Wakeup:
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

    def notify(self) -> None:
        """End the wait, or the next one."""
        self._came.set()


class AsyncWakeup:
    """A wait in a task that other tasks may end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: anyio.CancelScope | None = None

    async def wait(self, seconds: float) -> bool:
        """Wait some seconds at most; tell whether news came."""
        with anyio.CancelScope() as self._waiting:
            await self._clock.asleep(seconds)
        return self._waiting.cancel_called

    def notify(self) -> None:
        """End the wait, if there is one."""
        if self._waiting is not None:
            self._waiting.cancel()
