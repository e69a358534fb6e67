"""A run of a job and what drives its flows, one at a time."""

import threading
from typing import TypeVar

import anyio

from relay_sdk._flow import Flow
from relay_sdk._run import Run
from relay_sdk._session import AsyncSession, Session
from relay_sdk.job import RawJob

R = TypeVar("R")

BUSY = 0.5


class Lease:
    """A run that threads share: the helper, its heartbeats, the worker."""

    def __init__(self, session: Session, raw: RawJob) -> None:
        self.session = session
        self.run: Run = Run(session.policy, raw)
        self._turn = threading.Lock()

    def do(self, flow: Flow[R]) -> R:
        """Drive a flow of the run, after those that were first."""
        with self._turn:
            return self.session.run(flow)

    def beat(self) -> float | None:
        """Send an automatic heartbeat; give the seconds until the next, `None` at the end.

        It does not wait for its turn: who has it is talking to the server.
        """
        if not self._turn.acquire(blocking=False):
            return min(BUSY, self.run.interval(None))
        try:
            return self.session.run(self.run.keep_alive(None))
        finally:
            self._turn.release()


class AsyncLease:
    """A run that tasks share."""

    def __init__(self, session: AsyncSession, raw: RawJob) -> None:
        self.session = session
        self.run: Run = Run(session.policy, raw)
        self._turn = anyio.Lock()

    async def do(self, flow: Flow[R]) -> R:
        """Drive a flow of the run, after those that were first."""
        async with self._turn:
            return await self.session.run(flow)

    async def beat(self) -> float | None:
        """Send an automatic heartbeat; give the seconds until the next, `None` at the end.

        It does not wait for its turn: who has it is talking to the server.
        """
        try:
            self._turn.acquire_nowait()
        except anyio.WouldBlock:
            return min(BUSY, self.run.interval(None))
        try:
            return await self.session.run(self.run.keep_alive(None))
        finally:
            self._turn.release()
