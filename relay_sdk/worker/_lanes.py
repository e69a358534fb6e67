"""A client's session with a bound on what is on its way, however many tasks there are."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine

from anyio import Event

from relay_sdk._clock import Clock
from relay_sdk._flow import Call, Reply
from relay_sdk._lane import Lane
from relay_sdk._session import AsyncSession
from relay_sdk.worker._spawn import asyncio_task

Spawn = Callable[[Callable[[], Coroutine[object, object, None]]], object]


class Lanes(AsyncSession):
    """Sends heartbeats in one lane and all else in another, so that neither waits for the other."""

    def __init__(self, session: AsyncSession) -> None:
        super().__init__(session.policy, session.http)
        self._beats = _Line(session.policy.clock)
        self._others = _Line(session.policy.clock)

    async def send(self, call: Call) -> Reply:
        """Send a call in its turn, and await its reply."""
        line = self._beats if call.method == "PATCH" else self._others
        turn = line.enter() or await line.turn()
        try:
            return await self.http.send(call)
        finally:
            line.leave(turn)

    def open(self, spawn: Spawn) -> None:
        """Let tasks be started, in this event loop, that look after requests which hang."""
        for line in (self._beats, self._others):
            line.open(spawn)


class _Line:
    """A lane, and who waits for it."""

    def __init__(self, clock: Clock) -> None:
        self._spawn: Spawn | None = None
        self._clock = clock
        self._lane = Lane()
        self._event: Callable[[], Event | asyncio.Event] = Event
        self._waiting = OrderedDict[Event | asyncio.Event, None]()

    def open(self, spawn: Spawn) -> None:
        self._spawn = spawn
        if asyncio_task() is not None:
            self._event = asyncio.Event  # it costs a fifth

    def enter(self) -> object | None:
        """Let a request be sent at once, if it may; give what it is to `leave` with."""
        now = self._clock.monotonic()
        if self._waiting or self._lane.opens() > now:
            return None
        turn = object()
        self._lane.enter(turn, now)
        return turn

    async def turn(self) -> object:
        """Wait for what a request is to `leave` with."""
        turn = self._event()
        self._waiting[turn] = None
        if self._spawn is not None and len(self._waiting) == 1:
            self._spawn(self._watch)
        try:
            await turn.wait()
        except BaseException:
            self._waiting.pop(turn, None)
            self.leave(turn)
            raise
        return turn

    def leave(self, turn: object) -> None:
        """Let the next request be sent."""
        self._lane.leave(turn)
        self._admit()

    def _admit(self) -> None:
        now = self._clock.monotonic()
        while self._waiting and self._lane.opens() <= now:
            turn, _ = self._waiting.popitem(last=False)
            self._lane.enter(turn, now)
            turn.set()

    async def _watch(self) -> None:
        """Wait for no request that hangs."""
        while self._waiting:
            await self._clock.asleep(self._lane.opens() - self._clock.monotonic())
            self._admit()
