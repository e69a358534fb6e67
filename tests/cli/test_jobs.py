import json
import signal
import socket
import threading
from pathlib import Path
from uuid import uuid4

import pytest

from relay_sdk import Client, Queue
from relay_sdk.local import LocalServer

from .conftest import Run
from .programs import posix, program
from .test_doctor import listening

QUEUE = Queue("q")


def test_next_prints_jobs_as_lines_and_leaves_them_claimed(run: Run, relay: Client) -> None:
    relay.enqueue_batch([QUEUE.job(id, {"n": id}, state=[id]) for id in "abc"])

    result = run("next", "q", "-n", "2")

    jobs = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(job["queue"], job["id"], job["payload"], job["state"]) for job in jobs] == [
        ("q", "a", {"n": "a"}, ["a"]),
        ("q", "b", {"n": "b"}, ["b"]),
    ]
    assert all(job["run_id"] for job in jobs)
    assert "claimed 2; the server queues each again after its timeout" in result.stderr
    assert relay.exists("q", "a")
    assert [helper.job.id for helper in relay.next("q", 9)] == ["c"]


def test_next_may_complete_what_it_prints(run: Run, relay: Client) -> None:
    relay.enqueue(QUEUE.job("a", 1))

    result = run("next", "q", "--complete")

    assert (json.loads(result.stdout)["id"], result.stderr) == ("a", "")
    assert not relay.exists("q", "a")


def test_next_may_release_what_it_prints(run: Run, relay: Client) -> None:
    relay.enqueue_batch([QUEUE.job(id, 1, state=id) for id in "abc"])

    result = run("next", "q", "-n", "2", "--release")

    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ["a", "b"]
    assert result.stderr == ""
    assert sorted(helper.job.state for helper in relay.next("q", 9)) == ["a", "b", "c"]


def test_complete_and_release_exclude_each_other(offline: Run) -> None:
    result = offline("next", "q", "--complete", "--release")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--complete and --release exclude each other" in result.stderr


def test_many_jobs_are_claimed_a_thousand_at_a_time(run: Run, relay: Client) -> None:
    """A single large reply may time out, and its jobs would stay claimed."""
    relay.enqueue_batch([QUEUE.job(str(number), number) for number in range(2300)])

    result = run("next", "q", "-n", "800000")

    assert len(result.stdout.splitlines()) == 2300
    assert "claimed 2,300" in result.stderr


def test_next_without_a_job_is_status_1(run: Run) -> None:
    result = run("next", "q", "--wait", "0.01")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "relay-sdk: no job is ready in queue 'q'\n"


def test_stored_line_breaks_do_not_break_the_lines(run: Run) -> None:
    run("enqueue", "q", input='[{"id": "a", "payload": {\n "n": [\n1.50,\n "a\\nb"]}}]')

    result = run("next", "q")

    assert result.stdout.count("\n") == 1
    assert '"payload":{"n":[1.50,"a\\nb"]}' in result.stdout


def test_get_shows_a_job_and_leaves_it(run: Run, relay: Client) -> None:
    relay.enqueue(QUEUE.job("a b/c", {"to": "[red]ada"}))

    human = run("get", "q", "a b/c")
    machine = run("get", "q", "a b/c", "--json")

    assert 'id: "a b/c"\n' in human.stdout
    assert '"to": "[red]ada"' in human.stdout
    assert json.loads(machine.stdout)["payload"] == {"to": "[red]ada"}
    assert len(relay.next("q", timeout=0)) == 1


def test_get_of_no_job_is_status_1(run: Run) -> None:
    result = run("get", "q", "a")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("relay-sdk: job 'a' not found in queue 'q'")


def test_exists_answers_by_its_status(run: Run, relay: Client) -> None:
    relay.enqueue(QUEUE.job("a", 1))

    there, gone = run("exists", "q", "a"), run("exists", "q", "b")
    machine = run("exists", "q", "b", "--json")

    assert (there.exit_code, there.stdout) == (0, "yes\n")
    assert (gone.exit_code, gone.stdout) == (1, "no\n")
    assert (machine.exit_code, machine.stdout) == (1, "false\n")


def test_remove_deletes_a_job_that_is_there_or_not(run: Run, relay: Client) -> None:
    relay.enqueue(QUEUE.job("a", 1))

    results = [run("remove", "q", "a"), run("remove", "q", "a")]

    assert [(result.exit_code, result.output) for result in results] == [(0, ""), (0, "")]
    assert not relay.exists("q", "a")


@pytest.mark.parametrize("command", ["get", "exists", "remove"])
def test_an_invalid_id_is_a_usage_error(offline: Run, command: str) -> None:
    result = offline(command, "q", "x" * 1025)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("relay-sdk: id must have 1 to 1024 characters, not 1025")


