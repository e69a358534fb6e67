"""Run the flows of a client, with its settings and connections."""

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
        """Run a flow. If `stop` is set, its waits and its held requests raise `Stopped`."""
        try:
            return run(flow, partial(self.perform, stop=stop))
        except RelayError as error:
            # Without the frames of the SDK, the traceback shows the user's code first.
            raise error.with_traceback(None) from error.__cause__

    def perform(self, step: Step, stop: threading.Event | None = None) -> object:
        """Perform one step of a flow."""
        if isinstance(step, Request):
            # Only held requests are ended early: the reply to another one may have jobs.
            return self.http.send(step, stop if step.wait else None)
        if isinstance(step, Sleep):
            self.sleep(step.seconds, stop)
            return None
        return step.function()

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Wait for some seconds."""
        self.config.clock.sleep(seconds, stop)


class AsyncDriver:
    """Drives flows by awaiting."""

    def __init__(self, config: ClientConfig, http: AsyncHttp) -> None:
        self.config = config
        self.http = http

    async def run(self, flow: Flow[R]) -> R:
        """Run a flow."""
        try:
            return await arun(flow, self.perform)
        except RelayError as error:
            raise error.with_traceback(None) from error.__cause__

    def perform(self, step: Step) -> Awaitable[object]:
        """Perform one step of a flow."""
        if isinstance(step, Request):
            return self.send(step)
        if isinstance(step, Sleep):
            return self.sleep(step.seconds)
        result = step.function()
        return result if isawaitable(result) else _done(result)

    def send(self, request: Request) -> Awaitable[Response]:
        """Send a request and await its reply."""
        return self.http.send(request)

    async def sleep(self, seconds: float) -> None:
        """Wait for some seconds."""
        await self.config.clock.asleep(seconds)


async def _done(result: object) -> object:
    return result
