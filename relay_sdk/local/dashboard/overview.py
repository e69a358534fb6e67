"""Count the jobs of each queue, rarely enough and only so far that it costs little."""

from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

from relay_sdk.local.app import App
from relay_sdk.local.exceptions import BackendError
from relay_sdk.local.job_reader import JobReader, QueueCounts

CACHE_FACTOR = 10
"""A result is cached for this many times as long as counting took."""

FAST_COUNT, SLOW_COUNT = 0.02, 0.5
"""Seconds for counting, below and above which the limit is raised and lowered."""

MIN_LIMIT = 1_000
"""The limit of counting on the slowest database."""


class Overview(NamedTuple):
    """Counts at a time, up to `limit` jobs each; `after` is the last queue if there are more."""

    now: int
    limit: int
    queues: list[QueueCounts]
    after: str | None


class OverviewCache:
    """Counts for all clients of the dashboard, in at most a tenth of the time."""

    def __init__(self, app: App, reader: Callable[[], JobReader]) -> None:
        self._app = app
        self._reader = reader
        self._last: Overview | None = None
        self._valid_until = 0.0
        self._limit = 10 * MIN_LIMIT

    def invalidate(self) -> None:
        """Count again at the next request."""
        self._valid_until = 0.0

    def first(self) -> Overview:
        """Return the counts of the first queues, from the cache if they are recent."""
        began = perf_counter()
        if self._last is None or began > self._valid_until:
            self._last = self.after(None)
            took = perf_counter() - began
            self._valid_until = began + took + CACHE_FACTOR * took
            if took > SLOW_COUNT:
                self._limit = max(MIN_LIMIT, self._limit // 10)
            elif took < FAST_COUNT:
                self._limit = min(self._reader().max_count, self._limit * 10)
        return self._last

    def after(self, queue: str | None) -> Overview:
        """Count the queues after a queue."""
        now = self._app.now()
        try:
            return Overview(now, self._limit, *self._reader().queues(queue, now, self._limit))
        except BackendError:
            self._limit = MIN_LIMIT  # counting may have timed out
            raise
