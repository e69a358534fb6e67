"""Polling a queue for jobs, with requests that the server may hold until there are some."""

from __future__ import annotations  # annotations of nested functions cost 4 µs a call

from math import inf

from relay_sdk._base.flow import Flow, sleep
from relay_sdk._base.log import logger
from relay_sdk._engine.config import ClientConfig
from relay_sdk._engine.retries import with_api_version, with_retries
from relay_sdk._protocol.base import Api
from relay_sdk._protocol.models import RawJob
from relay_sdk._protocol.replies import ClaimedJobs
from relay_sdk.events import with_events
from relay_sdk.exceptions import RetryableError, ServerBusyError

MIN_POLL_TIMEOUT = 2.0
"""The shortest timeout of a poll, in seconds. Jobs in a reply that is cut off stay claimed."""
LONG_POLL_FRACTION = 0.8
"""The part of a request's timeout for which the server may hold it; the rest is for the reply."""
MAX_LONG_POLL = 3600.0
"""The longest time for which the server may hold a request, in seconds."""
REPLY_MARGIN = 1.0
"""Seconds before the end of a wait that are kept for the reply to a held request."""
MAX_CLAIM_AGE = 0.5
"""The greatest age of a claim when the reply to a held request arrives, in seconds."""
PROXY_TIMEOUT_STATUSES = {408, 502, 504}
"""The statuses that proxies return for a request that was held too long."""


def poll(
    config: ClientConfig,
    queue: str,
    num_jobs: int,
    timeout: float | None = None,
    *,
    long_poll: bool = False,
) -> Flow[tuple[list[RawJob], float]]:
    """Wait for jobs and claim up to `num_jobs` of them; return none after `timeout` seconds.

    With `long_poll`, the server is asked to hold each request until there are jobs. Also return the
    earliest moment at which the jobs may have been claimed: their timeouts count from then.
    """
    flow = _poll(config, queue, num_jobs, timeout, long_poll=long_poll)
    return with_events(config.on_event, "next", queue, None, flow, 0, lambda claim: len(claim[0]))


def _poll(
    config: ClientConfig, queue: str, num_jobs: int, timeout: float | None, *, long_poll: bool
) -> Flow[tuple[list[RawJob], float]]:
    long_poll = long_poll and config.may_long_poll
    now = config.clock.monotonic
    sent_at = now()
    deadline = inf if timeout is None else sent_at + timeout
    wait = 0

    def send(seconds: float) -> Flow[ClaimedJobs]:
        def send_once(api: Api) -> Flow[ClaimedJobs]:
            return api.next_jobs(queue, num_jobs, wait).send(seconds)

        nonlocal sent_at
        sent_at = now()
        return with_api_version(config, queue, None, send_once, seconds)

    def poll_once() -> Flow[ClaimedJobs]:
        nonlocal wait
        left = deadline - now()
        seconds = min(config.timeout, max(left, MIN_POLL_TIMEOUT))
        longest = min(config.timeout * LONG_POLL_FRACTION, left - REPLY_MARGIN, MAX_LONG_POLL)
        wait = max(int(longest), 0) if long_poll else 0
        try:
            return (yield from send(seconds))
        except RetryableError as error:
            if not (wait and _may_be_cut_off(error, now() - sent_at, seconds)):
                raise
            logger.debug("%s; a proxy on the way may end requests that are held", error)
        wait = 0
        return (yield from send(min(config.timeout, MIN_POLL_TIMEOUT)))

    waits = iter(config.next_backoff)
    answered = False
    while True:
        try:
            claimed = yield from with_retries(config, poll_once, deadline=deadline)
        except RetryableError:
            if answered and now() >= deadline:
                return [], sent_at
            raise
        if claimed.jobs:
            return claimed.jobs, max(sent_at, now() - MAX_CLAIM_AGE) if claimed.held else sent_at
        answered = True
        left = deadline - now()
        if wait and now() - sent_at >= wait and left > 0:
            continue  # the server has waited instead
        pause = next(waits, None)
        if pause is None or left <= 0:
            return [], sent_at
        yield from sleep(min(pause, left))


def _may_be_cut_off(error: RetryableError, elapsed: float, timeout: float) -> bool:
    """Return whether a proxy may have ended a request because it was held for so long."""
    if isinstance(error, ServerBusyError):
        return error.status in PROXY_TIMEOUT_STATUSES and not error.retry_after
    return error.sent and REPLY_MARGIN <= elapsed < timeout
