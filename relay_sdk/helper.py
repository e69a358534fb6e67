"""What runs a job: it reads the job, keeps it alive and ends it."""

import threading
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Generic, overload

import anyio
import msgspec

from relay_sdk._base.flow import Flow
from relay_sdk._base.validation import check_choice, check_exclusive, check_type, to_seconds
from relay_sdk._engine.driver import AsyncDriver, Driver
from relay_sdk._engine.heartbeats import AsyncHeartbeatScheduler, HeartbeatScheduler, Lease
from relay_sdk._engine.run import Run
from relay_sdk.job import EnqueueMode, Job, P, Queue, RawJob, S, from_raw, write_state
from relay_sdk.schedule import Schedule

KEEP: Any = object()
"""Stands for the last state known: the one that came with the job, or that was saved since."""


class _Helper(Generic[P, S]):
    """What the two helpers share: the job, checks of the arguments, and the flows."""

    def __init__(self, run: Run, queue: Queue[P, S]) -> None:
        self._run = run
        self._queue = run.types = queue
        self._job: Job[P, S] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._run.where}>"

    @property
    def raw(self) -> RawJob:
        """The job as it was received, not decoded."""
        return self._run.raw

    @property
    def job(self) -> Job[P, S]:
        """The job as it was received. It is decoded when this is first read.

        Raises `PayloadError` if payload or state do not fit the queue's types. Everything else on
        the helper still works then.
        """
        if self._job is None:
            self._job = from_raw(self._queue, self._run.raw)
        return self._job

    @property
    def failures(self) -> int:
        """How many runs of this job have failed so far, in workers with `retry`."""
        return self._run.count.failures

    @property
    def lost(self) -> bool:
        """Whether a heartbeat has found that the job is no longer ours."""
        return self._run.lost is not None

    @property
    def stopping(self) -> bool:
        """Whether the worker is stopping: `release` the job with its state, and return.

        A handler that returns without releasing it says that the job is done.
        """
        return self._run.stopping

    def _reschedule(
        self,
        job: Job[Any, Any] | None,
        run_at: datetime | Schedule | None,
        delay: float | timedelta | None,
        state: S | None,
    ) -> Flow[None]:
        if job is not None:
            instead = "write run_at=... for a moment or a schedule, delay=... for a time from now"
            check_type("reschedule takes a Job", job, Job, instead)
            if run_at is not None or delay is not None or state is not KEEP:
                raise TypeError("reschedule takes a job, or run_at, delay and state, not both")
            return self._run.requeue([job], "replace")
        check_exclusive(run_at, delay)
        if delay is not None:
            run_at = self._run.later(delay)
        elif isinstance(run_at, Schedule):
            run_at = self._run.due_after(run_at)
            if run_at is None:
                return self._run.complete()
        return self._run.again(run_at, self._written(state))

    def _requeue(self, jobs: Sequence[Job[Any, Any]], mode: EnqueueMode) -> Flow[None]:
        check_choice("mode", mode, EnqueueMode)
        check_type("requeue takes several jobs", jobs, Iterable, "write requeue([job])")
        return self._run.requeue(jobs, mode)

    def _written(self, state: S | None) -> msgspec.Raw | None:
        return None if state is KEEP else write_state(self._queue, self.raw.id, state)


