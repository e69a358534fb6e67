"""The commands that look at jobs, take them and delete them."""

from collections import deque
from collections.abc import Iterable
from typing import Annotated

import msgspec
import typer
from msgspec import Raw

from relay_sdk.cli.options import JobId, Json, QueueName, Url, Verbose, connect, verbatim
from relay_sdk.cli.outcome import NO, mistakes
from relay_sdk.cli.output import (
    UnwritableError,
    fields,
    json_text,
    say,
    show,
    show_json,
    show_table,
    start_log,
)
from relay_sdk.exceptions import JobLostError, RelayError
from relay_sdk.helper import JobHelper


def next_jobs(
    queue: QueueName,
    url: Url,
    number: Annotated[
        int, typer.Option("-n", "--number", metavar="N", min=1, help="Take up to N jobs.")
    ] = 1,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait until there is a job.")
    ] = 0,
    complete: Annotated[
        bool, typer.Option("--complete", help="Complete each job once it is printed.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Take jobs and print them, one line of JSON each.

    They are claimed: no other worker gets them until their timeout has passed. With --complete
    they are gone. Those that were not printed, after Ctrl-C for example, are put back.
    """
    start_log(verbose)
    with connect(url) as relay:
        with mistakes():
            helpers = relay.next(verbatim(queue), number, timeout=wait)
        unseen = deque(helpers)
        try:
            while unseen:
                helper = unseen.popleft()
                try:
                    show_json(fields(helper.raw))
                except (OSError, UnwritableError):
                    unseen.appendleft(helper)
                    raise
                if complete:
                    helper.complete()
        finally:
            _put_back(unseen)
    if not helpers:
        say(f"no job is ready in queue {queue!r}")
        raise typer.Exit(NO)
    if not complete:
        say(f"{len(helpers):,} claimed; the server queues them again after their timeout")


def _put_back(helpers: Iterable[JobHelper[Raw, Raw]]) -> None:
    """Put jobs that nobody has seen back into their queue."""
    for helper in helpers:
        try:
            helper.release()
        except JobLostError:
            continue  # its timeout has passed
        except RelayError as error:
            # The next ones would wait as long, in vain.
            say(f"{error}. The jobs that were not printed come again after their timeout")
            return


def get(
    queue: QueueName, id: JobId, url: Url, json: Json = False, verbose: Verbose = False
) -> None:
    """Show a job, waiting or running, and leave it where it is. Status 1 when there is none."""
    start_log(verbose)
    with connect(url) as relay, mistakes():
        job = relay.get(verbatim(queue), id)
    if json:
        show_json(fields(job))
        return
    text = {name: msgspec.json.encode(value) for name, value in fields(job).items()}
    show_table([(name, json_text(value)) for name, value in text.items()])


def exists(
    queue: QueueName, id: JobId, url: Url, json: Json = False, verbose: Verbose = False
) -> None:
    """Look whether a job is there, waiting or running: status 0 for yes, 1 for no."""
    start_log(verbose)
    with connect(url) as relay, mistakes():
        there = relay.exists(queue, id)
    if json:
        show_json(there)
    else:
        show("yes" if there else "no")
    if not there:
        raise typer.Exit(NO)


def remove(queue: QueueName, id: JobId, url: Url, verbose: Verbose = False) -> None:
    """Delete a job, also from under the worker that runs it.

    The server does not tell whether there was one.
    """
    start_log(verbose)
    with connect(url) as relay, mistakes():
        relay.remove(queue, id)
