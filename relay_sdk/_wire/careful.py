"""Reading jobs one by one, when the fast reader fails: a strange one must not cost the others.

What Python cannot hold, and Relay can: JSON nested a thousand deep, and years before 1 or after
9999. The payload stays text, as ever; such a moment becomes `None`.
"""

import re
from collections.abc import Iterator
from datetime import datetime

import msgspec

from relay_sdk.job import RawJob

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{}:,]')
JOB = 2  # an object in an array
_KEPT = ("payload", "state")
_MOMENTS = ("run_at", "updated_at", "created_at")


def read_carefully(text: bytes) -> list[RawJob]:
    """Read an array of jobs."""
    return [_job(fields) for fields in _objects(text)]


def _job(fields: dict[str, msgspec.Raw]) -> RawJob:
    plain: dict[str, object] = {
        name: value if name in _KEPT else msgspec.json.decode(value)
        for name, value in fields.items()
    }
    for name in _MOMENTS:
        try:
            datetime.fromisoformat(str(plain.get(name)))
        except ValueError:
            plain[name] = None
    return msgspec.convert(plain, RawJob)


def _objects(text: bytes) -> Iterator[dict[str, msgspec.Raw]]:
    """Give the fields of each job, found by counting brackets and not by recursion."""
    level = start = 0
    fields: dict[str, msgspec.Raw] = {}
    name = word = ""
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if level == JOB:
            if mark == b":":
                name, start = word, token.end()
            elif mark in b",}" and name:
                fields[name] = msgspec.Raw(text[start : token.start()].strip())
                name = ""
            elif mark[:1] == b'"' and not name:
                word = msgspec.json.decode(mark, type=str)
            if mark == b"}":
                yield fields
                fields = {}
        level += (mark in b"[{") - (mark in b"]}")
