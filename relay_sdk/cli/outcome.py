"""How a command ends: the exit statuses, and what is said instead of a traceback."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import typer

from relay_sdk.cli.output import UnwritableError, say, tell
from relay_sdk.exceptions import RelayError, RetryableError

P = ParamSpec("P")

NO = 1
MISTAKE = 2
AWAY = 3
UNUSABLE = 78
"""That of a supervised process whose worker cannot be imported; a handler may end one with 2."""
INTERRUPTED = 130


class Mistake(Exception):
    """Something only the person at the keyboard can put right; the text says how.

    `trace` are lines that show where in their code it happened.
    """

    status = MISTAKE

    def __init__(self, text: str, trace: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.trace = trace


@contextmanager
def mistakes(about: str = "") -> Generator[None]:
    """Take what the SDK refuses before it sends anything for a mistake."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise Mistake(f"{about}{error}") from error


def reported(command: Callable[P, None]) -> Callable[P, None]:
    """Let a command end with a message and a status where it would end with a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except Mistake as error:
            tell(error.trace)
            say(str(error))
            raise typer.Exit(error.status) from error
        except UnwritableError as error:
            say(str(error))
            raise typer.Exit(NO) from error
        except RelayError as error:
            away = isinstance(error, RetryableError)
            advice = ["To find out why: relay-sdk doctor"] if away else []
            say(". ".join([str(error), *getattr(error, "__notes__", []), *advice]))
            raise typer.Exit(AWAY if away else NO) from error
        except KeyboardInterrupt as error:
            say("interrupted")
            raise typer.Exit(INTERRUPTED) from error

    return run
