"""What drives a client's flows: its policy and its connections."""

import threading
from functools import partial
from typing import TypeVar

from relay_sdk._flow import Flow, arun, run
from relay_sdk._http import AsyncHttp, Http
from relay_sdk._policy import Policy

R = TypeVar("R")


class Session:
    """Drives flows by blocking."""

    def __init__(self, policy: Policy, http: Http) -> None:
        self.policy = policy
        self.http = http

    def run(self, flow: Flow[R], stop: threading.Event | None = None) -> R:
        """Run a flow; its waits raise `Stopped` when `stop` is set."""
        return run(flow, self.http.send, partial(self.sleep, stop=stop))

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Wait as the flows do."""
        self.policy.clock.sleep(seconds, stop)


class AsyncSession:
    """Drives flows by awaiting."""

    def __init__(self, policy: Policy, http: AsyncHttp) -> None:
        self.policy = policy
        self.http = http

    async def run(self, flow: Flow[R]) -> R:
        """Run a flow."""
        return await arun(flow, self.http.send, self.sleep)

    async def sleep(self, seconds: float) -> None:
        """Wait as the flows do."""
        await self.policy.clock.asleep(seconds)
