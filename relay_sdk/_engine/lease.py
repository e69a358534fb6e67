"""The lease of a claimed job, and the heartbeats that extend it."""

import logging
from collections.abc import Iterator

import msgspec

from relay_sdk._base.envelope import FailureCount, unwrap, wrap
from relay_sdk._base.flow import Flow, sleep
from relay_sdk._base.log import logger
from relay_sdk._base.validation import job_label
from relay_sdk._engine.config import ClientConfig
from relay_sdk._engine.operations import MAX_BODY
from relay_sdk._engine.retries import requested_delay, with_api_version, with_retries
from relay_sdk._engine.run_state import RunLifecycle, RunState
from relay_sdk.events import with_events
from relay_sdk.exceptions import (
    ClientStateError,
    JobLostError,
    PayloadError,
    RelayError,
    RequestRejectedError,
    ServerBusyError,
)
from relay_sdk.job import RawJob

MIN_HEARTBEAT_INTERVAL = 0.25
"""The shortest default interval between automatic heartbeats, in seconds."""
OVERTAKEN_INTERVAL = 0.5
"""Seconds after which a state is sent again, because an older heartbeat may arrive after it."""
MIN_HEARTBEAT_TIMEOUT = 0.5
"""The shortest timeout of a heartbeat, in seconds."""


class Lease:
    """The lease of a claimed job. It ends `raw.timeout` seconds after the last heartbeat was sent.

    `requested_at` is when the request that claimed the job was sent. `state` is the last known
    state of the job. A heartbeat without a state would erase the saved one, so every heartbeat
    sends a state.
    """

    _unanswered: tuple[msgspec.Raw, float] | None = None
    """The state of a heartbeat without a reply, and until when that heartbeat may arrive."""
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
        """Whether the run has ended, was lost, or was abandoned."""
        return self.lifecycle.is_over

    def check_held(self) -> None:
        """Raise `JobLostError` if the run has ended, was lost, or was abandoned."""
        lifecycle = self.lifecycle
        if lifecycle.is_over:
            abandoned = lifecycle.state is RunState.ABANDONED
            if abandoned or lifecycle.is_ended:
                who = "the worker" if abandoned else "this helper"
                raise JobLostError(self.raw.queue, self.raw.id, f"{who} has ended its run")
        self._check_lease()
        self.check_not_lost()

    def check_not_lost(self) -> None:
        """Raise `JobLostError` if the job was lost."""
        reason = self.lifecycle.lost_reason
        if reason is not None and self.lifecycle.state is RunState.LOST:
            raise JobLostError(self.raw.queue, self.raw.id, reason)

    def _check_lease(self) -> None:
        """Count the job as lost after its timeout, on API v1, which has no run ids."""
        past = self.config.clock.monotonic() >= self._lease_end
        if self.raw.run_id is None and past:
            timeout = self.raw.timeout
            self.lifecycle.lose(f"its timeout of {timeout} s has passed since it was kept alive")

    def heartbeat(self, new_state: msgspec.Raw | None) -> Flow[None]:
        """Extend the lease by the job's timeout, with a new state or the known one."""
        self.check_held()
        before, state = self.state, self.state if new_state is None else new_state
        if len(state) > MAX_BODY:
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

    def send_automatic_heartbeat(self, interval: float | None) -> Flow[float | None]:
        """Send one heartbeat; return the seconds until the next one, `None` after the last one."""
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
                # The next heartbeat must arrive in time, even if `Retry-After` is longer.
                left = self._lease_end - self.config.clock.monotonic()
                error.retry_after = min(error.retry_after, max(left / 3, 0.0))
            raise
        self._unanswered = before
        self._lease_end = sent_at + self.raw.timeout

    def heartbeat_interval(self, chosen: float | None) -> float:
        """Return the seconds between automatic heartbeats: a third of the timeout by default."""
        return max(self.raw.timeout / 3, MIN_HEARTBEAT_INTERVAL) if chosen is None else chosen
