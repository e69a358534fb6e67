"""SIGTERM and SIGINT as a wish to stop; the second one as it would be without us."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signals(stop: Callable[[], None]) -> Generator[None]:
    """Call `stop`, from a thread, at the first signal; then, and at the end, restore the handlers.

    Outside the main thread, where Python takes no signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A signal handler may interrupt whoever holds a lock; putting into this queue needs none.
    news: SimpleQueue[bool] = SimpleQueue()

    def caught(_: int, __: FrameType | None) -> None:
        restore()
        news.put(True)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def wait() -> None:
        if news.get():
            stop()

    before = {number: signal.signal(number, caught) for number in SIGNALS}
    thread = threading.Thread(target=wait, name="relay_sdk signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        restore()
        news.put(False)
        thread.join()
