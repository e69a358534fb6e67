"""What a worker holds while it runs a job."""

import threading
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import Any, Generic, Literal, overload

import anyio
import msgspec

from relay_sdk._checks import check_choice
from relay_sdk._flow import Flow
from relay_sdk._keeper import AsyncKeeper, Keeper, Lease
from relay_sdk._run import Run
from relay_sdk._session import AsyncSession, Session
from relay_sdk.job import EnqueueMode, Job, P, Queue, RawJob, S, from_raw, write_state
from relay_sdk.schedule import Schedule


class _Known(Enum):
    """The state that came with the job, or the last one that was sent."""

    STATE = "known state"


_KNOWN: Literal[_Known.STATE] = _Known.STATE


class _Helper(Generic[P, S]):
    """What the two helpers share: the job, and the flows of its run."""

    def __init__(self, run: Run, queue: Queue[P, S]) -> None:
        self._run = run
        self._queue = queue
        self._job: Job[P, S] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._run.where}>"

    @property
    def raw(self) -> RawJob:
        """The job as it came, not decoded."""
        return self._run.raw

    @property
    def job(self) -> Job[P, S]:
        """The job as it came, decoded at the first look: `PayloadError` when it does not fit.

        The job can still be completed, kept alive, rescheduled or removed then.
        """
        if self._job is None:
            self._job = from_raw(self._queue, self._run.raw)
        return self._job

    @property
    def failures(self) -> int:
        """How many runs of the job have failed before, for a worker with `retry`."""
        return self._run.count.failures

    @property
    def lost(self) -> bool:
        """Whether a heartbeat has found the job to be no longer ours."""
        return self._run.lost is not None

    @property
    def stopping(self) -> bool:
        """Whether the worker is about to leave: `release` the job with its state, and return.

        To return without that says that the job is done.
        """
        return self._run.stopping

    def _heartbeat(self, state: S | None | _Known) -> Flow[None]:
        return self._run.heartbeat(self._written(state))

    def _reschedule(
        self,
        job: Job[Any, Any] | None,
        run_at: datetime | Schedule | None,
        state: S | None | _Known,
    ) -> Flow[None]:
        if job is None:
            if not (run_at is None or isinstance(run_at, datetime)):
                run_at = self._run.due_after(run_at)
                if run_at is None:
                    return self._run.complete()
            return self._run.again(run_at, self._written(state))
        if run_at is not None or state is not _KNOWN:
            raise TypeError("reschedule takes a job, or run_at and state, not both")
        return self._run.requeue([job], "replace")

    def _release(self, delay: float, costs_retry: bool, state: S | None | _Known) -> Flow[None]:
        return self._run.release(self._written(state), delay, costs_retry)

    def _requeue(self, jobs: Sequence[Job[Any, Any]], mode: EnqueueMode) -> Flow[None]:
        check_choice("mode", mode, EnqueueMode)
        return self._run.requeue(jobs, mode)

    def _written(self, state: S | None | _Known) -> msgspec.Raw | None:
        return None if isinstance(state, _Known) else write_state(self._queue, self.raw.id, state)


