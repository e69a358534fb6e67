"""The statistics, and their format at `/metrics`."""

import json
import re
from collections.abc import Iterator

import pytest

from relay_sdk.local import App, LocalServer
from relay_sdk.local.dashboard.api import DashboardApi
from relay_sdk.local.operations import Enqueue, NewJob
from relay_sdk.local.request import Request
from relay_sdk.local.stats import MAX_QUEUES, MAX_STEPS, OTHER_QUEUES, STEP_SECONDS, Stats

from ..raw_client import Raw
from ..test_app import Clock

JSON = {"content-type": "application/json"}
NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*"
TEXT = r'"(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({NAME}={TEXT}(?:,{NAME}={TEXT})*)\}})? ([0-9.e+]+)")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(database: str, clock: Clock) -> Iterator[App]:
    with App(database, clock=clock) as app:
        yield app


def metrics(app: App) -> dict[str, float]:
    desk = DashboardApi(app)
    try:
        return read(desk.answer(Request("GET", "/metrics", {}, b"")).body)
    finally:
        desk.close()


def read(text: bytes) -> dict[str, float]:
    """Parse the format strictly: each sample follows the type of its family, and occurs once."""
    samples: dict[str, float] = {}
    kind = family = ""
    for line in text.decode().removesuffix("\n").split("\n"):
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
        elif not line.startswith("# HELP "):
            found = SAMPLE.fullmatch(line)
            assert found, line
            endings = {"summary": "_sum|_count", "histogram": "_bucket|_sum|_count"}.get(kind, "")
            assert re.fullmatch(f"{family}(?:{endings})", found[1]), line
            name = line.rpartition(" ")[0]
            assert name not in samples
            samples[name] = float(found[3])
    return samples


def enqueue(app: App, *ids: str, **extra: object) -> None:
    jobs = [{"queue": "q", "id": id, "timeout": 30, "payload": 1} | extra for id in ids]
    app("POST", "/v2/queues/jobs", JSON, json.dumps(jobs).encode())


def test_each_operation_is_counted_by_its_queue(app: App, clock: Clock) -> None:
    enqueue(app, *"abcdef", max_retries=1)
    clock.advance(2)
    jobs = json.loads(app("GET", "/v2/queues/q/jobs?num_jobs=5", {}, b"").body)
    a, b, c, *_ = (f"/v2/queues/q/jobs/{job['id']}/run-id/{job['run_id']}" for job in jobs)
    clock.advance(4)
    for request in [
        ("DELETE", a, {}, b""),
        ("DELETE", a, {}, b""),  # it is gone
        ("PATCH", b, {}, b""),
        ("PUT", c, JSON, b"[]"),
        ("GET", "/v2/queues/q/jobs/b", {}, b""),
        ("HEAD", "/v1/queues/q/jobs/b", {}, b""),
        ("DELETE", "/v2/queues/q/jobs/f", {}, b""),
    ]:
        app(*request)
    clock.advance(31)
    app("GET", "/v2/queues/none/jobs", {}, b"")  # a turn, and so the reaper

    found = metrics(app)

    counts = {
        "enqueued": 6, "fetched": 5, "completed": 1, "heartbeat": 1, "requeue": 1, "get": 1,
        "exists": 1, "deleted": 1, "retries": 3,
    }  # fmt: skip
    assert {name: found[f'{name}{{queue="q"}}'] for name in counts} == counts
    assert found['latency_sum{queue="q",type="to_processing"}'] == 10
    assert found['duration_sum{queue="q",type="completed"}'] == 6
    assert found['duration_count{queue="q",type="completed"}'] == 1
    assert found['jobs{queue="q",state="ready"}'] == 3
    assert found['oldest_wait_seconds{queue="q"}'] == 37
    assert found["turn_seconds_count"] == found['turn_seconds_bucket{le="+Inf"}'] == 10


