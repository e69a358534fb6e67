"""Run tests against the built wheel, on each Python here, with its oldest and newest dependencies.

The oldest are the lower bounds in pyproject.toml, or the first above them that this Python can
install without a compiler. What the tests need besides is always the newest.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ["cli", "cron", "otel", "postgres", "pydantic", "reload", "server"]
MISSING = "not on this machine"
RESOLUTIONS = {"oldest": "lowest-direct", "newest": "highest"}
TESTS = [
    "tests/base",
    "tests/codecs",
    "tests/http",
    "tests/protocol",
    "tests/engine",
    "tests/client",
    "tests/worker",
    "tests/contract",
    "tests/local",
    "tests/cli",
]
KEPT = ["tests", "openapi", "pyproject.toml"]  # without the sources, so that the wheel is imported


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--python", action="append", help="a version or a path; all by default")
    parser.add_argument("--dependencies", action="append", choices=RESOLUTIONS)
    parser.add_argument("tests", nargs="*", default=TESTS)
    options = parser.parse_args()
    results: list[tuple[str, str, str]] = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        for kept in KEPT:
            copy = shutil.copytree if (ROOT / kept).is_dir() else shutil.copy
            copy(ROOT / kept, folder / kept)
        uv("build", "--quiet", "--wheel", "--out-dir", folder / "dist", ROOT)
        for python in options.python or classified():
            for dependencies in options.dependencies or RESOLUTIONS:
                print(f"== Python {python}, {dependencies} dependencies", flush=True)
                result = run(folder, python, dependencies, options.tests)
                results.append((python, dependencies, result))
    for python, dependencies, result in results:
        print(f"Python {python:8} {dependencies}  {result}")
    failures = {"failed", MISSING} if options.python else {"failed"}
    sys.exit(any(result in failures for _, _, result in results))


def classified() -> list[str]:
    """Read the versions of Python that pyproject.toml names."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return re.findall(r":: (3\.\d+)$", "\n".join(project["classifiers"]), re.MULTILINE)


def run(folder: Path, python: str, dependencies: str, tests: Iterable[str]) -> str:
    if uv("python", "find", "--quiet", "--no-project", "--system", python, check=False):
        return MISSING
    venv, versions = folder / "venv", folder / "versions.txt"
    uv("venv", "--quiet", "--clear", "--python", python, venv)
    to_venv = ("--quiet", "--only-binary", ":all:", "--python", venv)
    of_project: list[str | Path] = [
        ROOT / "pyproject.toml",
        *(f"--extra={extra}" for extra in EXTRAS),
    ]
    chosen = (f"--resolution={RESOLUTIONS[dependencies]}", "--no-annotate", "--no-header")
    uv("pip", "compile", "--upgrade", *to_venv, *chosen, "--output-file", versions, *of_project)
    print(versions.read_text("utf-8"), flush=True)
    (wheel,) = folder.glob("dist/*.whl")
    uv("pip", "install", *to_venv, "-c", versions, f"{wheel}[{','.join(EXTRAS)},test]")
    programs = venv / ("Scripts" if os.name == "nt" else "bin")
    command: list[str | Path] = [programs / "pytest", "-q", "-n", "auto", *tests]
    done = subprocess.run(command, cwd=folder, check=False)
    return "failed" if done.returncode else "passed"


def uv(*arguments: str | Path, check: bool = True) -> int:
    # uv cannot resolve the shims of pyenv.
    pythons = sorted(Path.home().glob(".pyenv/versions/*/bin"))
    path = os.pathsep.join([*map(str, pythons), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "UV_PYTHON_DOWNLOADS": "never"}
    command = [sys.executable, "-m", "uv", *arguments]
    return subprocess.run(command, env=environment, check=check).returncode


if __name__ == "__main__":
    main()
