"""The commands for single jobs: `next`, `get`, `exists` and `remove`."""

from collections import deque
from collections.abc import Iterable
from typing import Annotated, TypeAlias

import msgspec
import typer
from msgspec import Raw

from relay_sdk.cli.errors import FAILURE, UsageError, usage_errors
from relay_sdk.cli.options import JobId, Json, QueueName, Token, Url, Verbose, connect, raw_queue
from relay_sdk.cli.output import (
    UnwritableError,
    fields,
    json_text,
    print_json,
    print_message,
    print_table,
    print_text,
    start_log,
)
from relay_sdk.exceptions import JobLostError, RelayError
from relay_sdk.helper import JobHelper

MAX_CLAIM = 1000
"""Jobs in one request. A larger reply may time out, and its jobs would stay claimed."""

_Helper: TypeAlias = JobHelper[Raw, Raw]


def next_jobs(
    queue: QueueName,
    url: Url = None,
    token: Token = None,
    number: Annotated[
        int, typer.Option("-n", "--number", metavar="N", min=1, help="Claim up to N jobs.")
    ] = 1,
    wait: Annotated[
        float,
        typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait for a first job."),
    ] = 0,
    complete: Annotated[
        bool, typer.Option("--complete", help="Complete each job after it is printed.")
    ] = False,
    release: Annotated[
        bool, typer.Option("--release", help="Release all jobs after they are printed.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Claim jobs and print each as a line of JSON.

    No other worker gets a claimed job before its timeout has passed. --complete deletes the jobs
    from the server; --release returns them to their queue. Jobs that could not be printed, after
    Ctrl-C for example, are released.
    """
    start_log(verbose)
    if complete and release:
        raise UsageError("--complete and --release exclude each other")
    claimed = 0
    unprinted = deque[_Helper]()
    printed = deque[_Helper]()
    with connect(url, token) as relay:
        try:
            while claimed < number:
                with usage_errors():
                    limit = min(number - claimed, MAX_CLAIM)
                    unprinted += relay.next(raw_queue(queue), limit, timeout=0 if claimed else wait)
                got = len(unprinted)
                claimed += got
                _print_jobs(unprinted, complete, printed if release else None)
                if got < limit:
                    break
        finally:
            _release(unprinted + printed)
    if not claimed:
        print_message(f"no job is ready in queue {queue!r}")
        raise typer.Exit(FAILURE)
    if not (complete or release):
        print_message(f"claimed {claimed:,}; the server queues each again after its timeout")


def _print_jobs(unprinted: deque[_Helper], complete: bool, printed: deque[_Helper] | None) -> None:
    """Print jobs. Move each from `unprinted` to `printed`."""
    while unprinted:
        helper = unprinted.popleft()
        try:
            print_json(fields(helper.raw))
        except (OSError, UnwritableError):
            unprinted.appendleft(helper)
            raise
        if complete:
            helper.complete()
        if printed is not None:
            printed.append(helper)


def _release(helpers: Iterable[_Helper]) -> None:
    """Release jobs: the server queues them again."""
    for helper in helpers:
        try:
            helper.release()
        except JobLostError:
            continue  # its timeout has passed
        except RelayError as error:
            # The server would fail for the other jobs too, each after all retries.
            print_message(
                f"{error}. The jobs not yet released are queued again after their timeout"
            )
            return


def get(
    queue: QueueName,
    id: JobId,
    url: Url = None,
    token: Token = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show a job without claiming it.

    The job may be waiting or running. Exit status 1 if it does not exist.
    """
    start_log(verbose)
    with connect(url, token) as relay, usage_errors():
        job = relay.get(raw_queue(queue), id)
    if json:
        print_json(fields(job))
        return
    text = {name: msgspec.json.encode(value) for name, value in fields(job).items()}
    print_table([(name, json_text(value)) for name, value in text.items()])


def exists(
    queue: QueueName,
    id: JobId,
    url: Url = None,
    token: Token = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Check whether a job exists, waiting or running.

    Exit status 0 for yes, 1 for no.
    """
    start_log(verbose)
    with connect(url, token) as relay, usage_errors():
        found = relay.exists(queue, id)
    if json:
        print_json(found)
    else:
        print_text("yes" if found else "no")
    if not found:
        raise typer.Exit(FAILURE)


def remove(
    queue: QueueName, id: JobId, url: Url = None, token: Token = None, verbose: Verbose = False
) -> None:
    """Delete a job, even while a worker runs it.

    The server does not report whether the job existed.
    """
    start_log(verbose)
    with connect(url, token) as relay, usage_errors():
        relay.remove(queue, id)
