"""Connections, each lent to one exchange at a time."""

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

C = TypeVar("C")

IDLE = 5.0
"""Seconds after which an unused connection is closed."""


class Pool(Generic[C]):
    """Clients of httpx with one connection each, as many as there are exchanges at a time.

    A pool of httpx looks at all its connections for each request, several times over, closes some
    that it has just given to another thread, and has locks, which a fork may leave locked.
    """

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self._idle = deque[tuple[float, C]]()  # the one used last is on the right
        self.all: set[C] = set()

    def take(self) -> C:
        """Take a client that is free, or a new one."""
        try:
            return self._idle.pop()[1]
        except IndexError:
            client = self._make()
            self.all.add(client)
            return client

    def give(self, client: C) -> C | None:
        """Give a client back, and get one to close, if one was unused for long."""
        now = monotonic()
        self._idle.append((now, client))
        try:
            if self._idle[0][0] > now - IDLE:
                return None
            _, unused = self._idle.popleft()
        except IndexError:  # other threads took them
            return None
        self.all.discard(unused)
        return unused
