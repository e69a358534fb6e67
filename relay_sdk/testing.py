"""For tests: a clock that you move, and clients of a server in the same process."""

import threading
from datetime import UTC, datetime, timedelta
from math import ceil

import anyio
import anyio.lowlevel
import httpx

from relay_sdk._clock import Stopped
from relay_sdk.local import App


class Clock:
    """A clock that stands still until it is moved.

    With `skip`, whoever waits moves it, so that an hour of waiting costs nothing: right for one
    thread or task. Without, waits end when `advance` passes them: right for several.
    """

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC), *, skip: bool = True):
        self._start = start
        self._skip = skip
        self._passed = timedelta()
        self._moved = threading.Condition()

    def now(self) -> datetime:
        """The time of day, for the server."""
        return self._start + self._passed

    def monotonic(self) -> float:
        """Seconds since the start, for the client."""
        return self._passed.total_seconds()

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        with self._moved:
            # Rounded up: a wait that moves nothing would be waited for again and again.
            self._passed += timedelta(microseconds=ceil(seconds * 1e6))
            self._moved.notify_all()

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        if self._skip:
            self.advance(seconds)
        end = self.monotonic() + (0 if self._skip else seconds)
        with self._moved:
            # `stop` cannot wake a condition, so it is looked at now and then.
            while self.monotonic() < end and not (stop is not None and stop.is_set()):
                self._moved.wait(0.01)
        if stop is not None and stop.is_set():
            raise Stopped

    async def asleep(self, seconds: float) -> None:
        if self._skip:
            self.advance(seconds)
        end = self.monotonic() + (0 if self._skip else seconds)
        await anyio.lowlevel.checkpoint()
        while self.monotonic() < end:  # noqa: ASYNC110 the clock may be moved by another thread
            await anyio.sleep(0.005)


def transport(app: App) -> httpx.MockTransport:
    """Make an httpx transport, for threads and tasks, that calls a server in this process."""

    def answer(request: httpx.Request) -> httpx.Response:
        response = app(
            request.method,
            request.url.raw_path.decode("ascii"),
            {name.lower(): value for name, value in request.headers.items()},
            request.content,
        )
        return httpx.Response(
            response.status, headers=dict(response.headers), content=response.body
        )

    return httpx.MockTransport(answer)
