"""A job that was handed to this process, and what may be done with it: once, as flows."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from relay_sdk._checks import check_moment, place
from relay_sdk._flow import Flow
from relay_sdk._log import logger
from relay_sdk._operations import (
    MAX_BODY,
    complete,
    exists,
    remove,
    retrying,
    settle_by_looking,
    speaking,
    to_raws,
)
from relay_sdk._policy import Policy
from relay_sdk._wire.api import Api
from relay_sdk.exceptions import (
    JobExistsError,
    JobLostError,
    PayloadError,
    RelayError,
    RequestRejectedError,
)
from relay_sdk.job import EnqueueMode, Job, RawJob
from relay_sdk.schedule import Schedule

SHORTEST_INTERVAL = 0.25


class Run:
    """One run of a job, from the moment it was handed out until it has ended or is lost.

    `state` is the last one known. A heartbeat without a state would erase the saved one, so every
    heartbeat sends a state. One flow at a time: the helper sees to that.
    """

    def __init__(self, policy: Policy, raw: RawJob) -> None:
        self.raw = raw
        self.state: msgspec.Raw = raw.state
        self.ended: bool = False
        self.lost: str | None = None
        self.stopping: bool = False
        self._ending = False
        self._failing = False
        self._policy = policy
        self._retries = iter(policy.retry_backoff)
        self._ours_until = policy.clock.monotonic() + raw.timeout

    def check_ours(self) -> None:
        """Raise `JobLostError` when nothing can be done with the job any more."""
        if self.ended:
            raise self._lost_error("this helper has ended its run")
        self.check_kept()

    def check_kept(self) -> None:
        """Raise `JobLostError` when the job was lost."""
        if self.lost is not None:
            raise self._lost_error(self.lost)

    def heartbeat(self, new_state: msgspec.Raw | None) -> Flow[None]:
        """Keep the job for another timeout, with a new state or the known one."""
        self.check_ours()
        state = self.state if new_state is None else new_state
        if len(bytes(state)) > MAX_BODY:
            reason = f"{len(bytes(state))} bytes, of which the server would keep nothing"
            raise PayloadError(self.raw.queue, self.raw.id, "state", reason, None)
        before, self.state = self.state, state
        asked = self._policy.clock.monotonic()
        try:
            # Each attempt sends what is known then: others have their turn between two.
            yield from retrying(self._policy, self._beat)
        except RequestRejectedError:
            if self.state is state:
                self.state = before
            raise
        except JobLostError as error:
            self.lost = error.reason
            raise
        self._ours_until = asked + self.raw.timeout

    def keep_alive(self, interval: float | None) -> Flow[float | None]:
        """Send one automatic heartbeat; give the seconds until the next, `None` at the end.

        One that fails is tried again until the job's timeout has passed; then the job is lost.
        """
        if self.ended or self.lost is not None:
            return None
        usual = self.interval(interval)
        asked = self._policy.clock.monotonic()
        try:
            yield from self._beat()
        except JobLostError as error:
            if self._ending:
                return usual  # the trace of an end whose reply was lost
            self.lost = error.reason
            logger.warning("%s", error)
            return None
        except RelayError as error:
            left = self._ours_until - self._policy.clock.monotonic()
            if left <= 0:
                self.lost = f"no heartbeat arrived within its timeout of {self.raw.timeout} s"
                logger.warning("%s is lost: %s", place(self.raw.queue, self.raw.id), error)
                return None
            first, self._failing = not self._failing, True
            level = logging.WARNING if first else logging.INFO
            logger.log(level, "%s; the job is ours for another %.1f s", error, left)
            wait = next(self._retries, self._policy.retry_backoff.maximum)
            return min(usual, left, wait)
        self._failing = False
        self._ours_until = asked + self.raw.timeout
        self._retries = iter(self._policy.retry_backoff)
        return usual

    def interval(self, chosen: float | None) -> float:
        """Seconds between automatic heartbeats: three in a timeout, unless the user has chosen."""
        return max(self.raw.timeout / 3, SHORTEST_INTERVAL) if chosen is None else chosen

    def due_after(self, schedule: Schedule) -> datetime | None:
        """Give the moment that a schedule has for the next run."""
        now = self._policy.clock.now()
        return schedule.after(self.raw.run_at or now, now)

    def complete(self) -> Flow[None]:
        """End the run and the job."""
        self.check_ours()
        yield from self._end(complete(self._policy, self.raw))

    def again(
        self,
        run_at: datetime | None,
        new_state: msgspec.Raw | None = None,
        max_retries: int | None = None,
    ) -> Flow[None]:
        """End the run and queue the same job anew, its payload untouched."""
        moment = check_moment(f"run_at of {place(self.raw.queue, self.raw.id)}", run_at)
        job = msgspec.structs.replace(
            self.raw,
            run_at=moment,
            state=self.state if new_state is None else new_state,
            max_retries=self.raw.max_retries if max_retries is None else max_retries,
        )
        yield from self._requeue([job], "replace")

    def requeue(self, jobs: Sequence[Job[Any, Any]], mode: EnqueueMode) -> Flow[None]:
        """End the run and enqueue jobs in its place, all in one transaction."""
        yield from self._requeue(to_raws(jobs), mode)

    def remove(self) -> Flow[None]:
        """Delete the job, whoever holds it."""
        yield from self._end(remove(self._policy, self.raw.queue, self.raw.id, self.raw))

    def exists(self) -> Flow[bool]:
        """Look whether the job is still there, whoever holds it."""
        return (yield from exists(self._policy, self.raw.queue, self.raw.id))

    def _requeue(self, jobs: list[RawJob], mode: EnqueueMode) -> Flow[None]:
        self.check_ours()

        def ask() -> Flow[None]:
            return self._speaking(lambda api: api.requeue(self.raw, jobs, mode).ask())

        yield from self._end(retrying(self._policy, ask, partial(self._settle, jobs)))

    def _beat(self) -> Flow[None]:
        return self._speaking(lambda api: api.heartbeat(self.raw, self.state).ask())

    def _speaking(self, ask: Callable[[Api], Flow[None]]) -> Flow[None]:
        return speaking(self._policy, self.raw.queue, self.raw.id, ask)

    def _end(self, flow: Flow[None]) -> Flow[None]:
        self._ending = True
        try:
            yield from flow
        except JobLostError as error:
            self.lost = error.reason
            raise
        finally:
            self._ending = False
        self.ended = True

    def _settle(self, jobs: list[RawJob], error: JobExistsError | JobLostError) -> Flow[None]:
        # Only "not in flight" can be the trace of a requeue that succeeded: once its run has
        # ended, API v2 answers every further one with success.
        if isinstance(error, JobExistsError):
            raise error
        yield from settle_by_looking(self._policy, jobs, error)

    def _lost_error(self, reason: str) -> JobLostError:
        return JobLostError(self.raw.queue, self.raw.id, reason)
