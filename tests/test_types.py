"""The code of users is typed as promised: mypy and basedpyright agree with tests/typing.

Each module there is checked unchanged. A line that must be rejected has an ignore comment for each
checker; a comment without an error is itself an error.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "typing"

WRONG = """\
from relay_sdk import Queue

NUMBERS = Queue("numbers", payload=int)
NUMBERS.job("1", "one")
NUMBERS.job("1", "one")  # type: ignore[arg-type]
NUMBERS.job("1", "one")  # pyright: ignore[reportArgumentType]
NUMBERS.job("1", 1)  # type: ignore[arg-type]
NUMBERS.job("1", 1)  # pyright: ignore[reportArgumentType]
"""

Error = tuple[Path, int, str]
"""The position of an error, and its code."""


def check(tool: str, *arguments: str) -> str:
    """Run a checker with the configuration of this project."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name(tool)), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy(*paths: Path) -> Iterator[Error]:
    for line in check("mypy", "--output=json", *map(str, paths)).splitlines():
        error = json.loads(line)
        if error["severity"] == "error":
            yield ROOT / error["file"], error["line"], error["code"]


def basedpyright(*paths: Path) -> Iterator[Error]:
    here = f"--pythonpath={sys.executable}"
    report = json.loads(check("basedpyright", "--outputjson", here, *map(str, paths)))
    for error in report["generalDiagnostics"]:
        line = error["range"]["start"]["line"] + 1
        yield Path(error["file"]), line, error.get("rule", error["message"])


@pytest.mark.parametrize(
    ("checker", "refused"),
    [
        pytest.param(mypy, {(4, "arg-type"), (6, "arg-type"), (7, "unused-ignore")}, id="mypy"),
        pytest.param(
            basedpyright,
            {
                (4, "reportArgumentType"),
                (5, "reportArgumentType"),
                (8, "reportUnnecessaryTypeIgnoreComment"),
            },
            id="basedpyright",
        ),
    ],
)
def test_types_are_as_promised(
    checker: Callable[..., Iterator[Error]], refused: set[tuple[int, str]], tmp_path: Path
) -> None:
    """A program with wrong comments is checked too, to show that the test can fail."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG, encoding="utf-8")

    errors = set(checker(FOLDER, wrong))

    # Compare names, because the cache of mypy may have the old path of a file with the same text.
    assert {(line, code) for path, line, code in errors if path.name == wrong.name} == refused
    assert {error for error in errors if FOLDER in error[0].parents} == set()
