"""What every version of the API offers, and what they share."""

from collections.abc import Callable, Sequence
from typing import Never, Protocol, TypeVar

from msgspec import Raw
from msgspec.structs import replace

from relay_sdk._base.flow import Request, Response
from relay_sdk._base.validation import job_label
from relay_sdk._protocol.models import EnqueueMode, RawJob
from relay_sdk._protocol.replies import ClaimedJobs, parse_claimed, shown
from relay_sdk._protocol.request import NOT_HERE, ApiRequest, Unreadable, nothing
from relay_sdk.exceptions import (
    JobExistsError,
    JobLostError,
    JobNotFoundError,
    UnexpectedStatusError,
)

R = TypeVar("R")


class Api(Protocol):
    """A version of the API: a module with a function for each operation.

    `UnsupportedError` is raised for what the version cannot do. A `run` is the job as it was
    received, with the id of that run.
    """

    def enqueue(self, jobs: Sequence[RawJob], mode: EnqueueMode) -> ApiRequest[None]: ...
    def next_jobs(self, queue: str, num_jobs: int, wait: int = 0) -> ApiRequest[ClaimedJobs]: ...
    def get(self, queue: str, id: str) -> ApiRequest[RawJob]: ...
    def exists(self, queue: str, id: str) -> ApiRequest[None]: ...
    def remove(self, queue: str, id: str) -> ApiRequest[None]: ...
    def heartbeat(self, run: RawJob, state: Raw) -> ApiRequest[None]: ...
    def complete(self, run: RawJob) -> ApiRequest[None]: ...
    def requeue(
        self, run: RawJob, jobs: Sequence[RawJob], mode: EnqueueMode, /
    ) -> ApiRequest[None]: ...


def next_request(
    call: Request, queue: str, num_jobs: int, wait: int, *, fenced: bool
) -> ApiRequest[ClaimedJobs]:
    """Hand out jobs with this call, which may be held some seconds."""
    return ApiRequest(
        f"next of {job_label(queue)}",
        replace(call, wait=wait),
        {200: parse_claimed(queue, num_jobs, fenced=fenced), 204: lambda _: ClaimedJobs([])},
        retry_backend_errors=True,
    )


def get_request(call: Request, queue: str, id: str) -> ApiRequest[RawJob]:
    """Show the job with this call."""
    return ApiRequest(
        f"get of {job_label(queue, id)}", call, {200: shown(queue, id), 404: not_found(queue, id)}
    )


def exists_request(call: Request, queue: str, id: str) -> ApiRequest[None]:
    """Look for the job with this call."""
    return ApiRequest(
        f"look-up of {job_label(queue, id)}", call, {200: nothing, 404: not_found(queue, id)}
    )


def remove_request(call: Request, queue: str, id: str) -> ApiRequest[None]:
    """Delete the job with this call."""
    return ApiRequest(f"removal of {job_label(queue, id)}", call, {200: nothing})


def heartbeat_request(call: Request, run: RawJob) -> ApiRequest[None]:
    """Keep the run with this call."""
    about = f"heartbeat of {job_label(run.queue, run.id)}"
    call = replace(call, kind="heartbeat")
    return ApiRequest(about, call, {202: nothing, 404: lost(run)}, retry_backend_errors=True)


def complete_request(call: Request, run: RawJob) -> ApiRequest[None]:
    """End the run with this call."""
    about = f"completion of {job_label(run.queue, run.id)}"
    return ApiRequest(about, call, {200: nothing}, retry_backend_errors=True)


def enqueue_about(jobs: Sequence[RawJob]) -> str:
    """Say what an enqueue is about."""
    first = job_label(jobs[0].queue, jobs[0].id)
    return f"enqueue of {first}" + (f" and {len(jobs) - 1} more" if jobs[1:] else "")


def not_found(queue: str, id: str) -> Callable[[Response], Never]:
    """Make the meaning of a 404 to a look-up, which is empty; another one is not Relay's."""

    def read(reply: Response) -> Never:
        nothing(reply)
        raise JobNotFoundError(queue, id)

    return read


def lost(run: RawJob) -> Callable[[Response], Never]:
    """Make the meaning of a 404 to a heartbeat; an empty one is that of a missing route."""

    def read(reply: Response) -> Never:
        if not reply.content:
            raise UnexpectedStatusError(job_label(run.queue, run.id), reply.status, "", NOT_HERE)
        if not reply.text.startswith("job with id"):
            raise Unreadable(f"it should name the job, and is {reply.text[:200]!r}")
        raise JobLostError(run.queue, run.id, "the server has no such run of it")

    return read


def exists_already(jobs: Sequence[RawJob]) -> Callable[[Response], Never]:
    """Make the meaning of a 409, which names one of the jobs sent."""

    def read(reply: Response) -> Never:
        for job in jobs:
            if reply.text == f"job with id `{job.id}` already exists in queue `{job.queue}`.":
                raise JobExistsError(job.queue, job.id)
        raise Unreadable(f"it should name one of the jobs, and is {reply.text[:200]!r}")

    return read
