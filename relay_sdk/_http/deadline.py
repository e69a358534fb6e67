"""The time that a whole exchange may take."""

import threading
from time import monotonic

MAX_TIMEOUT = 1_000_000.0
"""The longest timeout, in seconds (11 days): sockets refuse more than 24 days."""


class Deadline:
    """The time by which an exchange must end, counted from the creation of this object.

    `stop`, when it is set, ends the wait for the first byte of the reply.
    """

    def __init__(self, timeout: float, stop: threading.Event | None = None) -> None:
        self.timeout: float = min(timeout, MAX_TIMEOUT)
        self.stop = stop
        self._ends_at: float = monotonic() + self.timeout

    def remaining(self) -> float:
        """Return how many seconds are left; raise `TimeoutError` if there are none."""
        seconds = self._ends_at - monotonic()
        if seconds <= 0:
            raise TimeoutError("the time of the exchange is over")
        return seconds

    @property
    def expired(self) -> bool:
        return monotonic() >= self._ends_at
