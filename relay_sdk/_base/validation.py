"""Check arguments before anything is sent: raise `TypeError` or `ValueError` if one is invalid."""

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import get_args

MAX_KEY_LENGTH = 1024

_UNSUPPORTED = re.compile("[\0\ud800-\udfff]")


def job_label(queue: str, id: str | None = None) -> str:
    """Return the name of a queue, or of a job in it, for messages."""
    return f"queue {queue!r}" if id is None else f"job {id!r} in queue {queue!r}"


def _with_label(name: str, key: tuple[str, ...]) -> str:
    return f"{name} of {job_label(*key)}" if key else name


def check_queue(queue: str) -> None:
    """Check that the server can store the name of a queue."""
    _check_key("queue", queue, queue)


def check_key(queue: str, id: str) -> None:
    """Check that the server can store the name of a queue and the id of a job."""
    # This fast check covers most keys: neither NUL nor a surrogate is printable.
    if not (
        type(queue) is type(id) is str
        and 0 < len(queue) <= MAX_KEY_LENGTH
        and 0 < len(id) <= MAX_KEY_LENGTH
        and queue.isprintable()
        and id.isprintable()
    ):
        check_queue(queue)
        _check_key("id", id, queue, id)


def _check_key(name: str, value: str, *where: str) -> None:
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"{name} must be a str, not {type(value).__name__}: use str(...) ({job_label(*where)})"
        )
    if not 1 <= len(value) <= MAX_KEY_LENGTH:
        raise ValueError(
            f"{name} must have 1 to {MAX_KEY_LENGTH} characters, not {len(value)}: "
            f"{job_label(*where):.80}"
        )
    if _UNSUPPORTED.search(value):
        raise ValueError(f"{name} contains a NUL or half a surrogate pair: {job_label(*where)}")


def check_int_range(name: str, value: int, low: int, high: int, *key: str) -> None:
    """Check that a value is an int from `low` to `high`."""
    if type(value) is int and low <= value <= high:
        return
    if isinstance(value, bool) or not isinstance(value, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{_with_label(name, key)} must be an int, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{_with_label(name, key)} must be from {low} to {high}, not {value}")


def check_seconds(name: str, value: float) -> None:
    """Check that a number of seconds is neither negative nor NaN."""
    if not value >= 0:
        raise ValueError(f"{name} must be 0 or more seconds, not {value}")


def to_utc(name: str, value: datetime | None, *key: str) -> datetime | None:
    """Return a datetime in UTC, or `None` for `None`; refuse naive datetimes."""
    if value is None:
        return None
    if not isinstance(value, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"{_with_label(name, key)} must be a datetime, not {value!r}. "
            "For a time from now, pass delay, in seconds or as a timedelta"
        )
    if value.utcoffset() is None:
        raise ValueError(
            f"{_with_label(name, key)} is naive ({value.isoformat()}): "
            "add a time zone, as in datetime.now(UTC)"
        )
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(
            f"{_with_label(name, key)} is out of range in UTC: {value.isoformat()}"
        ) from error


_values = cache(get_args)


def check_choice(name: str, value: str, choices: object) -> None:
    """Check that a value is one of the values of a `Literal`."""
    allowed = _values(choices)
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")


def check_type(
    message: str, value: object, expected: type | tuple[type, ...], advice: str = ""
) -> None:
    """Check the type of a value; `advice` is added to the message."""
    if not isinstance(value, expected):
        raise TypeError(f"{message}, not {type(value).__name__}{advice and f': {advice}'}")


def to_seconds(name: str, value: float | timedelta, *key: str) -> float:
    """Return a duration in seconds; refuse a negative one."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    name = _with_label(name, key)
    check_type(f"{name} must be seconds or a timedelta", value, (int, float))
    check_seconds(name, value)
    return value


def add_delay(now: datetime, delay: float | timedelta, *key: str) -> datetime:
    """Return `now` plus a delay."""
    seconds = to_seconds("delay", delay, *key)
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError as error:
        raise ValueError(f"{_with_label('delay', key)} is too long: {seconds} s") from error


def check_exclusive(run_at: object, delay: object) -> None:
    """Check that at most one of `run_at` and `delay` is passed."""
    if run_at is not None and delay is not None:
        raise TypeError("pass run_at or delay, not both")
