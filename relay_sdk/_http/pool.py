"""Connections, each lent to one exchange at a time."""

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar
from weakref import ref

C = TypeVar("C")

MAX_IDLE_TIME = 5.0
"""Seconds after which an unused connection is closed."""


class Pool(Generic[C]):
    """As many connections as there are exchanges at a time.

    A pool of httpx looks at all its connections for each request, several times over, closes some
    that it has just lent to another thread, and has locks, which a fork or a signal may leave
    locked. This pool holds no reference to what is lent: if an exception of a signal's handler
    prevents its return, Python's garbage collector closes it.
    """

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._idle = deque[tuple[float, C]]()  # the one used last is on the right
        self._connections: dict[int, ref[C]] = {}

    def acquire(self) -> C:
        """Return a connection that is free, or a new one."""
        try:
            return self._idle.pop()[1]
        except IndexError:
            connection = self._connect()
            key = id(connection)
            self._connections[key] = ref(connection, lambda _: self._connections.pop(key, None))
            return connection

    def release(self, connection: C) -> C | None:
        """Take a connection back; return one that was unused for too long, to be closed."""
        now = monotonic()
        self._idle.append((now, connection))
        try:
            if self._idle[0][0] > now - MAX_IDLE_TIME:
                return None
            return self._idle.popleft()[1]
        except IndexError:  # other threads have acquired them
            return None

    def all(self) -> list[C]:
        """Return all connections, idle and lent."""
        connections = [reference() for reference in list(self._connections.values())]
        return [connection for connection in connections if connection is not None]
