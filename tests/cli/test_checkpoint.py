"""An interrupted `relay-sdk enqueue` can be resumed."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from relay_sdk import Client
from relay_sdk.local import LocalServer

from .conftest import Run, lines
from .programs import line_with, posix, program, wait_until


def test_jobs_completed_in_between_are_not_enqueued_again(
    run: Run, relay: Client, tmp_path: Path
) -> None:
    file = tmp_path / "jobs.jsonl"
    good = lines(*({"id": str(number), "payload": number} for number in range(25)))
    file.write_text(good + "oops\n" + lines({"id": "last", "payload": 0}))

    broken = run("enqueue", "q", "jobs.jsonl", "--batch", "10")
    for helper in relay.next("q", 100):
        helper.complete()
    file.write_text(good + lines({"id": "last", "payload": 0}))
    resumed = run("enqueue", "q", "jobs.jsonl", "--batch", "7")

    assert broken.exit_code == 2
    assert "ended early after 20 accepted, 0 existing. Run the same command again" in broken.stderr
    assert "resuming after 20 jobs that an earlier run has enqueued" in resumed.stderr
    assert resumed.stdout == "6 accepted, 0 existing\n"
    assert {helper.job.id for helper in relay.next("q", 100)} == {
        *map(str, range(20, 25)),
        "last",
    }
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("change", ["queue", "text", "shorter", "option"])
def test_another_input_is_not_resumed(run: Run, relay: Client, tmp_path: Path, change: str) -> None:
    file = tmp_path / "jobs.jsonl"
    jobs = [{"id": str(number), "payload": number} for number in range(4)]
    file.write_text(lines(*jobs) + "oops")
    run("enqueue", "q", "jobs.jsonl", "--batch", "2")
    for helper in relay.next("q", 100):
        helper.complete()

    if change == "text":
        file.write_text(lines(*reversed(jobs)))
    if change == "shorter":
        file.write_text(lines(jobs[0]))
    queue = "other" if change == "queue" else "q"
    options = ["--payload"] if change == "option" else []
    result = run("enqueue", queue, "jobs.jsonl", *options)

    assert result.exit_code == 2
    assert (
        "jobs.jsonl.relay-enqueue belongs to a run that was interrupted after 4 jobs"
        in result.stderr
    )
    assert relay.next(queue, timeout=0) == []


def test_a_failed_save_is_reported_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "jobs.jsonl").write_text(lines(*({"id": str(n), "payload": n} for n in range(4))))
    (tmp_path / "jobs.jsonl.relay-enqueue.new").mkdir()

    result = run("enqueue", "q", "jobs.jsonl", "--batch", "1")

    assert result.stdout == "4 accepted, 0 existing\n"
    assert result.stderr.count("cannot save the progress to") == 1


@pytest.mark.parametrize("name", ["jobs.jsonl.relay-enqueue", "jobs.jsonl.relay-enqueue.new"])
def test_a_symbolic_link_is_not_followed(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "jobs.jsonl").write_text(lines({"id": "a", "payload": 1}) + "oops")
    other = tmp_path / "precious"
    other.write_text("gold")
    (tmp_path / name).symlink_to(other)

    result = run("enqueue", "q", "jobs.jsonl", "--batch", "1")

    assert result.exit_code == 2
    assert other.read_text() == "gold"
    if not name.endswith(".new"):
        assert "it is a symbolic link. Delete it to enqueue the whole input" in result.stderr


def test_the_checkpoint_is_deleted_at_the_end_though_it_could_not_be_saved(
    run: Run, relay: Client, tmp_path: Path
) -> None:
    file = tmp_path / "jobs.jsonl"
    good = lines(*({"id": str(number), "payload": number} for number in range(4)))
    file.write_text(good + "oops")
    run("enqueue", "q", "jobs.jsonl", "--batch", "2")
    (tmp_path / "jobs.jsonl.relay-enqueue.new").mkdir()
    file.write_text(good + lines({"id": "last", "payload": 0}))

    result = run("enqueue", "q", "jobs.jsonl", "--batch", "1")

    assert result.stdout == "1 accepted, 0 existing\n"
    assert not (tmp_path / "jobs.jsonl.relay-enqueue").exists()


def test_stdin_is_not_resumed_but_the_position_is_printed(run: Run, relay: Client) -> None:
    good = lines(*({"id": str(number), "payload": number} for number in range(5)))

    result = run("enqueue", "q", "--batch", "2", input=good + "oops\n")

    assert result.exit_code == 2
    assert "Run the same command again" not in result.stderr
    assert (
        "ended early after 4 accepted, 0 existing. Resume after line 4: jobs up to there "
        "that are completed by then would be enqueued a second time" in result.stderr
    )


@pytest.mark.skipif(not posix, reason="needs signals")
def test_a_kill_loses_and_repeats_no_job(
    server: LocalServer, relay: Client, tmp_path: Path
) -> None:
    file = tmp_path / "jobs.jsonl"
    file.write_text(lines(*range(20_000)))
    command = ("enqueue", "q", "jobs.jsonl", "--payload", "--batch", "50")
    seen: list[int] = []

    with program(tmp_path, *command, url=server.url) as process:
        wait_until(lambda: (tmp_path / "jobs.jsonl.relay-enqueue").exists(), "the first batch")
        # A worker completes jobs in between, which the server then deletes.
        for helper in relay.next("q", 20, timeout=60):
            seen.append(helper.job.payload)
            helper.complete()
        process.kill()
        process.wait()
    place = json.loads((tmp_path / "jobs.jsonl.relay-enqueue").read_bytes())
    with program(tmp_path, *command, url=server.url) as process:
        out, errors = process.communicate(timeout=60)

    assert 0 < place["records"] < 20_000
    assert f"resuming after {place['records']:,} jobs" in errors
    assert process.returncode == 0, errors
    assert out.endswith(" existing\n")
    while helpers := relay.next("q", 1000, timeout=0):
        seen += [helper.job.payload for helper in helpers]
    assert sorted(seen) == list(range(20_000))


@pytest.mark.skipif(not posix, reason="needs signals")
def test_ctrl_c_ends_it_with_a_message(server: LocalServer, tmp_path: Path) -> None:
    with program(
        tmp_path, "enqueue", "q", "--batch", "1", url=server.url, stdin=subprocess.PIPE
    ) as process:
        assert process.stdin
        process.stdin.write(lines({"id": "a", "payload": 1}, {"id": "b", "payload": 1}))
        process.stdin.flush()
        with Client(server.url) as relay:
            wait_until(lambda: relay.exists("q", "a"), "the first job")
        process.send_signal(signal.SIGINT)
        errors = line_with(process.stderr, "ended early after 1 accepted, 0 existing")
        errors += line_with(process.stderr, "interrupted")
        errors += process.communicate(timeout=60)[1]

    assert process.returncode == 130
    assert "Traceback" not in errors
