"""A worker to be frozen: `python frozen.py API`, with `$RELAY_URL` set.

It claims a job, prints its id, waits for a line, and prints the outcome of each call for the job.
"""

import sys
from collections.abc import Callable

from relay_sdk import Client, JobHelper, Queue, RelayError


def send_automatic_heartbeat(helper: JobHelper[int, str]) -> None:
    helper._driver.run(helper._run.keep_alive(None))


def main(api: str) -> None:
    jobs = Queue("frozen", int, state=str)
    with Client(api=api) as client:  # type: ignore[arg-type]
        (helper,) = client.next(jobs)
        acts: list[Callable[[JobHelper[int, str]], None]] = [
            send_automatic_heartbeat,
            lambda helper: helper.heartbeat("of the frozen"),
            lambda helper: helper.reschedule(state="of the frozen"),
            lambda helper: helper.complete(),
        ]
        print("took", helper.raw.id, flush=True)
        for _ in sys.stdin:
            for act in acts:
                try:
                    act(helper)
                    print("done", flush=True)
                except RelayError as error:
                    print(type(error).__name__, flush=True)
            print("lost" if helper.lost else "held", flush=True)
            return


if __name__ == "__main__":
    main(sys.argv[1])
