"""The programs in examples/ do what they promise, and leave no process or file."""

import importlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay_sdk import Client, Queue
from relay_sdk.local import LocalServer

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@dataclass
class Place:
    """A folder to count, a folder for temporary files, and the current folder."""

    files: Path
    temporary: Path
    cwd: Path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "files", tmp_path / "temporary", tmp_path / "cwd")
    for folder in (place.files, place.temporary, place.cwd):
        folder.mkdir()
    return place


@pytest.fixture
def full(place: Place) -> Place:
    """20 files to count, of 400,023 bytes and 40,019 lines, and some that are not counted."""
    for number in range(17):
        (place.files / f"{number}.txt").write_text("a\n")
    (place.files / "empty").touch()
    (place.files / "no newline at the end, ümlaut").write_text("a\nno")
    (place.files / "below").mkdir()
    (place.files / "below" / "large").write_text("nine    \n" * 40_000 + "rest" * 9_996 + "\n")
    (place.files / ".hidden").mkdir()
    (place.files / ".hidden" / "file").touch()
    (place.files / "link").symlink_to("0.txt")
    with open(os.fsencode(place.files) + b"/not text \xff", "wb"):
        pass
    return place


@contextmanager
def demo(place: Place) -> Generator[subprocess.Popen[str]]:
    """Run the demo in a new process group, and kill that group if a test fails."""
    with subprocess.Popen(
        [sys.executable, str(EXAMPLES / "demo.py")],
        cwd=place.cwd,
        env=os.environ | {"DEMO_DIR": str(place.files), "TMPDIR": str(place.temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def check_nothing_left(place: Place, group: int) -> None:
    assert list(place.temporary.iterdir()) == []
    assert list(place.cwd.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def tree(folder: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


def test_the_demo_counts_a_folder_and_resumes_the_job_of_a_killed_worker(full: Place) -> None:
    before = tree(full.files)
    with demo(full) as process:
        out, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (0, "")
    check_nothing_left(full, process.pid)
    assert tree(full.files) == before

    table = dict(re.findall(r"^(\w+(?: \w+)*)  +([\d,.]+)", out, re.MULTILINE))
    assert (table["files"], table["bytes"], table["lines"]) == ("20", "400,023", "40,019")
    assert table["jobs"] == "41"
    assert int(table["retries"]) >= 1
    assert "seconds" in table

    killed = re.search(r"(\S+) stalls in the middle of 'below/large' and is killed", out)
    resumed = re.search(r"(\S+) got that job after its timeout and resumed at byte ([\d,]+)", out)
    assert killed
    assert resumed
    assert killed[1] != resumed[1]
    assert resumed[2] == "199,993"
    assert "job 'below/large' already exists in queue 'files'" in out
    assert re.search("reschedules itself.*completes, after [2-9] runs", out, re.DOTALL)
    assert "20 files were read again: SHA-256, lines and bytes match the results" in out


def test_ctrl_c_leaves_no_process_and_no_file(full: Place) -> None:
    with demo(full) as process:
        assert process.stdout
        for line in process.stdout:
            if "is killed" in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (130, "demo: interrupted\n")
    check_nothing_left(full, process.pid)


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_a_folder_without_files_is_an_error_of_one_line(place: Place, folder: str) -> None:
    if folder == "nowhere":
        place.files.rmdir()
    with demo(place) as process:
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (2, "")
    assert re.fullmatch(rf"demo: {place.files} (is not a folder|has no readable file .*)\n", err)
    check_nothing_left(place, process.pid)


def test_a_wrong_sum_is_found_and_a_changed_file_is_not_blamed(
    full: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    folder, hashing = importlib.import_module("folder"), importlib.import_module("hashing")
    files = folder.find(full.files)
    files = {name: files[name] for name in ("0.txt", "1.txt", "2.txt", "3.txt", "4.txt")}
    digest = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7"
    sums = {name: hashing.Sum(2, 1, digest, "w", 0, 0, datetime.now(UTC)) for name in files}
    sums["1.txt"].lines = 2
    sums["2.txt"].sha256 = digest[::-1]
    (full.files / "3.txt").write_text("changed\n")
    (full.files / "4.txt").unlink()

    assert folder.verify(full.files, files, sums) == (["1.txt", "2.txt"], ["3.txt", "4.txt"])


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> Generator[Client]:
    with LocalServer() as server, Client(server.url) as client:
        monkeypatch.setenv("RELAY_URL", server.url)
        yield client


def produce(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / "producer.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def work(lines: int) -> tuple[list[str], str]:
    """Interrupt the worker after a number of lines. Return its output and its log."""
    command = [sys.executable, str(EXAMPLES / "worker.py")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout
            out = [process.stdout.readline() for _ in range(lines)]
            process.send_signal(signal.SIGINT)
            rest, log = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, rest) == (0, "")
    return out, log


EMAILS = Queue("emails")


def test_the_worker_sends_what_the_producer_enqueued_once(relay: Client) -> None:
    assert produce("welcome", "Hello", "a@example.org", "b@example.org").returncode == 0
    again = produce("welcome", "Hello", "a@example.org")

    assert again.returncode == 1
    assert again.stderr.startswith("job 'welcome' already exists in queue 'emails'")
    assert work(lines=2) == (
        ["To: a@example.org, subject: Hello\n", "To: b@example.org, subject: Hello\n"],
        "",
    )
    assert not relay.exists(EMAILS, "welcome")


def test_the_worker_resumes_from_the_saved_state(relay: Client) -> None:
    email = {"subject": "Hello", "to": ["a@example.org", "b@example.org"]}
    relay.enqueue(EMAILS.job("welcome", email, state={"sent": 1}))

    assert work(lines=1) == (["To: b@example.org, subject: Hello\n"], "")
    assert not relay.exists(EMAILS, "welcome")


def test_the_worker_leaves_a_job_that_fails_to_its_timeout(relay: Client) -> None:
    first = datetime(2020, 1, 1, tzinfo=UTC)
    relay.enqueue(EMAILS.job("bad", {"subject": 1}, run_at=first))
    relay.enqueue(EMAILS.job("good", {"subject": "Hello", "to": ["a@example.org"]}))

    out, log = work(lines=1)

    assert out == ["To: a@example.org, subject: Hello\n"]
    assert "the handler of job 'bad' in queue 'emails' failed" in log
    assert relay.exists(EMAILS, "bad")
    assert not relay.exists(EMAILS, "good")
