"""When a worker looks for jobs again, and what it says of a server that does not answer."""

import logging

from relay_sdk._clock import Clock
from relay_sdk._log import logger
from relay_sdk._operations import pause_asked_for
from relay_sdk.backoff import Backoff
from relay_sdk.exceptions import RelayError, ServerBusyError, TransportError
from relay_sdk.worker._outcome import AWAY

REMIND = 300.0
"""Seconds after which trouble that lasts is said again."""


class Pace:
    """The waits of one worker for its queues."""

    def __init__(self, idle: Backoff, clock: Clock, queues: int) -> None:
        self._idle = idle
        self._clock = clock
        self._queues = queues
        self._waits = iter(idle)
        self._away = iter(AWAY)
        self._failing: dict[str, float] = {}  # and not to be asked before
        self._said: tuple[str, float] | None = None

    def may_ask(self, queue: str) -> bool:
        """Tell whether a queue may be asked: one that has told when is not asked before."""
        return self._clock.monotonic() >= self._failing.get(queue, 0.0)

    def found(self) -> None:
        """A job came: be quick again."""
        self._waits = iter(self._idle)

    def failed(self, queue: str, error: RelayError) -> None:
        """A queue could not be asked; say so at first, and now and then."""
        now = self._clock.monotonic()
        self._failing[queue] = now + pause_asked_for(error)
        passing = isinstance(error, TransportError | ServerBusyError)
        trouble = "is away" if passing else "refuses this worker"
        level = logging.INFO
        if self._said is None or self._said[0] != trouble or now >= self._said[1] + REMIND:
            self._said = trouble, now
            level = logging.WARNING if passing else logging.ERROR
        logger.log(level, "the server %s, and is asked again: %s", trouble, error)

    def answered(self, queue: str) -> None:
        """A queue was asked; say so, if it was the last that could not be."""
        if self._failing.pop(queue, None) is not None:
            self._away = iter(AWAY)
            if not self._failing:
                self._said = None
                logger.warning("the server is back")

    def wait(self) -> float:
        """Give the seconds to wait now; one queue that fails does not slow the others."""
        if len(self._failing) == self._queues:
            return next(self._away)
        return next(self._waits, self._idle.maximum)