class JobHelper(_Helper[P, S]):
    """A job that was handed to this process, for as long as its run lasts.

    Safe to share between threads. Its heartbeats go one after another, and so do the calls that end
    the job, which wait for no heartbeat.
    """

    def __init__(self, session: Session, run: Run, queue: Queue[P, S]) -> None:
        super().__init__(run, queue)
        self._session = session
        self._beating = threading.Lock()
        self._ending = threading.Lock()

    def complete(self) -> None:
        """End the job: it is done, and gone from the server.

        On API v2 the server answers a run that is no longer ours just so, and keeps the job.
        """
        self._end(self._run.complete())

    @overload
    def heartbeat(self) -> None: ...
    @overload
    def heartbeat(self, state: S | None) -> None: ...
    def heartbeat(self, state: S | None | _Known = _KNOWN) -> None:
        """Keep the job for another `timeout` seconds and save its state, for the next run.

        Without an argument the known state is sent again; `None` erases it. Each attempt has a
        third of what is left of the lease. `JobLostError` when the job is no longer ours.
        """
        with self._beating:
            self._session.run(self._heartbeat(state))

    def heartbeat_auto(self, interval: float | None = None) -> AbstractContextManager[None]:
        """Send the known state from a thread, every `interval` seconds (`timeout / 3`).

        A heartbeat that fails is tried again until `timeout` has passed; then the job counts as
        lost. When it is lost, `lost` turns true, the next call raises `JobLostError`, and so does
        leaving the block.
        """
        _check_interval(interval)
        return self._kept(interval)

    @contextmanager
    def _kept(self, interval: float | None) -> Generator[None]:
        with Keeper(self._session.policy.clock) as keeper:
            lease = Lease(self._run, lambda: self._beat(interval))
            keeper.add(lease, self._run.interval(interval))
            try:
                yield
            finally:
                keeper.drop(lease)
        self._run.check_kept()

    @overload
    def reschedule(self, job: Job[Any, Any]) -> None: ...
    @overload
    def reschedule(
        self, *, run_at: datetime | Schedule | None = None, state: S | None = ...
    ) -> None: ...
    def reschedule(
        self,
        job: Job[Any, Any] | None = None,
        *,
        run_at: datetime | Schedule | None = None,
        state: S | None | _Known = _KNOWN,
    ) -> None:
        """Queue the same job again, at `run_at` (now) with `state` (the known one), or `job`.

        This says that the run was a success: retries start over. `run_at` may be a schedule, such
        as `Every` or `Recurring`, which is counted from when this run was due; when it has ended,
        the job is completed. API v1 takes a `job` of the same queue and id only
        (`UnsupportedError`); v2 takes any, and overwrites one that is there.
        """
        self._end(self._reschedule(job, run_at, state))

    @overload
    def release(self, *, delay: float = 0.0, costs_retry: bool = False) -> None: ...
    @overload
    def release(
        self, *, delay: float = 0.0, costs_retry: bool = False, state: S | None
    ) -> None: ...
    def release(
        self,
        *,
        delay: float = 0.0,
        costs_retry: bool = False,
        state: S | None | _Known = _KNOWN,
    ) -> None:
        """Put the job back, not done: at its old place in the queue, or after `delay` seconds.

        `state` (the known one) is saved for the next run. With `costs_retry` it counts as a failed
        run: one that has no `max_retries` left is removed. The server's own count, of timeouts,
        starts over.
        """
        self._end(self._release(delay, costs_retry, state))

    def requeue(self, jobs: Sequence[Job[Any, Any]], *, mode: EnqueueMode = "unique") -> None:
        """End the job and enqueue others in its place, all or nothing.

        `JobExistsError` names the first that is there already, and leaves the job ours. API v1 can
        only queue the same job again (`UnsupportedError`).
        """
        self._end(self._requeue(jobs, mode))

    def remove(self) -> None:
        """Delete the job from the server, whoever holds it."""
        self._end(self._run.remove())

    def exists(self) -> bool:
        """Look whether the job is still on the server, whoever holds it."""
        return self._session.run(self._run.exists())

    def _end(self, flow: Flow[None]) -> None:
        with self._ending:
            self._session.run(flow)

    def _beat(self, interval: float | None = None) -> float | None:
        """Send an automatic heartbeat."""
        with self._beating:
            return self._session.run(self._run.keep_alive(interval))


