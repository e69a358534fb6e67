"""Exit statuses, and the error messages that replace tracebacks."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import typer

from relay_sdk.cli.output import UnwritableError, print_message, print_stderr
from relay_sdk.exceptions import RelayError, RetryableError

P = ParamSpec("P")

FAILURE = 1
USAGE_ERROR = 2
UNAVAILABLE = 3
CONFIG_ERROR = 78
"""Status of a supervised process that cannot load its worker (EX_CONFIG of sysexits.h).

Not `USAGE_ERROR`, because a handler may call `sys.exit(2)`.
"""
INTERRUPTED = 130


class UsageError(Exception):
    """The arguments, the input or the code of the user are wrong. The text explains the fix.

    `trace` holds the lines of a traceback through the code of the user.
    """

    status = USAGE_ERROR

    def __init__(self, text: str, trace: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.trace = trace


@contextmanager
def usage_errors(prefix: str = "") -> Generator[None]:
    """Turn the `ValueError` or `TypeError` of an invalid argument into a `UsageError`."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise UsageError(f"{prefix}{error}") from error


def with_exit_status(command: Callable[P, None]) -> Callable[P, None]:
    """Wrap a command so that an error ends it with a message and an exit status."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except UsageError as error:
            print_stderr(error.trace)
            print_message(str(error))
            raise typer.Exit(error.status) from error
        except UnwritableError as error:
            print_message(str(error))
            raise typer.Exit(FAILURE) from error
        except RelayError as error:
            unavailable = isinstance(error, RetryableError)
            advice = ["To find out why: relay-sdk doctor"] if unavailable else []
            print_message(". ".join([str(error), *getattr(error, "__notes__", []), *advice]))
            raise typer.Exit(UNAVAILABLE if unavailable else FAILURE) from error
        except KeyboardInterrupt as error:
            print_message("interrupted")
            raise typer.Exit(INTERRUPTED) from error

    return run
