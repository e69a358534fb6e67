"""The many forms of a date that version 1 takes."""

import re

from . import dates

_YEAR = "(?P<year>[0-9]{4})"
_ANY_YEAR = "(?P<year>[0-9]{4}|[0-9]{2})"
_MONTH = "(?P<month>[0-9]{1,2})"
_NAME = "(?P<month>[A-Za-z]{3,9})"
_DAY = "(?P<day>[0-9]{1,2})"
_WEEKDAY = "[A-Za-z]{3,9}"
_TIME = (
    "(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?(?: ?(?P<half>[AaPp][Mm]))?"
)
_CHINESE_TIME = "(?P<hour>[0-9]{1,2})时(?P<minute>[0-9]{1,2})分(?:(?P<second>[0-9]{1,2})秒)?"
_ZONE = (
    "(?: ?(?P<sign>[+-])(?P<ahead>[0-9]{2}):?(?P<minutes>[0-5][0-9])?| (?P<zone>[A-Za-z]{1,4}))?"
)

_FORMS = [
    re.compile(form)
    for form in (
        *(
            f"{day}(?: {_TIME}{_ZONE})?"
            for day in (
                f"{_YEAR}-{_MONTH}-{_DAY}",
                f"{_YEAR}/{_MONTH}/{_DAY}",
                f"{_MONTH}/{_DAY}/{_ANY_YEAR}",
                f"(?:{_WEEKDAY} )?{_DAY} {_NAME} {_ANY_YEAR}",
                f"{_NAME} {_DAY} {_ANY_YEAR}",
            )
        ),
        rf"{_YEAR}\.{_MONTH}\.{_DAY}",
        rf"{_MONTH}\.{_DAY}\.{_ANY_YEAR}",
        f"{_YEAR}-{_NAME}-{_DAY}",
        f"{_WEEKDAY} {_NAME} {_DAY} {_TIME} {_YEAR}",
        f"(?P<year>[0-9]{{2}})(?P<month>[0-9]{{2}})(?P<day>[0-9]{{2}}) {_TIME}{_ZONE}",
        f"{_YEAR}年{_MONTH}月{_DAY}日(?: ?{_CHINESE_TIME})?",
    )
]

_MONTHS = [
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
]

_ZONE_MINUTES = {
    "ut": 0, "utc": 0, "gmt": 0, "z": 0, "wet": 0, "west": 60, "bst": 60, "cet": 60, "cest": 120,
    "eet": 120, "eest": 180, "msk": 180, "ist": 330, "hkt": 480, "sgt": 480, "jst": 540,
    "kst": 540, "aest": 600, "aedt": 660, "nzst": 720, "nzdt": 780, "adt": -180, "ast": -240,
    "edt": -240, "est": -300, "cdt": -300, "cst": -360, "mdt": -360, "mst": -420, "pdt": -420,
    "pst": -480, "akdt": -480, "akst": -540, "hst": -600,
}  # fmt: skip


def lenient(text: str) -> int | None:
    """Read a date in any known form; None when it has none of them."""
    if not text or text[0].isspace() or text[0] in "+-":
        return None
    try:
        if re.fullmatch("[0-9]+", text):
            return _since_1970(text)
        try:
            return dates.relaxed(text)
        except ValueError:
            return _in_words(" ".join(text.replace(",", " ").split()))
    except (LookupError, StopIteration, ValueError, OverflowError):
        return None


def _since_1970(digits: str) -> int:
    """Read seconds, milliseconds, microseconds or nanoseconds, by the number of digits."""
    if len(digits) <= 10:
        return int(digits) * 10**6
    unit = 10**6 if len(digits) <= 13 else 10**3 if len(digits) <= 16 else 1
    if len(digits) > 19 or (unit == 1 and int(digits) >= 2**63):
        raise OverflowError("timestamp out of range")
    # The real server counts nanoseconds in 64 bits, and wraps.
    return dates.from_nanoseconds((int(digits) * unit + 2**63) % 2**64 - 2**63)


def _in_words(text: str) -> int:
    found = next(filter(None, (form.fullmatch(text) for form in _FORMS)), None)
    if not found:
        raise ValueError("no known form of a date")
    part = found.groupdict()
    return dates.assemble(
        _year(part["year"]),
        _month(part["month"]),
        int(part["day"]),
        _hour(int(part.get("hour") or 0), part.get("half")),
        int(part.get("minute") or 0),
        int(part.get("second") or 0),
        part.get("fraction") or "",
        _offset(part),
    )


def _year(text: str) -> int:
    if len(text) == 4:
        return int(text)
    return int(text) + (1900 if int(text) > 69 else 2000)


def _month(text: str) -> int:
    if text.isdigit():
        return int(text)
    return next(n for n, name in enumerate(_MONTHS, 1) if name.startswith(text.lower()))


def _hour(hour: int, half: str | None) -> int:
    if half is None:
        return hour
    if not 1 <= hour <= 12:
        raise ValueError("no such hour")
    return hour % 12 + (12 if half.lower() == "pm" else 0)


def _offset(part: dict[str, str | None]) -> int:
    if zone := part.get("zone"):
        return _ZONE_MINUTES[zone.lower()]
    offset = 60 * int(part.get("ahead") or 0) + int(part.get("minutes") or 0)
    return -offset if part.get("sign") == "-" else offset
