"""The ids of runs: UUIDs of version 7, which begin with the millisecond of the claim."""

import os
from functools import lru_cache
from uuid import UUID

_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


@lru_cache(1)  # the claims of a batch share the prefix
def time_prefix(now: int) -> str:
    """Return the first 15 characters of the ids of all runs that begin now."""
    digits = max(now // 1000, 0).to_bytes(6).hex()
    return f"{digits[:8]}-{digits[8:]}-7"


def new_run_id(now: int) -> str:
    """Return a new id for a run that begins now, faster than the uuid module can."""
    digits = os.urandom(10).hex()
    variant = _VARIANT[digits[3]]
    return f"{time_prefix(now)}{digits[:3]}-{variant}{digits[4:7]}-{digits[7:19]}"


def start_time(run_id: str) -> int | None:
    """Return when a run began, or None for an id of Relay itself, which is of version 4."""
    run = UUID(run_id)
    return (run.int >> 80) * 1000 if run.version == 7 else None
