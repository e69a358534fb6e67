"""The `enqueue` command: enqueue the jobs of a file."""

import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from relay_sdk.cli.batch_sender import BatchSender, batches
from relay_sdk.cli.checkpoint import Checkpoint
from relay_sdk.cli.errors import UsageError
from relay_sdk.cli.input_reader import InputFormat, Record, read_records
from relay_sdk.cli.job_records import JobBuilder
from relay_sdk.cli.options import Json, QueueName, Token, Url, Verbose, connect, raw_queue
from relay_sdk.cli.output import print_json, print_message, print_text, start_log
from relay_sdk.cli.progress_bar import progress_bar
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
        typer.Option("--payload", help="Each line or element is only a payload."),
    ] = False,
    id_field: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --payload: take the id from this field."),
    ] = None,
    id_prefix: Annotated[
        str, typer.Option(metavar="TEXT", help="With --payload: prepend this to each id.")
    ] = "",
    input_format: Annotated[
        InputFormat | None,
        typer.Option("--format", help="By default, an input that begins with [ is an array."),
    ] = None,
    timeout: Annotated[
        int,
        typer.Option(metavar="SECONDS", min=0, max=2**31 - 1, help="For jobs without their own."),
    ] = 60,
    max_retries: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=2**15 - 1,
            help="For jobs without their own. Unlimited by default.",
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option(metavar="N", min=1, help="Jobs per request, of at most 1 MiB.")
    ] = 1000,
    count: Annotated[
        bool,
        typer.Option(help="Count jobs that already existed. Batches with such a job take longer."),
    ] = True,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Enqueue the jobs of a file. Jobs that already exist are not changed.

    A job is {"id": "a1", "payload": ...}, optionally with "timeout", "max_retries", "state" and
    "run_at". With --payload but without --id-field, the id is a hash of the payload and its
    position in the input.

    After an interruption, run the same command again: it resumes from FILE.relay-enqueue, where it
    stores its progress until all jobs are enqueued. For stdin it stores nothing, but prints after
    which line to resume: a complete repetition would enqueue completed jobs a second time.
    """
    start_log(verbose)
    if not payload and (id_field is not None or id_prefix):
        raise UsageError("--id-field and --id-prefix need --payload")
    builder = JobBuilder(
        queue=raw_queue(queue),
        timeout=timeout,
        max_retries=max_retries,
        payload=payload,
        id_field=id_field,
        id_prefix=id_prefix,
    )
    path = None if file == "-" else Path(file)
    checkpoint = None
    if path is not None and path.is_file():
        checkpoint = Checkpoint(path, [url, queue, input_format, payload, id_field, id_prefix])
    with (
        connect(url, token) as relay,
        BatchSender(relay, queue, count) as sender,
        _open(path) as stream,
    ):
        records = read_records(stream, input_format)
        if checkpoint is not None:
            records = checkpoint.skip(records)
        with progress_bar(stream) as show_total, _report_early_end(sender, checkpoint):
            _send(batches(records, batch), builder, sender, checkpoint, show_total)
    if checkpoint is not None:
        checkpoint.delete()
    if json:
        print_json(
            {"accepted": sender.accepted, "existing": sender.existing, "sent": sender.uncounted}
        )
    else:
        print_text(sender.summary())


def _send(
    groups: Iterable[list[Record]],
    builder: JobBuilder,
    sender: BatchSender,
    checkpoint: Checkpoint | None,
    show_total: Callable[[int], None],
) -> None:
    for group in groups:
        jobs = [builder.build(record) for record in group]
        try:
            sender.send(jobs)
        except RelayError as error:
            error.add_note(f"The request contained {group[0].position} to {group[-1].position}")
            if isinstance(error, RequestRejectedError) and error.status == TOO_LARGE:
                error.add_note("The limit of a request is 2 MiB (2,097,152 bytes)")
            raise
        sender.last_position = group[-1].position
        if checkpoint is not None:
            checkpoint.save(group)
        show_total(sender.total)


@contextmanager
def _open(file: Path | None) -> Generator[BinaryIO]:
    if file is None:
        if sys.stdin.isatty():
            print_message("reading from the terminal; Ctrl-D ends the input")
        yield sys.stdin.buffer
        return
    try:
        stream = file.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    with stream:
        yield stream


@contextmanager
def _report_early_end(sender: BatchSender, checkpoint: Checkpoint | None) -> Generator[None]:
    """If the block raises, print how many jobs were sent and how to resume."""
    try:
        yield
    except BaseException:
        if sender.last_position is not None:
            advice = (
                "Run the same command again to resume"
                if checkpoint is not None and checkpoint.saved
                else f"Resume after {sender.last_position}: jobs up to there that are completed by "
                "then would be enqueued a second time"
            )
            print_message(f"ended early after {sender.summary()}. {advice}")
        raise