def test_an_empty_url_is_a_usage_error(offline: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_URL", "")

    result = offline("exists", "q", "a")

    assert result.exit_code == 2
    assert "RELAY_URL" in result.stderr


def test_no_server_is_status_3(offline: Run) -> None:
    result = offline("exists", "q", "a")

    assert (result.exit_code, result.stdout) == (3, "")
    assert "To find out why: relay-sdk doctor" in result.stderr


@pytest.mark.skipif(not posix, reason="a pipe is closed otherwise there")
def test_a_closed_stdout_exits_quietly_and_releases_unprinted_jobs(
    server: LocalServer, relay: Client, tmp_path: Path
) -> None:
    relay.enqueue_batch([QUEUE.job(str(number), "x" * 1000) for number in range(500)])

    with program(tmp_path, "next", "q", "-n", "500", "--complete", url=server.url) as process:
        assert process.stdout
        assert process.stderr
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(timeout=60)

    assert (process.returncode, errors) == (1, "")
    assert not relay.exists("q", first["id"])
    back = [helper.job.id for helper in relay.next("q", 500, timeout=0)]
    assert back[-1] == "499"
    # All printed jobs were completed, except at most the one whose line met the closed pipe.
    assert all(relay.exists("q", id) for id in back)
    assert not any(relay.exists("q", str(n)) for n in range(500) if str(n) not in back)


@pytest.mark.skipif(not posix, reason="needs signals")
def test_an_interrupt_releases_unprinted_jobs(
    server: LocalServer, relay: Client, tmp_path: Path
) -> None:
    relay.enqueue_batch([QUEUE.job(str(number), "x" * 1000) for number in range(500)])

    # Without a reader the pipe is soon full, and the command waits.
    with program(tmp_path, "next", "q", "-n", "500", url=server.url) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=60)

    back = [int(helper.job.id) for helper in relay.next("q", 500, timeout=0)]
    assert (process.returncode, errors) == (130, "relay-sdk: interrupted\n")
    # All jobs after the last printed one are back, except the one that was being printed.
    assert 1 <= back[0] < 499
    assert back == [*range(back[0], 500)]
    assert f'"id":"{back[0]}"' not in printed


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("options", [[], ["--complete"]])
def test_a_full_disk_releases_unprinted_jobs(
    server: LocalServer, relay: Client, tmp_path: Path, options: list[str]
) -> None:
    relay.enqueue_batch([QUEUE.job(id, 1, state=id) for id in "abc"])

    with (
        Path("/dev/full").open("w") as full,
        program(tmp_path, "next", "q", "-n", "3", *options, url=server.url, stdout=full) as process,
    ):
        process.communicate(timeout=60)

    jobs = [helper.job for helper in relay.next("q", 9, timeout=0)]
    assert [(job.id, job.state) for job in jobs] == [("a", "a"), ("b", "b"), ("c", "c")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("silent", [False, True])
def test_a_server_that_fails_each_release_does_not_block_the_command(
    tmp_path: Path, silent: bool
) -> None:
    """The server sends jobs, and then closes connections, or does not reply until Ctrl-C."""
    jobs = [
        {"queue": "q", "id": id, "timeout": 9, "max_retries": None, "retries_remaining": None}
        | {"payload": 1, "state": None, "run_id": str(uuid4())}
        | dict.fromkeys(("run_at", "updated_at", "created_at"), "2030-01-01T00:00:00Z")
        for id in "abc"
    ]
    body = json.dumps(jobs).encode()
    head = b"HTTP/1.1 %d OK\r\ncontent-length: %d\r\n"
    asked = threading.Event()

    def talk(connection: socket.socket) -> None:
        while request := connection.recv(65536):
            if b"num_jobs=0" in request:
                text = b"Failed to deserialize query string: 0"
                connection.sendall(head % (400, len(text)) + b"\r\n" + text)
            elif request.startswith(b"GET"):
                kind = b"content-type: application/json\r\n\r\n"
                connection.sendall(head % (200, len(body)) + kind + body)
            else:
                asked.set()
                if not silent:
                    return

    with (
        listening(talk) as port,
        Path("/dev/full").open("w") as full,
        program(
            tmp_path, "next", "q", "-n", "3", url=f"http://127.0.0.1:{port}", stdout=full
        ) as process,
    ):
        assert asked.wait(60)
        if silent:
            process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]

    if silent:
        assert (process.returncode, errors) == (130, "relay-sdk: interrupted\n")
    else:
        assert process.returncode == 1
        assert errors.count("are queued again after their timeout") == 1
        assert "cannot write the output" in errors


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("command", [["get", "q", "a"], ["exists", "q", "a"], ["next", "q"]])
def test_a_full_disk_is_reported(
    server: LocalServer, relay: Client, tmp_path: Path, command: list[str]
) -> None:
    relay.enqueue(QUEUE.job("a", 1))

    with (
        Path("/dev/full").open("w") as full,
        program(tmp_path, *command, url=server.url, stdout=full) as process,
    ):
        errors = process.communicate(timeout=60)[1]

    assert process.returncode == 1
    assert errors == "relay-sdk: cannot write the output: No space left on device\n"
