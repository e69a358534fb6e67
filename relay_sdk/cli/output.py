"""Data goes to stdout, words to people go to stderr."""

import logging
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import typer

from relay_sdk.job import Job, RawJob


def say(text: str) -> None:
    """Tell a person something."""
    typer.echo(f"relay-sdk: {text}", err=True)


def show(text: str) -> None:
    """Print a result for a person to read."""
    typer.echo(text)


def show_json(value: object) -> None:
    """Print one line of JSON."""
    # Stored JSON text may have line breaks of its own.
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=-1))


def show_table(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values for a person to read; plain lines where that is no terminal."""
    if not sys.stdout.isatty():
        for name, value in rows:
            show(f"{name}: {value}")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(Text(name, style="bold"), Text(value, overflow="fold"))
    Console().print(table)


def fields(job: Job[Any, Any] | RawJob) -> dict[str, Any]:
    """Give a job's fields by their names in the protocol."""
    return {name: getattr(job, name) for name in RawJob.__struct_fields__}


def start_log(verbose: bool) -> None:
    """Log to stderr, unless the program's own logging is set up already."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
