"""The `move` command: move all jobs to another database."""

import sys
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from typing import Annotated

import typer

from relay_sdk.cli.errors import FAILURE, UsageError
from relay_sdk.cli.output import print_message

Database = Annotated[str, typer.Argument(metavar="PLACE", help="sqlite:FILE or postgresql://...")]


def move(source: Database, target: Database) -> None:
    """Move all jobs to another database.

    This includes running jobs. Stop the servers of the source first. Workers keep running: they
    retry until a server of the target is up. Run the same command again to resume an interrupted
    move.
    """
    import sqlite3

    from relay_sdk.local.migration import migrate, open_migration_store
    from relay_sdk.local.migration_store import JobConflictError

    if source == target:
        raise UsageError("source and target are the same")
    try:
        with (
            closing(open_migration_store(source, is_source=True)) as old,
            closing(open_migration_store(target)) as new,
            _progress_bar(old.count()) as advance,
        ):
            moved = migrate(old, new, advance)
    except (JobConflictError, sqlite3.Error) as error:
        print_message(str(error))
        raise typer.Exit(FAILURE) from error
    except (ImportError, OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    print_message(f"moved {moved:,} jobs to the {new.name}")


@contextmanager
def _progress_bar(total: int) -> Generator[Callable[[int], None]]:
    """Show a bar on stderr if that is a terminal. Yield the function that advances it."""
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
