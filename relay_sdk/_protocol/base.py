"""The interface of an API version, and what the versions share."""

from collections.abc import Callable, Sequence
from typing import Never, Protocol

from msgspec import Raw
from msgspec.structs import replace

from relay_sdk._base.flow import Request, Response
from relay_sdk._base.validation import job_label
from relay_sdk._protocol.models import EnqueueMode, RawJob
from relay_sdk._protocol.replies import ClaimedJobs, claimed_handler, job_handler
from relay_sdk._protocol.request import URL_ADVICE, ApiRequest, UnexpectedReplyError, expect_empty
from relay_sdk.exceptions import (
    JobExistsError,
    JobLostError,
    JobNotFoundError,
    UnexpectedStatusError,
)


class Api(Protocol):
    """A version of the API: a module with a function for each operation.

    The functions build requests and send nothing. They raise `UnsupportedError` for what the
    version cannot do. A `run` is the job as it was received, with the id of that run.
    """

    FENCED: bool
    """Whether the server refuses to end a job for a run that no longer holds it."""
    UNIVERSAL: bool
    """Whether every server has this version."""

    def enqueue(self, jobs: Sequence[RawJob], mode: EnqueueMode) -> ApiRequest[None]:
        """Enqueue jobs."""
        ...

    def next_jobs(self, queue: str, num_jobs: int, wait: int = 0) -> ApiRequest[ClaimedJobs]:
        """Claim up to `num_jobs` jobs; the server may hold the request for `wait` seconds."""
        ...

    def get(self, queue: str, id: str) -> ApiRequest[RawJob]:
        """Read a job."""
        ...

    def exists(self, queue: str, id: str) -> ApiRequest[None]:
        """Check that a job exists; the request raises `JobNotFoundError` if it does not."""
        ...

    def remove(self, queue: str, id: str) -> ApiRequest[None]:
        """Delete a job, whichever run holds it."""
        ...

    def heartbeat(self, run: RawJob, state: Raw) -> ApiRequest[None]:
        """Restart the timeout of a run, and store the state of its job."""
        ...

    def complete(self, run: RawJob) -> ApiRequest[None]:
        """End a run and delete its job."""
        ...

    def requeue(
        self, run: RawJob, jobs: Sequence[RawJob], mode: EnqueueMode, /
    ) -> ApiRequest[None]:
        """End a run and enqueue jobs in its place, in one transaction."""
        ...


def next_request(
    request: Request, queue: str, num_jobs: int, wait: int, *, fenced: bool
) -> ApiRequest[ClaimedJobs]:
    """Return the request that claims jobs, which the server may hold for `wait` seconds."""
    return ApiRequest(
        f"next of {job_label(queue)}",
        replace(request, wait=wait),
        {200: claimed_handler(queue, num_jobs, fenced=fenced), 204: lambda _: ClaimedJobs([])},
        retry_backend_errors=True,
    )


def get_request(request: Request, queue: str, id: str) -> ApiRequest[RawJob]:
    """Return the request that reads a job."""
    return ApiRequest(
        f"get of {job_label(queue, id)}",
        request,
        {200: job_handler(queue, id), 404: not_found_handler(queue, id)},
    )


def exists_request(request: Request, queue: str, id: str) -> ApiRequest[None]:
    """Return the request that checks whether a job exists."""
    return ApiRequest(
        f"look-up of {job_label(queue, id)}",
        request,
        {200: expect_empty, 404: not_found_handler(queue, id)},
    )


def remove_request(request: Request, queue: str, id: str) -> ApiRequest[None]:
    """Return the request that deletes a job."""
    return ApiRequest(f"removal of {job_label(queue, id)}", request, {200: expect_empty})


def heartbeat_request(request: Request, run: RawJob) -> ApiRequest[None]:
    """Return the request that restarts the timeout of a run."""
    return ApiRequest(
        f"heartbeat of {job_label(run.queue, run.id)}",
        replace(request, kind="heartbeat"),
        {202: expect_empty, 404: lost_handler(run)},
        retry_backend_errors=True,
    )


def complete_request(request: Request, run: RawJob) -> ApiRequest[None]:
    """Return the request that ends a run and deletes its job."""
    return ApiRequest(
        f"completion of {job_label(run.queue, run.id)}",
        request,
        {200: expect_empty},
        retry_backend_errors=True,
    )


def describe_enqueue(jobs: Sequence[RawJob]) -> str:
    """Describe an enqueue in a message: the first job, and how many more there are."""
    first = job_label(jobs[0].queue, jobs[0].id)
    return f"enqueue of {first}" + (f" and {len(jobs) - 1} more" if jobs[1:] else "")


def not_found_handler(queue: str, id: str) -> Callable[[Response], Never]:
    """Return the handler of a 404 to a look-up. Relay sends it without a body."""

    def handle(reply: Response) -> Never:
        expect_empty(reply)
        raise JobNotFoundError(queue, id)

    return handle


def lost_handler(run: RawJob) -> Callable[[Response], Never]:
    """Return the handler of a 404 to a heartbeat or reschedule, whose body names the job.

    A 404 without a body means that the server does not have the route.
    """

    def handle(reply: Response) -> Never:
        if not reply.content:
            raise UnexpectedStatusError(job_label(run.queue, run.id), reply.status, "", URL_ADVICE)
        if not reply.text.startswith("job with id"):
            raise UnexpectedReplyError(f"expected the job's id, got {reply.text[:200]!r}")
        raise JobLostError(run.queue, run.id, "the server does not know this run of the job")

    return handle


def exists_handler(jobs: Sequence[RawJob]) -> Callable[[Response], Never]:
    """Return the handler of a 409, whose body names one of the jobs sent."""

    def handle(reply: Response) -> Never:
        for job in jobs:
            if reply.text == f"job with id `{job.id}` already exists in queue `{job.queue}`.":
                raise JobExistsError(job.queue, job.id)
        raise UnexpectedReplyError(f"expected the id of a job sent, got {reply.text[:200]!r}")

    return handle
