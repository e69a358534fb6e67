"""`relay-sdk queues` and `purge`."""

import json
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from relay_sdk import Client, Queue
from relay_sdk.local import LocalServer

from .conftest import Run
from .programs import posix, program
from .test_doctor import listening

QUEUE = Queue("emails")


def fill(relay: Client) -> None:
    relay.enqueue_batch([QUEUE.job(str(number), 1) for number in range(1500)])
    relay.enqueue(Queue("a\x1b[31mb").job("x", 1, delay=3600))
    relay.next("emails", 3)[0].complete()


def test_queues_are_shown_in_columns(run: Run, relay: Client) -> None:
    fill(relay)

    head, second, first = run("queues").stdout.splitlines()

    assert head.split("  ")[0] == "queue"
    assert first.split()[:4] == ["emails", "1,497", "0", "2"]
    assert first.split()[-2:] == ["1", "0"]
    assert second.startswith("a\\x1b[31mb")
    assert len(head) == len(first) == len(second)


def test_queues_are_json_for_programs(run: Run, relay: Client) -> None:
    fill(relay)

    found = json.loads(run("queues", "--json").stdout)

    assert [queue["queue"] for queue in found["queues"]] == ["a\x1b[31mb", "emails"]
    assert (found["queues"][1]["ready"], found["queues"][1]["done"]) == (1497, 1)


def test_all_pages_of_queues_are_read(
    run: Run, relay: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay_sdk.local.sqlite.job_reader.MAX_QUEUES", 2)
    relay.enqueue_batch([Queue(name).job("1", 1) for name in "abcde"])

    assert len(json.loads(run("queues", "--json").stdout)["queues"]) == 5


def test_a_number_that_is_not_fully_counted_is_marked(
    run: Run, relay: Client, monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    relay.enqueue_batch([QUEUE.job(str(number), 1) for number in range(10_001)])

    assert "10,000+" in run("queues").stdout


def test_no_queues_are_reported_on_stderr(run: Run) -> None:
    result = run("queues")

    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        "",
        "relay-sdk: there are no jobs\n",
    )


def test_watching_needs_a_terminal_or_a_program(run: Run) -> None:
    result = run("queues", "--watch")

    assert result.exit_code == 2
    assert "--watch without --json needs a terminal" in result.stderr


@pytest.mark.skipif(not posix, reason="needs signals")
def test_watching_prints_a_line_each_time(
    server: LocalServer, relay: Client, tmp_path: Path
) -> None:
    options = ["--watch", "--json", "--interval", "0.1"]
    with program(tmp_path, "queues", *options, url=server.url) as process:
        assert process.stdout
        first = json.loads(process.stdout.readline())
        relay.enqueue(QUEUE.job("1", 1))
        while not (later := json.loads(process.stdout.readline()))["queues"]:
            pass
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)

    assert (first["queues"], later["queues"][0]["queue"]) == ([], "emails")
    assert process.returncode == 130


@pytest.mark.skipif(not posix, reason="needs a terminal")
def test_watching_redraws_a_terminal(server: LocalServer, relay: Client, tmp_path: Path) -> None:
    import os
    import pty

    relay.enqueue(QUEUE.job("1", 1))
    ours, theirs = pty.openpty()
    with (
        os.fdopen(theirs, "w") as terminal,
        program(tmp_path, "queues", "--watch", url=server.url, stdout=terminal) as process,
    ):
        seen = b""
        while b"emails" not in seen:
            seen += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    os.close(ours)

    assert b"\x1b[?1049h" in seen  # the alternate screen


def test_a_queue_is_purged_when_the_answer_is_yes(run: Run, relay: Client) -> None:
    fill(relay)

    no = run("purge", "emails", input="n\n")
    there = relay.exists("emails", "7")
    yes = run("purge", "emails", input="y\n")

    assert (no.exit_code, there) == (1, True)
    assert "relay-sdk: nothing was deleted" in no.stderr
    assert "Delete all jobs of queue 'emails' at http://127.0.0.1" in yes.stderr
    assert (yes.exit_code, yes.stdout) == (0, "removed 1,499 from queue 'emails'\n")
    assert relay.exists("a\x1b[31mb", "x")
    assert not relay.exists("emails", "7")


def test_yes_skips_the_confirmation(run: Run, relay: Client) -> None:
    relay.enqueue(QUEUE.job("1", 1))

    unasked = run("purge", "emails", input="")
    result = run("purge", "emails", "--yes", "--json")
    again = run("purge", "emails")

    assert (unasked.exit_code, "cannot ask for confirmation" in unasked.stderr) == (2, True)
    assert (json.loads(result.stdout), result.stderr) == ({"removed": 1}, "")
    assert (again.exit_code, again.stdout) == (0, "removed 0 from queue 'emails'\n")


def test_a_token_is_sent_to_a_server_that_requires_one(
    offline: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalServer(token="secret") as server:
        at = ("--url", server.url)
        refused = offline("queues", *at)
        wrong = offline("queues", *at, "--token", "wr0ng")
        purged = offline("purge", "emails", "--yes", *at, "--token", "secret")
        monkeypatch.setenv("RELAY_TOKEN", "secret")
        served = offline("queues", *at, "--json")

    assert refused.exit_code == wrong.exit_code == 1
    assert "requires a token: set RELAY_TOKEN" in refused.stderr
    assert "refuses this token" in wrong.stderr
    assert "wr0ng" not in wrong.stderr
    assert purged.exit_code == 0
    assert json.loads(served.stdout)["queues"] == []


@pytest.mark.parametrize("command", [["queues"], ["purge", "emails", "--yes"]])
def test_a_server_without_a_dashboard_is_explained(offline: Run, command: list[str]) -> None:
    with LocalServer(dashboard=False) as server:
        result = offline(*command, "--url", server.url)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "The dashboard of this server is switched off." in result.stderr


def answering(text: bytes) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(text)

    return talk


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        (
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            1,
            "only the bundled server has one",
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n<p", 1, "so it is not Relay"),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nno", 3, "Try again later"),
        (b"", 3, "relay-sdk doctor"),
    ],
)
def test_a_server_without_the_local_api_is_reported_in_one_line(
    offline: Run, answer: bytes, status: int, message: str
) -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.recv(65536)

    with listening(answering(answer) if answer else hang_up) as port:
        result = offline("queues", "--url", f"http://127.0.0.1:{port}")

    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


@pytest.mark.parametrize("trickles", [False, True])
def test_an_endless_reply_times_out(
    offline: Run, monkeypatch: pytest.MonkeyPatch, trickles: bool
) -> None:
    monkeypatch.setattr("relay_sdk.cli.local_api.TIMEOUT", 0.3)
    over = threading.Event()

    def talk(connection: socket.socket) -> None:
        while not over.wait(0.02):
            if trickles:
                connection.sendall(b"HTTP/1.1 200 OK\r\nx: "[:1])

    with listening(talk) as port:
        result = offline("queues", "--url", f"http://127.0.0.1:{port}")
        over.set()

    assert (result.exit_code, result.stdout) == (3, "")
    assert "relay-sdk doctor" in result.stderr


def test_no_server_is_status_3(offline: Run) -> None:
    assert offline("queues").exit_code == 3
    assert offline("purge", "emails", "--yes").exit_code == 3
