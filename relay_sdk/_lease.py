"""A run of a job and what drives its flows, one at a time."""

import threading
from typing import TypeVar

import anyio

from relay_sdk._flow import Flow, arun, run
from relay_sdk._run import Run
from relay_sdk._session import AsyncSession, Session
from relay_sdk.job import RawJob

R = TypeVar("R")

BUSY = 0.5
"""Seconds until a heartbeat looks again for its turn."""


class Lease:
    """A run that threads share: the helper, its heartbeats, the worker."""

    def __init__(self, session: Session, raw: RawJob) -> None:
        self.session = session
        self.run: Run = Run(session.policy, raw)
        self._turn = threading.Lock()

    def do(self, flow: Flow[R]) -> R:
        """Drive a flow of the run when it is its turn; while it sleeps, others have theirs."""

        def sleep(seconds: float) -> None:
            self._turn.release()
            try:
                self.session.sleep(seconds)
            finally:
                self._turn.acquire()

        with self._turn:
            return run(flow, self.session.http.send, sleep)

    def beat(self, interval: float | None = None) -> float | None:
        """Send an automatic heartbeat; give the seconds until the next, `None` at the end.

        Who has the turn is talking to the server, so it is not waited for.
        """
        if not self._turn.acquire(blocking=False):
            return min(BUSY, self.run.interval(interval))
        try:
            return self.session.run(self.run.keep_alive(interval))
        finally:
            self._turn.release()


class AsyncLease:
    """A run that tasks share."""

    def __init__(self, session: AsyncSession, raw: RawJob) -> None:
        self.session = session
        self.run: Run = Run(session.policy, raw)
        self._turn = anyio.Lock()

    async def do(self, flow: Flow[R]) -> R:
        """Drive a flow of the run when it is its turn; while it sleeps, others have theirs."""
        mine = False

        async def take_turn() -> None:
            nonlocal mine
            await self._turn.acquire()
            mine = True

        async def sleep(seconds: float) -> None:
            nonlocal mine
            self._turn.release()
            mine = False
            await self.session.sleep(seconds)
            await take_turn()

        await take_turn()
        try:
            return await arun(flow, self.session.http.send, sleep)
        finally:
            if mine:
                self._turn.release()

    async def beat(self, interval: float | None = None) -> float | None:
        """Send an automatic heartbeat; give the seconds until the next, `None` at the end.

        Who has the turn is talking to the server, so it is not waited for.
        """
        try:
            self._turn.acquire_nowait()
        except anyio.WouldBlock:
            return min(BUSY, self.run.interval(interval))
        try:
            return await self.session.run(self.run.keep_alive(interval))
        finally:
            self._turn.release()
