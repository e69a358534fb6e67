"""What every version of the API offers, and what they share."""

from collections.abc import Callable, Sequence
from typing import Never, Protocol, TypeVar

from msgspec import Raw
from msgspec.structs import replace

from relay_sdk._checks import place
from relay_sdk._flow import Call, Reply
from relay_sdk._wire.reading import Handed, handed_out, shown
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
    def next_jobs(self, queue: str, num_jobs: int, wait: int = 0) -> Request[Handed]: ...
    def get(self, queue: str, id: str) -> Request[RawJob]: ...
    def exists(self, queue: str, id: str) -> Request[None]: ...
    def remove(self, queue: str, id: str) -> Request[None]: ...
    def heartbeat(self, run: RawJob, state: Raw) -> Request[None]: ...
    def complete(self, run: RawJob) -> Request[None]: ...
    def requeue(
        self, run: RawJob, jobs: Sequence[RawJob], mode: EnqueueMode, /
    ) -> Request[None]: ...


def next_request(
    call: Call, queue: str, num_jobs: int, wait: int, *, fenced: bool
) -> Request[Handed]:
    """Hand out jobs with this call, which may be held some seconds."""
    return Request(
        f"next of {place(queue)}",
        replace(call, wait=wait),
        {200: handed_out(queue, num_jobs, fenced=fenced), 204: lambda _: Handed([])},
        patient=True,
    )


def get_request(call: Call, queue: str, id: str) -> Request[RawJob]:
    """Show the job with this call."""
    return Request(
        f"get of {place(queue, id)}", call, {200: shown(queue, id), 404: not_found(queue, id)}
    )


def exists_request(call: Call, queue: str, id: str) -> Request[None]:
    """Look for the job with this call."""
    return Request(
        f"look-up of {place(queue, id)}", call, {200: nothing, 404: not_found(queue, id)}
    )


def remove_request(call: Call, queue: str, id: str) -> Request[None]:
    """Delete the job with this call."""
    return Request(f"removal of {place(queue, id)}", call, {200: nothing})


def heartbeat_request(call: Call, run: RawJob) -> Request[None]:
    """Keep the run with this call."""
    about = f"heartbeat of {place(run.queue, run.id)}"
    return Request(about, call, {202: nothing, 404: lost(run)}, patient=True)


def complete_request(call: Call, run: RawJob) -> Request[None]:
    """End the run with this call."""
    about = f"completion of {place(run.queue, run.id)}"
    return Request(about, call, {200: nothing}, patient=True)


def enqueue_about(jobs: Sequence[RawJob]) -> str:
    """Say what an enqueue is about."""
    first = place(jobs[0].queue, jobs[0].id)
    return f"enqueue of {first}" + (f" and {len(jobs) - 1} more" if jobs[1:] else "")


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
