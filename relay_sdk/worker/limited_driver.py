"""A driver that limits the requests under way of any number of tasks."""

import asyncio
from collections import OrderedDict, defaultdict
from functools import partial

from anyio import Event

from relay_sdk._base.flow import Request, RequestKind, Response
from relay_sdk._engine.driver import AsyncDriver
from relay_sdk._engine.limiter import InFlightLimiter
from relay_sdk.worker.spawn import Spawn, current_asyncio_task


class LimitedDriver(AsyncDriver):
    """Sends a request when there is room for its kind, in the order in which requests wait."""

    _spawn: Spawn | None = None

    def __init__(self, driver: AsyncDriver) -> None:
        super().__init__(driver.config, driver.http)
        self._limiter = InFlightLimiter()
        self._waiting = defaultdict[RequestKind, OrderedDict[Event | asyncio.Event, None]](
            OrderedDict
        )
        self._watched: set[RequestKind] = set()

    def open(self, spawn: Spawn) -> None:
        """Start tasks with `spawn`, in this event loop, that make room when requests hang."""
        self._spawn = spawn

    async def send(self, request: Request) -> Response:
        """Wait for room, send a request and await its response."""
        kind = request.kind
        key = self._acquire_now(kind) or await self._acquire(kind)
        try:
            return await self.http.send(request)
        finally:
            self._release(kind, key)

    def _acquire_now(self, kind: RequestKind) -> object | None:
        now = self.config.clock.monotonic()
        if self._waiting[kind] or self._limiter.opens_at(kind) > now:
            return None
        key = object()
        self._limiter.acquire(kind, key, now)
        return key

    async def _acquire(self, kind: RequestKind) -> object:
        # An event of anyio costs five times as much.
        admitted = Event() if current_asyncio_task() is None else asyncio.Event()
        self._waiting[kind][admitted] = None
        if self._spawn is not None and kind not in self._watched:
            self._watched.add(kind)
            self._spawn(partial(self._watch, kind))
        try:
            await admitted.wait()
        except BaseException:
            self._waiting[kind].pop(admitted, None)
            self._release(kind, admitted)
            raise
        return admitted

    def _release(self, kind: RequestKind, key: object) -> None:
        self._limiter.release(kind, key)
        self._admit(kind)

    def _admit(self, kind: RequestKind) -> None:
        """Admit waiting requests while there is room."""
        waiting = self._waiting[kind]
        if not waiting:
            return
        now = self.config.clock.monotonic()
        while waiting and self._limiter.opens_at(kind) <= now:
            admitted, _ = waiting.popitem(last=False)
            self._limiter.acquire(kind, admitted, now)
            admitted.set()

    async def _watch(self, kind: RequestKind) -> None:
        """Admit waiting requests when those under way hang."""
        while self._waiting[kind]:
            seconds = self._limiter.opens_at(kind) - self.config.clock.monotonic()
            await self.config.clock.asleep(max(0.0, seconds))  # anyio refuses a negative delay
            self._admit(kind)
        self._watched.discard(kind)
