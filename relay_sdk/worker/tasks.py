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
from relay_sdk._engine.run import Run
from relay_sdk.backoff import Backoff
from relay_sdk.client import AsyncClient
from relay_sdk.helper import AsyncJobHelper
from relay_sdk.job import P, Queue, S, as_queue
from relay_sdk.worker.base import LAST_REPLY, BaseWorker
from relay_sdk.worker.execution import AsyncErrorHandler, ExitForkedChild, HandlerInterrupted, Task
from relay_sdk.worker.lanes import Lanes
from relay_sdk.worker.signals import stop_on_signals
from relay_sdk.worker.spawn import Spawn, is_cancelled, spawning

PAUSE = 1.0
"""Seconds that a job keeps its slot which found no thread."""

# Clients and helpers show their parts to workers only.
# pyright: reportPrivateUsage=false


class AsyncWorker(BaseWorker):
    """Takes jobs and runs each handler in a task, up to `concurrency` at a time: `Worker`, awaited.

    A handler that is a plain function runs in a thread. When a job is lost, its handler is
    cancelled and `on_error` gets a `JobLostError`. A handler that still runs after
    `graceful_shutdown_timeout` seconds of stopping is cancelled too; it has 5 seconds to clean up,
    and its job is put back into the queue. A plain function cannot be cancelled: it should check
    `helper.lost` and `helper.stopping`. If it does not, on asyncio it keeps the process alive until
    a second signal.

    `async with AsyncWorker(...)` works until the block is left. `concurrency` may be changed before
    the worker runs.
    """

    _asks: TaskGroup
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
        self._keeper = self._beats = AsyncHeartbeatScheduler(self._driver)
        self._wakeup = AsyncWakeup(self._config.clock)
        self._lanes = Lanes(self._driver)
        self._threads = CapacityLimiter(inf)  # the slots are the limit
        self._make_scope: Callable[[], CancelScope] = CancelScope
        self.add(queue, handler)

    def add(
        self, queue: Queue[P, S] | str, handler: Callable[[AsyncJobHelper[P, S]], object]
    ) -> Self:
        """Work on another queue too; its jobs share the slots."""
        declared = as_queue(queue)
        given: object = handler
        called = given.func if isinstance(given, partial) else given
        plain = not (iscoroutinefunction(called) or iscoroutinefunction(type(called).__call__))

        def task(run: Run) -> Task:
            helper = AsyncJobHelper(self._lanes, run, declared)
            call, scope = partial(handler, helper), self._make_scope()
            handle = partial(self._handle, run, call, scope, self._threads if plain else None)
            return Task(run, helper._beat, scope.cancel, helper=helper, handle=handle)

        return self._route(declared.name, handler, task)

    async def run(self) -> None:
        """Work until told to stop; return when the jobs have ended or were put back."""
        self._begin()
        self._context = copy_context()
        self._cancellation = passing()
        self._make_scope = type(CancelScope())  # this loop's own, not looked for with each job
        try:
            async with BlockingPortal() as portal, create_task_group() as beats:
                beats.start_soon(self._beats.run)
                self._lanes.open(beats.start_soon)

                def stop() -> None:
                    with suppress(RuntimeError):  # it has ended already
                        portal.start_task_soon(self._signalled)

                with stop_on_signals(stop):
                    await self._live()
                beats.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _sole(group) from None

    async def __aenter__(self) -> Self:
        self._block = create_task_group()
        await self._block.__aenter__()
        self._block.start_soon(self.run)
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.stop()
        try:
            # An exception of the block comes out as itself, not in a group.
            await self._block.__aexit__(None, None, None)
        except BaseExceptionGroup as group:
            if error is None or isinstance(error, get_cancelled_exc_class()):
                raise _sole(group) from None
            logger.error("the worker has ended early", exc_info=_sole(group))

    async def _live(self) -> None:
        try:
            async with create_task_group() as self._asks, spawning() as self._spawn:
                try:
                    await self._driver.run(self._life())
                finally:
                    self._leaving = True
                self._asks.cancel_scope.cancel()
        except BaseException:
            if not self._stopping:  # else this is the second wish to stop, and is served at once
                with CancelScope(shield=True):
                    await self._driver.run(self._put_back(LAST_REPLY))
            raise

    def _start_asking(self) -> None:
        self._context.copy().run(self._asks.start_soon, self._asking)

    async def _asking(self) -> None:
        with CancelScope() as scope:
            await self._driver.run(self._take_jobs(scope.cancel))

    def _start(self, task: Task) -> None:
        """Run a job in a context of its own; one that comes too late is put back by `_live`."""
        if not self._leaving:
            work = self._work(task), self._lanes.wait
            self._context.copy().run(self._spawn, arun, *work)

    async def _handle(
        self,
        run: Run,
        call: Callable[[], object],
        scope: CancelScope,
        threads: CapacityLimiter | None,
    ) -> None:
        """Request a handler; the scope cancels what can be cancelled, which a thread cannot."""
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
            raise RuntimeError("the handler was cancelled, and not by its worker") from error
        # A coroutine that has swallowed its cancellation is no more done than one that has not.
        if scope.cancel_called and not run.over:
            raise HandlerInterrupted("was cancelled")


def passing() -> tuple[type[BaseException], ...]:
    """Give what ends a task in this event loop, and is nobody's failure."""
    return get_cancelled_exc_class(), KeyboardInterrupt, GeneratorExit


async def _in_thread(run: Run, call: Callable[[], object], threads: CapacityLimiter) -> object:
    """Request a plain function in a thread; where the system has none for it, it never begins."""
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
        await run.config.clock.asleep(PAUSE)
        raise HandlerInterrupted(f"found no thread ({error})") from error
    return result


def _sole(group: BaseExceptionGroup[Any]) -> Any:
    """One thing that went wrong comes out as itself, not in a group for each task group."""
    error: Any = group
    while len(getattr(error, "exceptions", ())) == 1:
        error = error.exceptions[0]
    return error