class JobHelper(_Helper[P, S]):
    """A job that this process has taken: read it, keep it alive, end it.

    Safe to share between threads. Heartbeats are sent one at a time, and so are the calls that end
    the job; these do not wait for a heartbeat.
    """

    def __init__(self, driver: Driver, run: Run, queue: Queue[P, S]) -> None:
        super().__init__(run, queue)
        self._driver = driver
        self._beating = threading.Lock()
        self._ending = threading.Lock()

    def complete(self) -> None:
        """Complete the job: the server deletes it.

        If the job is no longer ours, API v2 ignores this, and reports no error.
        """
        self._end(self._run.complete())

    def heartbeat(self, state: S | None = KEEP) -> None:
        """Keep the job for another `timeout` seconds, and save a state for the next run.

        Without an argument the last known state is kept; `None` erases it. Each attempt may take a
        third of the time that is left. Raises `JobLostError` if the job is no longer ours.
        """
        with self._beating:
            self._driver.run(self._run.heartbeat(self._written(state)))

    def heartbeat_auto(
        self, interval: float | timedelta | None = None
    ) -> AbstractContextManager[None]:
        """Send heartbeats from a thread, every `interval` seconds (default: `timeout / 3`).

        A heartbeat that fails is retried until `timeout` has passed; then the job is lost. When it
        is lost, `lost` turns true, and the next call raises `JobLostError`, as does leaving the
        block.
        """
        return self._kept(_interval(interval))

    @contextmanager
    def _kept(self, interval: float | None) -> Generator[None]:
        with HeartbeatScheduler(self._driver) as keeper:
            lease = Lease(self._run, self._beat, interval=interval)
            keeper.add(lease)
            try:
                yield
            finally:
                keeper.drop(lease)
        self._run.check_kept()

    @overload
    def reschedule(self, job: Job[Any, Any]) -> None: ...
    @overload
    def reschedule(
        self,
        *,
        run_at: datetime | Schedule | None = None,
        delay: float | timedelta | None = None,
        state: S | None = KEEP,
    ) -> None: ...
    def reschedule(
        self,
        job: Job[Any, Any] | None = None,
        *,
        run_at: datetime | Schedule | None = None,
        delay: float | timedelta | None = None,
        state: S | None = KEEP,
    ) -> None:
        """End this run as a success, and queue the job for its next one.

        It runs at `run_at`, or after `delay`, or at once, with `state` or else the last known one.
        `run_at` may be a schedule, such as `Every` or `Cron`, which counts from the moment this run
        was due; when the schedule has ended, the job is completed. The number of failures starts
        again at 0. With `job`, that job is queued instead, and overwrites one with its id; on API
        v1 it must have the same queue and id (`UnsupportedError`).
        """
        self._end(self._reschedule(job, run_at, delay, state))

    def release(
        self,
        *,
        delay: float | timedelta = 0.0,
        count_as_failure: bool = False,
        state: S | None = KEEP,
    ) -> None:
        """Put the job back into its queue, at its old job_label or after `delay` seconds.

        `state`, or else the last known one, is saved for the next run. With `count_as_failure` this
        counts as a failure, and a job that has used up its `max_retries` is removed. The server's
        own count, of timeouts, starts again at 0.
        """
        self._end(self._run.release(self._written(state), delay, count_as_failure))

    def requeue(self, jobs: Sequence[Job[Any, Any]], *, mode: EnqueueMode = "unique") -> None:
        """Complete the job and enqueue others, in one transaction.

        If one of them exists, `JobExistsError` names the first, and nothing has changed. API v1 can
        only queue the same job again (`UnsupportedError`).
        """
        self._end(self._requeue(jobs, mode))

    def remove(self) -> None:
        """Delete the job, whoever holds it."""
        self._end(self._run.remove())

    def exists(self) -> bool:
        """Tell whether the job is still on the server, whoever holds it."""
        return self._driver.run(self._run.exists())

    def _end(self, flow: Flow[None]) -> None:
        with self._ending, self._run.ending():
            self._driver.run(flow)

    def _beat(self, interval: float | None = None) -> float | None:
        """Send an automatic heartbeat."""
        with self._beating:
            return self._driver.run(self._run.keep_alive(interval))


