"""Daemon threads that are used again."""

import threading
import time
from collections.abc import Callable
from contextvars import Context
from queue import SimpleQueue
from weakref import WeakSet

from relay_sdk._base.log import logger

ABOUT_TO_END = 0.1
"""Seconds for threads that have done their work to be gone."""


class Threads:
    """Runs each function in a thread at once: in an idle one, else in a new one.

    They are daemons, so that one which hangs does not keep the process from ending.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle = 0
        self._closed = False
        self._threads: WeakSet[threading.Thread] = WeakSet()
        self._work: SimpleQueue[tuple[str, Callable[[], object]] | None] = SimpleQueue()

    def start(self, name: str, function: Callable[[], object]) -> None:
        """Run a function; `RuntimeError` when the system has no thread for it."""
        with self._lock:
            if self._idle:
                self._idle -= 1
            else:
                thread = threading.Thread(target=self._run, daemon=True)
                thread.start()
                self._threads.add(thread)
            self._work.put((name, function))

    def start_or_run(self, name: str, function: Callable[[], object]) -> None:
        """Run a function in a thread, or in this one where the system has none for it."""
        try:
            self.start(name, function)
        except RuntimeError as error:
            logger.warning("no thread for %s: %s", name, error)
            function()

    def close(self) -> None:
        """Let the threads end as soon as they are idle. One that is busy is not waited for."""
        with self._lock:
            self._closed = True
            for _ in range(self._idle):
                self._work.put(None)
        until = time.monotonic() + ABOUT_TO_END
        for thread in self._threads - {threading.current_thread()}:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while work := self._work.get():
            threading.current_thread().name, function = work
            try:
                Context().run(function)  # what a function sets in it is not there for the next
            except BaseException:
                logger.exception("%s ended by an error", work[0])
            del work, function  # an idle thread holds on to nothing
            with self._lock:
                if self._closed:
                    return
                self._idle += 1
