"""A worker on tasks, for asyncio and trio."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from inspect import iscoroutinefunction
from math import inf
from types import TracebackType
from typing import Any, Self

from anyio import CancelScope, CapacityLimiter, Event, create_task_group
from anyio.abc import TaskGroup
from anyio.from_thread import BlockingPortal
from attrs import evolve

from relay_sdk._async_pulse import AsyncPulse
from relay_sdk._async_task import AsyncFailing, AsyncReport, AsyncTask
from relay_sdk._checks import check_whole, place
from relay_sdk._lease import AsyncLease
from relay_sdk._log import logger
from relay_sdk._operations import take
from relay_sdk._signals import stop_on_signals
from relay_sdk._work import LAST_CALL, MOST_JOBS, ONCE, Pace, check_settings
from relay_sdk.backoff import Backoff
from relay_sdk.client import AsyncClient
from relay_sdk.exceptions import RelayError, UnusableClientError
from relay_sdk.helper import AsyncJobHelper
from relay_sdk.job import P, Queue, RawJob, S, as_queue

# A client shows its session to nobody else.
# pyright: reportPrivateUsage=false


class AsyncWorker:
    """Takes jobs and runs each in a task, `concurrency` of them at a time: `Worker`, awaited.

    A handler that is a plain function runs in a thread. The handler of a lost job is cancelled,
    and `on_error` is told a `JobLostError`; one that is still running after `grace` seconds of
    stopping is cancelled too, and has 5 seconds to clean up. A plain function is not cancelled: it
    looks at `helper.lost` and `helper.stopping`, and one that does not keeps the process alive, on
    asyncio, until a second signal. `async with AsyncWorker(...)` works until the
    block is left. `concurrency` may be set before that.
    """

    def __init__(
        self,
        client: AsyncClient,
        queue: Queue[P, S] | str,
        handler: Callable[[AsyncJobHelper[P, S]], Awaitable[None] | None],
        *,
        concurrency: int = 100,
        grace: float = 30.0,
        retry: Backoff | None = None,
        on_error: AsyncReport | None = None,
        on_give_up: AsyncReport | None = None,
    ) -> None:
        check_settings(concurrency, grace, retry)
        self.concurrency: int = concurrency
        self._session = client._session
        self._policy = evolve(client._session.policy, retry_backoff=ONCE)
        self._grace = grace
        self._failing = AsyncFailing(retry, on_error, on_give_up)
        self._threads = CapacityLimiter(inf)  # the slots are the limit
        self._routes: dict[str, Callable[[RawJob], AsyncTask]] = {}
        self._running: set[AsyncTask] = set()
        self._stopping = False
        self._freed: Event | None = None
        self._pausing: CancelScope | None = None
        self._group: TaskGroup | None = None
        self.add(queue, handler)

    def add(
        self,
        queue: Queue[P, S] | str,
        handler: Callable[[AsyncJobHelper[P, S]], Awaitable[None] | None],
    ) -> Self:
        """Work on another queue too; its jobs share the slots."""
        declared = as_queue(queue)
        if declared.name in self._routes:
            raise ValueError(f"{place(declared.name)} has a handler already")
        called = handler.func if isinstance(handler, partial) else handler
        plain = not (iscoroutinefunction(called) or iscoroutinefunction(type(called).__call__))
        threads = self._threads if plain else None

        def task(raw: RawJob) -> AsyncTask:
            lease = AsyncLease(self._session, raw)
            helper = AsyncJobHelper(lease, declared)
            return AsyncTask(lease, helper, partial(handler, helper), threads, self._failing)

        self._routes[declared.name] = task
        return self

    async def run(self) -> None:
        """Work until told to stop; return when the jobs have ended or were left."""
        check_whole("concurrency", self.concurrency, 1, MOST_JOBS)
        try:
            await self._run()
        except BaseExceptionGroup as group:
            # One thing that went wrong comes out as itself, not in a group for each task group.
            error: Any = group
            while len(getattr(error, "exceptions", ())) == 1:
                error = error.exceptions[0]
            raise error from None

    async def _run(self) -> None:
        pulse = AsyncPulse(self._policy.clock)
        async with BlockingPortal() as portal, create_task_group() as beats:
            beats.start_soon(pulse.run)

            def stop() -> None:
                with suppress(RuntimeError):  # it has ended already
                    portal.start_task_soon(self.stop)

            with stop_on_signals(stop):
                async with create_task_group() as jobs:
                    await self._work(jobs, pulse)
                    await self._end()
                    jobs.cancel_scope.cancel()
            beats.cancel_scope.cancel()

    def stop(self) -> None:
        """Ask the worker to stop, from a task; `run` returns when it has."""
        if not self._stopping:
            self._stopping = True
            self._wake()

    async def __aenter__(self) -> Self:
        self._group = create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self.run)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self._group is not None:
            # An exception of the block comes out as itself, not in a group.
            await self._group.__aexit__(None, None, None)

    async def _work(self, jobs: TaskGroup, pulse: AsyncPulse) -> None:
        pace = Pace(self._policy.next_backoff, len(self._routes))
        queues = list(self._routes)
        while await self._wait_for_slot():
            more = False
            for queue in queues:
                try:
                    more |= await self._take(queue, pace, pulse, jobs)
                except UnusableClientError:
                    raise
                except RelayError as error:
                    pace.failed(queue, error)
            # Another queue is first next time.
            queues.append(queues.pop(0))
            if not more and not self._stopping:
                await self._pause(pace.wait())

    async def _take(self, queue: str, pace: Pace, pulse: AsyncPulse, jobs: TaskGroup) -> bool:
        """Fill free slots from a queue; tell whether it may have more."""
        free = self.concurrency - len(self._running)
        if not free or self._stopping:
            return True
        # A request that is on its way is let finish: its jobs are claimed.
        raws = await self._session.run(take(self._policy, queue, free, 0))
        pace.answered(queue)
        for raw in raws:
            pace.found()
            task = self._routes[queue](raw)
            self._running.add(task)
            pulse.add(task.lease, task.cancel)
            jobs.start_soon(self._run_task, task, pulse)
        return len(raws) == free

    async def _run_task(self, task: AsyncTask, pulse: AsyncPulse) -> None:
        try:
            await task.run()
        finally:
            pulse.drop(task.lease)
            self._running.discard(task)
            if self._freed is not None:
                self._freed.set()
            if self._stopping and not self._running:
                self._wake()

    async def _wait_for_slot(self) -> bool:
        """Wait until a slot is free; false when the worker is to stop."""
        while not self._stopping and len(self._running) >= self.concurrency:
            self._freed = Event()
            await self._freed.wait()
        return not self._stopping

    async def _end(self) -> None:
        """Let the running jobs end, and cancel those that do not."""
        logger.info("stopping; %d jobs are running", len(self._running))
        if self._running:
            await self._pause(self._grace)
        for task in self._running:
            task.lease.run.stopping = True
            task.cancel()
        if self._running:
            await self._pause(LAST_CALL)

    async def _pause(self, seconds: float) -> None:
        """Wait, unless woken."""
        with CancelScope() as self._pausing:
            await self._policy.clock.asleep(seconds)

    def _wake(self) -> None:
        if self._freed is not None:
            self._freed.set()
        if self._pausing is not None:
            self._pausing.cancel()
