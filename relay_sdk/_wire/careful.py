"""Reading jobs one by one, when the fast reader fails: a strange one must not cost the others.

What Python cannot hold, and Relay can: JSON nested a thousand deep, and years before 1 or after
9999. The payload stays text, as ever; such a moment becomes `None`.
"""

import re
from collections.abc import Mapping
from datetime import datetime

import msgspec

from relay_sdk._wire.request import UNDECODABLE
from relay_sdk.job import RawJob

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{}:,]')
JOB = 2  # an object in an array
_KEPT = ("payload", "state")
_MOMENTS = ("run_at", "updated_at", "created_at")


def read_carefully(text: bytes) -> tuple[list[RawJob], list[str]]:
    """Read an array of jobs: those that can be read, and what is wrong with the others.

    There are neither when it is no array, or not a whole one.
    """
    jobs: list[RawJob] = []
    faults: list[str] = []
    for fields in _objects(text):
        try:
            jobs.append(_job(fields))
        except UNDECODABLE as error:
            faults.append(str(error))
    return jobs, faults


def _job(fields: Mapping[bytes, msgspec.Raw]) -> RawJob:
    plain: dict[str, object] = {}
    for key, value in fields.items():
        name = msgspec.json.decode(key, type=str)
        if name in RawJob.__struct_fields__:
            plain[name] = value if name in _KEPT else msgspec.json.decode(value)
    for name in _MOMENTS:
        try:
            datetime.fromisoformat(str(plain.get(name)))
        except ValueError:
            plain[name] = None
    return msgspec.convert(plain, RawJob)


def _objects(text: bytes) -> list[dict[bytes, msgspec.Raw]]:
    """Give the fields of each job, found by counting brackets and not by recursion."""
    objects: list[dict[bytes, msgspec.Raw]] = []
    level = start = end = 0
    fields: dict[bytes, msgspec.Raw] = {}
    name = word = b""
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if level < JOB and (mark[:1] == b'"' or text[end : token.start()].strip()):
            return []  # something between the jobs
        end = token.end()
        if level == JOB:
            if mark == b":":
                name, start = word, token.end()
            elif mark in b",}" and name:
                fields[name] = msgspec.Raw(text[start : token.start()].strip())
                name = b""
            elif mark[:1] == b'"' and not name:
                word = mark
            if mark == b"}":
                objects.append(fields)
                fields = {}
        level += (mark in b"[{") - (mark in b"]}")
    whole = level == 0 and text.strip()[:1] + text.strip()[-1:] == b"[]"
    return objects if whole else []
