"""Waits that other threads or tasks can end early."""

import threading

import anyio

from relay_sdk._base.clock import Clock, Stopped


class Wakeup:
    """A wait in a thread that other threads can end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._notified = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait for at most some seconds; return whether the wait was ended by `notify`."""
        try:
            self._clock.sleep(seconds, self._notified)
        except Stopped:
            self._notified.clear()
            return True
        return False

    def notify(self) -> None:
        """End the wait, or the next one if none is in progress."""
        self._notified.set()


class AsyncWakeup:
    """A wait in a task that other tasks of the same event loop can end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._scope: anyio.CancelScope | None = None

    async def wait(self, seconds: float) -> bool:
        """Wait for at most some seconds; return whether the wait was ended by `notify`."""
        with anyio.CancelScope() as self._scope:
            await self._clock.asleep(seconds)
        return self._scope.cancel_called

    def notify(self) -> None:
        """End the wait, if one is in progress."""
        if self._scope is not None:
            self._scope.cancel()
