"""Import a module of the user, and show where it fails."""

import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from relay_sdk.cli.errors import UsageError

PACKAGE = str(Path(__file__).parent.parent)
NOT_USER_CODE = tuple(
    {
        PACKAGE,
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    }
)


def import_target(target: str) -> object:
    """Import `module` or `module:attribute.path`, also from the current directory.

    Raise `UsageError` if that fails.
    """
    name, colon, path = target.partition(":")
    if not name or (colon and not path):
        raise UsageError(f"{target!r} should look like module:name")
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    with user_code_errors(f"cannot import {name!r}"):
        found: object = importlib.import_module(name)
    for part in path.split(".") if colon else ():
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise UsageError(f"{target!r}: {error}") from error
    return found


@contextmanager
def user_code_errors(prefix: str) -> Generator[None]:
    """Turn exceptions of user code into a `UsageError` with its part of the traceback."""
    try:
        yield
    except (Exception, SystemExit) as error:
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if not frame.filename.startswith(("<frozen", *NOT_USER_CODE))
        ]
        trace = "".join(traceback.format_list(frames))
        where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
        if isinstance(error, SyntaxError):
            # Its message includes the position. The lines above it show the source.
            *source, _ = traceback.format_exception_only(error)
            trace, where = trace + "".join(source), ""
        text = f"{prefix}: {type(error).__name__}: {error}{where}"
        raise UsageError(text, trace.splitlines()) from error
