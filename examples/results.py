"""Run a job, follow its progress and wait for its result: results.py ID WORD..."""

import sys
import time
from dataclasses import dataclass
from datetime import timedelta

from relay_sdk import Backoff, Client, JobHelper, JobNotFoundError, Queue, Worker


@dataclass
class Progress:
    done: int


@dataclass
class Result:
    lengths: list[int]
    error: str | None = None


WORDS = Queue("words", payload=list[str], state=Progress)
RESULTS = Queue("word_results", payload=Result)
KEPT = timedelta(days=1)


def count(helper: JobHelper[list[str], Progress]) -> None:
    lengths: list[int] = []
    for word in helper.job.payload:
        time.sleep(0.2)  # the work
        lengths.append(len(word))
        helper.heartbeat(Progress(len(lengths)))
    # One transaction: the job is done and its result is there, or neither.
    helper.requeue([RESULTS.job(helper.job.id, Result(lengths), delay=KEPT)], mode="replace")


def fail(helper: JobHelper[list[str], Progress], error: Exception) -> None:
    result = Result([], error=repr(error))
    helper.requeue([RESULTS.job(helper.raw.id, result, delay=KEPT)], mode="replace")


def forget(helper: JobHelper[Result]) -> None:
    """Do nothing: the worker completes a result that is a day old when this returns."""


def wait_for(relay: Client, id: str) -> Result:
    """Wait for the result of a job. Raise `JobNotFoundError` if it was deleted without one."""
    while True:
        try:
            progress = relay.get(WORDS, id).state
        except JobNotFoundError:
            return relay.get(RESULTS, id).payload
        print(f"{progress.done if progress else 0} done", flush=True)
        time.sleep(0.2)


if __name__ == "__main__":
    id, *words = sys.argv[1:]
    with Client() as relay:
        # A worker is usually another program. Each part of this needs the client only.
        retry = Backoff(1, maximum=60, retries=3)
        worker = Worker(relay, WORDS, count, retry=retry, on_retries_exhausted=fail)
        with worker.add(RESULTS, forget):
            relay.enqueue(WORDS.job(id, words))
            print(wait_for(relay, id))
