"""The command that runs a worker, in this process or in several."""

import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Annotated

import typer

from relay_sdk.cli.imports import find, users_code
from relay_sdk.cli.options import Token, Verbose, check_option
from relay_sdk.cli.outcome import UNUSABLE, Mistake
from relay_sdk.cli.output import start_log
from relay_sdk.cli.reload import watching
from relay_sdk.worker import AsyncWorker, Worker


def work(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:WORKER",
            help="A Worker or AsyncWorker, or a function without arguments that makes one.",
        ),
    ],
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            envvar="RELAY_URL",
            show_envvar=True,
            help="Where the server is, for a Client() that is made without an address.",
        ),
    ] = None,
    token: Token = None,
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
    reload: Annotated[
        bool,
        typer.Option("--reload", help="Start anew when a Python file here changes: to develop."),
    ] = False,
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
    if token:
        check_option(token)
        os.environ["RELAY_TOKEN"] = token
    if processes is not None or reload:
        from relay_sdk.cli.supervisor import Supervisor

        start_log(verbose)
        options = ["--verbose"] if verbose else []
        if concurrency is not None:
            options += ["--concurrency", str(concurrency)]
        supervisor = Supervisor(_command(target, options), processes or 1, reload)
        with watching(supervisor.reload) if reload else nullcontext():
            status = supervisor.run()
        raise typer.Exit(status)
    try:
        worker = _load(target)
    except Mistake as error:
        error.status = UNUSABLE if supervised else error.status
        raise
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
    """Import a worker, or make it by the function that is named; or raise `Mistake`."""
    if not all(target.partition(":")):
        raise Mistake(f"{target!r} should look like module:worker")
    found = find(target)
    if not isinstance(found, Worker | AsyncWorker) and callable(found) and _is_factory(found):
        with users_code(f"{target!r} failed"):
            found = found()
    if not isinstance(found, Worker | AsyncWorker):
        raise Mistake(
            f"{target!r} is no Worker or AsyncWorker, nor a function without arguments that makes "
            f"one, but of type {type(found).__name__}"
        )
    return found


def _is_factory(found: Callable[..., object]) -> bool:
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError):
        return False
    return not inspect.iscoroutinefunction(found)


def _stop_when_left_alone() -> None:
    """Stop as by SIGTERM when the supervisor's end of stdin is closed: it wants so, or has died.

    Handlers, and what they start, find an empty stdin instead, which they may read.
    """
    supervisor = os.dup(0)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)

    def wait() -> None:
        os.read(supervisor, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="relay_sdk supervised", daemon=True).start()
