"""What is read for those who look: bounded, on an index, and beside the turns."""

from typing import Literal, NamedTuple, Protocol

from relay_sdk.local.operations import Job

Status = Literal["ready", "scheduled", "running"]

QUEUES = 200
"""Queues that are counted at once."""

SCAN = 10_000
"""Jobs that are looked at for one page."""

START = 200
"""Characters of a payload that a page of jobs shows."""

SECONDS = 5.0
"""Seconds that a look may take."""


class Counted(NamedTuple):
    """How many jobs a queue has, each up to a limit, and when the first ready one was due."""

    queue: str
    ready: int
    scheduled: int
    running: int
    oldest: int | None


class Page(NamedTuple):
    """Jobs, whose payloads are cut, and from where to look on, if there may be more."""

    jobs: list[Job]
    after: str | None


class Ask(NamedTuple):
    """Which jobs of a queue, after where the page before ended."""

    queue: str
    status: Status | None
    prefix: str
    after: str | None
    limit: int


class Reader(Protocol):
    """Reads; raises BackendError when it cannot, and ValueError for an `after` that is none."""

    shared: bool
    """Whether other servers use the database too."""

    most: int
    """How far it may be asked to count."""

    def queues(self, after: str | None, now: int, most: int) -> tuple[list[Counted], str | None]:
        """Count up to most jobs of each of the first queues after one.

        Tell the last of them if there are more.
        """
        ...

    def jobs(self, ask: Ask, now: int) -> Page: ...

    def job(self, queue: str, id: str) -> Job | None: ...

    def close(self) -> None: ...


def status(job: Job, now: int) -> Status:
    """Tell what a job waits for, if it does not run."""
    if job.run_id is not None:
        return "running"
    return "ready" if job.run_at <= now else "scheduled"


def end_of(prefix: str) -> str | None:
    """Give the first text, in code point order, after all that begin so; None if there is none."""
    text = prefix.rstrip("\U0010ffff")
    if not text:
        return None
    last = ord(text[-1]) + 1
    return text[:-1] + chr(0xE000 if 0xD800 <= last < 0xE000 else last)
