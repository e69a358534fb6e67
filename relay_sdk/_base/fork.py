"""The process id, which changes in a forked child."""

import os

_cached: list[int] = [os.getpid()]


def process_id() -> int:
    """Return the process id from a cache: each request needs it, and a system call takes time."""
    return _cached[0]


def _update() -> None:
    _cached[0] = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_update)
