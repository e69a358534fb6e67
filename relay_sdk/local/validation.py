"""Refuse values that PostgreSQL could not store, as the real server does."""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from json import JSONDecoder

from .exceptions import BackendError
from .operations import NewJob

MAX_KEY_LENGTH = 1024
MAX_INTEGER_DIGITS = 131072
MAX_FRACTION_DIGITS = 16383

# Each match is a whole escape, so the second half of an escaped backslash cannot begin one.
_ESCAPE = re.compile(
    r"\\(?:[^u]|u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<unstorable>u0000|u[dD][89a-fA-F]..)|u....)"
)
_EXPONENT = re.compile(r"[0-9][eE][+-]?[0-9]{4}")
_LONG_NUMBER = re.compile(r"(?<![0-9])[0-9]{10000}")


def check_jobs(new: Iterable[NewJob]) -> Iterator[NewJob]:
    """Check and yield one job after another."""
    for job in new:
        check_json(job.payload)
        check_json(job.state)
        queue, id = check_key(job.queue), check_key(job.id)
        if len(queue) < len(job.queue) or len(id) < len(job.id):
            job = job._replace(queue=queue, id=id)
        yield job


def check_key(text: str) -> str:
    """Return a queue or id without the trailing spaces that a column of this length cuts."""
    check_no_nul(text)
    if len(text) <= MAX_KEY_LENGTH:
        return text
    if text[MAX_KEY_LENGTH:].strip(" "):
        raise BackendError(
            f"db error: ERROR: value too long for type character varying({MAX_KEY_LENGTH})"
        )
    return text[:MAX_KEY_LENGTH]


def check_no_nul(text: str) -> str:
    """Check a queue or id for a lookup, which may have any length."""
    if "\0" in text:
        raise BackendError('db error: ERROR: invalid byte sequence for encoding "UTF8": 0x00')
    return text


def check_json(text: str | None) -> str | None:
    """Check a payload or state that is valid JSON."""
    if text is None:
        return None
    if "\\u" in text and any(found["unstorable"] for found in _ESCAPE.finditer(text)):
        raise BackendError("db error: ERROR: unsupported Unicode escape sequence")
    if _EXPONENT.search(text) or (len(text) >= 10000 and _LONG_NUMBER.search(text)):
        _NUMBERS.decode(text)
    return text


def _number(literal: str) -> None:
    try:
        number = Decimal(literal)
    except InvalidOperation:
        number = Decimal("Infinity")
    exponent = number.as_tuple().exponent
    high = number.adjusted() >= MAX_INTEGER_DIGITS and not number.is_zero()
    if isinstance(exponent, str) or high or exponent < -MAX_FRACTION_DIGITS:
        raise BackendError("db error: ERROR: value overflows numeric format")


_NUMBERS = JSONDecoder(parse_int=_number, parse_float=_number)
