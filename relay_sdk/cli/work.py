"""The command that runs a worker, in this process or in several."""

import importlib
import os
import signal
import sys
import threading
import traceback
from typing import Annotated

import typer

from relay_sdk.cli.options import Verbose
from relay_sdk.cli.outcome import Mistake
from relay_sdk.cli.output import start_log
from relay_sdk.worker import AsyncWorker, Worker


def work(
    target: Annotated[
        str,
        typer.Argument(metavar="MODULE:WORKER", help="A Worker or AsyncWorker, by its import."),
    ],
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            envvar="RELAY_URL",
            show_envvar=True,
            help="Where the server is, for a Client that the module makes without saying so.",
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Jobs at a time in a process, instead of its own."),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Run this many processes, and start others for those that die."
        ),
    ] = None,
    supervised: Annotated[bool, typer.Option(hidden=True)] = False,
    verbose: Verbose = False,
) -> None:
    """Run the worker of a module until SIGTERM or Ctrl-C.

    The first signal lets running jobs end, for as long as the worker's grace; a second one ends at
    once. Modules in the current directory can be imported.
    """
    if supervised:
        _stop_when_left_alone()
    if url is not None:
        # The module may make its client while it is imported.
        os.environ["RELAY_URL"] = url
    if processes is not None:
        from relay_sdk.cli.supervisor import Supervisor

        start_log(verbose)
        options = ["--verbose"] if verbose else []
        if concurrency is not None:
            options += ["--concurrency", str(concurrency)]
        raise typer.Exit(Supervisor(_command(target, options), processes).run())
    worker = _load(target)
    # After the import: a module that sets up its own logging keeps it.
    start_log(verbose)
    if concurrency is not None:
        worker.concurrency = concurrency
    if isinstance(worker, Worker):
        worker.run()
    else:
        import anyio

        anyio.run(worker.run)


def _command(target: str, options: list[str]) -> list[str]:
    # -P: a module of the user's must not stand in for one that Python itself needs.
    program = [sys.executable, "-P", "-m", "relay_sdk.cli"]
    return [*program, "work", "--supervised", *options, "--", target]


def _load(target: str) -> Worker | AsyncWorker:
    """Import a worker, or raise `Mistake`."""
    name, colon, path = target.partition(":")
    if not (name and colon and path):
        raise Mistake(f"{target!r} should look like module:worker")
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: object = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        # The module's own code may raise anything.
        raise Mistake(f"cannot import {name!r}: {_told(error)}") from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise Mistake(f"{target!r}: {error}") from error
    if not isinstance(found, Worker | AsyncWorker):
        kind = type(found).__name__
        raise Mistake(f"{target!r} is no Worker or AsyncWorker, but of type {kind}")
    return found


def _told(error: BaseException) -> str:
    """Say what happened, and where in the user's code."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen") and frame.filename not in OURS
    ]
    where = f" ({own[0].filename}, line {own[0].lineno})" if own else ""
    return f"{type(error).__name__}: {error}{where}"


OURS = {__file__, importlib.__file__}


def _stop_when_left_alone() -> None:
    """Stop as by SIGTERM when the supervisor's end of stdin is closed: it wants so, or has died."""

    def wait() -> None:
        os.read(0, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="relay_sdk supervised", daemon=True).start()
