"""Long batches go in several requests, each below what the server takes."""

import msgspec
import pytest

from relay_sdk import EnqueueMode, Job, RelayError, UnsupportedError
from relay_sdk._base.flow import Request
from relay_sdk._engine.operations import MAX_BODY, enqueue

from ..support.flow_player import JOBS, config, play, reply

DONE = reply(202)


def ids(call: Request) -> list[str]:
    return [job["id"] for job in msgspec.json.decode(call.content or b"")]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_every_job_is_sent_once_in_order_and_in_as_few_requests_as_fit(version: str) -> None:
    jobs = [JOBS.job(str(n), "x" * 500_000, state="y" * 100_000) for n in range(10)]
    played = play(enqueue(config(version), jobs, "ignore"), *[DONE] * 4)
    assert [ids(call) for call in played.calls] == [
        ["0", "1", "2"], ["3", "4", "5"], ["6", "7", "8"], ["9"],
    ]  # fmt: skip
    assert all(len(call.content or b"") <= MAX_BODY for call in played.calls)


@pytest.mark.parametrize("character", ["\x01", '"', "\\", "\x7f", "é", "🦆"])
def test_keys_count_as_they_are_written(character: str) -> None:
    jobs = [JOBS.job(f"{n:04}{character * 1020}", None) for n in range(1500)]
    flow = enqueue(config(), jobs, "replace")
    calls: list[Request] = []
    step = next(flow)
    with pytest.raises(StopIteration):
        while True:
            assert isinstance(step, Request)
            calls.append(step)
            step = flow.send(DONE)
    assert [id for call in calls for id in ids(call)] == [job.id for job in jobs]
    assert all(len(call.content or b"") <= MAX_BODY for call in calls)


def test_a_unique_batch_is_one_request_whatever_its_size() -> None:
    jobs = [JOBS.job(str(n), "x" * 1_500_000) for n in range(2)]
    played = play(enqueue(config(), jobs, "unique"), reply(413, "too large"))
    assert len(played.calls) == 1
    assert isinstance(played.error, RelayError)


def test_a_job_that_is_too_large_is_alone_in_its_request() -> None:
    jobs = [JOBS.job("a", 1), JOBS.job("b", "x" * MAX_BODY), JOBS.job("c", 1)]
    played = play(enqueue(config(), jobs, "ignore"), DONE, reply(413, "too large"))
    assert [ids(call) for call in played.calls] == [["a"], ["b"]]


def test_an_error_tells_how_many_jobs_went_before_it() -> None:
    jobs = [JOBS.job(str(n), "x" * 1_500_000) for n in range(3)]
    played = play(enqueue(config(), jobs, "ignore"), DONE, DONE, reply(413, "too large"))
    assert played.error is not None
    assert played.error.__notes__ == ["2 of the 3 jobs were enqueued before this"]


def test_what_the_version_cannot_do_is_refused_before_the_first_request() -> None:
    jobs: list[Job] = [JOBS.job(str(n), "x" * 1_500_000) for n in range(3)]
    assert play(enqueue(config("v1"), jobs, "replace")).error is not None
    assert play(enqueue(config("v1"), jobs, "unique")).error is not None


@pytest.mark.parametrize("mode", ["unique", "ignore", "replace"])
def test_a_batch_may_be_anything_that_gives_jobs_once(mode: EnqueueMode) -> None:
    for jobs in ((JOBS.job(id, 1) for id in "ab"), {JOBS.job("b", 1), JOBS.job("a", 1)}):
        (call,) = play(enqueue(config(), jobs, mode), DONE).calls
        assert sorted(ids(call)) == ["a", "b"]


def test_api_v1_has_no_transaction_for_two_jobs() -> None:
    played = play(enqueue(config("v1"), [JOBS.job("a", 1), JOBS.job("b", 2)], "unique"))
    assert isinstance(played.error, UnsupportedError)
    assert "for several jobs" in str(played.error)
    assert not played.calls
