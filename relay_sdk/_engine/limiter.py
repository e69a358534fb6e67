"""How many requests are on their way at once."""

from math import inf

AT_ONCE = 50
"""How many requests of a kind are on their way at once, those that hang aside."""
HANGING = 1.0
"""Seconds after which a request hangs, and others need not wait for it."""


class Lane:
    """Requests of one kind that are on their way, each under a key of its own."""

    def __init__(self) -> None:
        self._sent: dict[object, float] = {}

    def opens(self) -> float:
        """Give the moment from which another may be sent."""
        if len(self._sent) < AT_ONCE:
            return -inf
        return next(iter(self._sent.values())) + HANGING

    def enter(self, key: object, now: float) -> None:
        """Count a request that is sent now; when the lane is full, the oldest one hangs."""
        if len(self._sent) == AT_ONCE:
            del self._sent[next(iter(self._sent))]
        self._sent[key] = now

    def leave(self, key: object) -> None:
        """Forget a request that was answered."""
        self._sent.pop(key, None)
