"""Connections, each lent to one exchange at a time."""

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar
from weakref import ref

C = TypeVar("C")

IDLE = 5.0
"""Seconds after which an unused connection is closed."""


class Pool(Generic[C]):
    """Clients with one connection each, as many as there are exchanges at a time.

    A pool of httpx looks at all its connections for each request, several times over, closes some
    that it has just given to another thread, and has locks, which a fork or a signal may leave
    locked. What is lent is not held here: an exception that a signal's handler raises at the wrong
    moment leaves it to Python's garbage collector, and it is closed all the same.
    """

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self._idle = deque[tuple[float, C]]()  # the one used last is on the right
        self._made: dict[int, ref[C]] = {}

    def take(self) -> C:
        """Take a client that is free, or a new one."""
        try:
            return self._idle.pop()[1]
        except IndexError:
            client = self._make()
            key = id(client)
            self._made[key] = ref(client, lambda _: self._made.pop(key, None))
            return client

    def give(self, client: C) -> C | None:
        """Give a client back, and get one to close, if one was unused for long."""
        now = monotonic()
        self._idle.append((now, client))
        try:
            if self._idle[0][0] > now - IDLE:
                return None
            return self._idle.popleft()[1]
        except IndexError:  # other threads took them
            return None

    def all(self) -> list[C]:
        """Give the clients that are idle, and those that are lent."""
        made = [reference() for reference in list(self._made.values())]
        return [client for client in made if client is not None]
