"""A run of a job that was handed to this process: what may be done with it, as flows.

Heartbeats and ends are apart: of each there is one at a time, which is seen to by whoever drives
the flows, and no end waits for a heartbeat.
"""

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from relay_sdk._base.envelope import NO_FAILURES, FailureCount, unwrap, wrap
from relay_sdk._base.flow import Flow, sleep
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

SHORTEST_INTERVAL = 0.25
SOON = 0.5
"""Seconds until a state is sent again that an older one may overtake."""
SHORTEST_PATIENCE = 0.5
"""Seconds that a heartbeat has at least to be answered."""


class Run:
    """One run of a job, with its lease: `asked` is when the request that brought it was sent.

    `state` is the last one known. A heartbeat without a state would erase the saved one, so every
    heartbeat sends a state. The run is over when it has `ended` on the server, was `lost`, or the
    worker has `left` it.
    """

    ended: bool = False
    left: bool = False
    lost: str | None = None
    released: bool = False
    stopping: bool = False
    meant: Callable[[], Flow[None]] | None = None
    """How a worker is about to end the run."""
    handled: bool = False
    """Whether an end that a helper was asked for is under way."""
    types: Queue[Any, Any] | None = None
    _ending: bool = False
    _late: tuple[msgspec.Raw, float] | None = None
    _retries: Iterator[float] | None = None

    def __init__(self, config: ClientConfig, raw: RawJob, asked: float) -> None:
        self.raw = raw
        self.count: FailureCount
        self.state: msgspec.Raw
        self.count, self.state = unwrap(raw.state)
        self.config = config
        self._asked = asked
        self._ours_until = asked + raw.timeout

    @property
    def where(self) -> str:
        """The job's name, for messages."""
        return job_label(self.raw.queue, self.raw.id)

    @property
    def log(self) -> "logging.LoggerAdapter[logging.Logger]":
        """The logger, for records about the job."""
        raw = self.raw
        extra = {"queue": raw.queue, "id": raw.id, "run_id": raw.run_id and str(raw.run_id)}
        return logging.LoggerAdapter(logger, extra | {"attempt": self.count.failures + 1})

    @property
    def over(self) -> bool:
        """Whether nothing can be done with the job any more."""
        return self.ended or self.left or self.lost is not None

    def check_ours(self) -> None:
        """Raise `JobLostError` when nothing can be done with the job any more."""
        if self.ended or self.left:
            who = "this helper" if self.ended else "the worker"
            raise JobLostError(self.raw.queue, self.raw.id, f"{who} has ended its run")
        self._check_fence()
        self.check_kept()

    def _check_fence(self) -> None:
        """Count the job as lost once its lease is over, where only time tells runs apart."""
        past = self.config.clock.monotonic() >= self._ours_until
        if self.raw.run_id is None and past and not self.over:
            self.lost = f"its timeout of {self.raw.timeout} s has passed since it was kept alive"

    def check_kept(self) -> None:
        """Raise `JobLostError` when the job was lost."""
        if self.lost is not None and not self.ended:
            raise JobLostError(self.raw.queue, self.raw.id, self.lost)

    def heartbeat(self, new_state: msgspec.Raw | None) -> Flow[None]:
        """Keep the job for another timeout, with a new state or the known one."""
        self.check_ours()
        before, state = self.state, self.state if new_state is None else new_state
        if len(state) > operations.MAX_BODY:
            reason = f"{len(state)} bytes, of which the server would keep nothing"
            raise PayloadError(self.raw.queue, self.raw.id, "state", reason, None)
        self.state = state
        try:
            yield from with_retries(self.config, self._beat)
            if self._unsure:
                yield from sleep(SOON)
                yield from with_retries(self.config, self._beat)
        except RequestRejectedError:
            if self.state is state:
                self.state = before
            raise

    def keep_alive(self, interval: float | None) -> Flow[float | None]:
        """Send one automatic heartbeat; give the seconds until the next, `None` at the end.

        One that fails is tried again until the job's timeout has passed; then the job is lost.
        """
        self._check_fence()
        if self.over:
            return None
        usual = self.interval(interval)
        try:
            yield from self._beat()
        except JobLostError as error:
            self.log.warning("%s", error)
            return None
        except ClientStateError as error:
            self.lost = str(error)
            return None
        except RelayError as error:
            left = self._ours_until - self.config.clock.monotonic()
            if left <= 0:
                self.lost = f"no heartbeat arrived within its timeout of {self.raw.timeout} s"
                self.log.warning("%s is lost: %s", self.where, error)
                return None
            level = logging.WARNING if self._retries is None else logging.INFO
            self.log.log(level, "%s; the job is ours for another %.1f s", error, left)
            backoff = self.config.retry_backoff
            self._retries = self._retries or iter(backoff)
            wait = next(self._retries, backoff.maximum)
            return min(usual, left, max(wait, requested_delay(error, backoff)))
        self._retries = None
        return min(usual, SOON) if self._unsure else usual

    @property
    def _unsure(self) -> bool:
        """Whether a heartbeat that got no answer may yet arrive, and bring back an older state."""
        if self._late is None:
            return False
        state, until = self._late
        return state != self.state and self.config.clock.monotonic() < until

    def _beat(self) -> Flow[None]:
        """Send the known state once. The lease counts from now, not from the reply."""
        if self.ended:
            return
        asked = self.config.clock.monotonic()
        patience = max((self._ours_until - asked) / 3, SHORTEST_PATIENCE)
        within = min(patience, self.config.timeout)
        before = self._late
        if not self._unsure:
            self._late = self.state, asked + self.config.timeout
        try:
            state = wrap(self.count, self.state)
            about = self.raw.queue, self.raw.id
            flow = with_api_version(
                self.config, *about, lambda api: api.heartbeat(self.raw, state).send(within), within
            )
            yield from with_events(self.config.on_event, "heartbeat", *about, flow)
        except RelayError as error:
            if not error.sent:
                self._late = before
            if isinstance(error, JobLostError):
                if self._ending or self.ended:
                    return  # the trace of an end whose reply is on its way, or was lost
                self.lost = error.reason
            elif isinstance(error, ServerBusyError):
                # The next one has to arrive in time, whatever the server asks for.
                left = self._ours_until - self.config.clock.monotonic()
                error.retry_after = min(error.retry_after, max(left / 3, 0.0))
            raise
        self._late = before
        self._ours_until = asked + self.raw.timeout

    def interval(self, chosen: float | None) -> float:
        """Seconds between automatic heartbeats: three in a timeout, unless the user has chosen."""
        return max(self.raw.timeout / 3, SHORTEST_INTERVAL) if chosen is None else chosen

    def due_after(self, schedule: Schedule) -> datetime | None:
        """Give the moment that a schedule has for the next run."""
        now = self._now()
        return schedule.after(self.count.due or self.raw.run_at or now, now)

    def later(self, delay: float | timedelta) -> datetime:
        """Give the moment that comes a delay after now."""
        return add_delay(self._now(), delay, self.raw.queue, self.raw.id)

    def _now(self) -> datetime:
        """Tell the time by the server's clock: this machine's may be wrong, or set meanwhile."""
        clock, given_out = self.config.clock, self.raw.updated_at
        if given_out is None:
            return clock.now()
        return given_out + timedelta(seconds=clock.monotonic() - self._asked)

    def complete(self) -> Flow[None]:
        """End the run and the job."""
        return self._end(operations.complete(self.config, self.raw))

    def again(self, run_at: datetime | None, new_state: msgspec.Raw | None = None) -> Flow[None]:
        """End the run and queue the same job anew, its payload untouched."""
        return self._queue_again(to_utc(f"run_at of {self.where}", run_at), new_state)

    def release(
        self,
        new_state: msgspec.Raw | None = None,
        delay: float | timedelta = 0.0,
        count_as_failure: bool = False,
    ) -> Flow[None]:
        """End the run and put the job back, not done: at its old place, or after a delay.

        One that costs a retry, and has none left, is removed, as after a timeout.
        """
        later, count, run_at = self.later(delay), self.count, self.raw.run_at
        if delay:
            run_at = later
            count = FailureCount(count.failures, count.due or self.raw.run_at)
        if count_as_failure:
            count = FailureCount(count.failures + 1, count.due)
            if self.raw.max_retries is not None and count.failures > self.raw.max_retries:
                self.log.warning("%s has no retries left, and is removed", self.where)
                yield from self.complete()
                return
        yield from self._queue_again(run_at, new_state, count)
        self.released = True

    def requeue(self, jobs: Sequence[Job[Any, Any]], mode: EnqueueMode) -> Flow[None]:
        """End the run and enqueue jobs in its place, all in one transaction."""
        return self._requeue(operations.to_raws(jobs), mode)

    def remove(self) -> Flow[None]:
        """Delete the job, whoever holds it."""
        flow = operations.remove(self.config, self.raw.queue, self.raw.id, self.raw)
        return self._end(flow, ours=False)

    def exists(self) -> Flow[bool]:
        """Look whether the job is still there, whoever holds it."""
        return operations.exists(self.config, self.raw.queue, self.raw.id)

    def _queue_again(
        self,
        run_at: datetime | None,
        new_state: msgspec.Raw | None,
        count: FailureCount = NO_FAILURES,
    ) -> Flow[None]:
        state = self.state if new_state is None else new_state
        job = msgspec.structs.replace(self.raw, run_at=run_at, state=wrap(count, state))
        return self._requeue([job], "replace")

    def _requeue(self, jobs: list[RawJob], mode: EnqueueMode) -> Flow[None]:
        about, settle = (self.raw.queue, self.raw.id), partial(self._settle, jobs)
        flow = request_with_retries(
            self.config, *about, lambda api: api.requeue(self.raw, jobs, mode).send(), settle
        )
        return self._end(with_events(self.config.on_event, "requeue", *about, flow))

    def _end(self, flow: Flow[None], *, ours: bool = True) -> Flow[None]:
        if ours:
            self.check_ours()
        self._ending = True
        try:
            yield from flow
        except JobLostError as error:
            self.lost = error.reason
            raise
        finally:
            self._ending = False
        self.ended = True

    @contextmanager
    def ending(self) -> Generator[None]:
        """Keep the worker from overtaking an end that a helper was asked for."""
        self.handled = True
        try:
            yield
        finally:
            self.handled = False

    def _settle(self, jobs: list[RawJob], error: JobExistsError | JobLostError) -> Flow[None]:
        # Only "not in flight" can be the trace of a requeue that succeeded: once its run has
        # ended, API v2 answers every further one with success.
        if isinstance(error, JobExistsError):
            raise error
        if not (yield from operations.verify_enqueued(self.config, jobs, error)):
            raise error


def take_runs(
    config: ClientConfig,
    queue: str,
    num_jobs: int,
    timeout: float | None,
    *,
    long_poll: bool = False,
) -> Flow[list[Run]]:
    """Wait for jobs and take up to `num_jobs` of them; none after `timeout` seconds."""
    jobs, asked = yield from poll(config, queue, num_jobs, timeout, long_poll=long_poll)
    return [Run(config, job, asked) for job in jobs]
