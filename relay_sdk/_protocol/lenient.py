"""Parse jobs one by one when msgspec fails, so that an invalid job does not affect the others.

This also parses what Relay can store and Python cannot hold: JSON nested a thousand levels deep,
and years before 1 or after 9999. Payload and state stay text; such a date becomes `None`.
"""

import re
from datetime import datetime

import msgspec

from relay_sdk._protocol.models import RawJob
from relay_sdk._protocol.request import UNDECODABLE

# An unterminated string is one token, too. Otherwise each quote in it would be tried as the start
# of a string, which takes quadratic time.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[][{}:,]', re.DOTALL)
_FIELD = re.compile(rb'\s*("(?:[^"\\]|\\.)*")\s*:(.*)', re.DOTALL)
_RAW_FIELDS = ("payload", "state")
_DATE_FIELDS = ("run_at", "updated_at", "created_at")


def parse_leniently(text: bytes) -> tuple[list[RawJob], list[str]]:
    """Parse an array of jobs; return the valid jobs, and what is wrong with the others.

    Both lists are empty if the text is not a complete array of objects.
    """
    objects = [_split(part, b"{}") for part in _split(text, b"[]")]
    jobs: list[RawJob] = []
    faults: list[str] = []
    for fields in objects if all(objects) else ():
        try:
            jobs.append(_parse_job(fields))
        except UNDECODABLE as error:
            faults.append(str(error))
    return jobs, faults


def _parse_job(fields: list[bytes]) -> RawJob:
    values: dict[str, object] = {}
    for field in fields:
        if not (match := _FIELD.fullmatch(field)):
            raise msgspec.DecodeError("a field of an object has a name and a value")
        name, value = msgspec.json.decode(match[1], type=str), match[2].strip()
        if name in RawJob.__struct_fields__:
            raw = name in _RAW_FIELDS
            values[name] = msgspec.Raw(value) if raw else msgspec.json.decode(value)
    for name in _DATE_FIELDS:
        try:
            datetime.fromisoformat(str(values.get(name)))
        except ValueError:
            values[name] = None
    return msgspec.convert(values, RawJob)


def _split(text: bytes, brackets: bytes) -> list[bytes]:
    """Split an array or object at its commas; return an empty list if it is not a complete one.

    Brackets are counted, because recursion would fail on deeply nested values.
    """
    text = text.strip()
    parts: list[bytes] = []
    level, start = 0, 1
    for token in _TOKEN.finditer(text):
        mark = token[0]
        level += (mark in b"[{") - (mark in b"]}")
        if level == 0 or (level == 1 and mark == b","):
            parts.append(text[start : token.start()])
            start = token.end()
    complete = level == 0 and start == len(text) and text[:1] + text[-1:] == brackets
    return parts if complete else []
