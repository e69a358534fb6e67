"""Watch the Python files in the current directory, to restart a worker after a change."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from relay_sdk.cli.errors import UsageError


@contextmanager
def watch_files(changed: Callable[[str], None]) -> Generator[None]:
    """Call `changed` with the path of a changed Python file, until the block ends."""
    try:
        from watchfiles import PythonFilter, watch
    except ModuleNotFoundError as error:
        raise UsageError(
            "--reload needs watchfiles: pip install 'relay-job-sdk[reload]'"
        ) from error
    stop = threading.Event()

    def watch_until_stopped() -> None:
        for changes in watch(".", watch_filter=PythonFilter(), stop_event=stop):
            changed(min(path for _, path in changes))

    thread = threading.Thread(target=watch_until_stopped, name="relay_sdk reload", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
