import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from relay_sdk import Client, Queue
from relay_sdk.cli.supervisor import Supervisor
from relay_sdk.local import LocalServer

from .conftest import Run
from .programs import line_with, posix, program, wait_until

pytestmark = pytest.mark.skipif(not posix, reason="needs signals")

QUEUE = Queue("q")

MODULE = """
import os
from pathlib import Path
from threading import Event
from relay_sdk import AsyncClient, AsyncWorker, Client, Worker

def note(helper):
    with open("done.txt", "a") as file:
        file.write(f"{helper.job.payload} {os.getpid()}\\n")

def hold(helper):
    note(helper)
    while not Path("go").exists():
        Event().wait(0.02)

async def anote(helper):
    note(helper)

def make():
    return Worker(Client(), "q", note)

def make_tasks():
    return AsyncWorker(AsyncClient(), "q", anote)

def make_badly():
    return Worker(Client("nonsense"), "q", note)

def make_none():
    return None

async def make_later():
    return make()

client = Client()
worker = Worker(client, "q", note, concurrency=2)
holding = Worker(client, "q", hold, concurrency=8)
tasks = AsyncWorker(AsyncClient(), "q", anote)

def die(helper):
    os._exit(3)

dying = Worker(client, "q", die)

class Shop:
    worker = worker
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "jobs.py").write_text(MODULE)
    return tmp_path


@pytest.fixture
def fast() -> Iterator[LocalServer]:
    with LocalServer(reap_interval=0.1) as server:
        yield server


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo the changes of the command to `sys.path` and `sys.modules`."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in ("jobs", "wrong", "faulty", "failing", "leaving"):
        sys.modules.pop(name, None)


def done(folder: Path) -> list[str]:
    """Return the notes of the handlers: the payload of a job, and the process."""
    file = folder / "done.txt"
    return file.read_text().splitlines() if file.exists() else []


def payloads(folder: Path) -> Counter[str]:
    return Counter(line.split()[0] for line in done(folder))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # An orphan may remain a zombie until its status is collected.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(
    "target",
    ["jobs:worker", "jobs:tasks", "jobs:Shop.worker", "jobs:make", "jobs:make_tasks"],
)
def test_a_worker_runs_until_a_signal(
    folder: Path, server: LocalServer, relay: Client, target: str
) -> None:
    relay.enqueue_batch([QUEUE.job(str(number), number) for number in range(20)])

    with program(folder, "work", target, "--url", server.url) as process:
        wait_until(lambda: not any(relay.exists("q", str(n)) for n in range(20)), "all are done")
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=60)

    assert (process.returncode, out, errors) == (0, "", "")
    assert payloads(folder) == Counter(map(str, range(20)))


def test_concurrency_is_overridden(folder: Path, server: LocalServer, relay: Client) -> None:
    relay.enqueue_batch([QUEUE.job(str(number), number) for number in range(9)])

    with program(folder, "work", "jobs:holding", "--concurrency", "3", url=server.url) as process:
        wait_until(lambda: len(done(folder)) == 3, "three are running")
        assert len(relay.next("q", 9)) == 6
        (folder / "go").touch()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert process.returncode == 0
    assert len(done(folder)) == 3


def test_a_killed_process_is_replaced_and_no_job_is_lost(folder: Path, fast: LocalServer) -> None:
    """The jobs of the killed process are run again after their timeout."""
    with Client(fast.url) as relay:
        relay.enqueue_batch([QUEUE.job(str(n), n, timeout=1) for n in range(24)])
        with program(folder, "work", "jobs:holding", "--processes", "3", url=fast.url) as process:
            pids = [int(line_with(process.stderr, "process").split()[-1]) for _ in range(3)]
            wait_until(lambda: len({*payloads(folder)}) == 24, "all are running")
            os.kill(pids[0], signal.SIGKILL)
            line_with(process.stderr, "process 1 was killed by SIGKILL; restarting it in")
            new = int(line_with(process.stderr, "process 1 has pid").split()[-1])
            (folder / "go").touch()
            wait_until(
                lambda: not any(relay.exists("q", str(n)) for n in range(24)), "all are done"
            )
            process.send_signal(signal.SIGTERM)
            errors = process.communicate(timeout=60)[1]

    assert (process.returncode, new in pids) == (0, False)
    assert "SIGTERM: stopping" in errors
    assert payloads(folder).keys() == {*map(str, range(24))}
    # The killed process did not complete its jobs.
    assert sum(count > 1 for count in payloads(folder).values()) >= 1
    assert not any(alive(pid) for pid in [*pids, new])


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_lets_the_jobs_of_all_processes_end(
    folder: Path, server: LocalServer, relay: Client, name: str
) -> None:
    relay.enqueue_batch([QUEUE.job(str(number), number) for number in range(16)])

    with program(
        folder, "work", "jobs:holding", "--processes", "2", url=server.url, start_new_session=True
    ) as process:
        wait_until(lambda: len(done(folder)) == 16, "all are running")
        # A terminal sends the signal of Ctrl-C to the whole group.
        os.killpg(process.pid, signal.Signals[name])
        line_with(process.stderr, f"{name}: stopping when the running jobs have ended")
        (folder / "go").touch()
        process.communicate(timeout=60)

    assert process.returncode == 0
    assert not any(relay.exists("q", str(number)) for number in range(16))
    assert len(done(folder)) == 16


def test_a_second_signal_ends_all_at_once(folder: Path, server: LocalServer, relay: Client) -> None:
    relay.enqueue(QUEUE.job("a", 1))

    with program(folder, "work", "jobs:holding", "--processes", "2", url=server.url) as process:
        pids = [int(line_with(process.stderr, "process").split()[-1]) for _ in range(2)]
        wait_until(lambda: len(done(folder)) == 1, "it is running")
        process.send_signal(signal.SIGINT)
        line_with(process.stderr, "SIGINT: stopping")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)

    assert process.returncode == 130
    assert relay.exists("q", "a")
    assert not any(alive(pid) for pid in pids)


@pytest.mark.parametrize("signals", [1, 2])
def test_a_signal_ends_processes_that_still_start(folder: Path, signals: int) -> None:
    (folder / "slow.py").write_text(
        "import os, threading\nopen('started', 'w')\nthreading.Event().wait()\n"
    )

    with program(folder, "work", "slow:worker", "--processes", "2") as process:
        wait_until((folder / "started").exists, "a process imports the module")
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert process.returncode in (0, 143)[:signals]


def test_a_signal_ends_the_wait_for_a_restart(
    folder: Path, server: LocalServer, relay: Client
) -> None:
    relay.enqueue(QUEUE.job("a", 1))

    with program(folder, "work", "jobs:dying", "--processes", "1", url=server.url) as process:
        line_with(process.stderr, "ended with status 3; restarting it in")
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=60)[1]

    assert process.returncode == 0
    assert errors == "relay-sdk: SIGTERM: stopping when the running jobs have ended\n"


@pytest.mark.parametrize("target", ["jobs:worker", "jobs:tasks"])
def test_a_second_signal_ends_processes_whose_server_is_silent(folder: Path, target: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with program(folder, "work", target, "--processes", "1", url=url) as process:
            pid = int(line_with(process.stderr, "process 1 has pid").split()[-1])
            connection, _ = listener.accept()
            with connection:
                connection.recv(1)  # a request has arrived
                process.send_signal(signal.SIGTERM)
                line_with(process.stderr, "SIGTERM: stopping")
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=60)

    assert process.returncode == 143
    assert not alive(pid)


def test_a_second_signal_ends_processes_that_are_held(folder: Path, server: LocalServer) -> None:
    with program(folder, "work", "jobs:worker", "--processes", "1", url=server.url) as process:
        pid = int(line_with(process.stderr, "process 1 has pid").split()[-1])
        os.kill(pid, signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        line_with(process.stderr, "SIGINT: stopping")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)

    assert process.returncode == 130
    assert not alive(pid)


def test_a_signal_that_does_not_wake_the_supervisor_is_handled(tmp_path: Path) -> None:
    """A signal may arrive just before the wait begins, or in another thread."""
    child = "import sys; open('started', 'w'); sys.stdin.read()"

    def signal_this_thread() -> None:
        wait_until((tmp_path / "started").exists, "the process runs")
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    thread = threading.Thread(target=signal_this_thread)
    thread.start()
    with contextlib.chdir(tmp_path):
        status = Supervisor([sys.executable, "-c", child], 1).run()
    thread.join()

    assert status == 0


def test_processes_stop_when_their_supervisor_is_killed(
    folder: Path, server: LocalServer, relay: Client
) -> None:
    relay.enqueue(QUEUE.job("a", 1))

    with program(folder, "work", "jobs:holding", "--processes", "2", url=server.url) as process:
        pids = [int(line_with(process.stderr, "process").split()[-1]) for _ in range(2)]
        wait_until(lambda: len(done(folder)) == 1, "it is running")
        process.kill()
        (folder / "go").touch()
        wait_until(lambda: not any(alive(pid) for pid in pids), "they have stopped")

    assert not relay.exists("q", "a")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("jobs", "'jobs' should look like module:worker"),
        ("jobs:", "'jobs:' should look like module:worker"),
        ("nowhere:worker", "cannot import 'nowhere': ModuleNotFoundError: No module named"),
        ("jobs:missing", "'jobs:missing': module 'jobs' has no attribute 'missing'"),
        (
            "jobs:note",
            "'jobs:note' must be a Worker, an AsyncWorker, or a function without arguments",
        ),
        ("jobs:make_none", "'jobs:make_none' must be a Worker, .* not of type NoneType"),
        ("jobs:make_later", "'jobs:make_later' must be a Worker, .* not of type function"),
    ],
)
def test_a_usage_error_is_one_line(
    folder: Path, offline: Run, imports: None, target: str, message: str
) -> None:
    result = offline("work", target)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert re.match(f"relay-sdk: {message}", result.stderr), result.stderr


@pytest.mark.parametrize(
    ("target", "trace", "message"),
    [
        (
            "wrong:worker",
            ['File "wrong.py", line 1', "def = 1"],
            "cannot import 'wrong': SyntaxError: invalid syntax",
        ),
        (
            "faulty:worker",
            ['File "faulty.py", line 1', "import failing", 'File "failing.py", line 2', "1 / 0"],
            "cannot import 'faulty': ZeroDivisionError: division by zero (failing.py, line 2)",
        ),
        (
            "leaving:worker",
            ['File "leaving.py", line 1', "raise SystemExit('usage: leaving')"],
            "cannot import 'leaving': SystemExit: usage: leaving (leaving.py, line 1)",
        ),
        (
            "jobs:make_badly",
            ['File "jobs.py", line ', 'Client("nonsense")'],
            "'jobs:make_badly' failed: ValueError: base_url 'nonsense' must look like",
        ),
    ],
)
def test_an_error_of_user_code_is_shown_with_its_lines_only(
    folder: Path, offline: Run, imports: None, target: str, trace: list[str], message: str
) -> None:
    (folder / "wrong.py").write_text("def = 1")
    (folder / "faulty.py").write_text("import failing\n")
    (folder / "failing.py").write_text("import relay_sdk\n1 / 0\n")
    (folder / "leaving.py").write_text("raise SystemExit('usage: leaving')")

    result = offline("work", target)

    assert (result.exit_code, result.stdout) == (2, "")
    *shown, last = result.stderr.replace(f"{folder}{os.sep}", "").splitlines()
    assert last.startswith(f"relay-sdk: {message}")
    frames = [line for line in shown if line.strip(" ~^")]
    assert len(frames) == len(trace)
    assert [want for want, line in zip(trace, frames, strict=True) if want not in line] == []


def test_a_module_with_a_factory_needs_no_server_to_be_imported(
    tmp_path: Path, offline: Run, imports: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobs.py").write_text(
        "from relay_sdk import Client, Queue, Worker\n"
        "EMAILS = Queue('emails', payload=str)\n"
        "def worker():\n    return Worker(Client(), EMAILS, print)\n"
    )
    monkeypatch.delenv("RELAY_URL")

    assert offline("schema", "jobs").exit_code == 0


def test_reload_without_watchfiles_prints_what_to_install(
    folder: Path, offline: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)

    result = offline("work", "jobs:worker", "--reload")

    assert result.exit_code == 2
    assert result.stderr == (
        "relay-sdk: --reload needs watchfiles: pip install 'relay-job-sdk[reload]'\n"
    )


RELOADED = """
from relay_sdk import Client, Worker

