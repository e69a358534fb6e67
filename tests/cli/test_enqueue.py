import json
from pathlib import Path

import pytest

from relay_sdk import Client
from relay_sdk.cli.batch_sender import BatchSender
from relay_sdk.job import Queue
from relay_sdk.local import LocalServer

from .conftest import Run, lines


def test_whole_jobs_arrive_as_they_are(run: Run, relay: Client) -> None:
    job = (
        '{"id": "a", "payload": {"price": 1.50, "none": null}, "timeout": 5, "max_retries": 2,'
        ' "state": [1], "run_at": "2099-01-01T00:00:00+02:00"}'
    )

    result = run(
        "enqueue", "q", "--timeout", "90", input=job + "\n" + lines({"id": "b", "payload": 1})
    )

    assert (result.exit_code, result.stdout) == (0, "2 accepted, 0 existing\n")
    shown = json.loads(run("get", "q", "a", "--json").stdout)
    assert '"price":1.50' in run("get", "q", "a", "--json").stdout
    assert (shown["timeout"], shown["max_retries"], shown["state"]) == (5, 2, [1])
    assert shown["run_at"] == "2098-12-31T22:00:00Z"
    other = relay.get("q", "b")
    assert (other.timeout, other.max_retries, other.payload) == (90, None, 1)


def test_an_array_in_a_file_is_enqueued(run: Run, relay: Client, tmp_path: Path) -> None:
    jobs = [{"id": str(number), "payload": number} for number in range(2500)]
    (tmp_path / "jobs.json").write_text(json.dumps(jobs, indent=1))

    result = run("enqueue", "q", "jobs.json", "--json")

    assert json.loads(result.stdout) == {"accepted": 2500, "existing": 0, "sent": 0}
    assert [len(relay.next("q", 1000)) for _ in range(3)] == [1000, 1000, 500]
    assert [path.name for path in tmp_path.iterdir()] == ["jobs.json"]


def test_what_next_prints_can_be_enqueued_elsewhere(run: Run, relay: Client) -> None:
    run("enqueue", "q", input=lines({"id": "a", "payload": {"n": 1}, "max_retries": 3}))

    result = run("enqueue", "other", "-", input=run("next", "q").stdout)

    assert result.stdout == "1 accepted, 0 existing\n"
    assert relay.get("other", "a").max_retries == 3


def test_payloads_get_ids_of_their_text_and_position(run: Run, relay: Client) -> None:
    mails = lines({"to": "ada"}, {"to": "bob"}, {"to": "ada"})

    first = run("enqueue", "q", "--payload", input=mails)
    again = run("enqueue", "q", "--payload", input=mails)
    fresh = run("enqueue", "q", "--payload", "--id-prefix", "monday-", input=mails)

    assert first.stdout == "3 accepted, 0 existing\n"
    assert again.stdout == "0 accepted, 3 existing\n"
    assert fresh.stdout == "3 accepted, 0 existing\n"
    taken = relay.next("q", 10)
    assert sorted(helper.job.payload["to"] for helper in taken) == ["ada"] * 4 + ["bob"] * 2
    assert sum(helper.job.id.startswith("monday-") for helper in taken) == 3


def test_an_id_may_be_a_field_of_the_payload(run: Run, relay: Client) -> None:
    result = run(
        "enqueue",
        "q",
        "--payload",
        "--id-field",
        "number",
        input='[{"number": 7}, {"number": "x"}]',
    )

    assert result.stdout == "2 accepted, 0 existing\n"
    assert (relay.exists("q", "7"), relay.exists("q", "x")) == (True, True)


def test_existing_jobs_are_unchanged_and_counted(run: Run, relay: Client) -> None:
    relay.enqueue(Queue("q").job("old", "first"))

    result = run(
        "enqueue",
        "q",
        input=lines(*({"id": id, "payload": "second"} for id in ("new", "old", "new", "newer"))),
    )

    assert result.stdout == "2 accepted, 2 existing\n"
    assert relay.get("q", "old").payload == "first"


def test_without_counting_the_summary_has_only_the_jobs_sent(run: Run, relay: Client) -> None:
    relay.enqueue(Queue("q").job("old", 1))

    result = run("enqueue", "q", "--no-count", input=lines({"id": "old", "payload": 1}))

    assert result.stdout == "1 sent (existing jobs not counted)\n"


