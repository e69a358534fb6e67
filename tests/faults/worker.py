"""A worker to be killed: `python worker.py FOLDER`, with `$RELAY_URL` set.

It writes what it did to files of the folder, each line at once: a run that begins with the state
it has, a state that was acknowledged, and a handler that came to its end.
"""

import os
import sys
import time
from pathlib import Path

from relay_sdk import Backoff, Client, JobHelper, Queue, Worker

RETRIES = Backoff(0.02, maximum=0.2, factor=2, retries=200)


def main(folder: str) -> None:
    book = os.open(Path(folder) / "book", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(*words: object) -> None:
        os.write(book, (" ".join(map(str, words)) + "\n").encode())

    def handle(helper: JobHelper[int, int]) -> None:
        id, state = helper.raw.id, helper.job.state or 0
        note("began", id, state)
        for step in range(state + 1, 4):
            helper.heartbeat(step)
            note("saved", id, step)
            time.sleep(0.002)
        note("ended", id)

    with Client(retry_backoff=RETRIES, timeout=2) as client:
        Worker(client, Queue("ledger", int, state=int), handle, concurrency=8).run()


if __name__ == "__main__":
    main(sys.argv[1])
