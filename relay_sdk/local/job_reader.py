"""The interface for reading jobs beside the batches: bounded, and always by an index."""

from typing import Literal, NamedTuple, Protocol

from .operations import Job

Status = Literal["ready", "scheduled", "running"]

MAX_QUEUES = 200
"""Queues that one call counts."""

MAX_SCANNED_JOBS = 10_000
"""Jobs that are read to find those of one page."""

MAX_PAYLOAD_PREVIEW = 200
"""Characters of the payload of a job in a page."""

READ_TIMEOUT = 5.0
"""Seconds that one read may take."""


class QueueCounts(NamedTuple):
    """How many jobs a queue has, each up to a limit, and when the first ready one was due."""

    queue: str
    ready: int
    scheduled: int
    running: int
    oldest: int | None


class JobPage(NamedTuple):
    """Jobs with shortened payloads, and the position of the next page if there may be one."""

    jobs: list[Job]
    after: str | None


class JobQuery(NamedTuple):
    """Which jobs of a queue to read, after the position that the page before returned."""

    queue: str
    status: Status | None
    prefix: str
    after: str | None
    limit: int


class JobReader(Protocol):
    """Reads jobs; raises BackendError if the database fails."""

    shared: bool
    """Whether other servers use the database too."""

    max_count: int
    """The largest limit for counting."""

    def queues(
        self, after: str | None, now: int, limit: int
    ) -> tuple[list[QueueCounts], str | None]:
        """Count up to `limit` jobs of each of the first queues after `after`.

        The second value is the last of these queues if there are more.
        """
        ...

    def jobs(self, query: JobQuery, now: int) -> JobPage:
        """Return a page of jobs; raise ValueError if `after` is not a position in this order."""
        ...

    def job(self, queue: str, id: str) -> Job | None: ...

    def close(self) -> None: ...


def job_status(job: Job, now: int) -> Status:
    """Return whether a job runs, is ready, or is scheduled for later."""
    if job.run_id is not None:
        return "running"
    return "ready" if job.run_at <= now else "scheduled"


def prefix_end(prefix: str) -> str | None:
    """Return the first text, in code point order, after all with this prefix; None if none is."""
    text = prefix.rstrip("\U0010ffff")
    if not text:
        return None
    last = ord(text[-1]) + 1
    return text[:-1] + chr(0xE000 if 0xD800 <= last < 0xE000 else last)
