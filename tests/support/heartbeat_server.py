"""A server that hands out one job and notes the heartbeats it gets."""

from collections.abc import Callable

import anyio
import httpx

from relay_sdk.testing import Clock

from .fixtures import Connect
from .flow_player import RUN_ID, next_reply
from .sync_async import AnyHelper, maybe_await


class HeartbeatServer:
    """What arrived, and what is answered to a heartbeat from now on."""

    def __init__(self) -> None:
        self.clock = Clock(skip=False)
        self.states: list[str] = []
        self.others: list[str] = []
        self.status = 202

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, content=next_reply("x").content)
        if request.method != "PATCH":
            self.others.append(request.method)
            return httpx.Response(200 if request.method == "DELETE" else 202)
        self.states.append(request.content.decode())
        if self.status == 404:
            gone = f"job with id `x` not found in queue `emails` with {RUN_ID}."
            return httpx.Response(404, text=gone)
        return httpx.Response(self.status)

    async def taken(self, connect: Connect) -> AnyHelper:
        """Take the job."""
        relay = connect(answer=self.answer, api="v2", clock=self.clock)
        (helper,) = await maybe_await(relay.next("emails"))
        return helper

    async def tick(self, seconds: float, until: Callable[[], bool]) -> None:
        """Move the clock on until something has happened."""
        with anyio.fail_after(10):
            while not until():
                self.clock.advance(seconds)
                await anyio.sleep(0.002)

    async def another(self, number: int = 1) -> None:
        """Move the clock on until that many more heartbeats have arrived."""
        wanted = len(self.states) + number
        await self.tick(1, lambda: len(self.states) >= wanted)
