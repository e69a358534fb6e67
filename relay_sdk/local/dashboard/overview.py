"""How many jobs there are: counted only so often, and only so far, that it costs little."""

from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

from relay_sdk.local.answers import BackendError
from relay_sdk.local.app import App

from .reader import Counted, Reader

SHARE = 10
"""How many times as long as counting took its result is good for."""

QUICK, LONG = 0.02, 0.5
"""Seconds for counting, below and above which the next time it may go farther, and less far."""

LEAST = 1_000
"""Where counting ends on the slowest database."""


class Overview(NamedTuple):
    """What was counted at a moment, up to `most` jobs each; after a queue there are more."""

    now: int
    most: int
    counted: list[Counted]
    after: str | None


class Counting:
    """Counts for all who look; however many they are, it takes a tenth of the time at most."""

    def __init__(self, app: App, reader: Callable[[], Reader]) -> None:
        self._app = app
        self._reader = reader
        self._last: Overview | None = None
        self._good_until = 0.0
        self._most = 10 * LEAST

    def forget(self) -> None:
        """Count anew when somebody looks."""
        self._good_until = 0.0

    def first(self) -> Overview:
        """Count the first queues, or give what was counted lately."""
        began = perf_counter()
        if self._last is None or began > self._good_until:
            self._last = self.after(None)
            took = perf_counter() - began
            self._good_until = began + took + SHARE * took
            if took > LONG:
                self._most = max(LEAST, self._most // 10)
            elif took < QUICK:
                self._most = min(self._reader().most, self._most * 10)
        return self._last

    def after(self, queue: str | None) -> Overview:
        """Count the queues after one."""
        now = self._app.now()
        try:
            return Overview(now, self._most, *self._reader().queues(queue, now, self._most))
        except BackendError:
            self._most = LEAST  # it may have taken too long
            raise
