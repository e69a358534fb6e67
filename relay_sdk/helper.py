"""Job helpers: read a claimed job, keep it alive and end it."""

from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from datetime import datetime, timedelta
from typing import Any, Generic, overload

import anyio
import msgspec

from relay_sdk._base.flow import Flow
from relay_sdk._base.validation import check_choice, check_exclusive, check_type, to_seconds
from relay_sdk._engine.driver import AsyncDriver, Driver
from relay_sdk._engine.heartbeats import AsyncHeartbeatScheduler, HeartbeatScheduler, KeptRun
from relay_sdk._engine.run import R, TaskRun, ThreadRun
from relay_sdk.job import EnqueueMode, Job, P, Queue, RawJob, S, from_raw, write_state
from relay_sdk.schedule import Schedule

KEEP: Any = object()
"""The default of `state`: keep the last known state, which came with the job or was saved since."""


class _Helper(Generic[R, P, S]):
    """The parts that both helpers share: the job, the checks of arguments, and the flows."""

    def __init__(self, run: R, queue: Queue[P, S]) -> None:
        self._run = run
        self._queue = run.types = queue
        self._job: Job[P, S] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._run.label}>"

    @property
    def raw(self) -> RawJob:
        """The job as it was received, not decoded."""
        return self._run.raw

    @property
    def job(self) -> Job[P, S]:
        """The job as it was received, decoded on first access.

        Raises `PayloadError` if payload or state do not fit the queue's types. The rest of the
        helper still works then.
        """
        if self._job is None:
            self._job = from_raw(self._queue, self._run.raw)
        return self._job

    @property
    def failures(self) -> int:
        """How many runs of this job have failed so far, in workers with `retry`."""
        return self._run.failure_count.failures

    @property
    def lost(self) -> bool:
        """Whether the job is no longer held by this worker, as a heartbeat has found."""
        return self._run.lifecycle.lost_reason is not None

    @property
    def stopping(self) -> bool:
        """Whether the worker is stopping. If so, `release` the job with its state, and return.

        A job whose handler returns without releasing it is completed.
        """
        return self._run.lifecycle.stop_requested

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
            return self._run.reschedule_as(job)
        check_exclusive(run_at, delay)
        if delay is not None:
            run_at = self._run.later(delay)
        elif isinstance(run_at, Schedule):
            run_at = self._run.due_after(run_at)
            if run_at is None:
                return self._run.complete()
        return self._run.reschedule(run_at, self._encode(state))

    def _requeue(self, jobs: Sequence[Job[Any, Any]], mode: EnqueueMode) -> Flow[None]:
        check_choice("mode", mode, EnqueueMode)
        check_type("requeue takes several jobs", jobs, Iterable, "write requeue([job])")
        return self._run.requeue(jobs, mode)

    def _encode(self, state: S | None) -> msgspec.Raw | None:
        return None if state is KEEP else write_state(self._queue, self.raw.id, state)


class JobHelper(_Helper[ThreadRun, P, S]):
    """A job that this process has taken: read it, keep it alive, end it.

    Safe to share between threads. Heartbeats are sent one at a time, and so are the calls that end
    the job; these do not wait for a heartbeat.
    """

    def __init__(self, driver: Driver, run: ThreadRun, queue: Queue[P, S]) -> None:
        super().__init__(run, queue)
        self._driver = driver

    def complete(self) -> None:
        """Complete the job: the server deletes it.

        If the job was lost, API v2 ignores the request and reports no error.
        """
        self._end(self._run.complete())

    def heartbeat(self, state: S | None = KEEP) -> None:
        """Keep the job for another `timeout` seconds, and save a state for the next run.

        Without an argument the last known state is kept; `None` erases it. Each attempt may take a
        third of the time that is left. Raises `JobLostError` if the job was lost.
        """
        with self._run.heartbeat_lock:
            self._driver.run(self._run.heartbeat(self._encode(state)))

    def heartbeat_auto(
        self, interval: float | timedelta | None = None
    ) -> AbstractContextManager[None]:
        """Send heartbeats from a thread, every `interval` seconds (default: `timeout / 3`).

        A heartbeat that fails is retried until `timeout` has passed; then the job is lost. Once it
        is lost, `lost` is true, and the next call and leaving the block raise `JobLostError`.
        """
        return self._keep_alive(_interval(interval))

    @contextmanager
    def _keep_alive(self, interval: float | None) -> Generator[None]:
        with HeartbeatScheduler(self._driver) as scheduler:
            kept = KeptRun(self._run, interval=interval)
            scheduler.add(kept)
            try:
                yield
            finally:
                scheduler.drop(kept)
        self._run.check_not_lost()

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
        """End this run as a success, and queue the job for its next run.

        The next run is due at `run_at`, or after `delay`, or at once; it gets `state`, or else the
        last known state. `run_at` may be a schedule, such as `Every` or `Cron`, which counts from
        when this run was due; if the schedule has ended, the job is completed. The number of
        failures starts again at 0. With `job`, that job is queued instead, and overwrites one with
        its id; on API v1 it must have the same queue and id (`UnsupportedError`).
        """
        self._end(self._reschedule(job, run_at, delay, state))

    def release(
        self,
        *,
        delay: float | timedelta = 0.0,
        count_as_failure: bool = False,
        state: S | None = KEEP,
    ) -> None:
        """Put the job back into its queue, at its old place or after `delay` seconds.

        `state`, or else the last known state, is saved for the next run. With `count_as_failure`
        this run counts as a failure, and a job that has used up its `max_retries` is removed. The
        server's own count of timeouts starts again at 0.
        """
        self._end(self._run.release(self._encode(state), delay, count_as_failure))

    def requeue(self, jobs: Sequence[Job[Any, Any]], *, mode: EnqueueMode = "unique") -> None:
        """Complete the job and enqueue others, in one transaction.

        If one of them exists, `JobExistsError` names the first, and nothing has changed. API v1 can
        only queue the same job again (`UnsupportedError`).
        """
        self._end(self._requeue(jobs, mode))

    def remove(self) -> None:
        """Delete the job, even if another worker holds it."""
        self._end(self._run.remove())

    def exists(self) -> bool:
        """Return whether the job is still on the server, even if another worker holds it."""
        return self._driver.run(self._run.exists())

    def _end(self, flow: Flow[None]) -> None:
        try:
            with self._run.end_lock:
                self._driver.run(flow)
        finally:
            self._run.stop_waiting()


