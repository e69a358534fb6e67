"""The queues and the worker of the demo, which counts lines and computes SHA-256."""

import hashlib
import logging
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from relay_sdk import Client, JobHelper, JobLostError, Queue


@dataclass
class File:
    path: str
    step: int
    """How many bytes to read before progress is saved."""
    stall: bool
    """Hang after the first save, so that the demo can kill the worker."""


@dataclass
class Progress:
    """The state that a run saves and the next run resumes from."""

    offset: int
    lines: int
    worker: str


@dataclass
class Sum:
    size: int
    lines: int
    sha256: str
    worker: str
    resumed_at: int
    retries: int
    finished: datetime


FILES = Queue("files", payload=File, state=Progress)
SUMS = Queue("sums", payload=Sum)


def count(helper: JobHelper[File, Progress], worker: str) -> Sum:
    """Read a file, and resume counting where the last run stopped."""
    job = helper.job
    done = job.state or Progress(0, 0, worker)
    resumed_at = done.offset
    digest = hashlib.sha256()
    try:
        with open(job.payload.path, "rb") as file:
            while block := file.read(job.payload.step):
                # A digest cannot be saved, so the first part is hashed again ...
                digest.update(block)
                if file.tell() <= resumed_at:
                    continue  # ... but not counted again
                done = Progress(file.tell(), done.lines + block.count(b"\n"), worker)
                helper.heartbeat(done)
                if job.payload.stall and job.state is None:
                    time.sleep(3600)
    except OSError as error:  # the file is deleted or locked: a retry would not help
        logging.warning("%s could not read all of a file: %s", worker, error)
    return Sum(
        size=done.offset,
        lines=done.lines,
        sha256=digest.hexdigest(),
        worker=worker,
        resumed_at=resumed_at,
        retries=(job.max_retries or 0) - (job.retries_remaining or 0),
        finished=datetime.now(UTC),
    )


def work(worker: str) -> None:
    """Process files from the server at `$RELAY_URL` until killed."""
    with Client() as relay:
        for helper in relay.iter(FILES):
            try:
                with helper.heartbeat_auto():
                    result = count(helper, worker)
                # One transaction: the file is done and its result is in the other queue.
                helper.requeue([SUMS.job(helper.job.id, result)])
            except JobLostError as error:
                logging.warning("%s continues with the next file: %s", worker, error)


if __name__ == "__main__":
    work(sys.argv[1])
