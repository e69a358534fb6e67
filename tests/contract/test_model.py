"""Any server beside a small model of Relay, through random sequences of operations.

The sequences are the same in every run. `RELAY_TEST_SEQUENCES` is how many there are.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from relay_sdk.local import App

from .api import Version
from .conftest import REAP_INTERVAL
from .model import SECOND, Key, Mode, Model, New, Row
from .wire import Answer, Wire, escape, in_process, moment

SEQUENCES = int(os.environ.get("RELAY_TEST_SEQUENCES", "12"))
START = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = 3600 * SECOND

KEYS: list[Key] = [("a", "x"), ("a", ".."), ("b/c d", "é%2F?")]
queues = st.sampled_from(["a", "a", "b/c d"])
keys = st.sampled_from(KEYS)
modes = st.sampled_from(["unique", "ignore", "replace"])
values = st.sampled_from([None, 0, "text", [1, {"k": None}], {"n": 1.5}])
new_jobs = st.builds(
    New,
    keys,
    timeout=st.sampled_from([0, 7, 30]),
    max_retries=st.sampled_from([None, 0, 1, 2]),
    payload=values,
    state=values,
    run_at=st.none() | st.sampled_from([-9 * HOUR, -HOUR, HOUR // 2, 9 * HOUR]),
)
batches = st.lists(new_jobs, max_size=3)


class TestClock:
    """A clock that can be set back, too."""

    __test__ = False

    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


def microseconds(moment: datetime) -> int:
    return (moment - START) // timedelta(microseconds=1)


class Beside(RuleBasedStateMachine):
    """Asks a server and the model the same."""

    wire: Wire
    restart_server: Callable[[], Wire] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.prefix = f"model-{uuid4()}-"
        self.distinct = count(1)
        self.runs: dict[Key, list[str]] = {}
        self.model = Model(int(self.wire.reap_interval * SECOND), self.present())
        self.pass_time(self.wire.reap_interval)

    def teardown(self) -> None:
        self.check_all()
        self.wire.clean()

    # The two of them.

    def present(self) -> int:
        return microseconds(self.wire.now())

    def pass_time(self, by: float) -> None:
        if self.wire.clock:
            self.wire.clock.advance(by)
        self.model.now = self.present()
        self.model.reap()
        self.send("v1", "GET", f"/{escape(self.prefix)}/jobs/nothing")

    def send(self, version: Version, method: str, path: str, **what: Any) -> Answer:
        if self.wire.own:
            self.model.now = self.present()
            self.model.reap()
        return self.wire.send(method, f"/{version}/queues{path}", **what)

    def path(self, key: Key, run: str | None = None) -> str:
        path = f"/{escape(self.prefix + key[0])}/jobs/{escape(key[1])}"
        return path if run is None else f"{path}/run-id/{run}"

    def written(self, job: New, version: Version) -> dict[str, Any]:
        infinite = -1 if version == "v1" else None
        fields = {
            "queue": self.prefix + job.key[0],
            "id": job.key[1],
            "timeout": job.timeout,
            "max_retries": infinite if job.max_retries is None else job.max_retries,
            "payload": job.payload,
            "state": job.state,
        }
        if job.run_at is not None:
            fields["run_at"] = (START + timedelta(microseconds=job.run_at)).isoformat()
        return fields

    def timed(self, jobs: list[New]) -> list[New]:
        """Return a different time for each job: the order of equal times is not specified."""
        if self.wire.clock:
            self.wire.clock.advance(0.000_007)
        return [
            job._replace(run_at=(job.run_at or -HOUR) + next(self.distinct))
            if job.run_at is not None or number
            else job
            for number, job in enumerate(jobs)
        ]

    def run_of(self, key: Key, which: int) -> str:
        """Choose a run, now or formerly, of that job; or none that ever was."""
        known = self.runs.get(key, [])
        return known[-1 - which] if which < len(known) else str(uuid4())

    def check_all(self) -> None:
        for key in KEYS:
            self.check(key)

    def check(self, key: Key) -> None:
        """Hold what the server shows of a job against the model."""
        row = self.model.rows.get(key)
        for version in self.versions:
            assert self.send(version, "HEAD", self.path(key)).status == (200 if row else 404)
            answer = self.send(version, "GET", self.path(key))
            if row is None:
                assert (answer.status, answer.body) == (404, b"")
            else:
                assert answer.status == 200, answer
                assert self.shown(answer.json, version) == self.expected(row, version)

    @property
    def versions(self) -> list[Version]:
        return ["v1"] if self.wire.flavor == "relay-rs" else ["v1", "v2"]

    def shown(self, job: dict[str, Any], version: Version) -> dict[str, Any]:
        job = job | {name: microseconds(moment(job[name])) for name in job if name.endswith("_at")}
        if not self.wire.own:
            for name in ("updated_at", "created_at"):
                job.pop(name, None)
            if abs(job["run_at"] - self.present()) < 600 * SECOND:
                job["run_at"] = None
        return job

    def expected(self, row: Row, version: Version) -> dict[str, Any]:
        job = self.written(row.job, version)
        job |= {"run_at": row.run_at, "updated_at": row.updated}
        if version == "v2":
            job |= {"retries_remaining": row.left, "run_id": row.run, "created_at": row.created}
        if not self.wire.own:
            for name in ("updated_at", "created_at"):
                job.pop(name, None)
            if row.job.run_at is None:
                job["run_at"] = None
        return job

    # What is asked of both.

    @rule(version=st.sampled_from(["v1", "v2"]), jobs=batches, mode=modes)
    def enqueue(self, version: Version, jobs: list[New], mode: Mode) -> None:
        version = version if version in self.versions else "v1"
        jobs = self.timed(jobs)
        body = [self.written(job, version) for job in jobs]
        query = "" if version == "v1" or mode == "unique" else f"?mode={mode}"
        if version == "v1":
            mode = "unique" if len(jobs) == 1 else "ignore"
        answer = self.send(version, "POST", f"/jobs{query}", json=body)
        assert answer.status == self.model.enqueue(jobs, mode), answer
        for job in jobs:
            self.check(job.key)

    @rule(version=st.sampled_from(["v1", "v2"]), queue=queues, limit=st.integers(1, 4))
    def take(self, version: Version, queue: str, limit: int) -> None:
        version = version if version in self.versions else "v1"
        path = f"/{escape(self.prefix + queue)}/jobs?num_jobs={limit}"
        answer = self.send(version, "GET", path)
        jobs = answer.json if answer.status == 200 else []
        assert answer.status == (200 if jobs else 204), answer
        assert [job["id"] for job in jobs] == [id for _, id in self.model.ready(queue, limit)]
        for job in jobs:
            key = (queue, job["id"])
            if "v2" in self.versions:
                run = self.send("v2", "GET", self.path(key)).json["run_id"]
            else:
                run = "unknown"
            assert job.get("run_id", run) == run
            assert run
            self.model.claim(key, run)
            self.runs.setdefault(key, []).append(run)
            assert self.shown(job, version) == self.expected(self.model.rows[key], version)

    @rule(key=keys, which=st.sampled_from([None, 0, 0, 0, 1, 9]), state=values, bare=st.booleans())
    def heartbeat(self, key: Key, which: int | None, state: Any, bare: bool) -> None:
        run = None if which is None or "v2" not in self.versions else self.run_of(key, which)
        path = self.path(key, run)
        body = {} if bare else {"json": state}
        answer = self.send("v1" if run is None else "v2", "PATCH", path, **body)
        status = self.model.heartbeat(key, run, None if bare else state)
        if self.wire.flavor == "relay" and run is None and key in self.model.rows:
            assert answer.status in (status, 0)  # relay closes the connection
        else:
            assert answer.status == status, answer
        self.check(key)

    @rule(job=new_jobs, any_key=st.booleans())
    def reschedule(self, job: New, any_key: bool) -> None:
        in_flight = [key for key, row in self.model.rows.items() if row.run is not None]
        if in_flight and not any_key:
            job = job._replace(key=in_flight[0])
        (job,) = self.timed([job])
        answer = self.send("v1", "PUT", "/jobs", json=self.written(job, "v1"))
        status = self.model.reschedule(job)
        if self.wire.flavor == "relay" and status == 404:
            assert answer.status in (202, 0)
        else:
            assert answer.status == status, answer
        self.check(job.key)

    @rule(version=st.sampled_from(["v1", "v2"]), key=keys)
    def remove(self, version: Version, key: Key) -> None:
        version = version if version in self.versions else "v1"
        answer = self.send(version, "DELETE", self.path(key))
        assert answer.status == self.model.remove(key)
        self.check(key)

    @rule(key=keys, which=st.sampled_from([0, 0, 1, 9]))
    def complete(self, key: Key, which: int) -> None:
        if "v2" not in self.versions:
            return
        run = self.run_of(key, which)
        answer = self.send("v2", "DELETE", self.path(key, run))
        assert answer.status == self.model.remove(key, run)
        self.check(key)

    @rule(key=keys, which=st.sampled_from([0, 0, 1, 9]), jobs=batches, mode=modes)
    def requeue(self, key: Key, which: int, jobs: list[New], mode: Mode) -> None:
        if "v2" not in self.versions:
            return
        jobs, run = self.timed(jobs), self.run_of(key, which)
        body = [self.written(job, "v2") for job in jobs]
        answer = self.send("v2", "PUT", f"{self.path(key, run)}?mode={mode}", json=body)
        assert answer.status == self.model.requeue(key, run, jobs, mode), answer
        for each in [key, *(job.key for job in jobs)]:
            self.check(each)

    @precondition(lambda self: self.wire.own)
    @rule(by=st.sampled_from([1.0, 4.0, 6.0, 31.0, 3600.0]))
    def move_the_clock(self, by: float) -> None:
        self.pass_time(by)
        self.check_all()

    @precondition(lambda self: self.restart_server is not None)
    @rule()
    def set_the_clock_back(self) -> None:
        self.pass_time(-3600)
        self.check_all()

    @precondition(lambda self: self.restart_server is not None)
    @rule()
    def restart(self) -> None:
        assert self.restart_server
        type(self).wire = self.restart_server()
        self.model.now = self.present()
        self.model.restart()


@contextmanager
def restartable(db: str) -> Iterator[tuple[Wire, Callable[[], Wire]]]:
    """Open a server in process on a database that outlives it."""
    clock = TestClock()
    app: App | None = None

    def start() -> Wire:
        nonlocal app
        if app is not None:
            app.close()
        app = App(db, reap_interval=REAP_INTERVAL, clock=clock.now)
        return Wire(in_process(app), reap_interval=REAP_INTERVAL, app=app, clock=clock)

    try:
        yield start(), start
    finally:
        if app is not None:
            app.close()


def drive(wire: Wire, sequences: int, restart: Callable[[], Wire] | None = None) -> None:
    class Machine(Beside):
        pass

    Machine.wire = wire
    Machine.restart_server = staticmethod(restart) if restart else None
    run_machine(
        Machine,
        settings=settings(
            max_examples=sequences,
            stateful_step_count=40,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        ),
    )


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_our_server_does_what_the_model_does_through_restarts_and_any_time(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    sqlite = kind == "sqlite"
    db = str(tmp_path / "relay.db") if sqlite else request.getfixturevalue("postgres")
    with restartable(db) as (wire, restart):
        # A transaction costs more there.
        drive(wire, SEQUENCES if sqlite else SEQUENCES // 3, restart)


def test_any_server_does_what_the_model_does(socket_wire: Wire) -> None:
    drive(socket_wire, SEQUENCES // 2)
