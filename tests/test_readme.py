"""What README.md and docs/ show works: programs run, links lead somewhere, commands exist.

The python blocks of a page are programs of their own, run in order against one server, whose
address is in `$RELAY_URL`. A block below `<!-- examples/name.py arguments -->` shows that file, and
is run as that file with those arguments. A program that only waits for jobs is ended by Ctrl-C.
"""

import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from xml.etree import ElementTree

import pytest

from relay_sdk.local import LocalServer

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(
    r"(?:^<!-- (\S+\.py)([^\n]*) -->\n)?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
LINK = re.compile(r"\]\((?!\w+:|#)([^)#]+)")
MAKE = re.compile(r"(?:^|`)make((?: [a-z]+)+)", re.MULTILINE)
COMMAND = re.compile(r"(?:^|[`| ])relay-sdk ([a-z]+)", re.MULTILINE)
IMAGE = re.compile(r'<img [^>]*src="([^"]+)"')
PATIENCE = 30  # seconds after which a program hangs
QUIET = 2  # seconds after which a worker has nothing to do

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


class CtrlC(logging.Handler):
    """Interrupts a program when it has not been answered for a while, for there are no jobs."""

    def __init__(self, program: subprocess.Popen[str]) -> None:
        super().__init__()
        self._program = program
        self._timer: threading.Timer | None = None
        self.pressed = False

    def emit(self, record: logging.LogRecord) -> None:
        self.cancel()
        self._timer = threading.Timer(QUIET, self._press)
        self._timer.start()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _press(self) -> None:
        self.pressed = True
        self._program.send_signal(signal.SIGINT)


def run(command: list[str], url: str, folder: Path) -> None:
    """Run a program that must end well, or by Ctrl-C when it has nothing left to do."""
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"RELAY_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        ctrl_c = CtrlC(program)
        logger = logging.getLogger("relay_sdk.local")
        logger.addHandler(ctrl_c)
        try:
            output, _ = program.communicate(timeout=PATIENCE)
        finally:
            logger.removeHandler(ctrl_c)
            ctrl_c.cancel()
            program.kill()
    # A worker logs the traceback of a job that failed, and goes on.
    well = program.returncode == 0 and "Traceback" not in output
    interrupted = program.returncode == -signal.SIGINT and ctrl_c.pressed
    assert well or interrupted, f"{shlex.join(command)}:\n{output}"


@every_page
def test_python_blocks_run(page: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "relay_sdk.local")
    text = page.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert len(blocks) == len(re.findall(r"^\s*(?:```|~~~)\s*py", text, re.MULTILINE))

    with LocalServer() as server:
        for number, (name, arguments, code) in enumerate(blocks, 1):
            if name:
                assert code == (ROOT / name).read_text(encoding="utf-8"), f"{name} has changed"
                program = ROOT / name
            else:
                program = tmp_path / f"{page.stem}_{number}.py"
                program.write_text(code, encoding="utf-8")
            run([str(program), *shlex.split(arguments)], server.url, tmp_path)


@every_page
def test_relative_links_lead_to_files(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))

    assert [target for target in targets if not (page.parent / target).exists()] == []


@every_page
def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    there = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = MAKE.findall(page.read_text(encoding="utf-8"))

    assert {target for targets in named for target in targets.split()} - there == set()


@every_page
def test_commands_exist(page: Path) -> None:
    """A program's name is followed by a command's, in code."""
    named = set(COMMAND.findall(page.read_text(encoding="utf-8")))
    there = subprocess.run(
        [sys.executable, "-m", "relay_sdk.cli", "--help"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    assert [
        name for name in named if not re.search(rf"^ .*\b{name}\b  ", there, re.MULTILINE)
    ] == []


@every_page
def test_pictures_are_there_and_well_formed(page: Path) -> None:
    for source in IMAGE.findall(page.read_text(encoding="utf-8")):
        ElementTree.parse(page.parent / source)
