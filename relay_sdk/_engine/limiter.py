"""Limit how many requests of each kind are under way at once."""

from collections import defaultdict
from math import inf

from relay_sdk._base.flow import RequestKind

MAX_IN_FLIGHT = 50
"""How many requests of a kind are under way at once, not counting those that hang."""
HANGING_AFTER = 1.0
"""Seconds after which a request counts as hanging, and others no longer wait for it."""


class InFlightLimiter:
    """Limits the requests of each kind that are under way. Each request has a key.

    Not thread-safe: a scheduler of heartbeats guards it with its lock, and the tasks of a worker
    share one event loop.
    """

    def __init__(self) -> None:
        self._in_flight = defaultdict[RequestKind, dict[object, float]](dict)

    def opens_at(self, kind: RequestKind) -> float:
        """Return the time from which another request of the kind may be sent."""
        in_flight = self._in_flight[kind]
        if len(in_flight) < MAX_IN_FLIGHT:
            return -inf
        return next(iter(in_flight.values())) + HANGING_AFTER

    def acquire(self, kind: RequestKind, key: object, now: float) -> None:
        """Count a request that is sent now. At the limit, stop counting the oldest, which hangs."""
        in_flight = self._in_flight[kind]
        if len(in_flight) == MAX_IN_FLIGHT:
            del in_flight[next(iter(in_flight))]
        in_flight[key] = now

    def release(self, kind: RequestKind, key: object) -> None:
        """Stop counting a request that has ended."""
        self._in_flight[kind].pop(key, None)
