"""Arguments that can never be right are refused before anything is sent."""

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import get_args

MAX_KEY = 1024

_NOT_STORED = re.compile("[\0\ud800-\udfff]")


def job_label(queue: str, id: str | None = None) -> str:
    """Name a queue, or a job in it, for a message."""
    return f"queue {queue!r}" if id is None else f"job {id!r} in queue {queue!r}"


def _of(what: str, key: tuple[str, ...]) -> str:
    return f"{what} of {job_label(*key)}" if key else what


def check_queue(queue: str) -> None:
    """Refuse a queue's name that the server's database cannot hold."""
    _check_key("queue", queue, queue)


def check_key(queue: str, id: str) -> None:
    """Refuse a queue's name, or a job's id in it, that the server's database cannot hold."""
    # Neither NUL nor a surrogate is printable, so most keys need no closer look.
    if not (
        type(queue) is type(id) is str
        and 0 < len(queue) <= MAX_KEY
        and 0 < len(id) <= MAX_KEY
        and queue.isprintable()
        and id.isprintable()
    ):
        check_queue(queue)
        _check_key("id", id, queue, id)


def _check_key(what: str, value: str, *where: str) -> None:
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"{what} must be a str, not {type(value).__name__}: write str(...) "
            f"({job_label(*where)})"
        )
    if not 1 <= len(value) <= MAX_KEY:
        raise ValueError(
            f"{what} must have 1 to {MAX_KEY} characters, not {len(value)}: {job_label(*where):.80}"
        )
    if _NOT_STORED.search(value):
        raise ValueError(f"{what} has a NUL or half a surrogate pair: {job_label(*where)}")


def check_whole(what: str, value: int, low: int, high: int, *key: str) -> None:
    """Refuse what is not a whole number from `low` to `high`."""
    if type(value) is int and low <= value <= high:
        return
    if isinstance(value, bool) or not isinstance(value, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{_of(what, key)} must be an int, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{_of(what, key)} must be from {low} to {high}, not {value}")


def check_seconds(what: str, value: float) -> None:
    """Refuse a wait that is negative or not a number."""
    if not value >= 0:
        raise ValueError(f"{what} must be 0 or more seconds, not {value}")


def check_moment(what: str, value: datetime | None, *key: str) -> datetime | None:
    """Refuse a naive datetime; give the others in UTC."""
    if value is None:
        return None
    if not isinstance(value, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"{_of(what, key)} must be a datetime, not {value!r}. "
            "For a time from now, pass delay, in seconds or as a timedelta"
        )
    if value.utcoffset() is None:
        raise ValueError(
            f"{_of(what, key)} is naive ({value.isoformat()}): "
            "give it a time zone, as in datetime.now(UTC)"
        )
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{_of(what, key)} is out of range in UTC: {value.isoformat()}") from error


_values = cache(get_args)


def check_choice(what: str, value: str, choices: object) -> None:
    """Refuse what is not one of a `Literal`'s values."""
    allowed = _values(choices)
    if value not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(map(repr, allowed))}, not {value!r}")


def check_type(what: str, value: object, kind: type | tuple[type, ...], instead: str = "") -> None:
    """Refuse a value of another type; `instead` says what to write."""
    if not isinstance(value, kind):
        raise TypeError(f"{what}, not {type(value).__name__}{instead and f': {instead}'}")


def in_seconds(what: str, value: float | timedelta, *key: str) -> float:
    """Give a length of time in seconds; refuse one that is negative, or none at all."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    what = _of(what, key)
    check_type(f"{what} must be seconds or a timedelta", value, (int, float))
    check_seconds(what, value)
    return value


def moment_after(now: datetime, delay: float | timedelta, *key: str) -> datetime:
    """Give the moment that comes a delay after another."""
    seconds = in_seconds("delay", delay, *key)
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError as error:
        raise ValueError(f"{_of('delay', key)} is too long: {seconds} s") from error


def check_either(run_at: object, delay: object) -> None:
    """Refuse two answers to the question when a job is to run."""
    if run_at is not None and delay is not None:
        raise TypeError("pass run_at or delay, not both")
