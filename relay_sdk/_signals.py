"""SIGTERM and SIGINT as a wish to stop; the second one as it would be without us."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signals(stop: Callable[[], object]) -> Generator[None]:
    """Call `stop`, from a thread, at the first signal; then, and at the end, restore the handlers.

    A signal that is ignored, or has a handler from outside of Python, is let be. Outside the main
    thread, where Python takes no signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A signal handler may interrupt whoever holds a lock; putting into this queue needs none.
    news: SimpleQueue[bool] = SimpleQueue()
    came: list[bool] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    ours = [number for number in SIGNALS if before[number] not in (signal.SIG_IGN, None)]

    def caught(_: int, __: FrameType | None) -> None:
        restore()
        came.append(True)
        news.put(True)

    def restore() -> None:
        for number in ours:
            signal.signal(number, before[number])

    def wait() -> None:
        if news.get():
            stop()

    thread = threading.Thread(target=wait, name="relay_sdk signals", daemon=True)
    thread.start()
    try:
        for number in ours:
            signal.signal(number, caught)
        yield
    finally:
        restore()
        news.put(False)
        if not came:  # else it is in `stop`, which may be waiting for this thread
            thread.join()
