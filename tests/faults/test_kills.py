"""Workers and the server are killed at any time: no accepted job is lost."""

import os
import random
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from time import sleep

from relay_sdk import Backoff, Client, Queue

from .ledger import File, wait_until

KILLS = int(os.environ.get("RELAY_FAULT_KILLS", "6"))
SEED = int(os.environ.get("RELAY_FAULT_SEED", "1"))
WORKER = Path(__file__).with_name("worker.py")
PATIENT = Backoff(0.02, maximum=0.2, factor=2, retries=300)

Process = subprocess.Popen[bytes]


def started(arguments: list[str], url: str, log: Path) -> Process:
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=os.environ | {"RELAY_URL": url},
            stdout=file,
            stderr=file,
        )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


class Producer(threading.Thread):
    """Enqueues jobs until it is stopped."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.accepted: list[str] = []
        self.failure: Exception | None = None
        self.stop = threading.Event()
        self._url = url

    def run(self) -> None:
        jobs = Queue("ledger", int)
        try:
            with Client(self._url, retry_backoff=PATIENT, timeout=2) as client:
                while not self.stop.wait(0.005):
                    id = f"job-{len(self.accepted)}"
                    client.enqueue(jobs.job(id, 1, timeout=1), mode="unique")
                    self.accepted.append(id)
        except Exception as error:  # noqa: BLE001 the test raises it
            self.failure = error


def read_book(path: Path) -> tuple[set[str], list[str]]:
    """Return the completed jobs, and the problems that were found."""
    saved: dict[str, int] = {}
    ended: set[str] = set()
    wrong: list[str] = []
    for line in path.read_text().splitlines():
        what, id, *state = line.split()
        match what:
            case "saved":
                saved[id] = max(int(state[0]), saved.get(id, 0))
            case "ended":
                ended.add(id)
            case _:
                # A job that was done may have been enqueued again by a retry.
                if int(state[0]) < saved.get(id, 0) and id not in ended:
                    wrong.append(f"{id} began with {state[0]}, and {saved[id]} was saved")
    return ended, wrong


def test_accepted_jobs_complete_when_processes_are_killed(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    file, log, port = File(tmp_path / "relay.db"), tmp_path / "log", free_port()
    url = f"http://127.0.0.1:{port}"
    serve = ["-m", "relay_sdk.local", "--db", str(file.path), "--port", str(port)]
    serve += ["--reap-interval", "0.2"]
    work = [str(WORKER), str(tmp_path)]
    programs = [serve, work, work]
    processes = [started(program, url, log) for program in programs]
    producer = Producer(url)
    producer.start()
    try:
        for _ in range(KILLS):
            sleep(chance.uniform(0.3, 1.0))
            victim = chance.randrange(len(processes))
            processes[victim].kill()
            processes[victim].wait()
            processes[victim] = started(programs[victim], url, log)
        producer.stop.set()
        producer.join()
        wait_until(lambda: not file.jobs_left(), 30)
    finally:
        producer.stop.set()
        for process in processes:
            process.kill()
            process.wait()
    said = f"seed {SEED}\n{log.read_text()}"
    assert producer.failure is None, said
    ended, wrong = read_book(tmp_path / "book")
    assert not wrong, said
    assert set(producer.accepted) <= ended, said
    with closing(sqlite3.connect(file.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
