"""Watching the Python files in the current directory, so that a worker starts anew."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from relay_sdk.cli.outcome import Mistake


@contextmanager
def watching(changed: Callable[[str], None]) -> Generator[None]:
    """Call this with a file's name whenever Python files have changed, until the block is left."""
    try:
        from watchfiles import PythonFilter, watch
    except ModuleNotFoundError as error:
        raise Mistake("--reload needs watchfiles: pip install 'relay-job-sdk[reload]'") from error
    stop = threading.Event()

    def look() -> None:
        for changes in watch(".", watch_filter=PythonFilter(), stop_event=stop):
            changed(min(path for _, path in changes))

    thread = threading.Thread(target=look, name="relay_sdk reload", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
