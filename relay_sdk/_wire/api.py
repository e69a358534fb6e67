"""What every version of the API offers, and what they share."""

from collections.abc import Callable, Sequence
from typing import Never, Protocol, TypeVar

import msgspec
from msgspec import Raw

from relay_sdk._checks import place
from relay_sdk._flow import Reply
from relay_sdk._wire.careful import read_carefully
from relay_sdk._wire.request import NOT_HERE, Request, Unreadable, nothing
from relay_sdk.exceptions import (
    JobExistsError,
    JobLostError,
    JobNotFoundError,
    UnexpectedStatusError,
)
from relay_sdk.job import EnqueueMode, RawJob

R = TypeVar("R")


class Api(Protocol):
    """A version of the API: a module with a function for each operation.

    `UnsupportedError` is raised for what the version cannot do. A `run` is the job as it was
    received, with the id of that run.
    """

    def enqueue(self, jobs: Sequence[RawJob], mode: EnqueueMode) -> Request[None]: ...
    def next_jobs(self, queue: str, num_jobs: int) -> Request[list[RawJob]]: ...
    def get(self, queue: str, id: str) -> Request[RawJob]: ...
    def exists(self, queue: str, id: str) -> Request[bool]: ...
    def remove(self, queue: str, id: str) -> Request[None]: ...
    def heartbeat(self, run: RawJob, state: Raw) -> Request[None]: ...
    def complete(self, run: RawJob) -> Request[None]: ...
    def requeue(
        self, run: RawJob, jobs: Sequence[RawJob], mode: EnqueueMode, /
    ) -> Request[None]: ...


_jobs = msgspec.json.Decoder(list[RawJob])


def read_jobs(reply: Reply) -> list[RawJob]:
    """Read jobs straight from the bytes; payloads stay text, which may be unreadable."""
    return _read(reply.content)


def read_job(reply: Reply) -> RawJob:
    """Read one job."""
    return _read(b"[" + reply.content + b"]")[0]


def _read(text: bytes) -> list[RawJob]:
    try:
        return _jobs.decode(text)
    except (msgspec.ValidationError, RecursionError):
        if jobs := read_carefully(text):
            return jobs
        raise


def enqueue_about(jobs: Sequence[RawJob]) -> str:
    """Say what an enqueue is about."""
    first = place(jobs[0].queue, jobs[0].id)
    return f"enqueue of {first}" + (f" and {len(jobs) - 1} more" if jobs[1:] else "")


def meaning(value: R) -> Callable[[Reply], R]:
    """Make the meaning of a status that says it all."""
    return lambda _: value


def not_found(queue: str, id: str) -> Callable[[Reply], Never]:
    """Make the meaning of a 404 to a look-up, which is empty; another one is not Relay's."""

    def read(reply: Reply) -> Never:
        nothing(reply)
        raise JobNotFoundError(queue, id)

    return read


def lost(run: RawJob) -> Callable[[Reply], Never]:
    """Make the meaning of a 404 to a heartbeat; an empty one is that of a missing route."""

    def read(reply: Reply) -> Never:
        if not reply.content:
            raise UnexpectedStatusError(place(run.queue, run.id), reply.status, "", NOT_HERE)
        if not reply.text.startswith("job with id"):
            raise Unreadable(f"it should name the job, and is {reply.text[:200]!r}")
        raise JobLostError(run.queue, run.id, "the server has no such run of it")

    return read


def exists_already(jobs: Sequence[RawJob]) -> Callable[[Reply], Never]:
    """Make the meaning of a 409, which names one of the jobs sent."""

    def read(reply: Reply) -> Never:
        for job in jobs:
            if reply.text == f"job with id `{job.id}` already exists in queue `{job.queue}`.":
                raise JobExistsError(job.queue, job.id)
        raise Unreadable(f"it should name one of the jobs, and is {reply.text[:200]!r}")

    return read
