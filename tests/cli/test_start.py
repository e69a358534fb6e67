"""The start of the command: help, completion, imports, and the bar on a terminal."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from relay_sdk.local import LocalServer
from relay_sdk.local.__main__ import command_line

from .conftest import Run, lines
from .programs import line_with, posix, program, read_terminal

COMMANDS = [
    "demo",
    "serve",
    "enqueue",
    "next",
    "get",
    "exists",
    "remove",
    "work",
    "schema",
    "check",
    "doctor",
]


def python(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout


def test_help_lists_the_commands_and_the_statuses(offline: Run) -> None:
    result = offline("--help")

    assert result.exit_code == 0
    assert [command for command in COMMANDS if f"\n  {command} " not in result.stdout] == []
    assert "3    the server cannot be reached" in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps_with_examples(offline: Run, command: str) -> None:
    result = offline(command, "--help")

    assert (result.exit_code, result.stderr) == (0, "")
    assert "xample" in result.stdout
    assert result.stdout.count(f"relay-sdk {command} ") >= 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_completion(offline: Run, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv("_RELAY_SDK_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", "relay-sdk do")
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "relay-sdk do")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")

    assert "doctor" in offline().stdout


@pytest.mark.parametrize("version", [("--version",), ("--version", "get")])
def test_it_prints_its_version(offline: Run, version: tuple[str, ...]) -> None:
    result = offline(*version)

    assert (result.exit_code, result.stderr) == (0, "")
    assert re.fullmatch(r"relay-sdk \d+\.\d+\S*, Python 3\.\d+\.\S+\n", result.stdout)


def test_the_options_of_serve_are_completed(offline: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_RELAY_SDK_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "relay-sdk serve --")
    monkeypatch.setenv("COMP_CWORD", "2")

    offered = offline().stdout.split()

    assert {"--db", "--port", "--help"} <= {*offered}
    assert [option for option in offered if option not in command_line().format_help()] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    "command", ["--help", "--version", "serve --help", "serve --port 0 --db :memory:", "demo"]
)
def test_output_that_cannot_be_written_is_one_line(tmp_path: Path, command: str) -> None:
    with (
        Path("/dev/full").open("w") as full,
        program(tmp_path, *command.split(), stdout=full) as process,
    ):
        errors = process.communicate(timeout=60)[1]

    assert process.returncode == 1
    assert errors == "relay-sdk: cannot write the output: No space left on device\n"


def test_the_sdk_does_not_load_the_command_line() -> None:
    assert python("import sys, relay_sdk; print('typer' in sys.modules)") == "False\n"


def test_the_command_line_loads_no_server() -> None:
    unwanted = {"relay_sdk.local.server", "sqlite3"}
    script = f"import sys, relay_sdk.cli.app; print({unwanted} & {{*sys.modules}})"

    assert python(script) == "set()\n"


def test_without_typer_it_prints_what_to_install() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.modules['typer'] = None; from relay_sdk.cli import main; main()",
        ],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert done.stderr == (
        "relay-sdk: the command line needs typer: pip install 'relay-job-sdk[cli]'\n"
    )


@pytest.mark.skipif(not posix, reason="needs signals")
def test_serve_is_the_local_server(tmp_path: Path) -> None:
    with program(tmp_path, "serve", "--port", "0", "--db", "jobs.db") as server:
        url = line_with(server.stdout, "http://").strip()
        with program(tmp_path, "exists", "q", "a", url=url) as process:
            assert process.communicate(timeout=60) == ("no\n", "")
        server.send_signal(signal.SIGTERM)
        assert server.communicate(timeout=60) == ("", "")

    assert server.returncode == 0
    assert (tmp_path / "jobs.db").exists()


def test_a_usage_error_of_serve_is_one_line(offline: Run) -> None:
    result = offline("serve", "--port", "many")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "relay-sdk serve: argument --port: invalid int value: 'many'\n"


@pytest.mark.skipif(not posix, reason="needs a pseudo terminal")
def test_a_terminal_gets_a_bar_with_a_rate(server: LocalServer, tmp_path: Path) -> None:
    import pty

    (tmp_path / "jobs.jsonl").write_text(lines(*range(3000)))
    ours, theirs = pty.openpty()
    try:
        with program(
            tmp_path, "enqueue", "q", "jobs.jsonl", "--payload", url=server.url, stderr=theirs
        ) as process:
            os.close(theirs)
            shown = read_terminal(ours)
            assert process.stdout
            assert process.stdout.read() == "3,000 accepted, 0 existing\n"
    finally:
        os.close(ours)

    assert "3,000 jobs, " in shown
    assert " jobs/s" in shown


@pytest.mark.skipif(not posix, reason="needs a pseudo terminal")
def test_messages_are_separate_lines_above_the_bar(server: LocalServer, tmp_path: Path) -> None:
    import pty

    (tmp_path / "jobs.jsonl").write_text(lines(*range(3)))
    (tmp_path / "jobs.jsonl.relay-enqueue.new").mkdir()  # so that it prints a message
    ours, theirs = pty.openpty()
    try:
        with program(
            tmp_path, "enqueue", "q", "jobs.jsonl", "--payload", url=server.url, stderr=theirs
        ) as process:
            os.close(theirs)
            shown = read_terminal(ours)
            process.wait(timeout=60)
    finally:
        os.close(ours)

    (line,) = [line for line in shown.splitlines() if "cannot save the progress" in line]
    assert re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip("\r").startswith("relay-sdk: cannot")
    assert "jobs/s" not in line
