"""A worker on tasks, on asyncio and trio."""

from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from math import inf
from typing import Any, Self

from anyio import CancelScope, CapacityLimiter, create_task_group, get_cancelled_exc_class
from anyio.abc import TaskGroup
from anyio.from_thread import BlockingPortal
from anyio.to_thread import run_sync

from relay_sdk._base.flow import arun
from relay_sdk._base.log import logger
from relay_sdk._base.validation import check_type
from relay_sdk._base.wakeup import AsyncWakeup
from relay_sdk._engine.heartbeats import AsyncHeartbeatScheduler
from relay_sdk._engine.run import Run, TaskRun
from relay_sdk.backoff import Backoff
from relay_sdk.client import AsyncClient
from relay_sdk.helper import AsyncJobHelper
from relay_sdk.job import P, Queue, S, as_queue
from relay_sdk.worker.base import FETCH_DRAIN_TIMEOUT, BaseWorker
from relay_sdk.worker.execution import (
    AsyncErrorHandler,
    ExitForkedChild,
    HandlerInterrupted,
    RunningJob,
)
from relay_sdk.worker.limited_driver import LimitedDriver
from relay_sdk.worker.signals import stop_on_signals
from relay_sdk.worker.spawn import Spawn, is_cancelled, spawning

NO_THREAD_PAUSE = 1.0
"""Seconds for which a job keeps its slot if the system has no thread left for its handler."""

# Workers use private parts of clients and helpers.
# pyright: reportPrivateUsage=false


