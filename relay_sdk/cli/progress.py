"""A bar on stderr while a file is enqueued, if that is a terminal."""

import os
import stat
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import BinaryIO


@contextmanager
def progress(stream: BinaryIO) -> Generator[Callable[[int], None]]:
    """Give what shows the number of jobs done; how much is left is seen by the bytes read."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    status = os.fstat(stream.fileno())
    size = status.st_size if stat.S_ISREG(status.st_mode) else None
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("0 jobs", total=size)
    start = time.monotonic()

    def show(jobs: int) -> None:
        rate = jobs / max(time.monotonic() - start, 0.001)
        bar.update(
            task,
            description=f"{jobs:,} jobs, {rate:,.0f} jobs/s",
            completed=None if size is None else stream.tell(),
        )

    with bar:
        yield show
