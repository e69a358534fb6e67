"""The connections of a server: how many there are, how long they wait, how much they hold."""

import asyncio
from math import inf
from time import monotonic
from typing import Protocol

SWEEP = 5.0
"""Seconds between looks for connections that have waited too long."""

IDLE = 3600.0
"""Seconds that a connection may be unused."""

HEAD_TIME = 20.0
"""Seconds in which a request's head is to come."""

STILL = 60.0
"""Seconds in which something of a body must come, or of an answer be read."""

HELD = 128 * 1024 * 1024
"""Bytes of bodies that are not answered yet and of answers not read, over all connections."""


class Waiting(Protocol):
    """A connection, as far as its limits matter."""

    since: float
    """When its client did something last, by the monotonic clock."""
    held: int
    """Bytes that it holds."""

    @property
    def unused(self) -> bool:
        """Whether no request is under way."""
        ...

    def patience(self) -> float:
        """Seconds that it waits for its client."""
        ...

    def stop(self) -> None:
        """Close it when the requests at hand are answered."""
        ...

    def give_up(self, why: str) -> None:
        """Close it, and say why if the client is to be answered."""
        ...

    def abort(self) -> None:
        """Close it at once."""
        ...


class Connections:
    """All that are open."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[Waiting] = set()
        self._held = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed: asyncio.Event | None = None

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Waiting) -> None:
        """Take one more; where there are too many, close those that are unused for longest."""
        self._open.add(connection)
        if self._closed is not None:
            connection.abort()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP, self._sweep)
        if len(self._open) > self._most:
            unused = sorted((c for c in self._open if c.unused), key=lambda c: c.since)
            for each in unused[: 1 + self._most // 100]:
                each.abort()

    def remove(self, connection: Waiting) -> None:
        self._open.discard(connection)
        self._held -= connection.held
        connection.held = 0
        if not self._open and self._closed is not None:
            self._closed.set()

    def hold(self, connection: Waiting, size: int) -> None:
        """Note what a connection holds; where all hold too much, give the stillest one up."""
        self._held += size - connection.held
        connection.held = size
        while self._held > HELD:
            waiting = [c for c in self._open if c.held and c.patience() < inf]
            if not waiting:
                return  # what there is will be answered
            stillest = min(waiting, key=lambda c: c.since)
            self._held -= stillest.held
            stillest.held = 0
            stillest.give_up("too much is under way at once")

    async def close(self, grace: float) -> None:
        """Let the requests at hand end within some seconds, then end them."""
        self._closed = asyncio.Event()
        if self._timer is not None:
            self._timer.cancel()
        for each in list(self._open):
            each.stop()
        if await self._wait(grace):
            return
        for each in list(self._open):
            each.give_up("the server stops, and the request did not end")
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
        self._timer = loop.call_later(SWEEP, self._sweep) if self._open else None
        now = monotonic()
        for each in [c for c in self._open if now - c.since > c.patience()]:
            each.give_up("the request did not come in time")
