"""The demo shows the code that it runs, and its next steps work."""

import re
import signal
from pathlib import Path

import pytest

from relay_sdk import Client
from relay_sdk.local import LocalServer

from .conftest import Run
from .programs import line_with, posix, program


def test_the_demo_shows_a_failure_and_a_job_that_resumes(offline: Run, tmp_path: Path) -> None:
    result = offline("demo")

    assert (result.exit_code, result.stderr) == (0, "")
    assert re.findall(
        r"sent 'Hello' to (\w+)|(failed)", result.stdout.split("The worker starts")[1]
    ) == [
        ("ada", ""),
        ("", "failed"),
        ("bob", ""),
        ("cy", ""),
    ]
    assert "State on the server: Progress(sent=1)" in result.stdout
    assert "already exists in queue 'emails'" in result.stdout
    assert "The job is complete, and deleted from the server." in result.stdout
    assert "noqa" not in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not posix, reason="needs signals")
def test_the_next_steps_work(
    offline: Run, server: LocalServer, relay: Client, tmp_path: Path
) -> None:
    shown = offline("demo").stdout
    declared = _block(shown, "A queue is declared once", "A producer enqueues")
    function = _block(shown, "A worker runs this", "The worker starts")
    (tmp_path / "mails.py").write_text(
        declared + function + _block(shown, "2. Save the code above", "3. In a second")
    )
    (line,) = re.findall(r"echo '(.*)' > mails.jsonl", shown)
    (tmp_path / "mails.jsonl").write_text(line)

    with (
        program(tmp_path, "work", "mails:worker", url=server.url) as worker,
        program(tmp_path, "enqueue", "emails", "mails.jsonl", url=server.url) as producer,
    ):
        assert producer.communicate(timeout=60) == ("1 accepted, 0 existing\n", "")
        assert "sent 'Hi' to ada@example.org" in line_with(worker.stdout, "sent 'Hi'")
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)


def _block(text: str, start: str, end: str) -> str:
    """Return the indented lines between two others."""
    part = text.split(start)[1].split(end)[0]
    lines = part.splitlines()[1:]
    indent = re.match(" *", next(filter(None, lines)))
    assert indent
    return "\n".join(line.removeprefix(indent[0]) for line in lines) + "\n"
