"""A progress bar on stderr for `enqueue`, shown only on a terminal."""

import os
import stat
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import BinaryIO


@contextmanager
def progress_bar(stream: BinaryIO) -> Generator[Callable[[int], None]]:
    """Show a bar and yield the function that updates it with the number of jobs sent.

    The total is the size of the file in bytes, since its number of jobs is not known in advance.
    """
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
