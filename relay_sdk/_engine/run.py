"""A run of a claimed job, and the flows that end it.

A run sends one heartbeat at a time, and one request of the handler that ends it; the second does
not wait for the first. Each has a lock of the run: a `ThreadRun` has the locks of threads, a
`TaskRun` those of tasks.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any, Literal, TypeVar

import anyio
import msgspec

from relay_sdk._base.envelope import NO_FAILURES, FailureCount, wrap
from relay_sdk._base.flow import Flow, Invoke
from relay_sdk._base.validation import add_delay, to_utc
from relay_sdk._engine import operations
from relay_sdk._engine.config import ClientConfig
from relay_sdk._engine.lease import Lease
from relay_sdk._engine.polling import poll
from relay_sdk._engine.retries import request_with_retries
from relay_sdk._engine.run_state import RunState
from relay_sdk.events import with_events
from relay_sdk.exceptions import JobExistsError, JobLostError
from relay_sdk.job import EnqueueMode, Job, Queue, RawJob
from relay_sdk.schedule import Schedule


class Run(Lease, ABC):
    """One run of a job."""

    types: Queue[Any, Any] | None = None
    """The queue that declares the types of the job, for its events."""

    @property
    @abstractmethod
    def handler_is_ending(self) -> bool:
        """Whether the handler is ending the run right now."""

    @abstractmethod
    def wait_for_handler(self) -> Awaitable[None] | None:
        """Wait until the handler's request to end the run has succeeded or failed.

        A `ThreadRun` waits until `stop_waiting` is called, too.
        """

    @abstractmethod
    def stop_waiting(self) -> None:
        """End the wait for the handler: its request has ended, or the worker has left."""

    @abstractmethod
    def _acquire_heartbeat_lock(self) -> object:
        """Wait until no other heartbeat of the run is under way; in tasks, return an awaitable."""

    @abstractmethod
    def _release_heartbeat_lock(self) -> None: ...

    def keep_alive(self, interval: float | None) -> Flow[float | None]:
        """Send one automatic heartbeat; return the seconds until the next, `None` after the last.

        A heartbeat that fails is retried until the job's timeout has passed; then the job is lost.
        """
        yield Invoke(self._acquire_heartbeat_lock)
        try:
            return (yield from self.send_automatic_heartbeat(interval))
        finally:
            self._release_heartbeat_lock()

    # Times

    def due_after(self, schedule: Schedule) -> datetime | None:
        """Return when the next run is due by a schedule, `None` if the schedule has ended."""
        now = self._now()
        return schedule.after(self.failure_count.due or self.raw.run_at or now, now)

    def later(self, delay: float | timedelta) -> datetime:
        """Return the time after a delay from now."""
        return add_delay(self._now(), delay, self.raw.queue, self.raw.id)

    def _now(self) -> datetime:
        """Return the server's time, because the clock of this machine may be wrong."""
        clock, claimed_at = self.config.clock, self.raw.updated_at
        if claimed_at is None:
            return clock.now()
        return claimed_at + timedelta(seconds=clock.monotonic() - self._requested_at)

    # Ends

    def complete(self) -> Flow[None]:
        """End the run and delete the job: it is done."""
        return self._end(RunState.COMPLETED, operations.complete(self.config, self.raw))

    def give_up(self) -> Flow[None]:
        """End the run and delete the job: it has used up its retries."""
        return self._end(RunState.FAILED, operations.complete(self.config, self.raw))

    def reschedule(
        self, run_at: datetime | None, new_state: msgspec.Raw | None = None
    ) -> Flow[None]:
        """End the run and queue the same job again, with the same payload."""
        run_at = to_utc(f"run_at of {self.label}", run_at)
        return self._queue_again(RunState.RESCHEDULED, run_at, new_state)

    def reschedule_as(self, job: Job[Any, Any]) -> Flow[None]:
        """End the run and queue a job in its place, which overwrites one with its id."""
        return self._requeue(RunState.RESCHEDULED, operations.to_raws([job]), "replace")

    def release(
        self,
        new_state: msgspec.Raw | None = None,
        delay: float | timedelta = 0.0,
        count_as_failure: bool = False,
    ) -> Flow[None]:
        """End the run and put the job back: at its old place in the queue, or after a delay."""
        return self._put_back(RunState.RELEASED, new_state, delay, count_as_failure)

    def retry(self, delay: float) -> Flow[None]:
        """End the run, which has failed, and put the job back after a delay."""
        return self._put_back(RunState.RETRIED, None, delay, True)

    def interrupt(self) -> Flow[None]:
        """End the run, because the worker stops, and put the job back at its old place."""
        return self._put_back(RunState.INTERRUPTED, None, 0.0, False)

    def requeue(self, jobs: Sequence[Job[Any, Any]], mode: EnqueueMode) -> Flow[None]:
        """End the run and enqueue jobs in its place, in one transaction."""
        return self._requeue(RunState.REQUEUED, operations.to_raws(jobs), mode)

    def remove(self) -> Flow[None]:
        """Delete the job, whichever run holds it."""
        flow = operations.remove(self.config, self.raw.queue, self.raw.id, self.raw)
        return self._end(RunState.REMOVED, flow, must_hold=False)

    def exists(self) -> Flow[bool]:
        """Return whether the job is still on the server, whichever run holds it."""
        return operations.exists(self.config, self.raw.queue, self.raw.id)

    def _put_back(
        self,
        end_state: Literal[RunState.RELEASED, RunState.RETRIED, RunState.INTERRUPTED],
        new_state: msgspec.Raw | None,
        delay: float | timedelta,
        count_as_failure: bool,
    ) -> Flow[None]:
        """Put the job back; remove it instead if the failure exceeds its `max_retries`."""
        later, count, run_at = self.later(delay), self.failure_count, self.raw.run_at
        if delay:
            run_at = later
            count = FailureCount(count.failures, count.due or self.raw.run_at)
        if count_as_failure:
            count = FailureCount(count.failures + 1, count.due)
            if self.raw.max_retries is not None and count.failures > self.raw.max_retries:
                self.log.warning("%s has no retries left, and is removed", self.label)
                yield from self.give_up()
                return
        yield from self._queue_again(end_state, run_at, new_state, count)

    def _queue_again(
        self,
        end_state: RunState,
        run_at: datetime | None,
        new_state: msgspec.Raw | None,
        count: FailureCount = NO_FAILURES,
    ) -> Flow[None]:
        state = self.state if new_state is None else new_state
        job = msgspec.structs.replace(self.raw, run_at=run_at, state=wrap(count, state))
        return self._requeue(end_state, [job], "replace")

    def _requeue(self, end_state: RunState, jobs: list[RawJob], mode: EnqueueMode) -> Flow[None]:
        key = self.raw.queue, self.raw.id
        flow = request_with_retries(
            self.config,
            *key,
            lambda api: api.requeue(self.raw, jobs, mode).send(),
            partial(self._resolve_ambiguity, jobs),
        )
        return self._end(end_state, with_events(self.config.on_event, "requeue", *key, flow))

    def _end(self, end_state: RunState, flow: Flow[None], *, must_hold: bool = True) -> Flow[None]:
        if must_hold:
            self.check_held()
        self.lifecycle.begin_end(flow)
        try:
            yield from flow
        except JobLostError as error:
            self.lifecycle.lose(error.reason)
            raise
        self.lifecycle.finish_end(end_state)

    def _resolve_ambiguity(
        self, jobs: list[RawJob], error: JobExistsError | JobLostError
    ) -> Flow[None]:
        # Only "not in flight" can be caused by a requeue that succeeded: once its run has ended,
        # API v2 answers every further requeue with success.
        if isinstance(error, JobExistsError):
            raise error
        if not (yield from operations.verify_enqueued(self.config, jobs, error)):
            raise error


