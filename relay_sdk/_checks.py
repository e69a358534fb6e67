"""Arguments that can never be right are refused before anything is sent."""

from datetime import UTC, datetime
from typing import get_args

MAX_KEY = 1024


def place(queue: str, id: str | None = None) -> str:
    """Name a queue, or a job in it, for a message."""
    return f"queue {queue!r}" if id is None else f"job {id!r} in queue {queue!r}"


def check_queue(queue: str) -> None:
    """Refuse a queue's name that the server's database cannot hold."""
    _check_key("queue", queue, place(queue))


def check_key(queue: str, id: str) -> None:
    """Refuse a queue's name, or a job's id in it, that the server's database cannot hold."""
    check_queue(queue)
    _check_key("id", id, place(queue, str(id)))


def _check_key(what: str, value: str, where: str) -> None:
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{what} of {where} must be a str")
    if not 1 <= len(value) <= MAX_KEY:
        raise ValueError(
            f"{what} must have 1 to {MAX_KEY} characters, not {len(value)}: {where:.80}"
        )
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{what} has a NUL or half a surrogate pair: {where}")


def check_whole(what: str, value: int, low: int, high: int) -> None:
    """Refuse what is not a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{what} must be an int, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{what} must be from {low} to {high}, not {value}")


def check_seconds(what: str, value: float) -> None:
    """Refuse a wait that is negative or not a number."""
    if not value >= 0:
        raise ValueError(f"{what} must be 0 or more seconds, not {value}")


def check_moment(what: str, value: datetime | None) -> datetime | None:
    """Refuse a naive datetime; give the others in UTC."""
    if value is None:
        return None
    if not isinstance(value, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{what} must be a datetime, not {value!r}")
    if value.utcoffset() is None:
        raise ValueError(
            f"{what} is naive ({value.isoformat()}): give it a time zone, as in datetime.now(UTC)"
        )
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{what} is out of range in UTC: {value.isoformat()}") from error


def check_choice(what: str, value: str, choices: object) -> None:
    """Refuse what is not one of a `Literal`'s values."""
    allowed = get_args(choices)
    if value not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
