"""The many forms of a date that version 1 accepts."""

import re

from . import dates

MAX_DATE_CHARACTERS = 100
"""A longer text is not parsed as a date."""

_MONTHS = [
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
]

_YEAR = "(?P<year>[0-9]{4})"
_MONTH = "(?P<month>[0-9]{1,2})"
_NAME = "(?P<month>[A-Za-z]{3,9})"
_DAY = "(?P<day>[0-9]{1,2})"
_TIME = (
    "(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]++))?)?"
)
_ZONE = "(?: ?(?P<sign>[+-])(?P<ahead>[0-9]{2}):?(?P<minutes>[0-5][0-9])?| (?:UTC|GMT|UT|Z))?"

_DIGITS = re.compile("[0-9]++")
_FORMS = [
    re.compile(form)
    for form in (
        f"{_YEAR}-{_MONTH}-{_DAY}(?: {_TIME}{_ZONE})?",
        f"{_YEAR}/{_MONTH}/{_DAY}(?: {_TIME}{_ZONE})?",
        f"{_MONTH}/{_DAY}/{_YEAR}(?: {_TIME}{_ZONE})?",
        f"(?:[A-Za-z]{{3}}, )?{_DAY} {_NAME} {_YEAR} {_TIME}{_ZONE}",  # RFC 2822
        f"{_DAY} {_NAME} {_YEAR}",
        f"{_NAME} {_DAY},? {_YEAR}",
    )
]


def parse_lenient(text: str) -> int | None:
    """Parse a date in any known form; return None if it has none of them."""
    if not text or len(text) > MAX_DATE_CHARACTERS or text[0].isspace() or text[0] in "+-":
        return None
    try:
        if _DIGITS.fullmatch(text):
            return _parse_timestamp(text)
        try:
            return dates.parse_relaxed(text)
        except ValueError:
            return _parse_form(text)
    except (StopIteration, ValueError, OverflowError):
        return None


def _parse_timestamp(digits: str) -> int:
    """Parse seconds, milliseconds, microseconds or nanoseconds, by the number of digits."""
    if len(digits) <= 10:
        return int(digits) * 10**6
    unit = 10**6 if len(digits) <= 13 else 10**3 if len(digits) <= 16 else 1
    if len(digits) > 19 or (unit == 1 and int(digits) >= 2**63):
        raise OverflowError("timestamp out of range")
    # The real server counts nanoseconds in 64 bits, and wraps.
    return dates.from_nanoseconds((int(digits) * unit + 2**63) % 2**64 - 2**63)


def _parse_form(text: str) -> int:
    found = next(filter(None, (form.fullmatch(text) for form in _FORMS)), None)
    if not found:
        raise ValueError("unknown form of a date")
    part = found.groupdict()
    offset = 60 * int(part.get("ahead") or 0) + int(part.get("minutes") or 0)
    return dates.assemble(
        int(part["year"]),
        _month(part["month"]),
        int(part["day"]),
        int(part.get("hour") or 0),
        int(part.get("minute") or 0),
        int(part.get("second") or 0),
        part.get("fraction") or "",
        -offset if part.get("sign") == "-" else offset,
    )


def _month(text: str) -> int:
    if text.isdigit():
        return int(text)
    return next(n for n, name in enumerate(_MONTHS, 1) if name.startswith(text.lower()))
