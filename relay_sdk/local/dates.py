"""Times on the wire, as microseconds since 1970 UTC; the years 1 to 9999."""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EXPECTED = "an RFC 3339 formatted date and time string"

_EARLIEST = (datetime.min.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
_LATEST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
_CYCLE = timedelta(days=146_097) // MICROSECOND  # after 400 years the calendar repeats
_YEAR_2000 = (datetime(2000, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(seconds=1) * 10**9

# All quantifiers are possessive, so that no text needs backtracking.
_RELAXED = re.compile(
    r"\s*+(?P<year>[+-][0-9]{1,10}|[0-9]{1,4})\s*+-\s*+(?P<month>[0-9]{1,2})\s*+-"
    r"\s*+(?P<day>[0-9]{1,2})[Tt ]\s*+(?P<hour>[0-9]{1,2})\s*+:\s*+(?P<minute>[0-9]{1,2})"
    r"\s*+:\s*+(?P<second>[0-9]{1,2})(?:\.(?P<fraction>[0-9]++))?\s*+"
    r"(?:[Zz]|[Uu][Tt][Cc]"
    r"|(?P<sign>[+\-\u2212])(?P<ahead>[0-9]{2})[:\s]*+(?P<minutes>[0-5][0-9]))\s*+"
)


def from_datetime(moment: datetime) -> int:
    """Convert an aware datetime."""
    return (moment - EPOCH) // MICROSECOND


@lru_cache(4096)  # jobs of one request or one batch share their times
def to_text(moment: int) -> str:
    """Return RFC 3339 with a fraction of 0, 3 or 6 digits and Z."""
    if not _EARLIEST <= moment <= _LATEST:
        return _to_far_text(moment)
    when = (EPOCH + timedelta(microseconds=moment)).replace(tzinfo=None)
    if not when.microsecond:
        return when.isoformat(timespec="seconds") + "Z"
    if not when.microsecond % 1000:
        return when.isoformat(timespec="milliseconds") + "Z"
    return when.isoformat(timespec="microseconds") + "Z"


def _to_far_text(moment: int) -> str:
    """Return the text of a time that only the real server stores."""
    cycles, within = divmod(moment - _EARLIEST, _CYCLE)
    text = to_text(_EARLIEST + within)
    year = int(text[:4]) + 400 * cycles
    sign = "+" if year > 9999 else "-" if year < 0 else ""
    return f"{sign}{abs(year):04}{text[4:]}"


def parse_relaxed(text: str) -> int:
    """Parse the relaxed RFC 3339 of version 2.

    Raise ValueError for any other form, and OverflowError for a year outside 1 to 9999.
    """
    found = _RELAXED.fullmatch(text)
    if not found:
        raise ValueError("input contains invalid characters")
    offset = 60 * int(found["ahead"] or 0) + int(found["minutes"] or 0)
    return assemble(
        int(found["year"]),
        int(found["month"]),
        int(found["day"]),
        int(found["hour"]),
        int(found["minute"]),
        int(found["second"]),
        found["fraction"] or "",
        offset if found["sign"] == "+" else -offset,
    )


def assemble(
    year: int,
    month: int,
    day: int,
    hour: int,
    minute: int,
    second: int,
    fraction: str,
    offset: int,
) -> int:
    """Return the time; `fraction` is digits, and `offset` is minutes east of UTC."""
    date(2000 + year % 400, month, day)  # raises ValueError if no year like this has the day
    if hour > 23 or minute > 59 or second > 60 or abs(offset) >= 24 * 60 or abs(year) > 262142:
        raise ValueError("input is out of range")
    if not 1 <= year <= 9999:
        raise OverflowError("timestamp out of range")
    days = date(year, month, day).toordinal() - EPOCH.toordinal()
    seconds = ((days * 24 + hour) * 60 + minute - offset) * 60 + second
    return from_nanoseconds(seconds * 10**9 + int(fraction[:9].ljust(9, "0")))


def from_nanoseconds(nanoseconds: int) -> int:
    """Truncate to microseconds toward the year 2000, the epoch of PostgreSQL."""
    since = nanoseconds - _YEAR_2000
    cut = since // 1000 if since >= 0 else -(-since // 1000)
    moment = cut + _YEAR_2000 // 1000
    if not _EARLIEST <= moment <= _LATEST:
        raise OverflowError("timestamp out of range")
    return moment
