"""What PostgreSQL could not hold is refused here too."""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from json import JSONDecoder

from .answers import BackendError
from .operations import NewJob

KEY_LENGTH = 1024
DIGITS = 131072
DECIMALS = 16383

# Whole escapes are consumed, so that the second half of an escaped backslash starts none.
_ESCAPE = re.compile(
    r"\\(?:[^u]|u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<unstorable>u0000|u[dD][89a-fA-F]..)|u....)"
)
_EXPONENT = re.compile(r"[0-9][eE][+-]?[0-9]{4}")
_DIGITS = re.compile(r"(?<![0-9])[0-9]{10000}")


def jobs(new: Iterable[NewJob]) -> Iterator[NewJob]:
    """Check each job when it is its turn."""
    for job in new:
        json(job.payload)
        json(job.state)
        queue, id = key(job.queue), key(job.id)
        if len(queue) < len(job.queue) or len(id) < len(job.id):
            job = job._replace(queue=queue, id=id)
        yield job


def key(text: str) -> str:
    """Check a queue or id, less the spaces that a column of this length cuts."""
    no_nul(text)
    if len(text) <= KEY_LENGTH:
        return text
    if text[KEY_LENGTH:].strip(" "):
        raise BackendError(
            f"db error: ERROR: value too long for type character varying({KEY_LENGTH})"
        )
    return text[:KEY_LENGTH]


def no_nul(text: str) -> str:
    """Check a queue or id that is only looked for, which may have any length."""
    if "\0" in text:
        raise BackendError('db error: ERROR: invalid byte sequence for encoding "UTF8": 0x00')
    return text


def json(text: str | None) -> str | None:
    """Check a payload or state that is valid JSON."""
    if text is None:
        return None
    if "\\u" in text and any(found["unstorable"] for found in _ESCAPE.finditer(text)):
        raise BackendError("db error: ERROR: unsupported Unicode escape sequence")
    if _EXPONENT.search(text) or (len(text) >= 10000 and _DIGITS.search(text)):
        _NUMBERS.decode(text)
    return text


def _number(literal: str) -> None:
    try:
        number = Decimal(literal)
    except InvalidOperation:
        number = Decimal("Infinity")
    exponent = number.as_tuple().exponent
    high = number.adjusted() >= DIGITS and not number.is_zero()
    if isinstance(exponent, str) or high or exponent < -DECIMALS:
        raise BackendError("db error: ERROR: value overflows numeric format")


_NUMBERS = JSONDecoder(parse_int=_number, parse_float=_number)
