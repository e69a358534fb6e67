"""What a worker holds while it runs a job."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from enum import Enum
from typing import Any, Generic, Literal

import msgspec

from relay_sdk._checks import check_choice
from relay_sdk._flow import Flow
from relay_sdk._lease import AsyncLease, Lease
from relay_sdk._run import Run
from relay_sdk.heartbeat import abeating, beating
from relay_sdk.job import EnqueueMode, Job, P, Queue, RawJob, S, from_raw, write_state
from relay_sdk.schedule import Schedule


class Known(Enum):
    """The state this helper knows: the one that came with the job, or the last one it sent."""

    STATE = "known state"


KNOWN: Literal[Known.STATE] = Known.STATE


class _Helper(Generic[P, S]):
    """What the two helpers share: the job, and the flows of its run."""

    def __init__(self, run: Run, queue: Queue[P, S]) -> None:
        self._run = run
        self._queue = queue
        self._job: Job[P, S] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of job {self.raw.id!r} in queue {self.raw.queue!r}>"

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
    def lost(self) -> bool:
        """Whether a heartbeat has found the job to be no longer ours."""
        return self._run.lost is not None

    @property
    def stopping(self) -> bool:
        """Whether the worker is about to leave: save the state, and return or raise soon."""
        return self._run.stopping

    def _heartbeat(self, state: S | None | Known) -> Flow[None]:
        return self._run.heartbeat(self._written(state))

    def _reschedule(
        self,
        job: Job[Any, Any] | None,
        run_at: datetime | Schedule | None,
        state: S | None | Known,
    ) -> Flow[None]:
        if job is None:
            if not (run_at is None or isinstance(run_at, datetime)):
                run_at = self._run.due_after(run_at)
                if run_at is None:
                    return self._run.complete()
            return self._run.again(run_at, self._written(state))
        if run_at is not None or state is not KNOWN:
            raise TypeError("reschedule takes a job, or run_at and state, not both")
        return self._run.requeue([job], "replace")

    def _requeue(self, jobs: Sequence[Job[Any, Any]], mode: EnqueueMode) -> Flow[None]:
        check_choice("mode", mode, EnqueueMode)
        return self._run.requeue(jobs, mode)

    def _written(self, state: S | None | Known) -> msgspec.Raw | None:
        return None if isinstance(state, Known) else write_state(self._queue, self.raw.id, state)


class JobHelper(_Helper[P, S]):
    """A job that was handed to this process, for as long as its run lasts.

    Safe to share between threads: its requests go one after another.
    """

    def __init__(self, lease: Lease, queue: Queue[P, S]) -> None:
        super().__init__(lease.run, queue)
        self._lease = lease

    def complete(self) -> None:
        """End the job: it is done, and gone from the server.

        On API v2 the server answers a run that is no longer ours just so, and keeps the job.
        """
        self._lease.do(self._run.complete())

    def heartbeat(self, state: S | None | Known = KNOWN) -> None:
        """Keep the job for another `timeout` seconds and save its state, for the next run.

        Without an argument the known state is sent again; `None` erases it. `JobLostError` when
        the job is no longer ours.
        """
        self._lease.do(self._heartbeat(state))

    def heartbeat_auto(self, interval: float | None = None) -> AbstractContextManager[None]:
        """Send the known state from a thread, every `interval` seconds (`timeout / 3`).

        A heartbeat that fails is tried again until `timeout` has passed; then the job counts as
        lost. When it is lost, `lost` turns true, the next call raises `JobLostError`, and so does
        leaving the block. Leaving waits for a heartbeat that is on its way.
        """
        return beating(self._lease, interval)

    def reschedule(
        self,
        job: Job[Any, Any] | None = None,
        *,
        run_at: datetime | Schedule | None = None,
        state: S | None | Known = KNOWN,
    ) -> None:
        """Queue the same job again, at `run_at` (now) with `state` (the known one), or `job`.

        `run_at` may be a schedule, such as `Every` or `Recurring`, which is counted from when this
        run was due; when it has ended, the job is completed. Retries start over. API v1 takes a
        `job` of the same queue and id only (`UnsupportedError`); v2 takes any, and overwrites one
        that is there.
        """
        self._lease.do(self._reschedule(job, run_at, state))

    def requeue(self, jobs: Sequence[Job[Any, Any]], *, mode: EnqueueMode = "unique") -> None:
        """End the job and enqueue others in its place, all or nothing.

        `JobExistsError` names the first that is there already, and leaves the job ours. API v1 can
        only queue the same job again (`UnsupportedError`).
        """
        self._lease.do(self._requeue(jobs, mode))

    def remove(self) -> None:
        """Delete the job from the server, whoever holds it."""
        self._lease.do(self._run.remove())

    def exists(self) -> bool:
        """Look whether the job is still on the server, whoever holds it."""
        return self._lease.do(self._run.exists())


class AsyncJobHelper(_Helper[P, S]):
    """A job that was handed to this process, for as long as its run lasts: `JobHelper`, awaited.

    Safe to share between tasks: its requests go one after another.
    """

    def __init__(self, lease: AsyncLease, queue: Queue[P, S]) -> None:
        super().__init__(lease.run, queue)
        self._lease = lease

    async def complete(self) -> None:
        """End the job: it is done, and gone from the server.

        On API v2 the server answers a run that is no longer ours just so, and keeps the job.
        """
        await self._lease.do(self._run.complete())

    async def heartbeat(self, state: S | None | Known = KNOWN) -> None:
        """Keep the job for another `timeout` seconds and save its state, for the next run.

        Without an argument the known state is sent again; `None` erases it. `JobLostError` when
        the job is no longer ours.
        """
        await self._lease.do(self._heartbeat(state))

    def heartbeat_auto(self, interval: float | None = None) -> AbstractAsyncContextManager[None]:
        """Send the known state from a task, every `interval` seconds (`timeout / 3`).

        A heartbeat that fails is tried again until `timeout` has passed; then the job counts as
        lost. When it is lost, the block is cancelled and left with `JobLostError`.
        """
        return abeating(self._lease, interval)

    async def reschedule(
        self,
        job: Job[Any, Any] | None = None,
        *,
        run_at: datetime | Schedule | None = None,
        state: S | None | Known = KNOWN,
    ) -> None:
        """Queue the same job again, at `run_at` (now) with `state` (the known one), or `job`.

        `run_at` may be a schedule, such as `Every` or `Recurring`, which is counted from when this
        run was due; when it has ended, the job is completed. Retries start over. API v1 takes a
        `job` of the same queue and id only (`UnsupportedError`); v2 takes any, and overwrites one
        that is there.
        """
        await self._lease.do(self._reschedule(job, run_at, state))

    async def requeue(self, jobs: Sequence[Job[Any, Any]], *, mode: EnqueueMode = "unique") -> None:
        """End the job and enqueue others in its place, all or nothing.

        `JobExistsError` names the first that is there already, and leaves the job ours. API v1 can
        only queue the same job again (`UnsupportedError`).
        """
        await self._lease.do(self._requeue(jobs, mode))

    async def remove(self) -> None:
        """Delete the job from the server, whoever holds it."""
        await self._lease.do(self._run.remove())

    async def exists(self) -> bool:
        """Look whether the job is still on the server, whoever holds it."""
        return await self._lease.do(self._run.exists())
