"""The SDK beside the model of Relay, through random sequences of calls and any passing of time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import httpx
import pytest
from attrs import define
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from relay_sdk import Client, Job, JobExistsError, JobHelper, JobLostError, JobNotFoundError, Queue
from relay_sdk.local import App
from relay_sdk.testing import Clock, transport

from ..api import Version
from ..conftest import REAP_INTERVAL
from ..model import SECOND, Key, Mode, Model, New, Row
from ..test_model import KEYS, SEQUENCES, batches, keys, modes, new_jobs, queues, values
from ..wire import escape

QUEUES = {name: Queue(name) for name in ("a", "b/c d")}
START = Clock().now()

which = st.sampled_from([0, 0, 0, 1, 2])


@define
class Held:
    """A run in our hands, and what must be so for the SDK to know that it is over."""

    helper: JobHelper[Any, Any]
    row: Row
    run: str
    state: Any
    until: int
    over: bool = False


class Beside(RuleBasedStateMachine):
    """Makes the same calls of the SDK and of the model."""

    version: Version

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.app = App(reap_interval=REAP_INTERVAL, clock=self.clock.now)
        http = httpx.Client(transport=transport(self.app), verify=False)
        self.client = Client("http://a", http_client=http, clock=self.clock, api=self.version)
        self.model = Model(int(REAP_INTERVAL * SECOND), 0)
        self.distinct = count(1)
        self.held: list[Held] = []

    def teardown(self) -> None:
        self.client.close()
        self.app.close()

    def tick(self, seconds: float = 0.000_007) -> None:
        self.clock.advance(seconds)
        self.model.now = (self.clock.now() - START) // timedelta(microseconds=1)
        self.model.reap()
        self.client.exists("a", "nothing")

    def timed(self, jobs: Sequence[New]) -> list[New]:
        """Return a different time and key for each job."""
        self.tick()
        by_key = {job.key: job for job in jobs}
        return [
            job._replace(run_at=(job.run_at or -3600 * SECOND) + next(self.distinct))
            for job in by_key.values()
        ]

    def job(self, new: New) -> Job[Any, Any]:
        return QUEUES[new.key[0]].job(
            new.key[1],
            new.payload,
            timeout=new.timeout,
            max_retries=new.max_retries,
            state=new.state,
            run_at=None if new.run_at is None else at(new.run_at),
        )

    def check(self, key: Key) -> None:
        row = self.model.rows.get(key)
        assert self.client.exists(*key) is (row is not None)
        if row is None:
            with pytest.raises(JobNotFoundError):
                self.client.get(*key)
            return
        job = self.client.get(*key)
        assert (job.queue, job.id, job.timeout) == (*key, row.job.timeout)
        assert (job.payload, job.state) == (row.job.payload, row.job.state)
        assert (job.max_retries, job.run_at) == (row.job.max_retries, at(row.run_at))
        assert job.updated_at == at(row.updated)

    @rule(jobs=batches, mode=modes, alone=st.booleans())
    def enqueue(self, jobs: list[New], mode: Mode, alone: bool) -> None:
        jobs = self.timed(jobs[:1] if alone else jobs)
        if self.version == "v1":
            mode = "unique" if len(jobs) == 1 and alone else "ignore"
        status = self.model.enqueue(jobs, mode)
        with told(JobExistsError if status == 409 else None):
            if alone and jobs:
                self.client.enqueue(self.job(jobs[0]), mode=mode)
            else:
                self.client.enqueue_batch(map(self.job, jobs), mode=mode)
        for job in jobs:
            self.check(job.key)

    @rule(queue=queues, limit=st.integers(1, 4))
    def take(self, queue: str, limit: int) -> None:
        self.tick()
        expected = self.model.ready(queue, limit)
        helpers = self.client.next(QUEUES[queue], limit, timeout=0)
        assert [(helper.raw.queue, helper.raw.id) for helper in helpers] == expected
        for helper, key in zip(helpers, expected, strict=True):
            found = self.app("GET", f"/v2/queues/{escape(key[0])}/jobs/{escape(key[1])}", {}, b"")
            run = httpx.Response(200, content=found.body).json()["run_id"]
            self.model.claim(key, run)
            row = self.model.rows[key]
            assert helper.job.state == row.job.state
            self.held.append(Held(helper, row, run, row.job.state, row.expires))

    def use(self, which: int) -> Held:
        self.tick()
        held = self.held[max(-1 - which, -len(self.held))]
        # API v1 tells no runs apart: there only time says that one is over.
        if self.version == "v1" and self.model.now >= held.until:
            held.over = True
        return held

    def fence(self, held: Held) -> str | None:
        return held.run if self.version == "v2" else None

    @precondition(lambda self: self.held)
    @rule(which=which, state=values, bare=st.booleans())
    def heartbeat(self, which: int, state: Any, bare: bool) -> None:
        held = self.use(which)
        key, fence = held.row.job.key, self.fence(held)
        sent = held.state if bare else state
        lost = held.over or self.model.heartbeat(key, fence, sent) == 404
        with told(JobLostError if lost else None):
            held.helper.heartbeat(*(() if bare else (state,)))
        if not held.over:
            held.state = sent
            held.until = self.model.now + held.row.job.timeout * SECOND
        held.over = lost
        self.check(key)

    @precondition(lambda self: self.held)
    @rule(which=which, seconds=st.sampled_from([5.0, 20.0]))
    def work_for_long(self, which: int, seconds: float) -> None:
        for state in (1, 2):
            self.tick(seconds)
            self.heartbeat(which, state, bare=False)

    @precondition(lambda self: self.held)
    @rule(which=which)
    def complete(self, which: int) -> None:
        held = self.use(which)
        with told(JobLostError if held.over else None):
            held.helper.complete()
        if not held.over:
            self.model.remove(held.row.job.key, self.fence(held))
        held.over = True
        self.check(held.row.job.key)

    @precondition(lambda self: self.held)
    @rule(which=which, delay=st.sampled_from([0.0, 1.0, 90.0]), back=st.booleans())
    def put_back(self, which: int, delay: float, back: bool) -> None:
        """Save a state, then release the job at its old place, or reschedule it."""
        self.heartbeat(which, "saved", bare=False)
        held = self.use(which)
        job = held.helper.raw
        run_at = self.model.now + int(delay * SECOND)
        if back:
            assert job.run_at
            run_at = (job.run_at - START) // timedelta(microseconds=1)
        payload = held.helper.job.payload
        key = held.row.job.key
        new = New(key, job.timeout, job.max_retries, payload, held.state, run_at)
        lost = held.over
        if not lost and self.version == "v1":
            lost = self.model.reschedule(new) == 404
        elif not lost:
            self.model.requeue(key, held.run, [new], "replace")
        with told(JobLostError if lost else None):
            if back:
                held.helper.release()
            else:
                held.helper.reschedule(delay=delay)
        held.over = True
        self.check(key)

    @precondition(lambda self: self.held and self.version == "v2")
    @rule(which=which, jobs=batches, mode=modes)
    def requeue(self, which: int, jobs: list[New], mode: Mode) -> None:
        jobs = self.timed(jobs)
        held = self.use(which)
        status = 202 if held.over else self.model.requeue(held.row.job.key, held.run, jobs, mode)
        errors = JobLostError if held.over else JobExistsError if status == 409 else None
        with told(errors):
            held.helper.requeue([self.job(job) for job in jobs], mode=mode)
        held.over = held.over or status == 202
        for key in [held.row.job.key, *(job.key for job in jobs)]:
            self.check(key)

    @rule(key=keys)
    def remove(self, key: Key) -> None:
        self.tick()
        self.model.remove(key)
        self.client.remove(*key)
        self.check(key)

    @rule(job=new_jobs)
    def replace_by_another_client(self, job: New) -> None:
        """The job is enqueued anew behind the back of whoever runs it."""
        (job,) = self.timed([job])
        self.model.enqueue([job], "replace")
        with Client(
            "http://a", http_client=self.client_http(), clock=self.clock, api="v2"
        ) as other:
            other.enqueue(self.job(job), mode="replace")
        self.check(job.key)

    def client_http(self) -> httpx.Client:
        return httpx.Client(transport=transport(self.app), verify=False)

    @rule(seconds=st.sampled_from([1.0, 4.0, 6.0, 31.0, 3600.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.tick(seconds)
        for key in KEYS:
            self.check(key)


def at(microseconds: int) -> datetime:
    return START + timedelta(microseconds=microseconds)


@contextmanager
def told(error: type[Exception] | None) -> Iterator[None]:
    """Expect this error, or none."""
    with pytest.raises(error) if error else nullcontext():
        yield


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_sdk_does_what_the_model_does(version: Version) -> None:
    machine: Callable[[], Beside] = type("Machine", (Beside,), {"version": version})
    run_machine(
        machine,
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=40,
            derandomize=True,
            phases=[Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
