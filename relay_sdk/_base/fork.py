"""Which process this is: a child of a fork is another one."""

import os

_known: list[int] = [os.getpid()]


def process() -> int:
    """Give the process id without asking the system, which costs a part of each request."""
    return _known[0]


def _look_again() -> None:
    _known[0] = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_look_again)