class AsyncWorker(BaseWorker[TaskRun, AsyncHeartbeatScheduler]):
    """Claims jobs and runs their handlers in tasks, up to `concurrency` at a time.

    This is `Worker`, awaited.

    A handler that is a plain function runs in a thread. When a job is lost, its handler is
    cancelled and `on_error` gets a `JobLostError`. A handler that still runs after
    `graceful_shutdown_timeout` seconds of stopping is cancelled too; it has 5 seconds to clean up,
    and its job is put back into the queue. A plain function cannot be cancelled: it should check
    `helper.lost` and `helper.stopping`. If it does not, on asyncio it keeps the process alive until
    a second signal.

    `async with AsyncWorker(...)` works until the block is left. `concurrency` may be changed before
    the worker runs.
    """

    _run_kind = TaskRun
    _fetches: TaskGroup
    _block: TaskGroup
    _context: Context
    _leaving = False
    _spawn: Spawn

    def __init__(
        self,
        client: AsyncClient,
        queue: Queue[P, S] | str,
        handler: Callable[[AsyncJobHelper[P, S]], object],
        *,
        concurrency: int = 100,
        graceful_shutdown_timeout: float = 30.0,
        retry: Backoff | None = None,
        on_error: AsyncErrorHandler | None = None,
        on_retries_exhausted: AsyncErrorHandler | None = None,
    ) -> None:
        check_type(
            "AsyncWorker takes an AsyncClient", client, AsyncClient, "for a Client, use Worker"
        )
        super().__init__(
            client._driver,
            concurrency,
            graceful_shutdown_timeout,
            retry,
            on_error,
            on_retries_exhausted,
        )
        self._driver = client._driver
        self._wakeup = AsyncWakeup(self._config.clock)
        self._limited_driver = LimitedDriver(self._driver)
        self._heartbeats = AsyncHeartbeatScheduler(self._limited_driver)
        self._threads = CapacityLimiter(inf)  # the slots limit the threads
        self._make_scope: Callable[[], CancelScope] = CancelScope
        self.add(queue, handler)

    def add(
        self, queue: Queue[P, S] | str, handler: Callable[[AsyncJobHelper[P, S]], object]
    ) -> Self:
        """Run the jobs of another queue too; all queues share the slots."""
        declared = as_queue(queue)
        given: object = handler
        called = given.func if isinstance(given, partial) else given
        plain = not (iscoroutinefunction(called) or iscoroutinefunction(type(called).__call__))

        def make_job(run: TaskRun) -> RunningJob:
            helper = AsyncJobHelper(self._limited_driver, run, declared)
            call, scope = partial(handler, helper), self._make_scope()
            limiter = self._threads if plain else None
            call_handler = partial(self._call_handler, run, call, scope, limiter)
            return RunningJob(run, scope.cancel, helper=helper, call_handler=call_handler)

        return self._route(declared.name, handler, make_job)

    async def run(self) -> None:
        """Work until the worker is asked to stop, and its jobs have ended or were put back."""
        self._begin()
        self._context = copy_context()
        self._cancellation = cancellation_types()
        # The class of this event loop: `CancelScope()` would look it up for each job.
        self._make_scope = type(CancelScope())
        try:
            async with BlockingPortal() as portal, create_task_group() as group:
                group.start_soon(self._heartbeats.run)
                self._limited_driver.open(group.start_soon)

                def stop() -> None:
                    with suppress(RuntimeError):  # it has ended already
                        portal.start_task_soon(self._stop_on_signal)

                with stop_on_signals(stop):
                    await self._work_in_tasks()
                group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            raise _unwrap_group(errors) from None

    async def __aenter__(self) -> Self:
        self._block = create_task_group()
        await self._block.__aenter__()
        self._block.start_soon(self.run)
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.stop()
        try:
            # An exception of the block is raised unchanged, not in a group.
            await self._block.__aexit__(None, None, None)
        except BaseExceptionGroup as group:
            if error is None or isinstance(error, get_cancelled_exc_class()):
                raise _unwrap_group(group) from None
            logger.error("the worker has stopped early", exc_info=_unwrap_group(group))

    async def _work_in_tasks(self) -> None:
        try:
            async with create_task_group() as self._fetches, spawning() as self._spawn:
                try:
                    await self._driver.run(self._work())
                finally:
                    self._leaving = True
                self._fetches.cancel_scope.cancel()
        except BaseException:
            if not self._stopping:  # otherwise this is a second request to stop: end at once
                with CancelScope(shield=True):
                    await self._driver.run(self._put_back_jobs(FETCH_DRAIN_TIMEOUT))
            raise

    def _start_fetching(self) -> None:
        self._context.copy().run(self._fetches.start_soon, self._fetch_in_task)

    async def _fetch_in_task(self) -> None:
        with CancelScope() as scope:
            await self._driver.run(self._fetch_all(scope.cancel))

    def _start(self, job: RunningJob) -> None:
        """Run a job in a context of its own. `_work_in_tasks` puts back one that comes too late."""
        if not self._leaving:
            work = self._execute(job), self._limited_driver.perform
            self._context.copy().run(self._spawn, arun, *work)

    async def _call_handler(
        self,
        run: Run,
        call: Callable[[], object],
        scope: CancelScope,
        threads: CapacityLimiter | None,
    ) -> None:
        """Call a handler. The scope can cancel a coroutine, but not a thread."""
        try:
            with ExitForkedChild():
                result = call() if threads is None else await _in_thread(run, call, threads)
                if not isawaitable(result):
                    return
                with scope:
                    await result
        except get_cancelled_exc_class() as error:
            if is_cancelled(self._leaving):
                raise
            raise RuntimeError("the handler was cancelled, but not by its worker") from error
        # A coroutine that has swallowed its cancellation is not done either.
        if scope.cancel_called and not run.is_over:
            raise HandlerInterrupted("was cancelled")


def cancellation_types() -> tuple[type[BaseException], ...]:
    """Return the exception types that cancel a task in this event loop."""
    return get_cancelled_exc_class(), KeyboardInterrupt, GeneratorExit


async def _in_thread(run: Run, call: Callable[[], object], threads: CapacityLimiter) -> object:
    """Call a plain function in a thread; interrupt the job if the system has no thread left."""
    began = False

    def work() -> list[object]:
        nonlocal began
        began = True
        with ExitForkedChild():
            return [call()]  # hidden in a list: trio takes no awaitable from a thread

    try:
        (result,) = await run_sync(work, abandon_on_cancel=True, limiter=threads)
    except RuntimeError as error:
        if began:
            raise
        await run.config.clock.asleep(NO_THREAD_PAUSE)
        raise HandlerInterrupted(f"did not start, because no thread is left ({error})") from error
    return result


def _unwrap_group(group: BaseExceptionGroup[Any]) -> Any:
    """Return the only exception of nested groups, or the innermost group of several."""
    error: Any = group
    while len(getattr(error, "exceptions", ())) == 1:
        error = error.exceptions[0]
    return error
