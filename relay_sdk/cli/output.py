"""Data goes to stdout, words to people go to stderr; neither can steer a terminal."""

import logging
import os
import re
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from errno import EPIPE
from typing import Any, TextIO

import msgspec
import typer

from relay_sdk.exceptions import printable
from relay_sdk.job import Job, RawJob

LOGIN = re.compile(r"://\S*@")


def without_login(text: str) -> str:
    """Hide the name and password of each URL in a text."""
    return LOGIN.sub("://***@", text)


class UnwritableError(Exception):
    """A result cannot be written, to a full disk for example."""


def say(text: str) -> None:
    """Tell a person something, in one line."""
    tell([f"relay-sdk: {text}"])


def tell(lines: Iterable[str]) -> None:
    """Write lines to a person, above the progress bar if there is one: it watches `sys.stderr`."""
    text = "".join(f"{printable(without_login(line))}\n" for line in lines)
    # A person who cannot be told anything is no reason to stop.
    if sys.stderr is None:  # it was closed when Python started
        return
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def show(text: str) -> None:
    """Print a result for a person to read, in one line."""
    _print(printable(text))


def show_json(value: object) -> None:
    """Print one line of JSON."""
    # Stored JSON text may have line breaks of its own.
    _print(json_text(msgspec.json.encode(value), indent=-1))


def json_text(text: bytes, indent: int = 2) -> str:
    """Lay JSON out anew, with JSON's own escapes for what is not printable."""
    lines = msgspec.json.format(text, indent=indent).decode().split("\n")
    return "\n".join("".join(map(_json_character, line)) for line in lines)


def _json_character(character: str) -> str:
    if character.isprintable():
        return character
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def show_table(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values for a person to read; plain lines where that is no terminal.

    A value may have several lines.
    """
    rows = [(name, "\n".join(map(printable, value.split("\n")))) for name, value in rows]
    if not sys.stdout.isatty():
        for name, value in rows:
            _print(f"{name}: {value}")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(Text(name, style="bold"), Text(value, overflow="fold"))
    with writing():
        Console().print(table)


def _print(text: str) -> None:
    with writing():
        typer.echo(text)


@contextmanager
def writing() -> Generator[None]:
    """Raise `UnwritableError` when stdout cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno == EPIPE:
            raise  # whoever read has had enough: typer ends quietly
        # What is left in the buffer would be tried again at the end, and complained of.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise UnwritableError(f"cannot write the output: {error.strerror}") from error


def fields(job: Job[Any, Any] | RawJob) -> dict[str, Any]:
    """Give a job's fields by their names in the protocol."""
    return {name: getattr(job, name) for name in RawJob.__struct_fields__}


class _Stderr(logging.StreamHandler[TextIO]):
    """Write to what is stderr now: a progress bar stands in for it while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Lines(logging.Formatter):
    """A message is one line; only a traceback has more."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 the name is given
        return printable(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        lines = without_login(super().format(record)).split("\n")
        return "\n".join(map(printable, lines))


def start_log(verbose: bool) -> None:
    """Log to stderr, unless the program's own logging is set up already."""
    handler = _Stderr()
    handler.setFormatter(_Lines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler])
