"""All jobs of one database to another."""

import sys
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from typing import Annotated

import typer

from relay_sdk.cli.outcome import NO, Mistake
from relay_sdk.cli.output import say

Place = Annotated[str, typer.Argument(metavar="PLACE", help="sqlite:FILE or postgresql://...")]


def move(source: Place, target: Place) -> None:
    """Move all jobs from one database to another, running ones too.

    Stop the servers of the source first; workers wait for a server meanwhile, and go on with those
    of the target. A move that was ended goes on where it was: start it again.
    """
    import sqlite3

    from relay_sdk.local.migration import migrate, open_migration_store
    from relay_sdk.local.migration_store import JobConflictError

    if source == target:
        raise Mistake("source and target are the same")
    try:
        with (
            closing(open_migration_store(source, is_source=True)) as here,
            closing(open_migration_store(target)) as there,
            _bar(here.count()) as show,
        ):
            moved = migrate(here, there, show)
    except (JobConflictError, sqlite3.Error) as error:
        say(str(error))
        raise typer.Exit(NO) from error
    except (ImportError, OSError, ValueError) as error:
        raise Mistake(str(error)) from error
    say(f"moved {moved:,} jobs to the {there.name}")


@contextmanager
def _bar(total: int) -> Generator[Callable[[int], None]]:
    """Give what shows that some more jobs were moved, on stderr if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress(
        MofNCompleteColumn(),
        BarColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("", total=total)
    with bar:
        yield lambda jobs: bar.advance(task, jobs)
