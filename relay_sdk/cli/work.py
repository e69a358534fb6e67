"""The `work` command: run a worker, in this process or in several."""

import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Annotated

import typer

from relay_sdk.cli.errors import CONFIG_ERROR, UsageError
from relay_sdk.cli.importer import import_target, user_code_errors
from relay_sdk.cli.options import Token, Verbose, check_token_option
from relay_sdk.cli.output import start_log
from relay_sdk.cli.reload import watch_files
from relay_sdk.worker import AsyncWorker, Worker


def work(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:WORKER",
            help="A Worker, an AsyncWorker, or a function without arguments that returns one.",
        ),
    ],
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            envvar="RELAY_URL",
            show_envvar=True,
            help="The URL of the server, for a Client() without an address.",
        ),
    ] = None,
    token: Token = None,
    concurrency: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Jobs at a time per process, overriding the worker."),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Run this many processes, and replace those that die."
        ),
    ] = None,
    reload: Annotated[
        bool,
        typer.Option("--reload", help="Restart when a Python file here changes, for development."),
    ] = False,
    supervised: Annotated[bool, typer.Option(hidden=True)] = False,
    verbose: Verbose = False,
) -> None:
    """Run the worker of a module until SIGTERM or Ctrl-C.

    After the first signal, running jobs may finish within the worker's graceful_shutdown_timeout. A
    second signal ends it at once. Modules in the current directory can be imported.
    """
    if supervised:
        _stop_with_supervisor()
    if url is not None:
        # Set it before the import, during which the module may create its client.
        os.environ["RELAY_URL"] = url
    if token:
        check_token_option(token)
        os.environ["RELAY_TOKEN"] = token
    if processes is not None or reload:
        from relay_sdk.cli.supervisor import Supervisor

        start_log(verbose)
        options = ["--verbose"] if verbose else []
        if concurrency is not None:
            options += ["--concurrency", str(concurrency)]
        supervisor = Supervisor(_command(target, options), processes or 1, reload)
        with watch_files(supervisor.reload) if reload else nullcontext():
            status = supervisor.run()
        raise typer.Exit(status)
    try:
        worker = _load(target)
    except UsageError as error:
        error.status = CONFIG_ERROR if supervised else error.status
        raise
    # After the import, so that a module which configures logging keeps its configuration.
    start_log(verbose)
    if concurrency is not None:
        worker.concurrency = concurrency
    if isinstance(worker, Worker):
        worker.run()
    else:
        import anyio

        anyio.run(worker.run)


def _command(target: str, options: list[str]) -> list[str]:
    # -P: a module in the current directory must not shadow one of the standard library.
    program = [sys.executable, "-P", "-m", "relay_sdk.cli"]
    return [*program, "work", "--supervised", *options, "--", target]


def _load(target: str) -> Worker | AsyncWorker:
    """Import a worker, or call the factory that returns it. Raise `UsageError` if that fails."""
    if not all(target.partition(":")):
        raise UsageError(f"{target!r} should look like module:worker")
    found = import_target(target)
    if not isinstance(found, Worker | AsyncWorker) and callable(found) and _is_factory(found):
        with user_code_errors(f"{target!r} failed"):
            found = found()
    if not isinstance(found, Worker | AsyncWorker):
        raise UsageError(
            f"{target!r} must be a Worker, an AsyncWorker, or a function without arguments that "
            f"returns one, not of type {type(found).__name__}"
        )
    return found


def _is_factory(found: Callable[..., object]) -> bool:
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError):
        return False
    return not inspect.iscoroutinefunction(found)


def _stop_with_supervisor() -> None:
    """Send SIGTERM to this process when the supervisor closes stdin, to stop it, or has died.

    Replace stdin by an empty one, so that handlers and their subprocesses can read it safely.
    """
    supervisor = os.dup(0)
    with open(os.devnull) as empty:
        os.dup2(empty.fileno(), 0)

    def wait() -> None:
        os.read(supervisor, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="relay_sdk supervised", daemon=True).start()
