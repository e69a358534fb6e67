"""The connections of a server, and their limits: number, timeouts and memory."""

import asyncio
from math import inf
from time import monotonic
from typing import Protocol

SWEEP_INTERVAL = 5.0
"""Seconds between checks for connections that timed out."""

IDLE_TIMEOUT = 3600.0
"""Seconds that a connection may be unused."""

HEAD_TIMEOUT = 20.0
"""Seconds in which the head of a request must arrive."""

STALL_TIMEOUT = 60.0
"""Seconds in which more of a body must arrive, or more of a response must be read."""

MAX_BUFFERED_BYTES = 128 * 1024 * 1024
"""Bytes of unanswered bodies and unread responses, over all connections."""


class LimitedConnection(Protocol):
    """A connection, as far as its limits matter."""

    last_activity: float
    """When the client did something last, by the monotonic clock."""
    buffered: int
    """Bytes in memory."""

    @property
    def unused(self) -> bool:
        """Whether the connection has no request."""
        ...

    def timeout(self) -> float:
        """Return the seconds that the client may do nothing."""
        ...

    def stop(self) -> None:
        """Close the connection when its current requests are answered."""
        ...

    def close_with_error(self, reason: str) -> None:
        """Close the connection, with an error response if the client can still get one."""
        ...

    def abort(self) -> None:
        """Close the connection at once."""
        ...


class Connections:
    """The open connections of a server."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: set[LimitedConnection] = set()
        self._buffered = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed: asyncio.Event | None = None

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: LimitedConnection) -> None:
        """Add a connection; if there are too many, close those that are unused for longest."""
        self._open.add(connection)
        if self._closed is not None:
            connection.abort()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_INTERVAL, self._sweep)
        if len(self._open) > self._limit:
            unused = sorted((c for c in self._open if c.unused), key=lambda c: c.last_activity)
            for each in unused[: 1 + self._limit // 100]:
                each.abort()

    def remove(self, connection: LimitedConnection) -> None:
        self._open.discard(connection)
        self._buffered -= connection.buffered
        connection.buffered = 0
        if not self._open and self._closed is not None:
            self._closed.set()

    def set_buffered(self, connection: LimitedConnection, size: int) -> None:
        """Set the bytes of a connection; if the sum is too large, close the most idle ones."""
        self._buffered += size - connection.buffered
        connection.buffered = size
        while self._buffered > MAX_BUFFERED_BYTES:
            waiting = [c for c in self._open if c.buffered and c.timeout() < inf]
            if not waiting:
                return  # all of them will be answered soon
            idlest = min(waiting, key=lambda c: c.last_activity)
            self._buffered -= idlest.buffered
            idlest.buffered = 0
            idlest.close_with_error("the server buffers too much at once")

    async def close(self, grace: float) -> None:
        """Wait some seconds for the current requests, then close their connections."""
        self._closed = asyncio.Event()
        if self._timer is not None:
            self._timer.cancel()
        for each in list(self._open):
            each.stop()
        if await self._wait(grace):
            return
        for each in list(self._open):
            each.close_with_error("the server stopped before the request was complete")
        if await self._wait(1):
            return
        for each in list(self._open):
            each.abort()
        await self._wait(1)

    async def _wait(self, seconds: float) -> bool:
        if self._open and self._closed is not None:
            try:
                await asyncio.wait_for(self._closed.wait(), seconds)
            except TimeoutError:
                return False
        return True

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(SWEEP_INTERVAL, self._sweep) if self._open else None
        now = monotonic()
        for each in [c for c in self._open if now - c.last_activity > c.timeout()]:
            each.close_with_error("the request did not arrive in time")
