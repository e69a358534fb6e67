"""The `queues` and `purge` commands, for a bundled server."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from relay_sdk.cli.errors import FAILURE, UsageError
from relay_sdk.cli.local_api import LocalApi, local_api
from relay_sdk.cli.options import Json, QueueName, Token, Url
from relay_sdk.cli.output import print_json, print_message, print_stderr, print_text
from relay_sdk.exceptions import RelayError, printable

if TYPE_CHECKING:  # importing them loads the whole server, which would slow down the other commands
    from relay_sdk.local.dashboard.shapes import QueueLine, Queues

HEADER = ("queue", "ready", "scheduled", "running", "oldest wait", "done/min", "retried/min")
MAX_NAME = 60
"""Characters of the name of a queue that a table shows."""


def queues(
    url: Url = None,
    token: Token = None,
    watch: Annotated[bool, typer.Option("--watch", help="Update until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="Time between two updates of --watch.")
    ] = 2.0,
    json: Json = False,
) -> None:
    """Show the queues of a bundled server.

    The table has the numbers of jobs, the longest wait and the throughput, which is that of the
    server at --url. --watch with --json prints a line per update.
    """
    with local_api(url, token) as api:
        if not watch:
            _print(_read(api), json)
        elif json:
            _repeat(api, interval)
        elif sys.stdout.isatty():
            _watch(api, interval)
        else:
            raise UsageError("--watch without --json needs a terminal")


def purge(
    queue: QueueName,
    url: Url = None,
    token: Token = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    json: Json = False,
) -> None:
    """Delete all jobs of a queue of a bundled server.

    This includes running jobs.
    """
    from relay_sdk.local.dashboard.shapes import Jobs

    with local_api(url, token) as api:
        found = api.get("/local/jobs", Jobs, queue=queue, limit="1").jobs
        if found and not yes:
            _confirm(queue, api.url)
        removed = _purge(api, queue) if found else 0
    if json:
        print_json({"removed": removed})
    else:
        print_text(f"removed {removed:,} from queue {queue!r}")


def _confirm(queue: str, url: str) -> None:
    # The question goes to stderr, because only the result belongs on stdout.
    print_stderr([f"Delete all jobs of queue {queue!r} at {url}, including those that run? [y/N]"])
    answer = sys.stdin.readline()
    if not answer:
        raise UsageError("cannot ask for confirmation: stdin is closed. Pass --yes")
    if answer.strip().lower() not in ("y", "yes"):
        print_message("nothing was deleted")
        raise typer.Exit(FAILURE)


def _purge(api: LocalApi, queue: str) -> int:
    from relay_sdk.local.dashboard.shapes import PurgedTo

    after: str | None = None
    removed = 0
    try:
        while True:
            step = api.post("/local/purge", {"queue": queue, "after": after}, PurgedTo)
            removed += step.removed
            after = step.after
            if after is None:
                return removed
    except (KeyboardInterrupt, RelayError):
        print_message(f"deleted {removed:,} so far; the other jobs remain")
        raise


def _read(api: LocalApi) -> "Queues":
    """Read all queues, page after page."""
    from relay_sdk.local.dashboard.shapes import Queues

    found = api.get("/local/queues", Queues)
    after = found.after
    while after is not None:
        page = api.get("/local/queues", Queues, after=after)
        found.queues += page.queues
        after = page.after
    return msgspec.structs.replace(found, after=None)


def _print(found: "Queues", json: bool) -> None:
    if json:
        print_json(found)
        return
    if not found.queues:
        print_message("there are no jobs")
    for line in _table(found):
        print_text(line)


def _repeat(api: LocalApi, interval: float) -> None:
    while True:
        _print(_read(api), json=True)
        time.sleep(interval)


def _watch(api: LocalApi, interval: float) -> None:
    from rich.live import Live
    from rich.text import Text

    shown = _text(_read(api))
    with Live(Text(shown, no_wrap=True), screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(interval)
            try:
                shown = text = _text(_read(api))
            except RelayError as error:  # keep the last table: the server may come back
                text = f"{shown}\n\n{printable(str(error))}"
            live.update(Text(text, no_wrap=True), refresh=True)


def _text(found: "Queues") -> str:
    return "\n".join([*map(printable, _table(found)), "", f"{found.now}  Ctrl-C to quit"])


def _table(found: "Queues") -> list[str]:
    """Return the lines of the table, with aligned columns."""
    rows = [HEADER, *(_cells(line, found.most) for line in found.queues)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADER))]
    return [_aligned(row, widths) for row in rows] if found.queues else []


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
    return "  ".join([row[0].ljust(widths[0]), *cells])


def _cells(line: "QueueLine", most: int) -> tuple[str, ...]:
    name = printable(line.queue)
    counts = (line.ready, line.scheduled, line.running)
    return (
        name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…",
        *(f"{count:,}{'+' if count >= most else ''}" for count in counts),
        "" if line.oldest_wait is None else _span(line.oldest_wait),
        f"{line.done:,}",
        f"{line.retried:,}",
    )


def _span(seconds: float) -> str:
    for size, unit, least in ((86400, "days", 2), (3600, "h", 2), (60, "min", 2)):
        if seconds >= least * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
