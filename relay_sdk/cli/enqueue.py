"""The command that enqueues a file of jobs."""

import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from relay_sdk.cli.journal import Journal
from relay_sdk.cli.lines import Reading
from relay_sdk.cli.options import Json, QueueName, Token, Url, Verbose, connect, verbatim
from relay_sdk.cli.outcome import Mistake
from relay_sdk.cli.output import say, show, show_json, start_log
from relay_sdk.cli.progress import progress
from relay_sdk.cli.records import Form, Record, read_records
from relay_sdk.cli.sending import Sender, batches
from relay_sdk.exceptions import RelayError, RequestRejectedError

TOO_LARGE = 413


def enqueue(
    queue: QueueName,
    url: Url = None,
    token: Token = None,
    file: Annotated[
        str, typer.Argument(metavar="[FILE|-]", help="JSON Lines or a JSON array; - is stdin.")
    ] = "-",
    payload: Annotated[
        bool,
        typer.Option("--payload", help="Each line or element is a payload, not a whole job."),
    ] = False,
    id_field: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --payload: the payload's field that is the id."),
    ] = None,
    id_prefix: Annotated[
        str, typer.Option(metavar="TEXT", help="With --payload: put this before each id.")
    ] = "",
    form: Annotated[
        Form | None,
        typer.Option("--format", help="By default, an input that begins with [ is an array."),
    ] = None,
    timeout: Annotated[
        int, typer.Option(metavar="SECONDS", min=0, max=2**31 - 1, help="For jobs that do not say.")
    ] = 60,
    max_retries: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=2**15 - 1,
            help="For jobs that do not say. By default there is no limit.",
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option(metavar="N", min=1, help="Jobs a request, up to 1 MiB.")
    ] = 1000,
    count: Annotated[
        bool,
        typer.Option(
            help="Count the jobs that existed: if any did, look up each job of the batch."
        ),
    ] = True,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Enqueue the jobs of a file. Those that exist are left as they are.

    A whole job is {"id": "a1", "payload": ...}, with "timeout", "max_retries", "state" and "run_at"
    if wanted. With --payload and no --id-field, a job's id is made from its text and its place in
    the input.

    After an interruption, run the same command again: it goes on from there. How far it came is
    kept in FILE.relay-enqueue until all is done. Nothing is kept for stdin: the command says after
    which line to go on, since jobs that are done by then would be enqueued a second time.
    """
    start_log(verbose)
    if not payload and (id_field is not None or id_prefix):
        raise Mistake("--id-field and --id-prefix need --payload")
    reading = Reading(
        queue=verbatim(queue),
        timeout=timeout,
        max_retries=max_retries,
        payload=payload,
        id_field=id_field,
        id_prefix=id_prefix,
    )
    path = None if file == "-" else Path(file)
    journal = None
    if path is not None and path.is_file():
        journal = Journal(path, [url, queue, form, payload, id_field, id_prefix])
    with connect(url, token) as relay, Sender(relay, queue, count) as sender, _open(path) as stream:
        records = read_records(stream, form)
        if journal is not None:
            records = journal.skip(records)
        with progress(stream) as show_total, _told(sender, journal):
            _send(batches(records, batch), reading, sender, journal, show_total)
    if journal is not None:
        journal.end()
    if json:
        show_json({"accepted": sender.accepted, "existing": sender.existing, "sent": sender.untold})
    else:
        show(sender.summary())


def _send(
    groups: Iterable[list[Record]],
    reading: Reading,
    sender: Sender,
    journal: Journal | None,
    show_total: Callable[[int], None],
) -> None:
    for group in groups:
        jobs = [reading.job(record) for record in group]
        try:
            sender.send(jobs)
        except RelayError as error:
            error.add_note(f"It was about {group[0].where} to {group[-1].where}")
            if isinstance(error, RequestRejectedError) and error.status == TOO_LARGE:
                error.add_note("A request may have 2 MiB (2,097,152 bytes)")
            raise
        sender.last = group[-1].where
        if journal is not None:
            journal.passed(group)
        show_total(sender.total)


@contextmanager
def _open(file: Path | None) -> Generator[BinaryIO]:
    if file is None:
        if sys.stdin.isatty():
            say("reading from the terminal; Ctrl-D ends the input")
        yield sys.stdin.buffer
        return
    try:
        stream = file.open("rb")
    except OSError as error:
        raise Mistake(f"cannot read {file}: {error.strerror}") from error
    with stream:
        yield stream


@contextmanager
def _told(sender: Sender, journal: Journal | None) -> Generator[None]:
    """Say how far it came, and how to go on, when it ends early."""
    try:
        yield
    except BaseException:
        if sender.last is not None:
            advice = (
                "The same command again goes on from there"
                if journal is not None and journal.kept
                else f"Go on with what follows {sender.last}: jobs before it that are done by then "
                "would be enqueued a second time"
            )
            say(f"ended early after {sender.summary()}. {advice}")
        raise