def handle(helper):
    with open("done.txt", "a") as file:
        file.write(f"{helper.job.payload} VERSION\\n")

worker = Worker(Client(), "q", handle)
"""


@pytest.mark.skipif(find_spec("watchfiles") is None, reason="needs watchfiles")
def test_a_worker_is_restarted_when_its_file_changes(
    tmp_path: Path, server: LocalServer, relay: Client
) -> None:
    module = tmp_path / "jobs.py"
    module.write_text(RELOADED.replace("VERSION", "old"))
    with program(tmp_path, "work", "jobs:worker", "--reload", url=server.url) as process:
        relay.enqueue(QUEUE.job("a", 1))
        wait_until(lambda: done(tmp_path) == ["1 old"], "the first version runs")

        module.write_text("def = 1")
        line_with(process.stderr, "jobs.py has changed: restarting")
        line_with(process.stderr, "cannot import 'jobs': SyntaxError")
        line_with(process.stderr, "could not load the worker; restarting it after the next change")

        module.write_text(RELOADED.replace("VERSION", "new"))
        relay.enqueue(QUEUE.job("b", 2))
        wait_until(lambda: done(tmp_path) == ["1 old", "2 new"], "the next version runs")
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=60)[1]

    assert process.returncode == 0
    assert "stopping when the running jobs have ended" in errors


def test_a_usage_error_ends_all_processes(folder: Path) -> None:
    with program(
        folder, "work", "jobs:note", "--processes", "2", url="http://127.0.0.1:1"
    ) as process:
        errors = process.communicate(timeout=60)[1]

    assert process.returncode == 2
    assert "must be a Worker, an AsyncWorker, or a function" in errors
    assert "restarting" not in errors


def test_a_module_of_the_user_does_not_shadow_the_standard_library(
    folder: Path, server: LocalServer
) -> None:
    (folder / "queue.py").write_text("raise RuntimeError('not me')")

    with program(folder, "work", "jobs:worker", "--processes", "1", url=server.url) as process:
        with Client(server.url) as relay:
            relay.enqueue(QUEUE.job("a", 1))
            wait_until(lambda: not relay.exists("q", "a"), "it is done")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert process.returncode == 0


@pytest.mark.parametrize("options", [[], ["--processes", "1"]])
def test_the_subprocess_of_a_handler_has_an_empty_stdin(
    folder: Path, server: LocalServer, relay: Client, options: list[str]
) -> None:
    (folder / "reading.py").write_text(
        "import subprocess\nfrom relay_sdk import Client, Worker\n"
        "worker = Worker(Client(), 'q', lambda helper: subprocess.run(['cat'], timeout=5))\n"
    )
    relay.enqueue(QUEUE.job("a", 1))

    with program(
        folder, "work", "reading:worker", *options, url=server.url, stdin=subprocess.DEVNULL
    ) as process:
        wait_until(lambda: not relay.exists("q", "a"), "it is done", 10)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def test_a_process_that_dies_with_any_status_after_it_has_worked_is_replaced(
    folder: Path, server: LocalServer, relay: Client
) -> None:
    (folder / "dying.py").write_text(MODULE.replace("os._exit(3)", "os._exit(2)"))
    relay.enqueue(QUEUE.job("a", 1, timeout=600))

    with program(folder, "work", "dying:dying", "--processes", "1", url=server.url) as process:
        line_with(process.stderr, "ended with status 2; restarting it in")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert process.returncode == 0


@pytest.mark.parametrize("options", [[], ["--processes", "1"]])
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(
    folder: Path, server: LocalServer, relay: Client, options: list[str]
) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # like a shell for background programs
    try:
        with program(folder, "work", "jobs:worker", *options, url=server.url) as process:
            for times in (1, 2):
                relay.enqueue(QUEUE.job("a", times))
                wait_until(lambda: not relay.exists("q", "a"), "it is done", 10)
                process.send_signal(signal.SIGINT)
                threading.Event().wait(0.3)
            process.send_signal(signal.SIGTERM)
            errors = process.communicate(timeout=60)[1]
    finally:
        signal.signal(signal.SIGINT, before)

    assert "SIGINT" not in errors
