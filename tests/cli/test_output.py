"""Output has no control characters of servers and files, and no passwords."""

import json
import logging
import os
import re
import socket
from pathlib import Path

import pytest

from relay_sdk import Client, Queue
from relay_sdk.cli import output
from relay_sdk.local import LocalServer

from .conftest import Run
from .programs import line_with, posix, program, read_terminal
from .test_doctor import answering, listening

# Clear screen; carriage return; right-to-left override; 8-bit CSI; DEL; beyond 16 bits.
EVIL = "a\x1b[2J\nrelay-sdk: all is well\u202e\x9b1m\x7f\U000e0001"


def tame(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize("command", ["get", "exists", "next"])
def test_an_id_that_is_not_there_is_escaped(run: Run, command: str) -> None:
    result = run(command, EVIL, *([] if command == "next" else [EVIL]))

    assert result.exit_code == 1
    assert tame(result.output)
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize(
    "command", [["get", "q", EVIL], ["get", "q", EVIL, "--json"], ["next", "q"]]
)
def test_a_job_is_shown_escaped_and_is_the_same(
    run: Run, relay: Client, command: list[str]
) -> None:
    relay.enqueue(Queue("q").job(EVIL, {EVIL: [EVIL, 1.5]}, state=EVIL))

    result = run(*command)

    assert result.exit_code == 0
    assert tame(result.stdout)
    if "get" not in command or "--json" in command:
        job = json.loads(result.stdout)
        assert (job["id"], job["payload"], job["state"]) == (EVIL, {EVIL: [EVIL, 1.5]}, EVIL)
    else:
        assert r"id: " in result.stdout
        assert r"\u001b[2J\nrelay-sdk" in result.stdout


@pytest.mark.skipif(not posix, reason="needs a pseudo terminal")
@pytest.mark.parametrize("command", [["get", "q", EVIL], ["next", "q"]])
def test_a_terminal_gets_no_control_characters(
    server: LocalServer,
    relay: Client,
    tmp_path: Path,
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import pty

    monkeypatch.setenv("COLUMNS", "500")
    relay.enqueue(Queue("q").job(EVIL, {EVIL: EVIL}, state=EVIL))
    ours, theirs = pty.openpty()
    try:
        with program(tmp_path, *command, url=server.url, stdout=theirs) as process:
            os.close(theirs)
            shown = read_terminal(ours)
            process.communicate(timeout=60)
    finally:
        os.close(ours)

    assert r"a\u001b[2J\nrelay-sdk: all is well\u202e\u009b1m\u007f" in shown
    assert re.sub(r"\x1b\[[0-9;]*m|[\r\n]", "", shown).isprintable()


def test_an_escaped_job_can_be_enqueued_again(run: Run, relay: Client) -> None:
    relay.enqueue(Queue("q").job(EVIL, EVIL))

    assert run("enqueue", "r", input=run("next", "q").stdout).exit_code == 0

    (helper,) = relay.next("r")
    assert (helper.job.id, helper.job.payload) == (EVIL, EVIL)


def test_the_text_of_a_server_is_escaped(offline: Run) -> None:
    text = EVIL.replace("\x9b", "").replace("\u202e", "").replace("\U000e0001", "")
    with answering({"*": (418, {"content-type": "text/plain"}, text)}) as (url, _):
        results = [
            offline("get", "q", "a", "--url", url),
            offline("doctor", "--url", url),
            offline("doctor", "--url", url, "--json"),
        ]

    for result in results:
        assert result.exit_code == 1
        assert tame(result.output)
        assert "relay-sdk: all is well" not in result.output.splitlines()


def test_the_text_of_an_input_is_escaped(offline: Run) -> None:
    line = json.dumps({"id": EVIL, "payload": 1, EVIL: 2})

    result = offline("enqueue", "q", input=line)

    assert result.exit_code == 2
    assert tame(result.output)
    assert len(result.output.splitlines()) == 1


def test_a_log_line_is_one_line_and_a_traceback_has_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    output.start_log(verbose=False)
    try:
        raise ValueError(EVIL)
    except ValueError:
        logging.getLogger("relay_sdk").exception("the handler of %s failed", EVIL)

    errors = capsys.readouterr().err
    assert tame(errors)
    first, second, *_ = errors.splitlines()
    assert r"a\x1b[2J\nrelay-sdk: all is well\u202e" in first
    assert second == "Traceback (most recent call last):"


SECRET = "user:s3cr3t@"


def with_login(url: str) -> str:
    return url.replace("://", f"://{SECRET}")


def silent(connection: socket.socket) -> None:
    connection.recv(1)


@pytest.mark.parametrize("command", [["get", "q", "a"], ["doctor"], ["doctor", "--json"]])
@pytest.mark.parametrize(
    "url",
    [
        "http://user:s3cr3t@127.0.0.1:1",
        "http://user:s3cr3t@127.0.0.1:x",
        "http://user:s3cr3t@127.0.0.1/?q",
        "ftp://user:s3cr3t@127.0.0.1",
        "http://user:s3cr3t/@127.0.0.1",
    ],
)
def test_a_password_is_not_shown_when_nothing_answers(
    offline: Run, command: list[str], url: str
) -> None:
    result = offline(*command, "--verbose" if "get" in command else "--timeout=0.2", "--url", url)

    assert result.exit_code
    assert "s3cr3t" not in result.output


@pytest.mark.parametrize("command", [["get", "q", "a"], ["doctor"], ["doctor", "--json"]])
@pytest.mark.parametrize(
    "answer",
    [
        (404, {}, "x"),
        (401, {}, ""),
        (308, {"location": "https://user:s3cr3t@127.0.0.1/health"}, ""),
        (200, {"content-type": "text/html"}, "<title>x</title>"),
    ],
)
def test_a_password_is_not_shown_when_something_else_answers(
    offline: Run, command: list[str], answer: tuple[int, dict[str, str], str]
) -> None:
    with answering({"*": answer}) as (url, _):
        result = offline(*command, "--url", with_login(url))

    assert result.exit_code
    assert "s3cr3t" not in result.output


def test_a_password_is_not_shown_when_the_server_is_silent(offline: Run) -> None:
    with listening(silent) as port:
        result = offline("doctor", "--timeout", "0.2", "--url", f"http://{SECRET}127.0.0.1:{port}")

    assert result.exit_code == 1
    assert "s3cr3t" not in result.output


def test_a_good_server_is_reported_without_the_password(offline: Run, server: LocalServer) -> None:
    human = offline("doctor", "--url", with_login(server.url))
    machine = offline("doctor", "--json", "--url", with_login(server.url))

    assert human.exit_code == machine.exit_code == 0
    place = server.url.removeprefix("http://")
    assert re.search(rf"server: http://(\*\*\*@)?{place}\n", human.stdout)
    assert json.loads(machine.stdout)["url"].endswith(place)
    assert "s3cr3t" not in human.output + machine.output


@pytest.mark.skipif(not posix, reason="needs signals")
def test_a_worker_waits_without_the_password(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(
        "from relay_sdk import Client, Worker\nworker = Worker(Client(), 'q', print)\n"
    )
    url = "http://user:s3cr3t@127.0.0.1:1"

    with program(tmp_path, "work", "jobs:worker", "--url", url, "--processes", "1") as process:
        lines = [line_with(process.stderr, "cannot reach the server")]
        process.terminate()
        lines += process.communicate(timeout=60)

    assert "127.0.0.1 port 1" in lines[0]
    assert "s3cr3t" not in "".join(lines)


def test_a_closed_stderr_is_not_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stderr", None)  # as Python sets it if stderr is closed: `2>&-`

    output.print_message("a process has ended")
