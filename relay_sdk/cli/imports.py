"""A user's module: importing it, and saying where it fails."""

import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from relay_sdk.cli.outcome import Mistake

PACKAGE = str(Path(__file__).parent.parent)
NOT_USERS = tuple(
    {
        PACKAGE,
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    }
)


def find(target: str) -> object:
    """Import `module`, or `module:name.of.what`, also from the current directory; or `Mistake`."""
    name, colon, path = target.partition(":")
    if not name or (colon and not path):
        raise Mistake(f"{target!r} should look like module:name")
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    with users_code(f"cannot import {name!r}"):
        found: object = importlib.import_module(name)
    for part in path.split(".") if colon else ():
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise Mistake(f"{target!r}: {error}") from error
    return found


@contextmanager
def users_code(about: str) -> Generator[None]:
    """Turn what a user's code raises into a `Mistake` that shows their part of the traceback."""
    try:
        yield
    except (Exception, SystemExit) as error:
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if not frame.filename.startswith(("<frozen", *NOT_USERS))
        ]
        trace = "".join(traceback.format_list(frames))
        where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
        if isinstance(error, SyntaxError):
            # Its own text says where; what stands there comes before its last line.
            *place, _ = traceback.format_exception_only(error)
            trace, where = trace + "".join(place), ""
        text = f"{about}: {type(error).__name__}: {error}{where}"
        raise Mistake(text, trace.splitlines()) from error