class AsyncJobHelper(_Helper[TaskRun, P, S]):
    """A job that this process has taken: `JobHelper`, awaited.

    Safe to share between tasks. Heartbeats are sent one at a time, and so are the calls that end
    the job; these do not wait for a heartbeat.
    """

    def __init__(self, driver: AsyncDriver, run: TaskRun, queue: Queue[P, S]) -> None:
        super().__init__(run, queue)
        self._driver = driver

    async def complete(self) -> None:
        """Complete the job: the server deletes it.

        If the job was lost, API v2 ignores the request and reports no error.
        """
        await self._end(self._run.complete())

    async def heartbeat(self, state: S | None = KEEP) -> None:
        """Keep the job for another `timeout` seconds, and save a state for the next run.

        Without an argument the last known state is kept; `None` erases it. Each attempt may take a
        third of the time that is left. Raises `JobLostError` if the job was lost.
        """
        async with self._run.heartbeat_lock:
            await self._driver.run(self._run.heartbeat(self._encode(state)))

    def heartbeat_auto(
        self, interval: float | timedelta | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Send heartbeats from a task, every `interval` seconds (default: `timeout / 3`).

        A heartbeat that fails is retried until `timeout` has passed; then the job is lost. Once it
        is lost, the block is cancelled and raises `JobLostError`.
        """
        return self._keep_alive(_interval(interval))

    @asynccontextmanager
    async def _keep_alive(self, interval: float | None) -> AsyncGenerator[None]:
        failure: BaseException | None = None
        scheduler = AsyncHeartbeatScheduler(self._driver)
        async with anyio.create_task_group() as group:
            scheduler.add(KeptRun(self._run, group.cancel_scope.cancel, interval))
            group.start_soon(scheduler.run)
            try:
                yield
            except (anyio.get_cancelled_exc_class(), GeneratorExit):
                raise
            except BaseException as error:  # noqa: BLE001 raised in here, the group would wrap it
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        self._run.check_not_lost()

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
        """End this run as a success, and queue the job for its next run.

        The next run is due at `run_at`, or after `delay`, or at once; it gets `state`, or else the
        last known state. `run_at` may be a schedule, such as `Every` or `Cron`, which counts from
        when this run was due; if the schedule has ended, the job is completed. The number of
        failures starts again at 0. With `job`, that job is queued instead, and overwrites one with
        its id; on API v1 it must have the same queue and id (`UnsupportedError`).
        """
        await self._end(self._reschedule(job, run_at, delay, state))

    async def release(
        self,
        *,
        delay: float | timedelta = 0.0,
        count_as_failure: bool = False,
        state: S | None = KEEP,
    ) -> None:
        """Put the job back into its queue, at its old place or after `delay` seconds.

        `state`, or else the last known state, is saved for the next run. With `count_as_failure`
        this run counts as a failure, and a job that has used up its `max_retries` is removed. The
        server's own count of timeouts starts again at 0.
        """
        await self._end(self._run.release(self._encode(state), delay, count_as_failure))

    async def requeue(self, jobs: Sequence[Job[Any, Any]], *, mode: EnqueueMode = "unique") -> None:
        """Complete the job and enqueue others, in one transaction.

        If one of them exists, `JobExistsError` names the first, and nothing has changed. API v1 can
        only queue the same job again (`UnsupportedError`).
        """
        await self._end(self._requeue(jobs, mode))

    async def remove(self) -> None:
        """Delete the job, even if another worker holds it."""
        await self._end(self._run.remove())

    async def exists(self) -> bool:
        """Return whether the job is still on the server, even if another worker holds it."""
        return await self._driver.run(self._run.exists())

    async def _end(self, flow: Flow[None]) -> None:
        async with self._run.end_lock:
            await self._driver.run(flow)


def _interval(interval: float | timedelta | None) -> float | None:
    if interval is None:
        return None
    seconds = to_seconds("interval", interval)
    if not seconds:
        raise ValueError("interval must be above 0 seconds")
    return seconds
