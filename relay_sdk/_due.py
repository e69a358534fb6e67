"""Which lease is to be kept alive next."""

import heapq
from itertools import count
from math import inf
from typing import Generic, TypeVar

L = TypeVar("L")

LONGEST_SLEEP = 3600.0


class Due(Generic[L]):
    """Leases by the moment of their next heartbeat. What is dropped is forgotten soon."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []
        self._leases: dict[int, L] = {}
        self._numbers: dict[L, int] = {}
        self._count = count()

    def add(self, lease: L, moment: float) -> None:
        """Take a lease."""
        self._numbers[lease] = next(self._count)
        self.again(lease, moment)

    def again(self, lease: L, moment: float) -> None:
        """Take a lease back that was popped, unless it was dropped meanwhile."""
        if lease in self._numbers:
            self._leases[self._numbers[lease]] = lease
            heapq.heappush(self._heap, (moment, self._numbers[lease]))

    def drop(self, lease: L) -> None:
        """Forget a lease."""
        self._leases.pop(self._numbers.pop(lease, -1), None)
        if len(self._heap) > 2 * len(self._leases) + 100:
            self._heap = [entry for entry in self._heap if entry[1] in self._leases]
            heapq.heapify(self._heap)

    def first(self) -> float:
        """Tell the moment of the next heartbeat."""
        while self._heap and self._heap[0][1] not in self._leases:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else inf

    def pop(self) -> L:
        """Give the lease whose moment is `first`; it is kept until it is dropped."""
        return self._leases.pop(heapq.heappop(self._heap)[1])