def test_api_v1_does_not_count_existing_jobs(server: LocalServer) -> None:
    queue = Queue("q")
    with Client(server.url, api="v1") as relay, BatchSender(relay, "q", count=True) as sender:
        sender.send([queue.job(id, 1) for id in "abc"])
        summary = sender.summary()

    assert summary == "3 sent (existing jobs not counted)"


def test_batches_respect_the_limit_of_the_server(run: Run) -> None:
    big = "ü" * 200_000

    result = run("enqueue", "q", input=lines(*({"id": str(n), "payload": big} for n in range(12))))

    assert result.stdout == "12 accepted, 0 existing\n"


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "a", "payload": 1, "timeout": "soon"}',
        '{"id": 7, "payload": 1}',
        '{"id": "a", "payload": 1, "tries": 3}',
        '{"id": "a", "payload": ',
    ],
)
def test_an_invalid_job_is_not_mistaken_for_a_payload(offline: Run, line: str) -> None:
    result = offline("enqueue", "q", input=line)

    assert result.exit_code == 2
    assert "line 1: " in result.stderr
    assert "--payload" not in result.stderr


def test_the_error_of_a_job_that_is_too_large_has_the_limit(run: Run) -> None:
    result = run("enqueue", "q", input=lines({"id": "a", "payload": "x" * 2**21}))

    assert result.exit_code == 1
    assert "The limit of a request is 2 MiB (2,097,152 bytes)" in result.stderr


@pytest.mark.parametrize("place", ["-", "./-"])
def test_a_file_called_dash_is_named_by_its_folder(
    run: Run, relay: Client, tmp_path: Path, place: str
) -> None:
    (tmp_path / "-").write_text(lines({"id": "file", "payload": 1}))

    run("enqueue", "q", place, input=lines({"id": "stdin", "payload": 1}))

    (helper,) = relay.next("q", 2)
    assert helper.job.id == ("stdin" if place == "-" else "file")


def test_a_refusal_names_the_lines(run: Run, relay: Client) -> None:
    jobs = [{"id": str(n), "payload": 1} for n in range(3)] + [{"id": "x", "payload": "\0"}]

    result = run("enqueue", "q", "--batch", "2", input=lines(*jobs))

    assert result.exit_code == 1
    assert "The request contained line 3 to line 4" in result.stderr
    assert "ended early after 2 accepted, 0 existing" in result.stderr
    assert relay.exists("q", "1")
    assert not relay.exists("q", "2")


@pytest.mark.parametrize(
    ("options", "text", "message"),
    [
        ([], "{", "line 1: Input data was truncated"),
        ([], '{"to": "ada"}', "line 1: Object contains unknown field `to`. If each line or "),
        ([], '{"id": "a"}', "line 1: Object missing required field `payload`. If each line or"),
        ([], '{"id": "", "payload": 1}', "line 1: id must have 1 to 1024 characters"),
        ([], '{"id": "a", "payload": 1, "timeout": -1}', "line 1: timeout of job 'a' in queue 'q'"),
        ([], '{"id": "a", "payload": 1, "run_at": "2030-01-01T00:00:00"}', "line 1: Expected"),
        ([], "1 2", "line 1: Expected `object`, got `int`. If each line or"),
        (["--payload"], "1 2", "line 1: JSON is malformed: trailing characters"),
        (["--payload", "--id-field", "n"], "{}", "line 1: the payload has no field 'n'"),
        (["--payload", "--id-field", "n"], '{"n": 1.5}', "line 1: Expected `int | str`"),
        (["--payload", "--id-field", "n"], "3", "line 1: Expected `object`, got `int`"),
        (["--id-field", "n"], "{}", "--id-field and --id-prefix need --payload"),
        (["missing.jsonl"], "", "cannot read missing.jsonl: No such file"),
        (["."], "", "cannot read .: Is a directory"),
        (["--url", "somewhere"], "", "--url: base_url 'somewhere' must look like http://"),
        (["--batch", "0"], "", "Invalid value for '--batch': "),
        (["--format", "csv"], "", "'csv' is not one of 'lines', 'array'"),
    ],
)
def test_a_usage_error_is_reported_before_anything_is_sent(
    offline: Run, options: list[str], text: str, message: str
) -> None:
    result = offline("enqueue", "q", *options, input=text)

    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
