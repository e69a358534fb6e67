"""Repeat requests until the answer is definite, in the API version of the server.

Heartbeats (`lease`), ends of runs (`worker.execution`), fetches (`worker.fetching`) and polls that
a proxy cuts off (`polling`) have retries of their own.
"""

from __future__ import annotations  # annotations of nested functions cost 4 µs a call

import random
from collections.abc import Callable, Iterator
from functools import partial
from math import inf
from typing import TypeVar

from relay_sdk._base.flow import Flow, sleep
from relay_sdk._base.log import logger
from relay_sdk._base.validation import job_label
from relay_sdk._engine.config import ClientConfig
from relay_sdk._protocol.base import Api
from relay_sdk.backoff import Backoff
from relay_sdk.exceptions import (
    JobExistsError,
    JobLostError,
    RelayError,
    RetryableError,
    ServerBusyError,
    UnexpectedStatusError,
)

R = TypeVar("R")

MAX_RETRY_AFTER = 60.0
"""The longest `Retry-After` that is honored, in seconds."""


def with_api_version(
    config: ClientConfig,
    queue: str,
    id: str | None,
    send: Callable[[Api], Flow[R]],
    timeout: float | None = None,
) -> Flow[R]:
    """Send a request once, in the API version of the server.

    If the version's route is missing, negotiate again and send the request in the new version. An
    error names the queue and id; `timeout` bounds each request of the negotiation, in seconds.
    """
    versions = config.versions
    api = versions.negotiated or (yield from versions.negotiate(job_label(queue, id), timeout))
    try:
        return (yield from send(api))
    except UnexpectedStatusError as error:
        if not versions.invalidate(api, error):
            raise
    api = yield from versions.negotiate(job_label(queue, id), timeout)
    return (yield from send(api))


def with_retries(
    config: ClientConfig,
    attempt: Callable[[], Flow[R]],
    resolve_ambiguity: Callable[[JobExistsError | JobLostError], Flow[R]] | None = None,
    deadline: float = inf,
) -> Flow[R]:
    """Repeat an attempt until its result is definite, the backoff ends or the deadline passes.

    If a reply was lost, the first attempt may have caused the error of the next one.
    `resolve_ambiguity` then decides.
    """
    waits: Iterator[float] | None = None  # most requests need none
    ambiguous = False
    while True:
        try:
            return (yield from attempt())
        except RetryableError as error:
            ambiguous = error.sent = error.sent or ambiguous
            waits = waits or iter(config.retry_backoff)
            wait = next(waits, None)
            if wait is None:
                raise
            wait = max(wait, requested_delay(error, config.retry_backoff))
            left = deadline - config.clock.monotonic()
            if wait >= left:
                yield from sleep(max(left, 0.0))
                raise
            logger.info("%s; trying again in %.2f s", error, wait)
        except (JobExistsError, JobLostError) as error:
            error.sent = ambiguous
            if resolve_ambiguity is None or not ambiguous:
                raise
            return (yield from resolve_ambiguity(error))
        yield from sleep(wait)


def request_with_retries(
    config: ClientConfig,
    queue: str,
    id: str,
    send: Callable[[Api], Flow[R]],
    resolve_ambiguity: Callable[[JobExistsError | JobLostError], Flow[R]] | None = None,
) -> Flow[R]:
    """Send a request in the API version of the server until the answer is definite."""
    attempt = partial(with_api_version, config, queue, id, send)
    return with_retries(config, attempt, resolve_ambiguity)


def requested_delay(error: RelayError, backoff: Backoff) -> float:
    """Return the seconds of `Retry-After`, at most a minute, lengthened at random.

    Many clients receive the same header, so the jitter of the backoff spreads them.
    """
    if not isinstance(error, ServerBusyError) or not error.retry_after:
        return 0
    return min(error.retry_after, MAX_RETRY_AFTER) * (1 + backoff.jitter * random.random())