class ThreadRun(Run):
    """A run whose helper is shared between threads."""

    _handler_done: threading.Event | None = None

    def __init__(self, config: ClientConfig, raw: RawJob, requested_at: float) -> None:
        super().__init__(config, raw, requested_at)
        self.heartbeat_lock: threading.Lock = threading.Lock()
        self.end_lock: threading.Lock = threading.Lock()

    @property
    def handler_is_ending(self) -> bool:
        return self.end_lock.locked()

    def wait_for_handler(self) -> None:
        self._handler_done = done = threading.Event()
        if self.handler_is_ending:
            done.wait()

    def stop_waiting(self) -> None:
        if self._handler_done is not None:
            self._handler_done.set()

    def _acquire_heartbeat_lock(self) -> object:
        return self.heartbeat_lock.acquire()

    def _release_heartbeat_lock(self) -> None:
        self.heartbeat_lock.release()


class TaskRun(Run):
    """A run whose helper is shared between tasks. Most need no lock, so each is created late."""

    @cached_property
    def heartbeat_lock(self) -> anyio.Lock:
        return anyio.Lock()

    @cached_property
    def end_lock(self) -> anyio.Lock:
        return anyio.Lock()

    @property
    def handler_is_ending(self) -> bool:
        return "end_lock" in vars(self) and self.end_lock.locked()

    async def wait_for_handler(self) -> None:
        async with self.end_lock:
            pass

    def stop_waiting(self) -> None:
        """No-op: the wait of a task ends by cancellation."""

    def _acquire_heartbeat_lock(self) -> object:
        if self.heartbeat_lock.locked():
            return self.heartbeat_lock.acquire()
        self.heartbeat_lock.acquire_nowait()  # `acquire` would let other tasks run first
        return None

    def _release_heartbeat_lock(self) -> None:
        self.heartbeat_lock.release()


R = TypeVar("R", bound=Run)


def claim_runs(
    kind: type[R],
    config: ClientConfig,
    queue: str,
    num_jobs: int,
    timeout: float | None = None,
    *,
    long_poll: bool = False,
    run_config: ClientConfig | None = None,
) -> Flow[list[R]]:
    """Wait for jobs and claim up to `num_jobs` of them; return none after `timeout` seconds.

    If `run_config` is given, the runs use it instead of the config of the request.
    """
    jobs, requested_at = yield from poll(config, queue, num_jobs, timeout, long_poll=long_poll)
    return [kind(run_config or config, job, requested_at) for job in jobs]