def test_errors_are_counted_by_kind(app: App, clock: Clock) -> None:
    run = "/v2/queues/q/jobs/x/run-id/00000000-0000-4000-8000-000000000000"
    enqueue(app, "a", max_retries=0)
    enqueue(app, "a")
    app("GET", "/v2/queues/q/jobs/x", {}, b"")
    app("PATCH", run, {}, b"")
    app("POST", "/v2/queues/jobs", {}, b"")
    app("GET", "/v2/queues/q/jobs", {}, b"")
    clock.advance(31)
    app("GET", "/v2/queues/q/jobs", {}, b"")

    found = {k: v for k, v in metrics(app).items() if k.startswith("errors")}

    assert found == {
        'errors{version="v2",endpoint="enqueue",type="job_exists"}': 1,
        'errors{version="v2",endpoint="enqueue",type="request"}': 1,
        'errors{version="v2",endpoint="get",queue="q",type="job_not_found"}': 1,
        'errors{version="v2",endpoint="heartbeat",queue="q",type="job_not_found"}': 1,
        'errors{queue="q",type="max_retries"}': 1,
    }


def test_a_server_error_is_counted(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(app.store, "perform", fail)
        assert app("GET", "/v2/queues/q/jobs/x", {}, b"").status == 500

    assert metrics(app)['errors{version="v2",endpoint="get",queue="q",type="backend"}'] == 1


def test_requests_are_counted_when_they_come() -> None:
    """A long poll that is executed several times is one request."""
    with LocalServer() as server, Raw(server.url) as raw:
        raw.send("GET", "/v2/queues/q/jobs", prefer="wait=1")
        raw.read()
        raw.send("HEAD", "/v1/queues/q/jobs/a")
        raw.read(bodiless=True)
        raw.send("GET", "/metrics")
        found = read(raw.read().body)

    assert {k: v for k, v in found.items() if k.startswith("http_request")} == {
        'http_request{version="v2",endpoint="next",queue="q"}': 1,
        'http_request{version="v1",endpoint="exists",queue="q"}': 1,
    }


@pytest.mark.parametrize("queue", ['a"b', "a\\n", "a\nb", "ä\u2028", ""])
def test_any_name_of_a_queue_can_be_a_label(app: App, queue: str) -> None:
    enqueue(app, "a", queue=queue)

    (told,) = (name for name in metrics(app) if name.startswith("enqueued"))

    quoted = told.removeprefix("enqueued{queue=").removesuffix("}")
    replaced = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
    assert re.sub(r"\\.", lambda found: replaced[found[0]], quoted[1:-1]) == queue


def count(stats: Stats, queue: str, jobs: int, now: int) -> None:
    new = [NewJob(queue, str(n), 30, None, "1", None, 0) for n in range(jobs)]
    stats.record_batch(now, 0.0, [(Enqueue(new, "ignore"), None)])


def test_only_so_many_queues_are_counted_by_name() -> None:
    stats = Stats()
    for number in range(MAX_QUEUES + 10):
        count(stats, str(number), 1, 0)

    totals = stats.totals()

    assert len(totals) == MAX_QUEUES + 1
    assert totals["enqueued", OTHER_QUEUES] == 10


def test_old_steps_are_dropped_and_totals_are_kept() -> None:
    stats = Stats()
    second = 10**6
    count(stats, "q", 3, 0)
    count(stats, "q", 4, 5 * second)
    count(stats, "q", 5, 12 * second)
    count(stats, "q", 1, 11 * second)  # the clock was set back

    assert stats.series(12 * second, "enqueued", "q")[-2:] == [7, 6]
    assert stats.last_minute(65 * second)["enqueued", "q"] == 6 + round(7 * 0.5)
    end = STEP_SECONDS * MAX_STEPS * second
    assert stats.series(end, "enqueued", None)[0] == 6
    assert sum(stats.series(end + STEP_SECONDS * second, "enqueued", None)) == 0
    assert stats.recent_queues(end + STEP_SECONDS * second) == set()
    assert stats.totals()["enqueued", "q"] == 13
