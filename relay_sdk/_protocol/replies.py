"""Reading replies that show jobs, straight from the bytes; payloads and states stay text.

A reply that no Relay sends is `Unreadable`. Where one job of several is strange, the others are
handed out without it.
"""

from collections.abc import Callable

import msgspec

from relay_sdk._base.flow import Response
from relay_sdk._base.log import logger
from relay_sdk._base.validation import job_label
from relay_sdk._protocol.lenient import read_carefully
from relay_sdk._protocol.models import RawJob
from relay_sdk._protocol.request import UNDECODABLE, Unreadable

BACK = "jobs that it claimed come back after their timeout"

_jobs = msgspec.json.Decoder(list[RawJob])


class ClaimedJobs(msgspec.Struct, frozen=True):
    """Jobs that were handed out, and whether the server held the request until it had them."""

    jobs: list[RawJob]
    held: bool = False


def parse_claimed(queue: str, num_jobs: int, *, fenced: bool) -> Callable[[Response], ClaimedJobs]:
    """Make the meaning of a 200 to `next`; `fenced` jobs have a run id."""

    def read(reply: Response) -> ClaimedJobs:
        jobs, faults = _read(reply.content)
        if len(jobs) + len(faults) > num_jobs:
            raise Unreadable(f"more than the {num_jobs} jobs that were asked for; {BACK}")
        if other := [job for job in jobs if job.queue != queue]:
            raise Unreadable(
                f"{job_label(other[0].queue, other[0].id)} is of another queue; {BACK}"
            )
        if fenced:
            faults += [
                f"{job_label(queue, job.id)} has no run id" for job in jobs if not job.run_id
            ]
            jobs = [job for job in jobs if job.run_id]
        if faults and not jobs:
            raise Unreadable(f"{faults[0]}; {BACK}")
        for fault in faults:
            logger.error(
                "next of %s: left out what is not Relay's: %s; %s", job_label(queue), fault, BACK
            )
        return ClaimedJobs(jobs, "preference-applied" in reply.headers)

    return read


def shown(queue: str, id: str) -> Callable[[Response], RawJob]:
    """Make the meaning of a 200 to `get`."""

    def read(reply: Response) -> RawJob:
        jobs, faults = _read(b"[" + reply.content + b"]")
        if faults or [(job.queue, job.id) for job in jobs] != [(queue, id)]:
            raise Unreadable(*faults or [f"it should show that job, and is {reply.text[:200]!r}"])
        return jobs[0]

    return read


def _read(text: bytes) -> tuple[list[RawJob], list[str]]:
    """Read jobs, and what is wrong with those that cannot be read."""
    try:
        jobs, faults = _jobs.decode(text), list[str]()
    except UNDECODABLE:
        jobs, faults = read_carefully(text)
        if not jobs and not faults:
            raise
    # API v1 has a negative number for "without limit".
    return [
        msgspec.structs.replace(job, max_retries=None) if (job.max_retries or 0) < 0 else job
        for job in jobs
    ], faults
