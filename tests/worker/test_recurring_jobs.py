"""A job that queues itself again runs on schedule, once, however many programs enqueue it."""

from datetime import UTC, datetime, timedelta

import pytest

from relay_sdk import Backoff, Every, Queue, RRule, Schedule
from relay_sdk.testing import Clock

from .harness import Harness, Helper, maybe_await

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("api", ["v1", "v2"])]

HOUR = timedelta(hours=1)
DAY = 86_400  # seconds


class Runs:
    """When a job that reschedules itself ran, and what it was due at."""

    def __init__(self, harness: Harness, schedule: Schedule) -> None:
        self._rig = harness
        self._schedule = schedule
        self.times: list[datetime] = []
        self.due: list[datetime | None] = []

    async def handle(self, helper: Helper) -> None:
        self.times.append(self._rig.clock.now())
        self.due.append(helper.job.run_at)
        state = (helper.job.state or 0) + 1
        await maybe_await(helper.reschedule(run_at=self._schedule, state=state))

    async def until(self, count: int, tick: float) -> None:
        await self._rig.until(lambda: len(self.times) >= count, tick=tick)


async def test_a_fixed_interval_does_not_drift(harness: Harness, clock: Clock) -> None:
    runs = Runs(harness, Every(HOUR))
    start = clock.now() + HOUR
    harness.producer.enqueue(Queue("q").job("hourly", 1, timeout=DAY, run_at=start))
    async with harness.running(harness.worker("q", runs.handle)):
        await runs.until(5, tick=60)
    assert runs.due == [start + number * HOUR for number in range(len(runs.due))]
    job = harness.producer.get("q", "hourly")
    assert (job.payload, job.state) == (1, len(runs.due))


@pytest.mark.parametrize(("missed", "expected"), [("skip", 2), ("catch_up", 11)])
async def test_runs_that_no_worker_was_there_for(
    harness: Harness, clock: Clock, missed: str, expected: int
) -> None:
    runs = Runs(harness, Every(HOUR, missed=missed))  # type: ignore[arg-type]
    start = clock.now()
    harness.producer.enqueue(Queue("q").job("hourly", 1, timeout=DAY, run_at=start))
    clock.advance(9.5 * 3600)
    async with harness.running(harness.worker("q", runs.handle)):
        await runs.until(expected, tick=30)
    assert runs.due[:expected] == (
        [start + number * HOUR for number in range(11)]
        if missed == "catch_up"
        else [start, start + 10 * HOUR]
    )


async def test_a_daily_job_passes_the_change_to_summer_time(harness: Harness, clock: Clock) -> None:
    runs = Runs(harness, RRule("FREQ=DAILY;BYHOUR=9", "Europe/Berlin"))
    first = datetime(2030, 3, 29, 8, tzinfo=UTC)
    clock.advance((first - clock.now()).total_seconds())
    harness.producer.enqueue(Queue("q").job("daily", 1, timeout=DAY, run_at=first), mode="ignore")
    async with harness.running(harness.worker("q", runs.handle)):
        await runs.until(4, tick=600)
    assert [due.isoformat() if due else None for due in runs.due[:4]] == [
        "2030-03-29T08:00:00+00:00",
        "2030-03-30T08:00:00+00:00",
        "2030-03-31T07:00:00+00:00",
        "2030-04-01T07:00:00+00:00",
    ]


async def test_when_the_rule_has_ended_the_job_is_completed(harness: Harness, clock: Clock) -> None:
    runs = Runs(harness, RRule("FREQ=DAILY;BYHOUR=0;UNTIL=20300103T000000Z"))
    harness.producer.enqueue(Queue("q").job("daily", 1, timeout=DAY, run_at=clock.now()))
    async with harness.running(harness.worker("q", runs.handle)):
        await harness.until(lambda: not harness.jobs("q", "daily"), tick=3600)
    assert [due.day for due in runs.due if due] == [1, 2, 3]


async def test_a_job_that_every_instance_enqueues_at_its_start_runs_once(
    harness: Harness, clock: Clock
) -> None:
    runs = Runs(harness, Every(HOUR))
    first = clock.now() + HOUR
    workers = [harness.worker("q", runs.handle) for _ in range(3)]
    for _ in workers:
        harness.producer.enqueue(
            Queue("q").job("hourly", 1, timeout=DAY, run_at=first), mode="ignore"
        )
    async with (
        harness.running(workers[0]),
        harness.running(workers[1]),
        harness.running(workers[2]),
    ):
        await runs.until(1, tick=300)
        # One that starts later finds the job that waits for its next hour.
        harness.producer.enqueue(
            Queue("q").job("hourly", 1, timeout=DAY, run_at=clock.now()), mode="ignore"
        )
        await runs.until(3, tick=300)
    assert runs.due == [first + number * HOUR for number in range(len(runs.due))]


async def test_a_run_that_fails_is_tried_again_and_the_job_goes_on(
    harness: Harness, clock: Clock
) -> None:
    async def handle(helper: Helper) -> None:
        failures.append(helper)
        if len(failures) == 1:
            raise LookupError
        await runs.handle(helper)

    runs = Runs(harness, RRule("FREQ=HOURLY"))
    failures: list[Helper] = []
    start = clock.now() + HOUR
    harness.producer.enqueue(Queue("q").job("hourly", 1, timeout=DAY, run_at=start))
    retry = Backoff(60, maximum=60, retries=3)
    async with harness.running(harness.worker("q", handle, retry=retry)):
        await runs.until(3, tick=300)
    assert runs.due[1:3] == [start + HOUR, start + 2 * HOUR]


@pytest.mark.parametrize("max_retries", [None, 2])
async def test_failures_with_successes_between_them_never_end_a_recurring_job(
    harness: Harness, clock: Clock, max_retries: int | None
) -> None:
    async def handle(helper: Helper) -> None:
        runs.append(helper.failures)
        due.append(helper.job.run_at)
        if len(runs) % 2:
            raise LookupError
        await maybe_await(helper.reschedule(run_at=Every(HOUR)))

    runs: list[int] = []
    due: list[datetime | None] = []
    start = clock.now()
    job = Queue("q").job("hourly", 1, timeout=DAY, run_at=start, max_retries=max_retries)
    harness.producer.enqueue(job)
    retry = Backoff(60, maximum=60, jitter=0, retries=2)
    async with harness.running(harness.worker("q", handle, retry=retry)):
        await harness.until(lambda: len(runs) >= 20, tick=60)
    assert runs[:20] == [0, 1] * 10
    # It goes on from when it was due, and not from the retry.
    assert due[:20:2] == [start + number * HOUR for number in range(10)]
    assert harness.producer.get("q", "hourly").max_retries == max_retries
