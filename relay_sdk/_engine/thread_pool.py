"""Daemon threads that are reused."""

import threading
import time
from collections.abc import Callable
from contextvars import Context
from queue import SimpleQueue
from weakref import WeakSet

from relay_sdk._base.log import logger

JOIN_TIMEOUT = 0.1
"""How long `close` waits for idle threads to end, in seconds."""


class ThreadPool:
    """Runs each function in a thread at once: in an idle one if there is one, else in a new one.

    The threads are daemons, so a function that hangs does not keep the process from ending.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle = 0
        self._closed = False
        self._threads: WeakSet[threading.Thread] = WeakSet()
        self._work: SimpleQueue[tuple[str, Callable[[], object]] | None] = SimpleQueue()

    def start(self, name: str, function: Callable[[], object]) -> None:
        """Run a function in a thread; raise `RuntimeError` if the system has no thread left."""
        with self._lock:
            if self._idle:
                self._idle -= 1
            else:
                thread = threading.Thread(target=self._run, daemon=True)
                thread.start()
                self._threads.add(thread)
            self._work.put((name, function))

    def start_or_run(self, name: str, function: Callable[[], object]) -> None:
        """Run a function in a thread, or in this one if the system has no thread left."""
        try:
            self.start(name, function)
        except RuntimeError as error:
            logger.warning("no thread for %s: %s", name, error)
            function()

    def close(self) -> None:
        """End each thread as soon as it is idle. A busy thread is not waited for."""
        with self._lock:
            self._closed = True
            for _ in range(self._idle):
                self._work.put(None)
        until = time.monotonic() + JOIN_TIMEOUT
        for thread in self._threads - {threading.current_thread()}:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while work := self._work.get():
            threading.current_thread().name, function = work
            try:
                Context().run(function)  # context variables do not leak to the next function
            except BaseException:
                logger.exception("%s failed", work[0])
            del work, function  # an idle thread holds on to nothing
            with self._lock:
                if self._closed:
                    return
                self._idle += 1
