"""What workers on threads and on tasks decide alike."""

import logging
from itertools import islice

from relay_sdk._checks import check_seconds, check_whole
from relay_sdk._log import logger
from relay_sdk.backoff import Backoff
from relay_sdk.exceptions import RelayError
from relay_sdk.job import MAX_RETRIES, RawJob

AWAY = Backoff(0.5, maximum=5.0)
ONCE = Backoff(retries=0)
MOST_JOBS = 1_000_000
MOST_RETRIES = 1000
LAST_CALL = 5.0
"""Seconds that handlers have to end after they were told to."""


def check_settings(concurrency: int, grace: float, retry: Backoff | None) -> None:
    """Refuse a worker that could not work."""
    check_whole("concurrency", concurrency, 1, MOST_JOBS)
    check_seconds("grace", grace)
    if retry is not None and not (retry.retries and retry.retries <= MOST_RETRIES):
        raise ValueError(f"retry needs a number of retries, from 1 to {MOST_RETRIES}")


def next_attempt(job: RawJob, retry: Backoff) -> tuple[float, int] | None:
    """Decide after a failure: the seconds to wait, and the job's retries from then on.

    The count has to survive the worker, and a job's own retries do. A failure costs one, as a
    timeout does; a job without limit gets the greatest number first, which timeouts will hardly
    use up. `None` when they are spent.
    """
    limit = retry.retries or 0
    retries = MAX_RETRIES if job.max_retries is None else job.max_retries
    if retries >= MAX_RETRIES - limit:
        left, then = limit - (MAX_RETRIES - retries), retries - 1
    else:
        # API v1 does not tell how many remain.
        left = min(retries if job.retries_remaining is None else job.retries_remaining, limit)
        then = left - 1
    if left <= 0:
        return None
    return next(islice(retry, limit - left, None)), then


class Pace:
    """How long to wait before the next look into empty queues, or for a server that is away."""

    def __init__(self, idle: Backoff, queues: int) -> None:
        self._idle = idle
        self._waits = iter(idle)
        self._queues = queues
        self._failing: set[str] = set()
        self._away = iter(AWAY)

    def found(self) -> None:
        """A job came: be quick again."""
        self._waits = iter(self._idle)

    def failed(self, queue: str, error: RelayError) -> None:
        """A queue could not be asked; say so, if it is the first."""
        level = logging.INFO if self._failing else logging.WARNING
        logger.log(level, "the server is away, and is waited for: %s", error)
        self._failing.add(queue)

    def answered(self, queue: str) -> None:
        """A queue was asked; say so, if it was the last that could not be."""
        if queue in self._failing:
            self._failing.remove(queue)
            self._away = iter(AWAY)
            if not self._failing:
                logger.warning("the server is back")

    def wait(self) -> float:
        """Give the seconds to wait now; one queue that fails does not slow the others."""
        if len(self._failing) == self._queues:
            return next(self._away)
        return next(self._waits, self._idle.maximum)
