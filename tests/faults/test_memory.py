"""Memory does not grow with the number of jobs."""

import os
import sys
from pathlib import Path

import pytest

from relay_sdk import Client, Queue
from relay_sdk.local import LocalServer

JOBS = int(os.environ.get("RELAY_FAULT_MEMORY_JOBS", "1000"))
BATCH = 100

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def resident() -> float:
    """Megabytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 10**6


def test_client_and_server_keep_no_memory_of_completed_jobs() -> None:
    queue = Queue("emails", dict[str, str], state=int)

    def work(jobs: int) -> None:
        for _ in range(jobs // BATCH):
            client.enqueue_batch(
                queue.job(f"{n}", {"text": "x" * 500}, timeout=60) for n in range(BATCH)
            )
            for helper in client.next(queue, BATCH):
                helper.heartbeat(1)
                helper.complete()

    with LocalServer() as server, Client(server.url) as client:
        work(max(500, JOBS // 10))
        before = resident()
        work(JOBS)
        after = resident()
    print(f"{JOBS} jobs: {before:.1f} MB before, {after:.1f} MB after")
    assert after < before * 1.1
