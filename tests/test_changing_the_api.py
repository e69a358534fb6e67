"""Run the walkthroughs of docs/changing-the-api.md as written, on a copy of this project.

A `diff` block names a file. One of the description or the SDK is an edit to make; one of the
generated code is what must be there. Below each `$ command` of a `console` block stand lines of its
output.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "changing-the-api.md").read_text(encoding="utf-8")
NEEDED = ["openapi", "generated", "relay_sdk", "pyproject.toml"]
TESTS = ["test_description.py", "test_wire.py"]

WALKS = {
    title: blocks
    for title, section in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    if (blocks := re.findall(r"^```(diff|console)\n(.*?)^```$", section, re.M | re.S))
}

BIN = Path(sys.executable).parent
COMMANDS = {
    "make generate": [sys.executable, "openapi/generate.py"],
    "mypy": [str(BIN / "mypy"), "-p", "relay_sdk._protocol", "-p", "relay_api"],
    "basedpyright": [
        str(BIN / "basedpyright"),
        f"--pythonpath={sys.executable}",
        "relay_sdk/_protocol",
    ],
    "pytest": [sys.executable, "-m", "pytest", "-q", "-p", "pytest_timeout"],
    "python": [sys.executable],
}


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of mypy that all walkthroughs share."""
    return tmp_path_factory.mktemp("mypy")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in NEEDED:
        if (ROOT / name).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__", ".*")
            shutil.copytree(ROOT / name, tmp_path / name, ignore=unwanted)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "tests").mkdir()
    for name in TESTS:
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests" / name)
    settings = tmp_path / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    # Here the generated code is not installed.
    text = text.replace("[tool.basedpyright]", '[tool.basedpyright]\nextraPaths = ["generated"]')
    settings.write_text(text, encoding="utf-8")
    return tmp_path


def play_diff(copy: Path, block: str) -> None:
    """Make an edit, or check that the generated code is as shown."""
    name, *hunks = re.split(r"^(?:--- |@@\n)", block, flags=re.M)[1:]
    name, first = name.split("\n", 1)
    path = copy / name
    text = path.read_text(encoding="utf-8")
    for hunk in [first, *hunks]:
        lines = hunk.splitlines(keepends=True)
        old, new = (
            "".join(line[1:] for line in lines if line[0] in marks) for marks in (" -", " +")
        )
        if name.startswith("generated/"):
            assert new in text, f"{name} does not have\n{new}"
            continue
        assert text.count(old) == 1, f"{name} has this {text.count(old)} times:\n{old}"
        text = text.replace(old, new)
    if not name.startswith("generated/"):
        path.write_text(text, encoding="utf-8")


def play_console(copy: Path, block: str, cache: Path) -> None:
    """Run the commands, and check that they print what the page shows."""
    paths = os.pathsep.join([str(copy), str(copy / "generated")])
    environment = os.environ | {
        "PYTHONPATH": paths,
        "MYPYPATH": paths,
        "MYPY_CACHE_DIR": str(cache),
        "PYTHONDONTWRITEBYTECODE": "1",
        "COLUMNS": "300",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # halves the time to start
    }
    for step in re.split(r"^\$ ", block, flags=re.M)[1:]:
        shown, *expected = step.splitlines()
        command = COMMANDS.get(shown)
        if command is None:
            program, *arguments = shlex.split(shown)
            command = [*COMMANDS[program], *arguments]
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
        output = (done.stdout + done.stderr).replace(f"{copy}/", "")
        for line in expected:
            assert line in output, f"$ {shown}\n{output}"
        fails = any("error:" in line or "Error:" in line or "FAILED" in line for line in expected)
        assert (done.returncode != 0) is fails, f"$ {shown}\n{output}"


@pytest.mark.parametrize("walk", WALKS)
def test_a_walkthrough_works_as_written(walk: str, copy: Path, cache: Path) -> None:
    for kind, block in WALKS[walk]:
        if kind == "diff":
            play_diff(copy, block)
        else:
            play_console(copy, block, cache)


def test_every_walkthrough_is_found() -> None:
    assert len(WALKS) == 5
    assert all({kind for kind, _ in blocks} == {"diff", "console"} for blocks in WALKS.values())
