"""The blocks of README.md and docs/ work.

The python, sh and sql blocks of a page are run in order, in one folder, against a server whose
address is in `$RELAY_URL`. One that cannot run is below `<!-- not run: reason -->`.

The python blocks share a namespace. A block below `<!-- examples/name.py arguments -->` shows that
file and is run as a program with those arguments; files of tests are run by pytest. A block below
`<!-- name.py -->` is saved under that name, for the blocks that follow to import. Workers run what
is due and return, instead of waiting for more.

The sh blocks are run by bash, where program.py replaces the programs that they call. It runs the
real `relay-sdk`, but interrupts commands that run forever once they are up. The sql blocks, and
those with the address of PostgreSQL, have a separate database; without PostgreSQL the page is
skipped.

Blocks in other languages are parsed by a reader of that language.
"""

import configparser
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main
import yaml
from attrs import evolve

from relay_sdk import AsyncWorker, Client, Queue, Worker
from relay_sdk.cli.app import app
from relay_sdk.local import LocalServer
from relay_sdk.local.__main__ import command_line
from relay_sdk.testing import adrain, drain

from .pages import PAGES, ROOT, Block, blocks, every_page, read
from .shell import POSTGRES, run_shell, run_sql

NOT_RUN = "not run: "
SAVED = re.compile(r"\w+\.py")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    with LocalServer() as server:
        monkeypatch.setenv("RELAY_URL", server.url)
        yield server


@pytest.fixture
def workers_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `run` return when no job is due."""

    for_ever = Worker.run

    def run(worker: Worker) -> None:
        if threading.current_thread() is threading.main_thread():
            drain(worker)
        else:  # the thread of `with Worker(...)`, which ends with the block
            for_ever(worker)

    async def arun(worker: AsyncWorker) -> None:
        await adrain(worker)

    monkeypatch.setattr(Worker, "run", run)
    monkeypatch.setattr(AsyncWorker, "run", arun)


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Make programs importable by each other, and remove the imported modules at the end."""
    before = set(sys.modules)
    folders = (str(ROOT / "examples"), str(tmp_path))
    for folder in folders:
        monkeypatch.syspath_prepend(folder)
    yield
    for name in set(sys.modules) - before:
        path = getattr(sys.modules[name], "__file__", None) or ""
        if path.startswith(folders):
            del sys.modules[name]


def enqueue_expected_jobs(page: Path, server: LocalServer) -> None:
    """Enqueue a job for pages that need one but do not enqueue it themselves."""
    job = Queue("emails", payload=str).job("1", "ada@example.org")
    if page.name in {"command-line.md", "dashboard.md"}:
        with Client(server.url) as relay:
            relay.enqueue(job)
    if page.name == "growing.md":
        with LocalServer("relay.db") as before, Client(before.url) as relay:
            relay.enqueue(job)


def run_python(block: Block, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    if block.comment.startswith("examples/"):
        name, *arguments = shlex.split(block.comment)
        assert block.code == read(ROOT / name), f"{name} has changed"
        if "/tests/" not in name:
            monkeypatch.setattr(sys, "argv", [name, *arguments])
            runpy.run_path(str(ROOT / name), run_name="__main__")
    elif SAVED.fullmatch(block.comment):
        Path(block.comment).write_text(block.code, encoding="utf-8")
    else:
        code = "\n" * (block.line - 1) + block.code
        exec(compile(code, str(module.__file__), "exec", dont_inherit=True), module.__dict__)


@every_page
@pytest.mark.usefixtures("workers_end", "modules")
def test_blocks_run(
    page: Path,
    server: LocalServer,
    programs: Path,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    module = ModuleType(f"page_{page.stem}")
    module.__file__ = str(page)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    enqueue_expected_jobs(page, server)
    for block in blocks(page):
        if block.comment.startswith(NOT_RUN):
            continue
        match block.language:
            case "python":
                run_python(block, module, monkeypatch)
            case "sh":
                if POSTGRES in block.code:
                    url, _ = request.getfixturevalue("database")
                    block = evolve(block, code=block.code.replace(POSTGRES, shlex.quote(url)))
                run_shell(block, programs)
            case "sql":
                run_sql(block, *request.getfixturevalue("database"))


def test_the_tests_that_are_shown_pass() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "examples/tests"],
        cwd=ROOT,
        env=os.environ | {"PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def read_command(words: list[str]) -> None:
    """Parse the arguments of a relay-sdk command without running it."""
    name, *arguments = words
    if name == "serve":
        command_line().parse_args(arguments)
    elif not name.startswith("-"):
        command = typer.main.get_command(app)
        assert isinstance(command, typer.core.TyperGroup)
        command.commands[name].make_context(name, arguments)


def read_ini(block: Block) -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.read_string(block.code)
    read_command(shlex.split(unit["Service"]["ExecStart"])[1:])


def read_yaml(block: Block) -> None:
    read_commands(list(yaml.safe_load_all(block.code)))


def read_commands(value: Any) -> None:
    """Parse the relay-sdk commands of containers."""
    if isinstance(value, dict):
        read_commands(list(value.values()))
    elif isinstance(value, list) and value[0] == "relay-sdk":
        read_command(value[1:])
    elif isinstance(value, list):
        for one in value:
            read_commands(one)


def read_dockerfile(block: Block) -> None:
    for command in re.findall(r"^CMD (.+)$", block.code, re.MULTILINE):
        read_commands(json.loads(command))


READERS: dict[str, Callable[[Block], object]] = {
    "console": lambda _: None,  # tests/test_changing_the_api.py runs them
    "diff": lambda _: None,
    "dockerfile": read_dockerfile,
    "ini": read_ini,
    "json": lambda block: json.loads(block.code),
    "python": lambda block: compile(block.code, "a page", "exec"),
    "sh": lambda _: None,  # run above
    "sql": lambda _: None,  # run above
    "text": lambda _: None,  # output of a program
    "yaml": read_yaml,
    "{eval-rst}": lambda _: None,  # Sphinx reads it
}


@every_page
def test_blocks_are_in_a_language_that_something_reads(page: Path) -> None:
    for block in blocks(page):
        reader = READERS.get(block.language)
        assert reader, (
            f"{page.name}:{block.line}: nothing reads {block.language!r}; name a language that is "
            "in READERS, or add one there"
        )
        reader(block)


@every_page
def test_every_fence_is_of_a_block_that_was_found(page: Path) -> None:
    fences = sum(line.lstrip().startswith(("```", "~~~")) for line in read(page).splitlines())

    assert fences == 2 * len(blocks(page))


def test_there_are_blocks() -> None:
    assert sum(block.language == "python" for page in PAGES for block in blocks(page)) > 30
