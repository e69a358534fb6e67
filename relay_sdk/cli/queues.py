"""The commands that show all queues, and that empty one."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from relay_sdk.cli.local import LocalApi, local_api
from relay_sdk.cli.options import Json, QueueName, Token, Url
from relay_sdk.cli.outcome import NO, Mistake
from relay_sdk.cli.output import say, show, show_json, tell
from relay_sdk.exceptions import RelayError, printable

if TYPE_CHECKING:  # with them comes the whole server, for which no other command is to wait
    from relay_sdk.local.dashboard.shapes import QueueLine, Queues

HEAD = ("queue", "ready", "scheduled", "running", "oldest wait", "done/min", "retried/min")
LONGEST = 60
"""Characters of a queue's name that a table shows."""


def queues(
    url: Url = None,
    token: Token = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show them until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="How often --watch looks.")
    ] = 2.0,
    json: Json = False,
) -> None:
    """Show the queues of a bundled server: how many jobs, for how long, how fast.

    What was done is what the server that answers did. With --watch and --json, one line each time.
    """
    with local_api(url, token) as api:
        if not watch:
            _print(_read(api), json)
        elif json:
            _repeat(api, interval)
        elif sys.stdout.isatty():
            _watch(api, interval)
        else:
            raise Mistake("--watch needs a terminal; with --json it does not")


def purge(
    queue: QueueName,
    url: Url = None,
    token: Token = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    json: Json = False,
) -> None:
    """Delete all jobs of a queue of a bundled server, also those that run."""
    from relay_sdk.local.dashboard.shapes import Jobs

    with local_api(url, token) as api:
        there = api.get("/local/jobs", Jobs, queue=queue, limit="1").jobs
        if there and not yes:
            _ask(queue, api.url)
        removed = _purge(api, queue) if there else 0
    if json:
        show_json({"removed": removed})
    else:
        show(f"{removed:,} removed from queue {queue!r}")


def _ask(queue: str, url: str) -> None:
    # The answer is no data, so that it is not asked for on stdout.
    tell([f"Delete all jobs of queue {queue!r} at {url}, also those that run? [y/N]"])
    answer = sys.stdin.readline()
    if not answer:
        raise Mistake("there is nobody to ask; --yes needs no answer")
    if answer.strip().lower() not in ("y", "yes"):
        say("nothing was deleted")
        raise typer.Exit(NO)


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
        say(f"{removed:,} were deleted so far; the others stay")
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
        show_json(found)
        return
    if not found.queues:
        say("there are no jobs")
    for line in _table(found):
        show(line)


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
                shown = trouble = _text(_read(api))
            except RelayError as error:  # it may come back
                trouble = f"{shown}\n\n{printable(str(error))}"
            live.update(Text(trouble, no_wrap=True), refresh=True)


def _text(found: "Queues") -> str:
    return "\n".join([*map(printable, _table(found)), "", f"{found.now}  Ctrl-C ends"])


def _table(found: "Queues") -> list[str]:
    """Align the queues below the names of the columns."""
    rows = [HEAD, *(_cells(line, found.most) for line in found.queues)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEAD))]
    return [_aligned(row, widths) for row in rows] if found.queues else []


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
    return "  ".join([row[0].ljust(widths[0]), *cells])


def _cells(line: "QueueLine", most: int) -> tuple[str, ...]:
    name = printable(line.queue)
    counts = (line.ready, line.scheduled, line.running)
    return (
        name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…",
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
