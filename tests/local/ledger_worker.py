"""A minimal worker that records each job that it claims and each that it completes.

python ledger_worker.py FILE PORT ...: it asks any of the servers at these ports.
"""

import http.client
import json
import random
import sys
import time
from pathlib import Path


def ask(ports: list[int], method: str, target: str) -> tuple[int, bytes]:
    """Send a request to any server; return status 0 if there is no response."""
    connection = http.client.HTTPConnection("127.0.0.1", random.choice(ports), timeout=30)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def main(file: str, *servers: str) -> None:
    ports = [int(port) for port in servers]
    with Path(file).open("a", buffering=1) as ledger:

        def note(event: str, job: dict[str, str], before: float) -> None:
            line = [event, job["id"], job["run_id"], before, time.monotonic()]
            ledger.write(json.dumps(line) + "\n")

        while True:
            before = time.monotonic()
            status, body = ask(ports, "GET", "/v2/queues/q/jobs?num_jobs=3")
            if status != 200:
                time.sleep(0.05)
                continue
            for job in (jobs := json.loads(body)):
                note("given", job, before)
            for job in jobs:
                time.sleep(random.random() * 0.02)
                path = f"/v2/queues/q/jobs/{job['id']}/run-id/{job['run_id']}"
                before = time.monotonic()
                # What was answered otherwise may be done all the same, or is done when asked again.
                if ask(ports, "DELETE", path)[0] == 200:
                    note("ended", job, before)


if __name__ == "__main__":
    main(*sys.argv[1:])
