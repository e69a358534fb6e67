"""With `retry`, a job that failed is queued again after a growing wait, and given up in the end."""

import logging
from typing import Any

import pytest

from relay_sdk import Backoff, Queue

from .harness import Harness, Helper, maybe_await

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("api", ["v1", "v2"])]

RETRY = Backoff(10, maximum=1000, factor=2, jitter=0, retries=3)


async def fail(helper: Helper) -> None:
    raise LookupError(helper.raw.id)


class Reports:
    """What on_error and on_retries_exhausted were told, by job, and when."""

    def __init__(self, harness: Harness) -> None:
        self._rig = harness
        self.errors: list[float] = []
        self.given_up: list[str] = []

    async def error(self, helper: Helper, error: Exception) -> None:
        assert isinstance(error, LookupError)
        self.errors.append(self._rig.clock.monotonic())

    async def give_up(self, helper: Helper, error: Exception) -> None:
        assert isinstance(error, LookupError)
        self.given_up.append(helper.raw.id)

    def worker(self, **options: Any) -> Any:
        usual = {"retry": RETRY, "on_error": self.error, "on_retries_exhausted": self.give_up}
        return self._rig.worker("q", fail, **usual | options)


@pytest.mark.parametrize("max_retries", [None, 3, 20_000, 32_767])
async def test_it_is_given_up_after_the_stated_number(
    harness: Harness, max_retries: int | None
) -> None:
    reports = Reports(harness)
    harness.producer.enqueue(Queue("q").job("a", 1, max_retries=max_retries, timeout=3600))
    async with harness.running(reports.worker()):
        await harness.until(lambda: not harness.jobs("q", "a"), tick=5)
    assert len(reports.errors) == 4
    assert reports.given_up == ["a"]


@pytest.mark.parametrize("max_retries", [None, 2])
async def test_max_retries_and_state_stay_as_they_were(
    harness: Harness, max_retries: int | None
) -> None:
    reports = Reports(harness)
    job = Queue("q").job("a", 1, max_retries=max_retries, state={"n": 1}, timeout=3600)
    harness.producer.enqueue(job)
    async with harness.running(reports.worker()):
        for failures in (1, 2):
            await harness.until(lambda n=failures: len(reports.errors) == n, tick=1)
            await harness.until(lambda: harness.producer.get("q", "a").run_at > harness.clock.now())
            seen = harness.producer.get("q", "a")
            assert (seen.max_retries, seen.state) == (max_retries, {"n": 1})


async def test_the_first_wait_is_the_shortest_whatever_the_retries_of_the_job(
    harness: Harness,
) -> None:
    reports = Reports(harness)
    harness.producer.enqueue(Queue("q").job("a", 1, max_retries=2, timeout=3600))
    async with harness.running(reports.worker()):
        await harness.until(lambda: reports.errors)
        await harness.until(lambda: harness.producer.get("q", "a").run_at > harness.clock.now())
        due = harness.producer.get("q", "a").run_at
        assert due is not None
        assert (due - harness.clock.now()).total_seconds() == pytest.approx(10, abs=2)


async def test_a_handler_knows_how_often_its_job_has_failed(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        failures.append(helper.failures)
        raise LookupError

    failures: list[int] = []
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=3600))
    async with harness.running(harness.worker("q", handle, retry=RETRY)):
        await harness.until(lambda: not harness.jobs("q", "a"), tick=5)
    assert failures == [0, 1, 2, 3]


async def test_a_timeout_between_failures_leaves_the_count_as_it_is(harness: Harness) -> None:
    reports = Reports(harness)
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=30))
    async with harness.running(reports.worker()):
        await harness.until(lambda: len(reports.errors) == 1, tick=1)
    harness.clock.advance(20)
    (helper,) = harness.producer.next("q", timeout=0)
    assert helper.failures == 1
    helper.heartbeat({"page": 2})
    assert harness.producer.get("q", "a").state == {"page": 2}
    harness.clock.advance(60)
    async with harness.running(reports.worker()):
        await harness.until(lambda: not harness.jobs("q", "a"), tick=5)
    assert len(reports.errors) == 4


