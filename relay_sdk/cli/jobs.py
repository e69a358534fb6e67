"""The commands that look at jobs, take them and delete them."""

from collections import deque
from collections.abc import Iterable
from typing import Annotated, TypeAlias

import msgspec
import typer
from msgspec import Raw

from relay_sdk.cli.options import JobId, Json, QueueName, Token, Url, Verbose, connect, verbatim
from relay_sdk.cli.outcome import NO, Mistake, mistakes
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

AT_A_TIME = 1000
"""Jobs of a request: a reply that is larger may come too late, and its jobs stay claimed."""

_Helper: TypeAlias = JobHelper[Raw, Raw]


def next_jobs(
    queue: QueueName,
    url: Url = None,
    token: Token = None,
    number: Annotated[
        int, typer.Option("-n", "--number", metavar="N", min=1, help="Take up to N jobs.")
    ] = 1,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait until there is a job.")
    ] = 0,
    complete: Annotated[
        bool, typer.Option("--complete", help="Complete each job once it is printed.")
    ] = False,
    release: Annotated[
        bool, typer.Option("--release", help="Put the jobs back once all are printed.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Take jobs and print them, one line of JSON each.

    They are claimed: no other worker gets them until their timeout has passed. With --complete
    they are gone; with --release they are back in their queue. Those that were not printed, after
    Ctrl-C for example, are put back.
    """
    start_log(verbose)
    if complete and release:
        raise Mistake("--complete and --release exclude each other")
    taken = 0
    unseen = deque[_Helper]()
    seen = deque[_Helper]()
    with connect(url, token) as relay:
        try:
            while taken < number:
                with mistakes():
                    most = min(number - taken, AT_A_TIME)
                    unseen += relay.next(verbatim(queue), most, timeout=0 if taken else wait)
                got = len(unseen)
                taken += got
                _show(unseen, complete, seen if release else None)
                if got < most:
                    break
        finally:
            _put_back(unseen + seen)
    if not taken:
        say(f"no job is ready in queue {queue!r}")
        raise typer.Exit(NO)
    if not (complete or release):
        say(f"{taken:,} claimed; the server queues them again after their timeout")


def _show(unseen: deque[_Helper], complete: bool, seen: deque[_Helper] | None) -> None:
    """Print jobs, and take each from those that nobody has seen."""
    while unseen:
        helper = unseen.popleft()
        try:
            show_json(fields(helper.raw))
        except (OSError, UnwritableError):
            unseen.appendleft(helper)
            raise
        if complete:
            helper.complete()
        if seen is not None:
            seen.append(helper)


def _put_back(helpers: Iterable[_Helper]) -> None:
    """Put jobs back into their queue."""
    for helper in helpers:
        try:
            helper.release()
        except JobLostError:
            continue  # its timeout has passed
        except RelayError as error:
            # The next ones would wait as long, in vain.
            say(f"{error}. The jobs that were to be put back come again after their timeout")
            return


def get(
    queue: QueueName,
    id: JobId,
    url: Url = None,
    token: Token = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show a job, waiting or running, and leave it where it is. Status 1 when there is none."""
    start_log(verbose)
    with connect(url, token) as relay, mistakes():
        job = relay.get(verbatim(queue), id)
    if json:
        show_json(fields(job))
        return
    text = {name: msgspec.json.encode(value) for name, value in fields(job).items()}
    show_table([(name, json_text(value)) for name, value in text.items()])


def exists(
    queue: QueueName,
    id: JobId,
    url: Url = None,
    token: Token = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Look whether a job is there, waiting or running: status 0 for yes, 1 for no."""
    start_log(verbose)
    with connect(url, token) as relay, mistakes():
        there = relay.exists(queue, id)
    if json:
        show_json(there)
    else:
        show("yes" if there else "no")
    if not there:
        raise typer.Exit(NO)


def remove(
    queue: QueueName, id: JobId, url: Url = None, token: Token = None, verbose: Verbose = False
) -> None:
    """Delete a job, also from under the worker that runs it.

    The server does not tell whether there was one.
    """
    start_log(verbose)
    with connect(url, token) as relay, mistakes():
        relay.remove(queue, id)
