"""Heartbeats for many runs from one thread."""

import heapq
import threading
from itertools import count

from relay_sdk._clock import Clock, Stopped
from relay_sdk._lease import Lease
from relay_sdk._log import logger

LONGEST_SLEEP = 3600.0


class Pulse:
    """Keeps leases alive until their runs end or are lost."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Lease]] = []
        self._numbers = count()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._beat, name="relay_sdk pulse", daemon=True)
        self._thread.start()

    def add(self, lease: Lease) -> None:
        """Keep a lease alive from now on."""
        self._push(lease, lease.run.interval(None))
        self._news.set()

    def close(self) -> None:
        """Send no more heartbeats; wait for one that is on its way."""
        self._closed = True
        self._news.set()
        self._thread.join()

    def _push(self, lease: Lease, wait: float) -> None:
        with self._lock:
            entry = (self._clock.monotonic() + wait, next(self._numbers), lease)
            heapq.heappush(self._due, entry)

    def _beat(self) -> None:
        while not self._closed:
            with self._lock:
                first = self._due[0][0] if self._due else self._clock.monotonic() + LONGEST_SLEEP
            wait = first - self._clock.monotonic()
            if wait > 0:
                try:
                    self._clock.sleep(min(wait, LONGEST_SLEEP), self._news)
                except Stopped:
                    self._news.clear()
                continue
            with self._lock:
                lease = heapq.heappop(self._due)[2]
            try:
                again = lease.beat()
            except Exception as error:
                logger.exception("the heartbeat of %r failed", lease.run.raw.id)
                lease.run.lost = f"its heartbeat failed: {error!r}"
                continue
            if again is not None:
                self._push(lease, again)
