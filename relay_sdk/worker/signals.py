"""SIGTERM and SIGINT stop all workers of a process; a second signal has its usual effect.

One object owns both signals. Its thread reads a socket to which the C code of Python writes the
number of each signal, whatever the main thread is doing. It then calls the stop function of each
worker, which wakes the main thread. A signal handler may interrupt code that holds a lock, so the
handler of this module only restores the handlers that were set before.
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
    """Owns both signals while a worker runs in the main thread, which alone receives them."""

    def __init__(self) -> None:
        self.users = 0
        self._before: dict[signal.Signals, Any] = {}
        self._writing, self._reading = socket.socketpair()
        self._writing.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        if self._wakeup >= 0:
            # An event loop uses the wakeup already. It calls all handlers, including this one.
            signal.set_wakeup_fd(self._wakeup)
        self._thread = threading.Thread(target=self._listen, name="relay_sdk signals", daemon=True)
        self._thread.start()

    def install(self) -> None:
        """Handle the signals, unless they are ignored or handled outside of Python."""
        for number in SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None, self._caught):
                self._before[number] = signal.signal(number, self._caught)

    def restore(self) -> None:
        """Restore the previous handlers, unless other handlers were set since."""
        before, self._before = self._before, {}
        for number, handler in before.items():
            if signal.getsignal(number) == self._caught:
                signal.signal(number, handler)

    def close(self, *, forked: bool = False) -> None:
        """Restore everything. In a forked child the thread does not exist."""
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
            while data := self._reading.recv(100):
                for byte in data:
                    if byte in SIGNALS:
                        came.append(byte)
                    elif byte == CAUGHT[0]:
                        if len(came) > 1:
                            # A second signal came before the handler was restored, which ran only
                            # once. (A signal that comes right now is sent twice.)
                            os.kill(os.getpid(), came[-1])
                        came.clear()
                    if byte in (*SIGNALS, CAUGHT[0]):
                        self._stop_all()

    def _stop_all(self) -> None:
        for stop in list(_stops.values()):
            # Each in a thread, so that a worker with a blocked event loop does not delay others.
            try:
                threading.Thread(target=_call_stop, args=(stop,), daemon=True).start()
            except RuntimeError:  # the system has no thread left
                _call_stop(stop)


def _call_stop(stop: Callable[[], object]) -> None:
    try:
        stop()
    except Exception:
        logger.exception("a worker could not be stopped")


_stops: dict[object, Callable[[], object]] = {}
_owner: _Owner | None = None


@contextmanager
def stop_on_signals(stop: Callable[[], object]) -> Generator[None]:
    """Call `stop` from a thread at the first signal; then, or at the end, restore the handlers.

    Python delivers signals to the main thread only, so none is handled while no worker runs there.
    Workers in other threads are stopped together with those of the main thread.
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
        # In a forked child there is nothing left to undo.
        if _stops.pop(token, None) is not None and in_main and _owner is not None:
            _owner.users -= 1
            if not _owner.users:
                _owner.close()
                _owner = None


def _forget_in_child() -> None:
    """Detach a forked child from the workers of its parent."""
    global _owner
    _stops.clear()
    if _owner is not None:
        _owner.close(forked=True)
        _owner = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
