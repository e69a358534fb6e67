"""Parse replies that contain jobs. Payloads and states stay text.

A reply that Relay cannot have sent raises `UnexpectedReplyError`. If only some of the claimed jobs
are invalid, they are logged and left out, and the others are returned.
"""

from collections.abc import Callable

import msgspec

from relay_sdk._base.flow import Response
from relay_sdk._base.log import logger
from relay_sdk._base.validation import job_label
from relay_sdk._protocol.lenient import parse_leniently
from relay_sdk._protocol.models import RawJob
from relay_sdk._protocol.request import UNDECODABLE, UnexpectedReplyError

CLAIMED = "the jobs that it claimed are queued again after their timeout"

_decode_jobs = msgspec.json.Decoder(list[RawJob]).decode


class ClaimedJobs(msgspec.Struct, frozen=True):
    """Claimed jobs, and whether the server held the request until there were some."""

    jobs: list[RawJob]
    held: bool = False


def claimed_handler(
    queue: str, num_jobs: int, *, fenced: bool
) -> Callable[[Response], ClaimedJobs]:
    """Return the handler of a 200 to `next`; `fenced` jobs need a run id."""

    def handle(reply: Response) -> ClaimedJobs:
        jobs, faults = _parse_jobs(reply.content)
        if len(jobs) + len(faults) > num_jobs:
            raise UnexpectedReplyError(f"it has more than the {num_jobs} jobs requested; {CLAIMED}")
        if others := [job for job in jobs if job.queue != queue]:
            raise UnexpectedReplyError(
                f"{job_label(others[0].queue, others[0].id)} is from another queue; {CLAIMED}"
            )
        if fenced:
            faults += [
                f"{job_label(queue, job.id)} has no run id" for job in jobs if not job.run_id
            ]
            jobs = [job for job in jobs if job.run_id]
        if faults and not jobs:
            raise UnexpectedReplyError(f"{faults[0]}; {CLAIMED}")
        for fault in faults:
            logger.error(
                "next of %s: left out an invalid job: %s; %s", job_label(queue), fault, CLAIMED
            )
        return ClaimedJobs(jobs, "preference-applied" in reply.headers)

    return handle


def job_handler(queue: str, id: str) -> Callable[[Response], RawJob]:
    """Return the handler of a 200 to `get`."""

    def handle(reply: Response) -> RawJob:
        jobs, faults = _parse_jobs(b"[" + reply.content + b"]")
        if faults:
            raise UnexpectedReplyError(faults[0])
        if [(job.queue, job.id) for job in jobs] != [(queue, id)]:
            raise UnexpectedReplyError(f"expected that job, got {reply.text[:200]!r}")
        return jobs[0]

    return handle


def _parse_jobs(text: bytes) -> tuple[list[RawJob], list[str]]:
    """Return the jobs of an array, and what is wrong with those that are invalid."""
    try:
        jobs, faults = _decode_jobs(text), list[str]()
    except UNDECODABLE:
        jobs, faults = parse_leniently(text)
        if not jobs and not faults:
            raise
    # API v1 has a negative number for "without limit".
    return [
        msgspec.structs.replace(job, max_retries=None) if (job.max_retries or 0) < 0 else job
        for job in jobs
    ], faults
