"""Workers that are processes, and real signals."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay_sdk import Client, Queue
from relay_sdk.local import LocalServer

from .hanging_server import HangingServer

PROGRAMS = Path(__file__).with_name("programs.py")
PATIENCE = 30

Process = subprocess.Popen[str]
Start = Callable[..., Process]


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Deliver Ctrl-C to the programs even if these tests ignore it, as under nohup."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    with LocalServer(reap_interval=0.2) as server, Client(server.url) as client:
        monkeypatch.setenv("RELAY_URL", server.url)
        yield client


@pytest.fixture
def start(relay: Client) -> Iterator[Start]:
    """Start a program; kill it in the end."""
    processes: list[Process] = []

    def start(*arguments: str) -> Process:
        processes.append(
            subprocess.Popen(
                [sys.executable, str(PROGRAMS), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        with process:
            process.kill()


def lines(process: Process, count: int) -> list[str]:
    assert process.stdout
    return [process.stdout.readline().strip() for _ in range(count)]


def log_until(process: Process, text: str) -> None:
    """Read a program's log as far as a text."""
    assert process.stderr
    assert any(text in line for line in process.stderr), f"it never said {text!r}"


def gone(relay: Client, ids: list[str]) -> None:
    """Wait until none of the jobs is on the server."""
    for id in ids:
        for _ in range(PATIENCE * 50):
            if not relay.exists("q", id):
                break
            threading.Event().wait(0.02)
        else:
            raise AssertionError(f"job {id} is still there")


@pytest.mark.parametrize("program", ["threads", "tasks"])
def test_sigterm_in_the_middle_of_50_jobs(relay: Client, start: Start, program: str) -> None:
    ids = [str(number) for number in range(50)]
    relay.enqueue_batch([Queue("q").job(id, 1, timeout=600) for id in ids])
    process = start(program)
    assert sorted(lines(process, 50)) == sorted(f"began {id}" for id in ids)

    process.send_signal(signal.SIGTERM)
    log_until(process, "stopping; 50 jobs are running")
    out, log = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, log
    assert out.startswith("left")
    stuck = {id for id in ids if id.endswith("0")}
    assert {id for id in ids if relay.exists("q", id)} == stuck
    named = {id for id in ids if f"job '{id}' in queue 'q'" in log}
    assert named == stuck


@pytest.mark.parametrize("program", ["stubborn", "astubborn"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(
    relay: Client, start: Start, program: str, number: signal.Signals
) -> None:
    relay.enqueue(Queue("q").job("a", 1, timeout=600))
    process = start(program)
    assert lines(process, 1) == ["began a"]

    process.send_signal(number)
    log_until(process, "stopping; 1 jobs are running")
    process.send_signal(number)

    process.communicate(timeout=5)  # the grace would be 600 seconds
    assert process.returncode != 0
    if number == signal.SIGTERM:
        assert process.returncode == -signal.SIGTERM
    assert relay.exists("q", "a")


@pytest.mark.parametrize("program", ["stubborn", "astubborn"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("hang", ["GET", "PATCH"], ids=["next", "heartbeat"])
def test_signals_end_a_worker_whose_server_says_nothing(
    relay: Client,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    number: signal.Signals,
    hang: str,
) -> None:
    with HangingServer(os.environ["RELAY_URL"], hang) as hanging:
        monkeypatch.setenv("RELAY_URL", hanging.url)
        if hang == "PATCH":
            relay.enqueue(Queue("q").job("a", 1, timeout=1))
        process = start(program)
        assert hanging.taken.wait(PATIENCE)

        process.send_signal(number)
        log_until(process, "Ctrl-C again ends at once")
        process.send_signal(number)

        process.communicate(timeout=5)
    assert relay.exists("q", "a") is (hang == "PATCH")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_plain_function_that_does_not_end_ends_with_a_second_signal(
    relay: Client, start: Start, backend: str
) -> None:
    relay.enqueue(Queue("q").job("a", 1, timeout=600))
    process = start("blocked", backend)
    assert lines(process, 1) == ["began a"]

    process.send_signal(signal.SIGTERM)
    log_until(process, "job 'a' in queue 'q' still runs; it is put back")
    assert lines(process, 1) == ["left"]  # run() has returned; only the thread is still there
    process.send_signal(signal.SIGTERM)

    process.communicate(timeout=PATIENCE)
    assert process.returncode in (-signal.SIGTERM, 0)  # trio's threads keep no process alive


def test_a_killed_worker_loses_no_job(
    relay: Client,
    start: Start,
    record_property: Callable[[str, object], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    count = 2000
    ids = [str(number) for number in range(count)]
    relay.enqueue_batch([Queue("q").job(id, 1, timeout=3) for id in ids])
    victim, *others = [start("counting") for _ in range(3)]
    seen = Counter(lines(victim, 100))
    victim.kill()
    assert victim.stdout
    seen.update(victim.stdout.read().split())  # communicate() forgets what was read ahead

    gone(relay, ids)
    for process in others:
        process.send_signal(signal.SIGTERM)
        out, log = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, log
        seen.update(out.split())

    twice = sum(runs > 1 for runs in seen.values())
    record_property("jobs done twice", twice)
    with capsys.disabled():
        sys.stdout.write(f"\n{count} jobs, one of three workers killed: {twice} done twice\n")
    assert set(seen) == set(ids)


def test_the_child_of_a_handler_that_forks_neither_ends_the_job_nor_goes_on_working(
    relay: Client, start: Start
) -> None:
    relay.enqueue(Queue("q").job("a", 1, timeout=60))
    process = start("forking")
    assert lines(process, 1) == ["child ended job True"]
