"""SIGTERM and SIGINT as a wish to stop, for all workers of a process; the second one as without us.

There is one owner of the two signals. Its thread reads a socket into which Python's own C code
writes the number of each signal that comes, whatever the main thread is doing, and calls the stops
of all workers, which wakes the main thread. A signal handler may interrupt whoever holds a lock,
so ours does no more than bring back the handlers that were there before.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from relay_sdk._base.log import logger

SIGNALS = (signal.SIGINT, signal.SIGTERM)
CAUGHT = b"\0"


class _Owner:
    """The two signals, for as long as a worker runs in the main thread, where alone they come."""

    def __init__(self) -> None:
        self.users = 0
        self._before: dict[signal.Signals, Any] = {}
        self._writing, self._reading = socket.socketpair()
        self._writing.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        if self._wakeup >= 0:
            # An event loop is woken in this way already: its handlers, ours among them, are called.
            signal.set_wakeup_fd(self._wakeup)
        self._thread = threading.Thread(target=self._listen, name="relay_sdk signals", daemon=True)
        self._thread.start()

    def install(self) -> None:
        """Take the signals, but those that are ignored or have a handler from outside of Python."""
        for number in SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None, self._caught):
                self._before[number] = signal.signal(number, self._caught)

    def restore(self) -> None:
        """Bring back the handlers that were there before, where ours still are."""
        before, self._before = self._before, {}
        for number, handler in before.items():
            if signal.getsignal(number) == self._caught:
                signal.signal(number, handler)

    def close(self, *, forked: bool = False) -> None:
        """Give the signals back. In a child the thread is not there."""
        self.restore()
        if self._wakeup < 0:
            current = signal.set_wakeup_fd(-1)
            if current not in (-1, self._writing.fileno()):
                signal.set_wakeup_fd(current)
        self._writing.close()
        if not forked:
            self._thread.join()

    def _caught(self, _: int, __: FrameType | None) -> None:
        self.restore()
        with suppress(OSError):
            self._writing.send(CAUGHT)

    def _listen(self) -> None:
        came: list[int] = []
        with self._reading:
            while news := self._reading.recv(100):
                for byte in news:
                    if byte in SIGNALS:
                        came.append(byte)
                    elif byte == CAUGHT[0]:
                        if len(came) > 1:
                            # The second came before our handler was gone, which ran but once. (One
                            # that comes in just that moment is sent a second time.)
                            os.kill(os.getpid(), came[-1])
                        came.clear()
                    if byte in (*SIGNALS, CAUGHT[0]):
                        self._stop_all()

    def _stop_all(self) -> None:
        for stop in list(_stops.values()):
            # Each in a thread: one whose event loop is blocked keeps the signal from no other.
            try:
                threading.Thread(target=_stopped, args=(stop,), daemon=True).start()
            except RuntimeError:  # the system has no thread for it
                _stopped(stop)


def _stopped(stop: Callable[[], object]) -> None:
    try:
        stop()
    except Exception:
        logger.exception("a worker could not be stopped")


_stops: dict[object, Callable[[], object]] = {}
_owner: _Owner | None = None


@contextmanager
def stop_on_signals(stop: Callable[[], object]) -> Generator[None]:
    """Call `stop`, from a thread, at the first signal; then, and at the end, restore the handlers.

    Python gives signals to the main thread only: while no worker runs there, nothing is caught. A
    worker elsewhere is stopped together with those that do.
    """
    global _owner
    token = object()
    _stops[token] = stop
    in_main = threading.current_thread() is threading.main_thread()
    try:
        if in_main:
            _owner = _owner or _Owner()
            _owner.users += 1
            _owner.install()
        yield
    finally:
        # In a child that was forked meanwhile, there is nothing left to undo.
        if _stops.pop(token, None) is not None and in_main and _owner is not None:
            _owner.users -= 1
            if not _owner.users:
                _owner.close()
                _owner = None


def _forget_in_child() -> None:
    """Let a signal to the child of a fork be none to its parent's workers."""
    global _owner
    _stops.clear()
    if _owner is not None:
        _owner.close(forked=True)
        _owner = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