@pytest.mark.parametrize("max_retries", [0, 1])
async def test_the_retries_of_the_job_itself_are_a_limit_too(
    harness: Harness, max_retries: int
) -> None:
    reports = Reports(harness)
    harness.producer.enqueue(Queue("q").job("a", 1, max_retries=max_retries, timeout=3600))
    async with harness.running(reports.worker()):
        await harness.until(lambda: not harness.jobs("q", "a"), tick=5)
    assert len(reports.errors) == max_retries + 1
    assert reports.given_up == ["a"]


async def test_the_waits_grow(harness: Harness) -> None:
    reports = Reports(harness)
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=3600))
    async with harness.running(reports.worker()):
        for expected, wait in enumerate((10, 20, 40), 2):
            await harness.until(lambda: harness.producer.get("q", "a").run_at > harness.clock.now())
            due = harness.producer.get("q", "a").run_at
            assert due is not None
            assert (due - harness.clock.now()).total_seconds() == pytest.approx(wait, abs=2)
            harness.clock.advance(wait - 2)
            assert len(reports.errors) == expected - 1
            await harness.until(lambda n=expected: len(reports.errors) == n, tick=0.2)


async def test_the_count_survives_the_worker(harness: Harness) -> None:
    reports = Reports(harness)
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=3600))
    for runs in (1, 2, 3, 4):
        async with harness.running(reports.worker()):
            await harness.until(lambda n=runs: len(reports.errors) == n, tick=5)
    assert reports.given_up == ["a"]
    assert not harness.jobs("q", "a")


async def test_payload_state_and_timeout_are_kept(harness: Harness) -> None:
    async def handle(helper: Helper) -> None:
        job = helper.job
        seen.append((job.payload, job.state, job.timeout))
        if len(seen) < 3:
            await maybe_await(helper.heartbeat({"page": len(seen)}))
            raise LookupError

    seen: list[Any] = []
    harness.producer.enqueue(Queue("q").job("a", {"n": [1.5, None]}, timeout=77))
    async with harness.running(harness.worker("q", handle, retry=RETRY)):
        await harness.until(lambda: not harness.jobs("q", "a"), tick=5)
    payload = {"n": [1.5, None]}
    assert seen == [(payload, None, 77), (payload, {"page": 1}, 77), (payload, {"page": 2}, 77)]


async def test_without_on_give_up_it_is_removed_and_logged(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.producer.enqueue(Queue("q").job("a", 1, max_retries=0))
    async with harness.running(Reports(harness).worker(on_retries_exhausted=None)):
        await harness.until(lambda: not harness.jobs("q", "a"))
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert errors == [
        "the handler of job 'a' in queue 'q' failed",
        "job 'a' in queue 'q' has used up its retries",
    ]


async def test_a_job_is_kept_when_giving_it_up_fails(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    async def give_up(helper: Helper, error: Exception) -> None:
        raise ConnectionError("the dead letters cannot be reached")

    harness.producer.enqueue(Queue("q").job("a", 1, max_retries=0))
    async with harness.running(Reports(harness).worker(on_retries_exhausted=give_up)):
        await harness.until(lambda: "the dead letters cannot be reached" in caplog.text)
    assert harness.jobs("q", "a") == ["a"]


async def test_a_job_that_on_error_has_ended_is_neither_retried_nor_given_up(
    harness: Harness,
) -> None:
    async def report(helper: Helper, error: Exception) -> None:
        await maybe_await(helper.complete())

    reports = Reports(harness)
    harness.producer.enqueue_batch([Queue("q").job("a", 1), Queue("q").job("b", 1, max_retries=0)])
    async with harness.running(reports.worker(on_error=report)):
        await harness.until(lambda: not harness.jobs("q", "a", "b"))
    assert reports.given_up == []
    assert harness.server.count("PUT") == 0


@pytest.mark.parametrize("retries", [None, 0, 1001])
def test_a_retry_without_a_number_is_refused(harness: Harness, retries: int | None) -> None:
    with pytest.raises(ValueError, match="retry needs a number of retries"):
        harness.worker("q", fail, retry=Backoff(retries=retries))
