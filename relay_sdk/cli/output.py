"""Print results to stdout and messages to stderr, without control characters for the terminal."""

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


def hide_credentials(text: str) -> str:
    """Replace the credentials in each URL of a text."""
    return LOGIN.sub("://***@", text)


class UnwritableError(Exception):
    """The output cannot be written, because the disk is full for example."""


def print_message(text: str) -> None:
    """Print one line to stderr, after the name of the program."""
    print_stderr([f"relay-sdk: {text}"])


def print_stderr(lines: Iterable[str]) -> None:
    """Print lines to stderr. A progress bar stays below them, since rich replaces `sys.stderr`."""
    text = "".join(f"{printable(hide_credentials(line))}\n" for line in lines)
    # A command does not fail because its messages cannot be written.
    if sys.stderr is None:  # stderr was closed when Python started
        return
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def print_text(text: str) -> None:
    """Print one line of a result for people."""
    _print(printable(text))


def print_json(value: object) -> None:
    """Print one line of JSON."""
    # JSON text from the server may contain line breaks: encode it as one line.
    _print(json_text(msgspec.json.encode(value), indent=-1))


def json_text(text: bytes, indent: int = 2) -> str:
    """Reformat JSON. Characters that are not printable become JSON escapes."""
    lines = msgspec.json.format(text, indent=indent).decode().split("\n")
    return "\n".join("".join(map(_json_character, line)) for line in lines)


def _json_character(character: str) -> str:
    if character.isprintable():
        return character
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def print_table(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values for people: a table on a terminal, plain lines elsewhere.

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
    with catch_write_errors():
        Console().print(table)


def _print(text: str) -> None:
    with catch_write_errors():
        typer.echo(text)


@contextmanager
def catch_write_errors() -> Generator[None]:
    """Raise `UnwritableError` when stdout cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno == EPIPE:
            raise  # the reader of the pipe has closed it: typer exits quietly
        # Python would write the rest of the buffer at exit, and report the same error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise UnwritableError(f"cannot write the output: {error.strerror}") from error


def fields(job: Job[Any, Any] | RawJob) -> dict[str, Any]:
    """Return the fields of a job by their names in the protocol."""
    return {name: getattr(job, name) for name in RawJob.__struct_fields__}


class _Stderr(logging.StreamHandler[TextIO]):
    """Write to the current `sys.stderr`, which rich replaces while it shows a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Lines(logging.Formatter):
    """Format a message as one line. Only a traceback has more."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 overrides a method of logging
        return printable(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        lines = hide_credentials(super().format(record)).split("\n")
        return "\n".join(map(printable, lines))


def start_log(verbose: bool) -> None:
    """Log to stderr, unless logging is configured already."""
    handler = _Stderr()
    handler.setFormatter(_Lines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler])
