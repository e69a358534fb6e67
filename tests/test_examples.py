"""The short programs in examples/ do what they promise, with a server at `$RELAY_URL`."""

import importlib.util
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from relay_sdk import Backoff, Client, JobHelper, JobNotFoundError, Queue, Worker
from relay_sdk.local import LocalServer
from relay_sdk.testing import InProcessServer, drain

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PATIENCE = 30

Process = subprocess.Popen[str]


@pytest.fixture(autouse=True)
def heard() -> Generator[None]:
    """Reset SIGINT for the programs, which inherit it as ignored below nohup, for example."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> Generator[Client]:
    with LocalServer() as server, Client(server.url) as client:
        monkeypatch.setenv("RELAY_URL", server.url)
        yield client


@pytest.fixture
def start(relay: Client) -> Generator[Callable[..., Process]]:
    """Return a function that starts an example. Kill each at the end."""
    processes: list[Process] = []

    def start(name: str, *arguments: str) -> Process:
        command = [sys.executable, str(EXAMPLES / name), *arguments]
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True))
        return processes[-1]

    yield start
    for process in processes:
        with process:
            process.kill()


def lines(process: Process, count: int) -> list[str]:
    assert process.stdout
    return [process.stdout.readline().strip() for _ in range(count)]


def stop(process: Process) -> None:
    """Press Ctrl-C. The program must exit with status 0 and without further output."""
    process.send_signal(signal.SIGINT)
    out, log = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, log) == (0, "", "")


def until(condition: Callable[[], object]) -> None:
    for _ in range(PATIENCE * 50):
        if condition():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it did not come true")


def test_the_async_worker_resumes_from_the_saved_state(
    relay: Client, start: Callable[..., Process]
) -> None:
    email = {"subject": "Hello", "to": ["a@example.org", "b@example.org"]}
    relay.enqueue(Queue("emails").job("welcome", email, state={"sent": 1}))
    process = start("async_worker.py")
    assert lines(process, 1) == ["To: b@example.org, subject: Hello"]
    until(lambda: not relay.exists("emails", "welcome"))
    stop(process)


def test_the_report_is_written_once_and_scheduled_for_next_monday(
    relay: Client, start: Callable[..., Process]
) -> None:
    first = start("scheduled.py")
    until(lambda: relay.exists("reports", "weekly"))
    job = relay.get("reports", "weekly")
    assert job.run_at
    monday = job.run_at.astimezone(ZoneInfo("Europe/Berlin"))
    assert (monday.weekday(), monday.hour, monday.minute) == (0, 9, 0)
    assert timedelta() < job.run_at - datetime.now(UTC) <= timedelta(days=7, hours=1)

    due = job.run_at - timedelta(days=7)
    last_week = Queue("reports").job("weekly", job.payload, run_at=due)
    relay.enqueue(last_week, mode="replace")
    assert lines(first, 1) == [f"This week, due {due}"]
    until(lambda: relay.get("reports", "weekly").run_at == job.run_at)

    # A second instance, started while the job waits for Monday, does not run it earlier.
    second = start("scheduled.py")
    stop(first)
    relay.enqueue(last_week, mode="replace")
    assert lines(second, 1) == [f"This week, due {due}"]
    until(lambda: relay.get("reports", "weekly").run_at == job.run_at)
    stop(second)


def test_the_pipeline_takes_each_order_to_its_invoice(
    relay: Client, start: Callable[..., Process]
) -> None:
    process = start("pipeline.py", "pen", "paper")
    output = " ".join(lines(process, 2))  # two threads print, and may share a line
    assert "paper: 5.00" in output
    assert "pen: 3.00" in output
    for name in ("pen", "paper"):
        assert not relay.exists("orders", name)
        until(lambda name=name: not relay.exists("invoices", name))
    stop(process)


def test_progress_and_result_of_a_job_are_read_from_another_process(
    relay: Client, start: Callable[..., Process]
) -> None:
    process = start("results.py", "hello", *["word"] * 5)
    seen = set[int]()

    def is_done() -> bool:
        try:
            seen.add((relay.get("words", "hello").state or {"done": 0})["done"])
        except JobNotFoundError:
            return bool(seen)
        return False

    until(is_done)
    assert len(seen) > 1
    result = relay.get("word_results", "hello")
    assert result.payload == {"lengths": [4] * 5, "error": None}
    assert result.run_at
    assert result.run_at > datetime.now(UTC) + timedelta(hours=23)
    out, log = process.communicate(timeout=PATIENCE)
    assert out.splitlines()[-1] == "Result(lengths=[4, 4, 4, 4, 4], error=None)"
    assert (process.returncode, log) == (0, "")


def test_a_failure_is_a_result_and_results_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Import it by path, because other modules are named "results" too.
    spec = importlib.util.spec_from_file_location("results", EXAMPLES / "results.py")
    assert spec
    assert spec.loader
    example = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "results", example)
    spec.loader.exec_module(example)

    def work(helper: JobHelper[Any, Any]) -> None:
        raise LookupError("no")

    with InProcessServer() as server:
        relay = server.client()
        once = Backoff(1, retries=1)
        worker = Worker(relay, example.WORDS, work, retry=once, on_retries_exhausted=example.fail)
        worker.add(example.RESULTS, example.forget)
        relay.enqueue(example.WORDS.job("bad", ["word"]))
        for _ in range(2):
            with pytest.raises(LookupError):
                drain(worker)
            server.clock.advance(2)
        assert example.wait_for(relay, "bad") == example.Result([], error="LookupError('no')")
        server.clock.advance(example.KEPT)
        assert drain(worker) == 1
        with pytest.raises(JobNotFoundError):
            example.wait_for(relay, "bad")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_the_web_application_enqueues_and_refuses_a_duplicate(
    relay: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    app = importlib.import_module("fastapi_producer").app
    email = {"subject": "Hello", "to": ["a@example.org"]}
    async with app.router.lifespan_context(app) as state:

        async def serve(scope: Any, receive: Any, send: Any) -> None:
            await app(scope | {"state": dict(state)}, receive, send)

        way = httpx.ASGITransport(serve)
        async with httpx.AsyncClient(transport=way, base_url="http://web") as web:
            assert (await web.put("/mails/welcome", json=email)).status_code == 202
            again = await web.put("/mails/welcome", json=email)
            wrong = await web.put("/mails/other", json={"subject": 1})
    assert again.status_code == 409
    assert "job 'welcome' already exists in queue 'emails'" in again.json()["detail"]
    assert wrong.status_code == 422
    assert relay.get("emails", "welcome").payload == email
    assert not relay.exists("emails", "other")
