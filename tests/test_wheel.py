"""The built wheel, installed outside the tree, is whole: it runs, and it is typed."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest

from relay_sdk.local.dashboard.page import FILES

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = """\
from dataclasses import dataclass
from typing import assert_type

import relay_api
import relay_sdk
from relay_api.models import JobV2
from relay_sdk import Client, Queue
from relay_sdk.local import LocalServer


@dataclass
class Email:
    to: str


def generated(job: JobV2) -> None:
    assert_type(job.max_retries, int | None)


EMAILS = Queue("emails", payload=Email, state=dict[str, int])

with LocalServer() as server, Client(server.url) as relay:
    relay.enqueue(EMAILS.job("1", Email("a@example.org")))
    (helper,) = relay.next(EMAILS)
    assert_type(helper.job.payload.to, str)
    assert_type(helper.job.state, dict[str, int] | None)
    helper.complete()
    print(helper.job.payload.to)

print(relay_sdk.__file__)
print(relay_api.__file__)
"""

WRONG = """
EMAILS.job("2", "a@example.org")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("--wheel", tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("--sdist", folder)) as archive:
        archive.extractall(folder, filter="data")
    (tree,) = (path for path in folder.iterdir() if path.is_dir())
    return tree


def build(kind: str, folder: Path) -> Path:
    done = run(sys.executable, "-m", "build", "-n", kind, "--outdir", folder, ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and its dependencies from the one that runs this test.

    They come by a path that is added as it is: what in turn adds paths there, as an editable
    install does, is not read.
    """
    folder = tmp_path_factory.mktemp("outside") / "venv"
    venv.create(folder, symlinks=True)
    scheme = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", scheme))
    python = Path(sysconfig.get_path("scripts", "venv", scheme), "python")
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
    ]
    done = run(*pip, wheel)
    assert done.returncode == 0, done.stderr
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return python


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder that is not in the tree."""
    return subprocess.run(
        command,
        cwd=ROOT.anchor,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def tool(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def test_the_wheel_holds_the_packages_and_the_plugin_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    info = f"relay_job_sdk-{version('relay-job-sdk')}.dist-info"

    assert {name.split("/")[0] for name in names} == {
        "relay_api",
        "relay_sdk",
        "relay_sdk_pytest.py",
        info,
    }
    assert {
        "relay_sdk/py.typed",
        "relay_sdk/local/sqlite/schema.sql",
        "relay_api/py.typed",
        "relay_api/relay.json",
        f"{info}/licenses/LICENSE",
    } <= set(names)
    page = {f"relay_sdk/local/dashboard/{name}" for name in FILES.values()}
    assert page <= set(names)
    modules = {name for name in names if name.endswith(".py")}
    assert modules == {
        path.relative_to(folder).as_posix()
        for folder in (ROOT, ROOT / "generated")
        for path in [*folder.glob("relay_*.py"), *folder.glob("relay_*/**/*.py")]
    }


def test_what_a_package_index_shows_has_no_relative_links(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        shown = archive.read(name).decode()

    assert "# relay-job-sdk" in shown
    assert "quickstart (`docs/quickstart.md`)" in shown
    assert re.findall(r"\]\((?!https?:)", shown) == []
    assert "<img" not in shown


def test_a_program_runs_with_it(python: Path, program: Path) -> None:
    done = run(python, "-I", program)

    assert done.stderr == ""
    to, *files = done.stdout.splitlines()
    assert to == "a@example.org"
    assert all(Path(file).is_relative_to(python.parent.parent) for file in files)


def test_a_program_is_type_checked_with_it(python: Path, program: Path) -> None:
    """Without py.typed, everything in the package would be `Any`."""
    wrong = program.with_name("wrong.py")
    wrong.write_text(PROGRAM + WRONG, encoding="utf-8")

    done = run(
        tool("mypy"),
        "--strict",
        "--config-file=",
        f"--cache-dir={program.parent}",
        f"--python-executable={python}",
        "--output=json",
        program,
        wrong,
    )

    errors = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(Path(error["file"]).name, error["code"]) for error in errors] == [
        ("wrong.py", "arg-type")
    ]


def test_the_tests_run_from_the_source_distribution(sdist: Path) -> None:
    """It includes all tests and the files that they use. Run those that read other files."""
    for folder in ("tests", "docs", "examples", "openapi", "generated"):
        here = [path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.[jmpty]*")]
        made = [path for path in here if any(part[0] in "._" for part in path.parts[:-1])]
        assert [path for path in here if path not in made and not (sdist / path).exists()] == []
    path = os.pathsep.join([str(sdist), str(sdist / "generated")])
    command: list[str | Path] = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["--rootdir", sdist, sdist / "tests" / "docs" / "test_links.py"]

    done = run(*command, PYTHONPATH=path)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


@pytest.mark.parametrize("package", ["relay_sdk", "relay_api"])
def test_no_public_type_is_unknown(python: Path, package: str) -> None:
    # basedpyright verifies the package that the first Python on the path imports.
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    done = run(
        tool("basedpyright"),
        "--verifytypes",
        package,
        "--ignoreexternal",
        "--outputjson",
        PATH=path,
    )

    report = json.loads(done.stdout)["typeCompleteness"]
    assert Path(report["pyTypedPath"]).is_relative_to(python.parent.parent)
    assert report["exportedSymbolCounts"]["withKnownType"] > 0
    assert report["completenessScore"] == 1
