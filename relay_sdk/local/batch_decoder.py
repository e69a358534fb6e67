"""Decode the body of an enqueue fast if it is well-formed.

Any other body is left to `JsonParser`, which takes five times as long, returns the same jobs, and
reports mistakes in the words of the real server.
"""

import re
from collections.abc import Sequence

from msgspec import UNSET, MsgspecError, Raw, Struct, UnsetType
from msgspec.json import Decoder

from . import dates
from .json_parser import MAX_JSON_DEPTH
from .lenient_dates import parse_lenient
from .operations import NewJob


class _Job(Struct, forbid_unknown_fields=True):
    queue: str
    id: str
    timeout: int
    payload: Raw
    max_retries: int | None | UnsetType = UNSET
    state: Raw = Raw()
    run_at: str | None | UnsetType = UNSET


_decode = Decoder(list[_Job]).decode
_MINUS_ZERO = re.compile(rb"-0\s*+[,}]")


def decode_v2(body: bytes, now: int) -> list[NewJob] | None:
    """Decode a body of version 2; return None if `JsonParser` must parse it."""
    jobs = _decode_jobs(body)
    if jobs is None:
        return None
    found: list[NewJob] = []
    for job in jobs:
        retries = None if job.max_retries is UNSET else job.max_retries
        if not 0 <= job.timeout < 2**31 or not 0 <= (retries or 0) < 2**15:
            return None
        try:
            run_at = dates.parse_relaxed(job.run_at) if isinstance(job.run_at, str) else now
        except (ValueError, OverflowError):
            return None
        found.append(_new(job, job.timeout, retries, run_at))
    return found


def decode_v1(body: bytes, now: int) -> list[NewJob] | None:
    """Decode a body of version 1; return None if `JsonParser` must parse it."""
    jobs = _decode_jobs(body)
    if jobs is None:
        return None
    found: list[NewJob] = []
    for job in jobs:
        retries = 0 if job.max_retries is UNSET else job.max_retries
        if retries is None or not -(2**31) <= retries < 2**31:
            return None
        if not -(2**31) <= job.timeout < 2**31:
            return None
        run_at = parse_lenient(job.run_at) if job.run_at else None
        found.append(
            _new(
                job,
                max(0, job.timeout),
                None if retries < 0 else min(retries, 2**15 - 1),
                now if run_at is None else run_at,
            )
        )
    return found


def _new(job: _Job, timeout: int, retries: int | None, run_at: int) -> NewJob:
    state = str(job.state, "utf-8") if len(job.state) else None
    payload = str(job.payload, "utf-8")
    return NewJob(job.queue, job.id, timeout, retries, payload, state, run_at)


def _decode_jobs(body: bytes) -> Sequence[_Job] | None:
    try:
        body.decode()  # msgspec does not check the text of a Raw
        jobs = _decode(body)
    except (UnicodeDecodeError, MsgspecError, RecursionError):
        return None
    if _MINUS_ZERO.search(body) or _is_deep(body, jobs) or _repeats(body, jobs):
        return None
    return jobs


def _is_deep(body: bytes, jobs: Sequence[_Job]) -> bool:
    def brackets(text: bytes) -> int:
        return text.count(b"[") + text.count(b"{")

    return brackets(body) > MAX_JSON_DEPTH and any(
        brackets(bytes(job.payload)) > MAX_JSON_DEPTH or brackets(bytes(job.state)) > MAX_JSON_DEPTH
        for job in jobs
    )


def _repeats(body: bytes, jobs: Sequence[_Job]) -> bool:
    """Return whether a job may have a field twice; the decoder would keep the last one.

    Without backslashes, each name must occur exactly once for each job that has the field.
    """
    inside: list[bytes] | None = None

    def outside(text: bytes) -> int:
        nonlocal inside
        if inside is None:
            inside = [bytes(raw) for job in jobs for raw in (job.payload, job.state)]
        return body.count(text) - sum(raw.count(text) for raw in inside)

    if b"\\" in body and outside(b"\\"):
        return True
    count = len(jobs)
    for name, present in (
        (b'"queue"', count),
        (b'"id"', count),
        (b'"timeout"', count),
        (b'"payload"', count),
        (b'"max_retries"', sum(job.max_retries is not UNSET for job in jobs)),
        (b'"state"', sum(len(job.state) > 0 for job in jobs)),
        (b'"run_at"', sum(job.run_at is not UNSET for job in jobs)),
    ):
        if body.count(name) != present and outside(name) != present:
            return True
    return False
