"""`make` with a Python that is too old, and `make check` where a checker fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHECKERS = ["ruff", "mypy", "basedpyright", "lint-imports", "python"]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # make itself may have started these tests: remove its variables.
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFL"))
    }
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_python_that_is_too_old_is_reported_and_leaves_nothing(folder: Path) -> None:
    old = "import sys; sys.version_info = (3, 10, 13); exec(sys.argv[1])"
    python = program(folder / "python3.10", f"exec {sys.executable} -c '{old}' \"$2\"")

    done = make(folder, f"PYTHON={python}", "test")

    assert done.returncode != 0
    assert f"Python 3.11 or newer is needed; {python} is 3.10" in done.stderr
    assert "ResolutionImpossible" not in done.stderr
    assert not (folder / ".venv").exists()


def test_an_environment_that_could_not_be_made_whole_is_removed(folder: Path) -> None:
    """On Debian without python3-venv, the environment has a Python but no pip."""
    fails = f'case "$1" in -c) exec {sys.executable} "$@";; esac; mkdir -p .venv/bin; exit 1'
    python = program(folder / "python", fails)

    assert make(folder, f"PYTHON={python}", "test").returncode != 0

    assert not (folder / ".venv").exists()


def test_check_runs_every_checker_and_fails_at_the_end(folder: Path) -> None:
    for checker in CHECKERS:
        script = f'echo "{checker} $*" >> ran'
        program(folder / ".venv" / "bin" / checker, f"{script}\n[ {checker} = python ]")
    (folder / ".venv" / "dev").touch()

    done = make(folder, "check")

    assert done.returncode != 0
    assert sorted((folder / "ran").read_text().splitlines()) == [
        "basedpyright ",
        "lint-imports ",
        "mypy ",
        "mypy tests/typing",
        "python openapi/generate.py --check",
        "ruff check",
        "ruff format --check",
    ]
