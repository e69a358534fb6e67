"""A worker that is frozen beyond its timeout cannot harm the run of the next one."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from relay_sdk import Client, Queue
from relay_sdk.local import LocalServer

PROGRAM = Path(__file__).with_name("frozen.py")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing freezes a process there")


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_a_frozen_worker_changes_nothing_and_learns_that_the_job_is_lost(
    api: Literal["v1", "v2"],
) -> None:
    jobs = Queue("frozen", int, state=str)
    with LocalServer(reap_interval=0.1) as server, Client(server.url, api=api) as client:
        client.enqueue(jobs.job("x", 1, timeout=2, state="at first"))
        program = subprocess.Popen(
            [sys.executable, PROGRAM, api],
            env=os.environ | {"RELAY_URL": server.url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with program:
            try:
                assert program.stdout
                assert program.stdout.readline() == "took x\n"
                program.send_signal(signal.SIGSTOP)
                (helper,) = client.next(jobs, timeout=20)
                helper.heartbeat("of the next")
                client.enqueue(jobs.job("other", 2))
                with helper.heartbeat_auto(interval=0.25):
                    program.send_signal(signal.SIGCONT)
                    said, _ = program.communicate("go on\n", timeout=60)
            finally:
                program.kill()

        # The first finds it out, by asking on v2 and by its clock on v1; the others send nothing.
        assert said.split() == ["done", "JobLostError", "JobLostError", "JobLostError", "lost"]
        helper.heartbeat()
        assert client.get(jobs, "x").state == "of the next"
        helper.complete()
        assert not client.exists(jobs, "x")
