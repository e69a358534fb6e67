"""A client's driver with a bound on what is on its way, however many tasks there are."""

import asyncio
from collections import OrderedDict

from anyio import Event

from relay_sdk._base.clock import Clock
from relay_sdk._base.flow import Request, Response
from relay_sdk._engine.driver import AsyncDriver
from relay_sdk._engine.limiter import Lane
from relay_sdk.worker.spawn import Spawn, asyncio_task


class Lanes(AsyncDriver):
    """Sends heartbeats in one lane and all else in another, so that neither waits for the other."""

    def __init__(self, driver: AsyncDriver) -> None:
        super().__init__(driver.config, driver.http)
        self._beats = _Line(driver.config.clock)
        self._others = _Line(driver.config.clock)

    async def send(self, call: Request) -> Response:
        """Send a call in its turn, and await its reply."""
        line = self._beats if call.method == "PATCH" else self._others
        turn = line.turn_now() or await line.turn()
        try:
            return await self.http.send(call)
        finally:
            line.pass_on(turn)

    def open(self, spawn: Spawn) -> None:
        """Let tasks be started, in this event loop, that look after requests which hang."""
        self._beats.spawn = self._others.spawn = spawn


class _Line(Lane):
    """A lane, and who waits for it."""

    spawn: Spawn | None = None

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._watched = False
        self._waiting = OrderedDict[Event | asyncio.Event, None]()

    def turn_now(self) -> object | None:
        """Let a request be sent at once, if it may; give what it is to `pass_on`."""
        now = self._clock.monotonic()
        if self._waiting or self.opens() > now:
            return None
        turn = object()
        self.enter(turn, now)
        return turn

    async def turn(self) -> object:
        """Wait for what a request is to `pass_on`."""
        turn = Event() if asyncio_task() is None else asyncio.Event()  # which costs a fifth
        self._waiting[turn] = None
        if self.spawn is not None and not self._watched:
            self._watched = True
            self.spawn(self._watch)
        try:
            await turn.wait()
        except BaseException:
            self._waiting.pop(turn, None)
            self.pass_on(turn)
            raise
        return turn

    def pass_on(self, turn: object) -> None:
        """Let the next request be sent."""
        self.leave(turn)
        self._admit()

    def _admit(self) -> None:
        now = self._clock.monotonic()
        while self._waiting and self.opens() <= now:
            turn, _ = self._waiting.popitem(last=False)
            self.enter(turn, now)
            turn.set()

    async def _watch(self) -> None:
        """Wait for no request that hangs."""
        while self._waiting:
            await self._clock.asleep(self.opens() - self._clock.monotonic())
            self._admit()
        self._watched = False
