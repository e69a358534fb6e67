"""Reading jobs one by one, when the fast reader fails: a strange one must not cost the others.

What Python cannot hold, and Relay can: JSON nested a thousand deep, and years before 1 or after
9999. The payload stays text, as ever; such a moment becomes `None`.
"""

import re
from datetime import datetime

import msgspec

from relay_sdk._protocol.models import RawJob
from relay_sdk._protocol.request import UNDECODABLE

# A text without an end is one token too: otherwise each quote in it would be tried as a beginning.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[][{}:,]', re.DOTALL)
_FIELD = re.compile(rb'\s*("(?:[^"\\]|\\.)*")\s*:(.*)', re.DOTALL)
_KEPT = ("payload", "state")
_MOMENTS = ("run_at", "updated_at", "created_at")


def read_carefully(text: bytes) -> tuple[list[RawJob], list[str]]:
    """Read an array of jobs: those that can be read, and what is wrong with the others.

    There are neither when it is no array of objects, or not a whole one.
    """
    objects = [_split(part, b"{}") for part in _split(text, b"[]")]
    jobs: list[RawJob] = []
    faults: list[str] = []
    for fields in objects if all(objects) else ():
        try:
            jobs.append(_job(fields))
        except UNDECODABLE as error:
            faults.append(str(error))
    return jobs, faults


def _job(fields: list[bytes]) -> RawJob:
    plain: dict[str, object] = {}
    for field in fields:
        if not (found := _FIELD.fullmatch(field)):
            raise msgspec.DecodeError("a field of an object has a name and a value")
        name, value = msgspec.json.decode(found[1], type=str), found[2].strip()
        if name in RawJob.__struct_fields__:
            plain[name] = msgspec.Raw(value) if name in _KEPT else msgspec.json.decode(value)
    for name in _MOMENTS:
        try:
            datetime.fromisoformat(str(plain.get(name)))
        except ValueError:
            plain[name] = None
    return msgspec.convert(plain, RawJob)


def _split(text: bytes, brackets: bytes) -> list[bytes]:
    """Give what is between the commas of an array or object, by counting brackets, not recursion.

    There is nothing when it is none, or not a whole one.
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
    whole = level == 0 and start == len(text) and text[:1] + text[-1:] == brackets
    return parts if whole else []
