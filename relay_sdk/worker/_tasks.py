"""A worker on tasks, on asyncio and trio."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from math import inf
from types import TracebackType
from typing import Any, Self

from anyio import (
    CancelScope,
    CapacityLimiter,
    create_task_group,
    get_cancelled_exc_class,
)
from anyio.abc import TaskGroup
from anyio.from_thread import BlockingPortal
from anyio.to_thread import run_sync

from relay_sdk._checks import check_type
from relay_sdk._flow import arun
from relay_sdk._keeper import AsyncBeat, AsyncKeeper
from relay_sdk._log import logger
from relay_sdk._run import Run
from relay_sdk.backoff import Backoff
from relay_sdk.client import AsyncClient
from relay_sdk.helper import AsyncJobHelper
from relay_sdk.job import P, Queue, S, as_queue
from relay_sdk.worker._base import LAST_REPLY, BaseWorker, Task
from relay_sdk.worker._lanes import Lanes
from relay_sdk.worker._outcome import AsyncReport, Unfinished, outcome
from relay_sdk.worker._signals import stop_on_signals
from relay_sdk.worker._slots import Ask
from relay_sdk.worker._spawn import Spawn, cancelled, spawning

# Clients and helpers show their parts to workers only.
# pyright: reportPrivateUsage=false


class AsyncWorker(BaseWorker[AsyncBeat, AsyncJobHelper[Any, Any]]):
    """Takes jobs and runs each in a task, `concurrency` of them at a time: `Worker`, awaited.

    A handler that is a plain function runs in a thread. The handler of a lost job is cancelled,
    and `on_error` is told a `JobLostError`; one that is still running after `grace` seconds of
    stopping is cancelled too, has 5 seconds to clean up, and its job is put back. A plain function
    is not cancelled: it looks at `helper.lost` and `helper.stopping`, and one that does not keeps
    the process alive, on asyncio, until a second signal. `async with AsyncWorker(...)` works until
    the block is left. `concurrency` may be set before that.
    """

    def __init__(
        self,
        client: AsyncClient,
        queue: Queue[P, S] | str,
        handler: Callable[[AsyncJobHelper[P, S]], object],
        *,
        concurrency: int = 100,
        grace: float = 30.0,
        retry: Backoff | None = None,
        on_error: AsyncReport | None = None,
        on_give_up: AsyncReport | None = None,
    ) -> None:
        check_type(
            "AsyncWorker takes an AsyncClient", client, AsyncClient, "for a Client, use Worker"
        )
        super().__init__(client._session.policy, concurrency, grace, retry, on_error, on_give_up)
        self._session = client._session
        self._keeper = self._beats = AsyncKeeper(self._policy.clock)
        self._lanes = Lanes(self._session)
        self._threads = CapacityLimiter(inf)  # the slots are the limit
        self._make_scope: Callable[[], CancelScope] = CancelScope
        self._waiting: CancelScope | None = None
        self._asking: dict[CancelScope, Ask] = {}
        self._asks: TaskGroup | None = None
        self._spawn: Spawn | None = None
        self._block: TaskGroup | None = None
        self.add(queue, handler)

    def add(
        self, queue: Queue[P, S] | str, handler: Callable[[AsyncJobHelper[P, S]], object]
    ) -> Self:
        """Work on another queue too; its jobs share the slots."""
        declared = as_queue(queue)
        called = handler.func if isinstance(handler, partial) else handler
        plain = not (iscoroutinefunction(called) or iscoroutinefunction(type(called).__call__))

        def task(run: Run) -> Task[AsyncBeat]:
            helper = AsyncJobHelper(self._lanes, run, declared)
            failing = self._failing(helper)
            threads = self._threads if plain else None
            call = _Handler(run, partial(handler, helper), self._make_scope(), threads)
            return Task(run, helper._beat, call.cancel, handle=call, failing=failing)

        self._route(declared.name, task)
        return self

    async def run(self) -> None:
        """Work until told to stop; return when the jobs have ended or were put back."""
        self._begin(self._session.url)
        self._make_scope = type(CancelScope())  # this loop's own, not looked for with each job
        try:
            async with BlockingPortal() as portal, create_task_group() as beats:
                beats.start_soon(self._beats.run)
                self._lanes.open(beats.start_soon)

                def stop() -> None:
                    with suppress(RuntimeError):  # it has ended already
                        portal.start_task_soon(self._signalled)

                with stop_on_signals(stop):
                    await self._work()
                beats.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _sole(group) from None

    def stop(self) -> None:
        """Ask the worker to stop, from a task; `run` returns when it has."""
        self._stopping = True
        self._wake()

    async def __aenter__(self) -> Self:
        self._block = create_task_group()
        await self._block.__aenter__()
        self._block.start_soon(self.run)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self._block is not None:
            try:
                # An exception of the block comes out as itself, not in a group.
                await self._block.__aexit__(None, None, None)
            except BaseExceptionGroup as group:
                if error is None or isinstance(error, get_cancelled_exc_class()):
                    raise _sole(group) from None
                logger.error("the worker has ended early", exc_info=_sole(group))

    async def _work(self) -> None:
        try:
            async with create_task_group() as self._asks, spawning() as self._spawn:
                await self._session.run(self._life())
                self._asks.cancel_scope.cancel()
        except BaseException:
            if not self._stopping:  # else this is the second wish to stop, and is served at once
                with CancelScope(shield=True):
                    await self._session.run(self._put_back(LAST_REPLY))
            raise

    def _start_asking(self) -> None:
        if self._asks is not None:
            self._asks.start_soon(self._take_jobs)

    async def _take_jobs(self) -> None:
        more = True
        while more and (ask := await self._session.run(self._next_ask())):
            with CancelScope() as scope:
                self._asking[scope] = ask
                try:
                    more = await self._session.run(self._ask(ask))
                finally:
                    del self._asking[scope]

    def _cut(self, *, held: bool) -> None:
        for scope, ask in self._asking.items():
            if ask.hold or not held:
                scope.cancel()

    def _start(self, task: Task[AsyncBeat]) -> None:
        self._keeper.add(task, task.run.interval(None))
        if self._spawn is not None:
            self._spawn(self._run, task)

    async def _run(self, task: Task[AsyncBeat]) -> None:
        try:
            flow = outcome(task.run, task.handle, task.failing, partial(self._returned, task))
            await arun(flow, self._lanes.wait)
        finally:
            self._ended(task)

    async def _news(self, seconds: float) -> bool:
        with CancelScope() as self._waiting:
            await self._policy.clock.asleep(seconds)
        return self._waiting.cancel_called

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()


class _Handler:
    """The call of a handler, which can be cancelled, unless it is in a thread."""

    def __init__(
        self,
        run: Run,
        call: Callable[[], object],
        scope: CancelScope,
        threads: CapacityLimiter | None,
    ) -> None:
        self._run = run
        self._call = call
        self._threads = threads
        self._scope = scope
        self._in_thread = False

    def cancel(self) -> None:
        if not self._in_thread:
            self._scope.cancel()

    async def __call__(self) -> None:
        with self._scope:
            try:
                result = self._call() if self._threads is None else await self._from_thread()
                if isawaitable(result):
                    await result
            except get_cancelled_exc_class() as error:
                if cancelled():
                    raise
                raise RuntimeError("the handler was cancelled by what it waited for") from error
        # A coroutine that has swallowed its cancellation is no more done than one that has not.
        if self._scope.cancel_called and not self._run.over:
            raise Unfinished("was cancelled")

    async def _from_thread(self) -> object:
        self._in_thread = True
        # Hidden in a list: trio takes no awaitable from a thread.
        (result,) = await run_sync(
            lambda: [self._call()], abandon_on_cancel=True, limiter=self._threads
        )
        self._in_thread = False
        if isawaitable(result) and (self._run.lost is not None or self._run.stopping):
            self._scope.cancel()
        return result


def _sole(group: BaseExceptionGroup[Any]) -> Any:
    """One thing that went wrong comes out as itself, not in a group for each task group."""
    error: Any = group
    while len(getattr(error, "exceptions", ())) == 1:
        error = error.exceptions[0]
    return error
