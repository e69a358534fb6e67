"""What drives a client's flows: its config and its connections."""

import threading
from collections.abc import Awaitable
from functools import partial
from inspect import isawaitable
from typing import TypeVar

from relay_sdk._base.flow import Flow, Request, Response, Sleep, Step, arun, run
from relay_sdk._engine.config import ClientConfig
from relay_sdk._http.client import AsyncHttp, Http
from relay_sdk.exceptions import RelayError

R = TypeVar("R")


class Driver:
    """Drives flows by blocking."""

    def __init__(self, config: ClientConfig, http: Http) -> None:
        self.config = config
        self.http = http

    def run(self, flow: Flow[R], stop: threading.Event | None = None) -> R:
        """Run a flow; `stop`, when it is set, ends its waits and held requests with `Stopped`."""
        try:
            return run(flow, partial(self.wait, stop=stop))
        except RelayError as error:
            # Its own words say what happened: the frames in here are of no use to a user.
            raise error.with_traceback(None) from error.__cause__

    def wait(self, step: Step, stop: threading.Event | None = None) -> object:
        """Do one step of a flow."""
        if isinstance(step, Request):
            # A request that the server answers at once is let finish: its jobs would be lost.
            return self.http.send(step, stop if step.wait else None)
        if isinstance(step, Sleep):
            self.sleep(step.seconds, stop)
            return None
        return step.function()

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Wait as the flows do."""
        self.config.clock.sleep(seconds, stop)


class AsyncDriver:
    """Drives flows by awaiting."""

    def __init__(self, config: ClientConfig, http: AsyncHttp) -> None:
        self.config = config
        self.http = http

    async def run(self, flow: Flow[R]) -> R:
        """Run a flow."""
        try:
            return await arun(flow, self.wait)
        except RelayError as error:
            raise error.with_traceback(None) from error.__cause__

    def wait(self, step: Step) -> Awaitable[object]:
        """Do one step of a flow."""
        if isinstance(step, Request):
            return self.send(step)
        if isinstance(step, Sleep):
            return self.sleep(step.seconds)
        result = step.function()
        return result if isawaitable(result) else _given(result)

    def send(self, call: Request) -> Awaitable[Response]:
        """Send a call and await its reply."""
        return self.http.send(call)

    async def sleep(self, seconds: float) -> None:
        """Wait as the flows do."""
        await self.config.clock.asleep(seconds)


async def _given(result: object) -> object:
    return result
