"""A run of a job that this process has claimed: what may be done with it, as flows.

There is one heartbeat at a time, and one end that the handler asks for. No end waits for a
heartbeat. The locks for both belong to the run: a `ThreadRun` has those of threads, a `TaskRun`
those of tasks.
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any, Literal, TypeVar

import anyio
import msgspec

from relay_sdk._base.envelope import NO_FAILURES, FailureCount, unwrap, wrap
from relay_sdk._base.flow import Flow, Invoke, sleep
from relay_sdk._base.log import logger
from relay_sdk._base.validation import add_delay, job_label, to_utc
from relay_sdk._engine import operations
from relay_sdk._engine.config import ClientConfig
from relay_sdk._engine.polling import poll
from relay_sdk._engine.retries import (
    request_with_retries,
    requested_delay,
    with_api_version,
    with_retries,
)
from relay_sdk._engine.run_state import RunLifecycle, RunState
from relay_sdk.events import with_events
from relay_sdk.exceptions import (
    ClientStateError,
    JobExistsError,
    JobLostError,
    PayloadError,
    RelayError,
    RequestRejectedError,
    ServerBusyError,
)
from relay_sdk.job import EnqueueMode, Job, Queue, RawJob
from relay_sdk.schedule import Schedule

MIN_HEARTBEAT_INTERVAL = 0.25
"""The shortest default interval between automatic heartbeats, in seconds."""
OVERTAKEN_INTERVAL = 0.5
"""Seconds until a state is sent again that an older one may overtake."""
MIN_HEARTBEAT_TIMEOUT = 0.5
"""The shortest timeout of a heartbeat, in seconds."""


class Run(ABC):
    """One run of a job. `requested_at` is when the request that claimed it was sent.

    `state` is the last known state of the job. A heartbeat without a state would erase the saved
    one, so every heartbeat sends a state.
    """

    types: Queue[Any, Any] | None = None
    """The queue that declares the types of the job, for its events."""
    _unanswered: tuple[msgspec.Raw, float] | None = None
    """A state whose heartbeat got no answer, and until when that heartbeat may still arrive."""
    _retries: Iterator[float] | None = None

    def __init__(self, config: ClientConfig, raw: RawJob, requested_at: float) -> None:
        self.raw = raw
        self.failure_count: FailureCount
        self.state: msgspec.Raw
        self.failure_count, self.state = unwrap(raw.state)
        self.config = config
        self.lifecycle: RunLifecycle = RunLifecycle()
        self._requested_at = requested_at
        self._lease_end = requested_at + raw.timeout

    @property
    def label(self) -> str:
        """The job's name, for messages."""
        return job_label(self.raw.queue, self.raw.id)

    @property
    def log(self) -> "logging.LoggerAdapter[logging.Logger]":
        """The logger, for records about the job."""
        raw = self.raw
        extra = {"queue": raw.queue, "id": raw.id, "run_id": raw.run_id and str(raw.run_id)}
        return logging.LoggerAdapter(logger, extra | {"attempt": self.failure_count.failures + 1})

    @property
    def is_over(self) -> bool:
        """Whether nothing can be done with the job any more."""
        return self.lifecycle.is_over

    # Locks

    @property
    @abstractmethod
    def handler_is_ending(self) -> bool:
        """Whether an end that the handler asked for is under way."""

    @abstractmethod
    def wait_for_handler(self) -> Awaitable[None] | None:
        """Wait until an end that the handler asked for has succeeded or failed."""

    @abstractmethod
    def _acquire_heartbeat_lock(self) -> object:
        """Wait until no other heartbeat of the run is under way; in tasks, return an awaitable."""

    @abstractmethod
    def _release_heartbeat_lock(self) -> None: ...

    # Checks

    def check_held(self) -> None:
        """Raise `JobLostError` if nothing can be done with the job any more."""
        abandoned = self.lifecycle.state is RunState.ABANDONED
        if abandoned or self.lifecycle.is_ended:
            who = "the worker" if abandoned else "this helper"
            raise JobLostError(self.raw.queue, self.raw.id, f"{who} has ended its run")
        self._check_lease()
        self.check_not_lost()

    def check_not_lost(self) -> None:
        """Raise `JobLostError` if the job was lost."""
        if self.lifecycle.state is RunState.LOST and self.lifecycle.lost_reason is not None:
            raise JobLostError(self.raw.queue, self.raw.id, self.lifecycle.lost_reason)

    def _check_lease(self) -> None:
        """Count the job as lost after its timeout, if only time tells its runs apart (API v1)."""
        past = self.config.clock.monotonic() >= self._lease_end
        if self.raw.run_id is None and past:
            timeout = self.raw.timeout
            self.lifecycle.lose(f"its timeout of {timeout} s has passed since it was kept alive")

    # Heartbeats

    def heartbeat(self, new_state: msgspec.Raw | None) -> Flow[None]:
        """Extend the lease by the job's timeout, with a new state or the known one."""
        self.check_held()
        before, state = self.state, self.state if new_state is None else new_state
        if len(state) > operations.MAX_BODY:
            reason = f"{len(state)} bytes, of which the server would keep nothing"
            raise PayloadError(self.raw.queue, self.raw.id, "state", reason, None)
        self.state = state
        try:
            yield from with_retries(self.config, self._send_heartbeat)
            if self._may_be_overtaken:
                yield from sleep(OVERTAKEN_INTERVAL)
                yield from with_retries(self.config, self._send_heartbeat)
        except RequestRejectedError:
            if self.state is state:
                self.state = before
            raise

    def keep_alive(self, interval: float | None) -> Flow[float | None]:
        """Send one automatic heartbeat; return the seconds until the next, `None` after the last.

        A heartbeat that fails is retried until the job's timeout has passed; then the job is lost.
        """
        yield Invoke(self._acquire_heartbeat_lock)
        try:
            return (yield from self._keep_alive(interval))
        finally:
            self._release_heartbeat_lock()

    def _keep_alive(self, interval: float | None) -> Flow[float | None]:
        self._check_lease()
        if self.is_over:
            return None
        usual = self.heartbeat_interval(interval)
        try:
            yield from self._send_heartbeat()
        except JobLostError as error:
            self.log.warning("%s", error)
            return None
        except ClientStateError as error:
            self.lifecycle.lose(str(error))
            return None
        except RelayError as error:
            left = self._lease_end - self.config.clock.monotonic()
            if left <= 0:
                timeout = self.raw.timeout
                self.lifecycle.lose(f"no heartbeat arrived within its timeout of {timeout} s")
                self.log.warning("%s is lost: %s", self.label, error)
                return None
            level = logging.WARNING if self._retries is None else logging.INFO
            self.log.log(level, "%s; the job stays claimed for another %.1f s", error, left)
            backoff = self.config.retry_backoff
            self._retries = self._retries or iter(backoff)
            wait = next(self._retries, backoff.maximum)
            return min(usual, left, max(wait, requested_delay(error, backoff)))
        self._retries = None
        return min(usual, OVERTAKEN_INTERVAL) if self._may_be_overtaken else usual

    @property
    def _may_be_overtaken(self) -> bool:
        """Whether a heartbeat without an answer may still arrive and restore an older state."""
        if self._unanswered is None:
            return False
        state, until = self._unanswered
        return state != self.state and self.config.clock.monotonic() < until

    def _send_heartbeat(self) -> Flow[None]:
        """Send the known state once. The lease counts from now, not from the reply."""
        if self.lifecycle.is_ended:
            return
        sent_at = self.config.clock.monotonic()
        timeout = max((self._lease_end - sent_at) / 3, MIN_HEARTBEAT_TIMEOUT)
        timeout = min(timeout, self.config.timeout)
        before = self._unanswered
        if not self._may_be_overtaken:
            self._unanswered = self.state, sent_at + self.config.timeout
        try:
            state = wrap(self.failure_count, self.state)
            key = self.raw.queue, self.raw.id
            flow = with_api_version(
                self.config,
                *key,
                lambda api: api.heartbeat(self.raw, state).send(timeout),
                timeout,
            )
            yield from with_events(self.config.on_event, "heartbeat", *key, flow)
        except RelayError as error:
            if not error.sent:
                self._unanswered = before
            if isinstance(error, JobLostError):
                if self.lifecycle.is_ending or self.lifecycle.is_ended:
                    return  # the end has arrived; its reply is on its way, or was lost
                self.lifecycle.lose(error.reason)
            elif isinstance(error, ServerBusyError):
                # The next heartbeat must arrive in time, whatever the server asks for.
                left = self._lease_end - self.config.clock.monotonic()
                error.retry_after = min(error.retry_after, max(left / 3, 0.0))
            raise
        self._unanswered = before
        self._lease_end = sent_at + self.raw.timeout

    def heartbeat_interval(self, chosen: float | None) -> float:
        """Return the seconds between automatic heartbeats: a third of the timeout by default."""
        return max(self.raw.timeout / 3, MIN_HEARTBEAT_INTERVAL) if chosen is None else chosen

    # Times

    def due_after(self, schedule: Schedule) -> datetime | None:
        """Return when the next run is due by a schedule, `None` if the schedule has ended."""
        now = self._now()
        return schedule.after(self.failure_count.due or self.raw.run_at or now, now)

    def later(self, delay: float | timedelta) -> datetime:
        """Return the time after a delay from now."""
        return add_delay(self._now(), delay, self.raw.queue, self.raw.id)

    def _now(self) -> datetime:
        """Return the time by the server's clock: the clock of this machine may be wrong."""
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
        """End the run and queue the same job again, its payload untouched."""
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
        state: Literal[RunState.RELEASED, RunState.RETRIED, RunState.INTERRUPTED],
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
        yield from self._queue_again(state, run_at, new_state, count)

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

    def _end(self, state: RunState, flow: Flow[None], *, must_hold: bool = True) -> Flow[None]:
        if must_hold:
            self.check_held()
        self.lifecycle.begin_end()
        reached: RunState | None = None
        try:
            yield from flow
            reached = state
        except JobLostError as error:
            self.lifecycle.lose(error.reason)
            raise
        finally:
            self.lifecycle.finish_end(reached)

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

    def __init__(self, config: ClientConfig, raw: RawJob, requested_at: float) -> None:
        super().__init__(config, raw, requested_at)
        self.heartbeat_lock: threading.Lock = threading.Lock()
        self.end_lock: threading.Lock = threading.Lock()

    @property
    def handler_is_ending(self) -> bool:
        return self.end_lock.locked()

    def wait_for_handler(self) -> None:
        with self.end_lock:
            pass

    def _acquire_heartbeat_lock(self) -> object:
        return self.heartbeat_lock.acquire()

    def _release_heartbeat_lock(self) -> None:
        self.heartbeat_lock.release()


class TaskRun(Run):
    """A run whose helper is shared between tasks. Most runs need no lock, so none is made early."""

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

    The runs use `run_config`, if it is given, in the place of the config of the request.
    """
    jobs, requested_at = yield from poll(config, queue, num_jobs, timeout, long_poll=long_poll)
    return [kind(run_config or config, job, requested_at) for job in jobs]
