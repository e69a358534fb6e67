"""The tour: what it shows is what it runs, and what it says to do next works."""

import re
import signal
from pathlib import Path

import pytest

from relay_sdk import Client
from relay_sdk.local import LocalServer

from .conftest import Run
from .programs import line_with, posix, program


def test_the_tour_shows_a_failure_and_a_job_that_goes_on(offline: Run, tmp_path: Path) -> None:
    result = offline("demo")

    assert (result.exit_code, result.stderr) == (0, "")
    assert re.findall(r"is sent to (\w+)|(failed)", result.stdout.split("There it goes")[1]) == [
        ("ada", ""),
        ("", "failed"),
        ("bob", ""),
        ("cy", ""),
    ]
    assert "Kept by the server: Progress(sent=1)" in result.stdout
    assert "already exists in queue 'emails'" in result.stdout
    assert "The job is done, and gone from the server." in result.stdout
    assert "noqa" not in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not posix, reason="needs signals")
def test_what_it_says_to_do_next_works(
    offline: Run, server: LocalServer, relay: Client, tmp_path: Path
) -> None:
    shown = offline("demo").stdout
    declared = _block(shown, "A queue is declared once", "A program enqueues")
    function = _block(shown, "A worker runs this", "There it goes")
    (tmp_path / "mails.py").write_text(
        declared + function + _block(shown, "2. The lines above", "3. In a second")
    )
    (line,) = re.findall(r"echo '(.*)' > mails.jsonl", shown)
    (tmp_path / "mails.jsonl").write_text(line)

    with (
        program(tmp_path, "work", "mails:worker", url=server.url) as worker,
        program(tmp_path, "enqueue", "emails", "mails.jsonl", url=server.url) as producer,
    ):
        assert producer.communicate(timeout=60) == ("1 accepted, 0 existing\n", "")
        assert "'Hi' is sent to ada@example.org" in line_with(worker.stdout, "is sent to")
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)


def _block(text: str, start: str, end: str) -> str:
    """Take the indented lines between two others."""
    part = text.split(start)[1].split(end)[0]
    lines = part.splitlines()[1:]
    indent = re.match(" *", next(filter(None, lines)))
    assert indent
    return "\n".join(line.removeprefix(indent[0]) for line in lines) + "\n"