class AsyncJobHelper(_Helper[P, S]):
    """A job that was handed to this process, for as long as its run lasts: `JobHelper`, awaited.

    Safe to share between tasks. Its heartbeats go one after another, and so do the calls that end
    the job, which wait for no heartbeat.
    """

    def __init__(self, session: AsyncSession, run: Run, queue: Queue[P, S]) -> None:
        super().__init__(run, queue)
        self._session = session

    # A worker has a helper for each job, and most need no lock.
    @cached_property
    def _beating(self) -> anyio.Lock:
        return anyio.Lock()

    @cached_property
    def _ending(self) -> anyio.Lock:
        return anyio.Lock()

    async def complete(self) -> None:
        """End the job: it is done, and gone from the server.

        On API v2 the server answers a run that is no longer ours just so, and keeps the job.
        """
        await self._end(self._run.complete())

    @overload
    async def heartbeat(self) -> None: ...
    @overload
    async def heartbeat(self, state: S | None) -> None: ...
    async def heartbeat(self, state: S | None | _Known = _KNOWN) -> None:
        """Keep the job for another `timeout` seconds and save its state, for the next run.

        Without an argument the known state is sent again; `None` erases it. Each attempt has a
        third of what is left of the lease. `JobLostError` when the job is no longer ours.
        """
        async with self._beating:
            await self._session.run(self._heartbeat(state))

    def heartbeat_auto(self, interval: float | None = None) -> AbstractAsyncContextManager[None]:
        """Send the known state from a task, every `interval` seconds (`timeout / 3`).

        A heartbeat that fails is tried again until `timeout` has passed; then the job counts as
        lost. When it is lost, the block is cancelled and left with `JobLostError`.
        """
        _check_interval(interval)
        return self._kept(interval)

    @asynccontextmanager
    async def _kept(self, interval: float | None) -> AsyncGenerator[None]:
        failure: BaseException | None = None
        keeper = AsyncKeeper(self._session.policy.clock)
        async with anyio.create_task_group() as group:
            lease = Lease(self._run, lambda: self._beat(interval), group.cancel_scope.cancel)
            keeper.add(lease, self._run.interval(interval))
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
        self, *, run_at: datetime | Schedule | None = None, state: S | None = ...
    ) -> None: ...
    async def reschedule(
        self,
        job: Job[Any, Any] | None = None,
        *,
        run_at: datetime | Schedule | None = None,
        state: S | None | _Known = _KNOWN,
    ) -> None:
        """Queue the same job again, at `run_at` (now) with `state` (the known one), or `job`.

        This says that the run was a success: retries start over. `run_at` may be a schedule, such
        as `Every` or `Recurring`, which is counted from when this run was due; when it has ended,
        the job is completed. API v1 takes a `job` of the same queue and id only
        (`UnsupportedError`); v2 takes any, and overwrites one that is there.
        """
        await self._end(self._reschedule(job, run_at, state))

    @overload
    async def release(self, *, delay: float = 0.0, costs_retry: bool = False) -> None: ...
    @overload
    async def release(
        self, *, delay: float = 0.0, costs_retry: bool = False, state: S | None
    ) -> None: ...
    async def release(
        self,
        *,
        delay: float = 0.0,
        costs_retry: bool = False,
        state: S | None | _Known = _KNOWN,
    ) -> None:
        """Put the job back, not done: at its old place in the queue, or after `delay` seconds.

        `state` (the known one) is saved for the next run. With `costs_retry` it counts as a failed
        run: one that has no `max_retries` left is removed. The server's own count, of timeouts,
        starts over.
        """
        await self._end(self._release(delay, costs_retry, state))

    async def requeue(self, jobs: Sequence[Job[Any, Any]], *, mode: EnqueueMode = "unique") -> None:
        """End the job and enqueue others in its place, all or nothing.

        `JobExistsError` names the first that is there already, and leaves the job ours. API v1 can
        only queue the same job again (`UnsupportedError`).
        """
        await self._end(self._requeue(jobs, mode))

    async def remove(self) -> None:
        """Delete the job from the server, whoever holds it."""
        await self._end(self._run.remove())

    async def exists(self) -> bool:
        """Look whether the job is still on the server, whoever holds it."""
        return await self._session.run(self._run.exists())

    async def _end(self, flow: Flow[None]) -> None:
        async with self._ending:
            await self._session.run(flow)

    async def _beat(self, interval: float | None = None) -> float | None:
        """Send an automatic heartbeat."""
        if self._beating.locked():
            await self._beating.acquire()
        else:
            self._beating.acquire_nowait()  # `acquire` lets the event loop turn once more
        try:
            return await self._session.run(self._run.keep_alive(interval))
        finally:
            self._beating.release()


def _check_interval(interval: float | None) -> None:
    if interval is not None and not interval > 0:
        raise ValueError(f"interval must be above 0 seconds, not {interval}")