class AsyncJobHelper(_Helper[P, S]):
    """A job that this process has taken: `JobHelper`, awaited.

    Safe to share between tasks. Heartbeats are sent one at a time, and so are the calls that end
    the job; these do not wait for a heartbeat.
    """

    def __init__(self, driver: AsyncDriver, run: Run, queue: Queue[P, S]) -> None:
        super().__init__(run, queue)
        self._driver = driver

    # A worker has a helper for each job, and most need no lock.
    @cached_property
    def _beating(self) -> anyio.Lock:
        return anyio.Lock()

    @cached_property
    def _ending(self) -> anyio.Lock:
        return anyio.Lock()

    async def complete(self) -> None:
        """Complete the job: the server deletes it.

        If the job is no longer ours, API v2 ignores this, and reports no error.
        """
        await self._end(self._run.complete())

    async def heartbeat(self, state: S | None = KEEP) -> None:
        """Keep the job for another `timeout` seconds, and save a state for the next run.

        Without an argument the last known state is kept; `None` erases it. Each attempt may take a
        third of the time that is left. Raises `JobLostError` if the job is no longer ours.
        """
        async with self._beating:
            await self._driver.run(self._run.heartbeat(self._written(state)))

    def heartbeat_auto(
        self, interval: float | timedelta | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Send heartbeats from a task, every `interval` seconds (default: `timeout / 3`).

        A heartbeat that fails is retried until `timeout` has passed; then the job is lost. When it
        is lost, the block is cancelled and raises `JobLostError`.
        """
        return self._kept(_interval(interval))

    @asynccontextmanager
    async def _kept(self, interval: float | None) -> AsyncGenerator[None]:
        failure: BaseException | None = None
        keeper = AsyncHeartbeatScheduler(self._driver)
        async with anyio.create_task_group() as group:
            keeper.add(Lease(self._run, self._beat, group.cancel_scope.cancel, interval))
            group.start_soon(keeper.run)
            try:
                yield
            except (anyio.get_cancelled_exc_class(), GeneratorExit):
                raise
            except BaseException as error:  # noqa: BLE001 raised in here, the group would wrap it
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        self._run.check_kept()

    @overload
    async def reschedule(self, job: Job[Any, Any]) -> None: ...
    @overload
    async def reschedule(
        self,
        *,
        run_at: datetime | Schedule | None = None,
        delay: float | timedelta | None = None,
        state: S | None = KEEP,
    ) -> None: ...
    async def reschedule(
        self,
        job: Job[Any, Any] | None = None,
        *,
        run_at: datetime | Schedule | None = None,
        delay: float | timedelta | None = None,
        state: S | None = KEEP,
    ) -> None:
        """End this run as a success, and queue the job for its next one.

        It runs at `run_at`, or after `delay`, or at once, with `state` or else the last known one.
        `run_at` may be a schedule, such as `Every` or `Cron`, which counts from the moment this run
        was due; when the schedule has ended, the job is completed. The number of failures starts
        again at 0. With `job`, that job is queued instead, and overwrites one with its id; on API
        v1 it must have the same queue and id (`UnsupportedError`).
        """
        await self._end(self._reschedule(job, run_at, delay, state))

    async def release(
        self,
        *,
        delay: float | timedelta = 0.0,
        count_as_failure: bool = False,
        state: S | None = KEEP,
    ) -> None:
        """Put the job back into its queue, at its old job_label or after `delay` seconds.

        `state`, or else the last known one, is saved for the next run. With `count_as_failure` this
        counts as a failure, and a job that has used up its `max_retries` is removed. The server's
        own count, of timeouts, starts again at 0.
        """
        await self._end(self._run.release(self._written(state), delay, count_as_failure))

    async def requeue(self, jobs: Sequence[Job[Any, Any]], *, mode: EnqueueMode = "unique") -> None:
        """Complete the job and enqueue others, in one transaction.

        If one of them exists, `JobExistsError` names the first, and nothing has changed. API v1 can
        only queue the same job again (`UnsupportedError`).
        """
        await self._end(self._requeue(jobs, mode))

    async def remove(self) -> None:
        """Delete the job, whoever holds it."""
        await self._end(self._run.remove())

    async def exists(self) -> bool:
        """Tell whether the job is still on the server, whoever holds it."""
        return await self._driver.run(self._run.exists())

    async def _end(self, flow: Flow[None]) -> None:
        async with self._ending:
            with self._run.ending():
                await self._driver.run(flow)

    async def _beat(self, interval: float | None = None) -> float | None:
        """Send an automatic heartbeat."""
        if self._beating.locked():
            await self._beating.acquire()
        else:
            self._beating.acquire_nowait()  # `acquire` lets the event loop turn once more
        try:
            return await self._driver.run(self._run.keep_alive(interval))
        finally:
            self._beating.release()


def _interval(interval: float | timedelta | None) -> float | None:
    if interval is None:
        return None
    seconds = to_seconds("interval", interval)
    if not seconds:
        raise ValueError("interval must be above 0 seconds")
    return seconds
