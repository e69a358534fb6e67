"""Heartbeats for many runs from one thread."""

import threading

from relay_sdk._clock import Clock, Stopped
from relay_sdk._due import LONGEST_SLEEP, Due
from relay_sdk._lease import Lease
from relay_sdk._log import logger


class Pulse:
    """Keeps leases alive until they are dropped, end or are lost."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: Due[Lease] = Due()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._beat, name="relay_sdk pulse", daemon=True)
        self._thread.start()

    def add(self, lease: Lease) -> None:
        """Keep a lease alive from now on."""
        with self._lock:
            self._due.add(lease, self._clock.monotonic() + lease.run.interval(None))
        self._news.set()

    def drop(self, lease: Lease) -> None:
        """Forget a lease."""
        with self._lock:
            self._due.drop(lease)

    def close(self) -> None:
        """Send no more heartbeats; wait for one that is on its way."""
        self._closed = True
        self._news.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._closed:
            with self._lock:
                wait = self._due.first() - self._clock.monotonic()
                lease = self._due.pop() if wait <= 0 else None
            if lease is None:
                try:
                    self._clock.sleep(min(wait, LONGEST_SLEEP), self._news)
                except Stopped:
                    self._news.clear()
                continue
            try:
                again = lease.beat()
            except Exception as error:
                logger.exception("the heartbeat of %r failed", lease.run.raw.id)
                lease.run.lost = f"its heartbeat failed: {error!r}"
                continue
            if again is not None:
                with self._lock:
                    self._due.again(lease, self._clock.monotonic() + again)
