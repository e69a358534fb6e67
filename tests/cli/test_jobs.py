import json
from pathlib import Path

import pytest

from relay_sdk import Client, Queue
from relay_sdk.local import LocalServer

from .conftest import Run
from .programs import posix, program

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
    assert "2 claimed; the server queues them again after their timeout" in result.stderr
    assert relay.exists("q", "a")
    assert [helper.job.id for helper in relay.next("q", 9)] == ["c"]


def test_next_may_complete_what_it_prints(run: Run, relay: Client) -> None:
    relay.enqueue(QUEUE.job("a", 1))

    result = run("next", "q", "--complete")

    assert (json.loads(result.stdout)["id"], result.stderr) == ("a", "")
    assert not relay.exists("q", "a")


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
def test_an_impossible_id_is_a_mistake(offline: Run, command: str) -> None:
    result = offline(command, "q", "x" * 1025)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("relay-sdk: id must have 1 to 1024 characters, not 1025")


def test_no_url_is_a_mistake(offline: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELAY_URL")

    result = offline("exists", "q", "a")

    assert result.exit_code == 2
    assert "Missing option '--url' (env var: 'RELAY_URL')" in result.stderr


def test_no_server_is_status_3(offline: Run) -> None:
    result = offline("exists", "q", "a")

    assert (result.exit_code, result.stdout) == (3, "")
    assert "To find out why: relay-sdk doctor" in result.stderr


@pytest.mark.skipif(not posix, reason="a pipe is closed otherwise there")
def test_a_closed_stdout_ends_quietly_and_keeps_what_was_not_printed(
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
    assert relay.exists("q", "499")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("command", [["get", "q", "a"], ["exists", "q", "a"], ["next", "q"]])
def test_a_full_disk_is_told(
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
