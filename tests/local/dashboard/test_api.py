"""The API of the dashboard: what it shows, and what it can change."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from relay_sdk.local import App, LocalServer, job_reader, run_ids
from relay_sdk.local.dashboard import shapes
from relay_sdk.local.dashboard.api import DashboardApi
from relay_sdk.local.dashboard.page import PAGE_PATHS
from relay_sdk.local.exceptions import BackendError
from relay_sdk.local.request import Request
from relay_sdk.local.responses import Response

from ..raw_client import Answer, Raw

JSON = {"content-type": "application/json"}


class Dashboard:
    """An app with a clock of the test, and its dashboard."""

    def __init__(self, database: str) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self.app = App(database, clock=lambda: self.now, reap_interval=5)
        self.api = DashboardApi(self.app)

    def close(self) -> None:
        self.api.close()
        self.app.close()

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def enqueue(self, *ids: str, queue: str = "q", **extra: object) -> None:
        jobs = [
            {"queue": queue, "id": id, "timeout": 30, "payload": {"n": 1}} | extra for id in ids
        ]
        body = json.dumps(jobs).encode()
        assert self.app("POST", "/v2/queues/jobs", JSON, body).status == 202

    def claim(self, number: int, queue: str = "q") -> list[dict[str, Any]]:
        answer = self.app("GET", f"/v2/queues/{queue}/jobs?num_jobs={number}", {}, b"")
        jobs: list[dict[str, Any]] = json.loads(answer.body)
        return jobs

    def complete(self, job: dict[str, Any]) -> None:
        run = f"/v2/queues/{job['queue']}/jobs/{job['id']}/run-id/{job['run_id']}"
        assert self.app("DELETE", run, {}, b"").status == 200

    def heartbeat(self, job: dict[str, Any]) -> None:
        run = f"/v2/queues/{job['queue']}/jobs/{job['id']}/run-id/{job['run_id']}"
        assert self.app("PATCH", run, {}, b"").status == 202

    def ask(self, path: str, **query: object) -> Response:
        target = f"{path}?{urlencode(query)}" if query else path
        return self.api.answer(Request("GET", target, {}, b""))

    def read(self, path: str, **query: object) -> dict[str, Any]:
        answer = self.ask(path, **query)
        assert answer.status == 200, answer.body
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def queues(self) -> dict[str, dict[str, Any]]:
        self.api.overview.invalidate()
        return {line["queue"]: line for line in self.read("/local/queues")["queues"]}

    def ids(self, **query: object) -> list[str]:
        return [job["id"] for job in self.read("/local/jobs", queue="q", **query)["jobs"]]

    def pages(self, **query: object) -> list[list[str]]:
        """Return the ids of each page."""
        pages: list[list[str]] = []
        after: dict[str, str] = {}
        while True:
            page = self.read("/local/jobs", queue="q", **query, **after)
            pages.append([job["id"] for job in page["jobs"]])
            if page["after"] is None:
                return pages
            after = {"after": page["after"]}

    def post(self, path: str, value: object, **headers: str) -> Response:
        body = json.dumps(value).encode()
        return self.api.answer(Request("POST", path, JSON | headers, body))

    def change(self, path: str, *ids: str, queue: str = "q") -> int:
        answer = self.post(path, {"queue": queue, "ids": ids})
        assert answer.status == 200, answer.body
        changed: int = json.loads(answer.body)["changed"]
        return changed


def flat(pages: list[list[str]]) -> list[str]:
    return list(chain.from_iterable(pages))


@pytest.fixture
def dashboard(database: str) -> Iterator[Dashboard]:
    dashboard = Dashboard(database)
    yield dashboard
    dashboard.close()


@pytest.fixture(params=["memory", "file"])
def on_sqlite(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Dashboard]:
    dashboard = Dashboard(":memory:" if request.param == "memory" else str(tmp_path / "relay.db"))
    yield dashboard
    dashboard.close()


def later(dashboard: Dashboard, seconds: float = 3600) -> str:
    return (dashboard.now + timedelta(seconds=seconds)).isoformat()


def test_queues_are_counted_by_status(dashboard: Dashboard) -> None:
    dashboard.enqueue("a", "b", "c", "d")
    dashboard.enqueue("e", run_at=later(dashboard))
    dashboard.enqueue("x", queue="other", run_at=later(dashboard))
    for job in dashboard.claim(2):
        if job["id"] == "a":
            dashboard.complete(job)
    dashboard.advance(2.5)

    queues = dashboard.queues()

    assert queues["q"] == {
        "queue": "q",
        "ready": 2,
        "scheduled": 1,
        "running": 1,
        "oldest_wait": 2.5,
        "enqueued": 5,
        "done": 1,
        "retried": 0,
    }
    assert (queues["other"]["scheduled"], queues["other"]["oldest_wait"]) == (1, None)


def test_an_empty_queue_is_shown_as_long_as_something_was_done_there_lately(
    dashboard: Dashboard,
) -> None:
    dashboard.enqueue("a")
    dashboard.complete(dashboard.claim(1)[0])

    assert (dashboard.queues()["q"]["ready"], dashboard.queues()["q"]["done"]) == (0, 1)
    dashboard.advance(3600)
    assert dashboard.queues() == {}


def test_a_queue_without_jobs_is_not_shown_after_requests(dashboard: Dashboard) -> None:
    dashboard.app("GET", "/v2/queues/none/jobs/x", {}, b"")
    dashboard.app("GET", "/v2/queues/none/jobs", {}, b"")

    assert dashboard.queues() == {}


def test_recent_work_is_counted_per_minute_and_per_step(dashboard: Dashboard) -> None:
    dashboard.enqueue("a", "b", "c")
    first, second, _ = dashboard.claim(3)
    dashboard.complete(first)
    dashboard.advance(30)
    dashboard.complete(second)
    dashboard.advance(6)
    dashboard.app("GET", "/v2/queues/none/jobs", {}, b"")  # a turn, and so the reaper

    recent = dashboard.read("/local/recent", queue="q")

    assert dashboard.queues()["q"]["done"] == 2
    assert recent["done"][-4:] == [1, 0, 0, 1]
    assert (recent["enqueued"][-4], recent["retried"][-1], sum(recent["retried"])) == (3, 1, 1)
    assert dashboard.read("/local/recent")["done"] == recent["done"]
    dashboard.advance(45)
    assert dashboard.queues()["q"]["done"] == 1


def test_counting_ends_at_a_limit(dashboard: Dashboard) -> None:
    dashboard.enqueue(*map(str, range(7)))
    dashboard.enqueue(*map(str, range(10, 17)), run_at=later(dashboard))

    counted, _ = dashboard.api.reader.queues(None, dashboard.app.now(), 5)

    assert counted[0][:4] == ("q", 5, 5, 0)


def test_the_limit_of_counting_follows_its_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dashboard = Dashboard(str(tmp_path / "relay.db"))
    reached: list[int] = []
    for quick, long in [(0, 0), (0, 0), (9, 9), (0, 9), (9, 9), (9, 9)]:
        monkeypatch.setattr("relay_sdk.local.dashboard.overview.FAST_COUNT", quick)
        monkeypatch.setattr("relay_sdk.local.dashboard.overview.SLOW_COUNT", long)
        dashboard.api.overview.invalidate()
        reached.append(dashboard.read("/local/queues")["most"])
    dashboard.close()

    assert reached == [10_000, 1_000, 1_000, 10_000, 10_000, 100_000]


def test_a_failed_count_lowers_the_limit(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise BackendError("db error: ERROR: canceling statement", retryable=True)

    count = dashboard.api.reader.queues
    monkeypatch.setattr(dashboard.api.reader, "queues", fail)
    assert dashboard.ask("/local/queues").status == 503
    monkeypatch.setattr(dashboard.api.reader, "queues", count)

    assert dashboard.read("/local/queues")["most"] == 1_000


def test_many_queues_are_paged(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{type(dashboard.api.reader).__module__}.MAX_QUEUES", 2)
    for queue in "abc":
        dashboard.enqueue("1", queue=queue)

    first = dashboard.read("/local/queues")
    rest = dashboard.read("/local/queues", after=first["after"])

    assert [[line["queue"] for line in page["queues"]] for page in (first, rest)] == [
        ["a", "b"],
        ["c"],
    ]
    assert rest["after"] is None


def test_jobs_are_paged_and_filtered(dashboard: Dashboard) -> None:
    dashboard.enqueue(*[f"a{n}" for n in range(5)], *[f"b{n}" for n in range(5)])
    dashboard.enqueue("c", run_at=later(dashboard))
    held = [job["id"] for job in dashboard.claim(3)]

    assert [len(page) for page in dashboard.pages(limit=4)] == [4, 4, 3]
    assert dashboard.ids(status="scheduled") == ["c"]
    assert sorted(dashboard.ids(status="running")) == sorted(held)
    assert sorted(flat(dashboard.pages(status="ready", limit=3))) == sorted(
        id for id in [f"{letter}{n}" for letter in "ab" for n in range(5)] if id not in held
    )
    assert dashboard.ids(prefix="b", limit=3) == ["b0", "b1", "b2"]
    assert dashboard.ids(prefix="c", status="ready") == []
    assert dashboard.ids(prefix="%") == []


@pytest.mark.parametrize("status", ["ready", "scheduled", "running"])
def test_jobs_with_equal_times_are_each_on_one_page(dashboard: Dashboard, status: str) -> None:
    ids = [f"{n:02}" for n in range(25)]
    dashboard.enqueue(*ids, run_at=later(dashboard, 60 if status == "scheduled" else 0))
    if status == "running":
        dashboard.claim(25)

    pages = dashboard.pages(status=status, limit=7)

    assert sorted(flat(pages)) == ids
    assert len(pages) == 4


def test_a_page_ends_after_a_number_of_scanned_jobs(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter with few matches must not scan the whole queue."""
    monkeypatch.setattr(f"{type(dashboard.api.reader).__module__}.MAX_SCANNED_JOBS", 4)
    dashboard.enqueue(*map(str, range(9)), run_at=later(dashboard))
    dashboard.enqueue("99")

    pages = dashboard.pages(status="ready", prefix="")
    by_prefix = dashboard.pages(status="ready", prefix="9")

    assert flat(pages) == flat(by_prefix) == ["99"]


def test_running_jobs_of_other_queues_end_a_page_too(
    on_sqlite: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay_sdk.local.sqlite.job_reader.MAX_SCANNED_JOBS", 4)
    on_sqlite.enqueue(*map(str, range(9)), queue="other")
    on_sqlite.claim(9, "other")
    on_sqlite.advance(1)
    on_sqlite.enqueue("a")
    on_sqlite.claim(1)

    assert on_sqlite.pages(status="running") == [[], [], ["a"]]


def test_a_list_shortens_payloads_and_a_single_job_has_all(dashboard: Dashboard) -> None:
    text = json.dumps("x" * 1000)
    dashboard.enqueue("a", payload="x" * 1000, state={"saved": 12345678901234567890})
    (job,) = dashboard.claim(1)

    (line,) = dashboard.read("/local/jobs", queue="q")["jobs"]
    whole = dashboard.read("/local/job", queue="q", id="a")["job"]

    assert line["payload"] == text[:200]
    assert (whole["payload"], whole["run_id"]) == (text, job["run_id"])
    assert json.loads(whole["state"]) == {"saved": 12345678901234567890}
    assert (whole["status"], whole["lease_ends"]) == ("running", "2030-01-01T00:00:30Z")
    assert dashboard.ask("/local/job", queue="q", id="b").status == 404


def test_a_running_job_is_shown_with_the_start_of_its_run(dashboard: Dashboard) -> None:
    dashboard.enqueue("a", "b")
    dashboard.advance(1.234567)
    (held,) = dashboard.claim(1)
    dashboard.advance(20)
    dashboard.heartbeat(held)

    lines = {line["id"]: line for line in dashboard.read("/local/jobs", queue="q")["jobs"]}
    line = lines.pop(held["id"])
    whole = dashboard.read("/local/job", queue="q", id=held["id"])["job"]

    assert line["running_since"] == whole["running_since"] == "2030-01-01T00:00:01.234Z"
    assert line["updated_at"] == "2030-01-01T00:00:21.234567Z"
    assert [other["running_since"] for other in lines.values()] == [None]
    dashboard.change("/local/requeue", held["id"])
    assert dashboard.read("/local/job", queue="q", id=held["id"])["job"]["running_since"] is None


def test_the_start_of_a_run_of_relay_is_unknown(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_ids, "time_prefix", lambda _: "0b7ce8cb-1a71-4")  # all random there
    dashboard.enqueue("a")
    (held,) = dashboard.claim(1)

    (line,) = dashboard.read("/local/jobs", queue="q")["jobs"]

    assert (line["run_id"], line["status"]) == (held["run_id"], "running")
    assert line["running_since"] is None
    assert dashboard.read("/local/job", queue="q", id="a")["job"]["running_since"] is None


@pytest.mark.parametrize("name", ["a/b", ".", "..", "?#%", "ä\u2028", "<script>", ""])
def test_jobs_with_any_name_can_be_read_and_changed(dashboard: Dashboard, name: str) -> None:
    dashboard.enqueue(name, queue=name)

    assert dashboard.queues()[name]["ready"] == 1
    assert dashboard.read("/local/job", queue=name, id=name)["job"]["id"] == name
    assert dashboard.change("/local/remove", name, queue=name) == 1


def test_a_running_job_is_requeued_and_loses_its_run(dashboard: Dashboard) -> None:
    dashboard.enqueue("a", "b", max_retries=0)
    held, _ = dashboard.claim(2)
    dashboard.advance(1)
    dashboard.enqueue("c")
    heard = []
    dashboard.app.on_arrivals = heard.append

    changed = dashboard.change("/local/requeue", held["id"], "c", "nowhere")

    assert changed == 1
    assert heard[0].ready["q"] == 1
    assert [job["id"] for job in dashboard.claim(1)] == [held["id"]]
    dashboard.complete(held)  # by a run that is over, which does nothing
    assert dashboard.app("HEAD", f"/v2/queues/q/jobs/{held['id']}", {}, b"").status == 200


def test_a_scheduled_job_is_made_to_run_now(dashboard: Dashboard) -> None:
    dashboard.enqueue("a", "b", run_at=later(dashboard))

    assert dashboard.change("/local/run-now", "a") == 1
    assert [job["id"] for job in dashboard.claim(2)] == ["a"]


def test_a_selection_is_removed(dashboard: Dashboard) -> None:
    dashboard.enqueue("a", "b", "c")
    dashboard.claim(1)

    assert dashboard.change("/local/remove", "a", "b", "b", "nowhere") == 2
    assert dashboard.ids() == ["c"]
    assert dashboard.change("/local/remove") == 0


def test_a_queue_is_purged_step_by_step(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay_sdk.local.dashboard.changes.PURGE_LIMIT", 4)
    dashboard.enqueue(*map(str, range(9)))
    dashboard.enqueue("x", queue="r")
    after, removed = None, []
    for _ in range(3):
        answer = json.loads(dashboard.post("/local/purge", {"queue": "q", "after": after}).body)
        after = answer["after"]
        removed.append(answer["removed"])

    assert (removed, after) == ([4, 4, 1], None)
    assert [queue for queue, line in dashboard.queues().items() if line["ready"]] == ["r"]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/local/jobs", {}),
        ("/local/job", {"queue": "q"}),
        ("/local/jobs", {"queue": "q", "status": "lost"}),
        ("/local/jobs", {"queue": "q", "limit": "0"}),
        ("/local/jobs", {"queue": "q", "limit": "201"}),
        ("/local/jobs", {"queue": "q", "limit": "²"}),
        ("/local/jobs", {"queue": "q", "status": "ready", "after": "1"}),
        ("/local/jobs", {"queue": "q", "status": "ready", "after": "9" * 99 + ".1"}),
    ],
)
def test_an_invalid_query_is_refused(
    dashboard: Dashboard, path: str, query: dict[str, str]
) -> None:
    assert dashboard.ask(path, **query).status == 400


def test_a_nul_is_refused_as_everywhere(dashboard: Dashboard) -> None:
    assert dashboard.ask("/local/jobs", queue="\0").status == 422
    assert dashboard.post("/local/remove", {"queue": "q", "ids": ["\0"]}).status == 422


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff", 400),
        (b"{}", 422),
        (b'{"queue":"q","ids":[1]}', 422),
        (b'{"queue":"q","ids":[],"more":1}', 422),
        (json.dumps({"queue": "q", "ids": ["x"] * 1001}).encode(), 422),
    ],
)
def test_an_invalid_body_changes_nothing(dashboard: Dashboard, body: bytes, status: int) -> None:
    answer = dashboard.api.answer(Request("POST", "/local/remove", JSON, body))

    assert answer.status == status


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_form_of_another_site_changes_nothing(dashboard: Dashboard, content_type: str) -> None:
    """Browsers send these types across origins without a preflight, which JSON needs."""
    dashboard.enqueue("a")

    answer = dashboard.post(
        "/local/remove", {"queue": "q", "ids": ["a"]}, **{"content-type": content_type}
    )

    assert answer.status == 415
    assert dashboard.ids() == ["a"]


def test_only_the_right_methods_are_answered(dashboard: Dashboard) -> None:
    def status(method: str, path: str) -> int:
        return dashboard.api.answer(Request(method, path, JSON, b"{}")).status

    assert [status(*each) for each in [("OPTIONS", "/local/remove"), ("GET", "/local/purge")]] == [
        405,
        405,
    ]
    assert [status("POST", path) for path in ("/", "/local/queues", "/metrics")] == [405] * 3
    assert status("GET", "/local/nothing") == 404


def test_counting_costs_a_fraction_of_the_time_for_any_number_of_clients(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = 0
    counted = dashboard.api.reader.queues

    def count(after: str | None, now: int, most: int) -> Any:
        nonlocal times
        times += 1
        return counted(after, now, most)

    monkeypatch.setattr(dashboard.api.reader, "queues", count)
    monkeypatch.setattr("relay_sdk.local.dashboard.overview.CACHE_FACTOR", 10**9)

    for _ in range(5):
        dashboard.read("/local/queues")
    dashboard.ask("/metrics")
    assert times == 1
    dashboard.change("/local/remove", "a")
    dashboard.read("/local/queues")
    assert times == 2  # who changes something sees it


def test_a_slow_read_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dashboard = Dashboard(str(tmp_path / "relay.db"))
    dashboard.enqueue(*map(str, range(9)))
    monkeypatch.setattr("relay_sdk.local.sqlite.job_reader.READ_TIMEOUT", -1)
    monkeypatch.setattr("relay_sdk.local.sqlite.job_reader.TIMEOUT_CHECK_STEPS", 1)

    answer = dashboard.ask("/local/queues")

    assert (answer.status, answer.body) == (503, b"Backend error: db error: ERROR: interrupted")
    dashboard.close()


def test_reading_does_not_need_the_lock_of_the_app(tmp_path: Path) -> None:
    dashboard = Dashboard(str(tmp_path / "relay.db"))
    dashboard.enqueue("a")

    with dashboard.app.store.transaction():  # type: ignore[attr-defined]
        assert dashboard.ids() == ["a"]
    dashboard.close()


@pytest.mark.parametrize("prefix", ["a", "a\U0010ffff", "\ud7ff"])
def test_all_texts_with_a_prefix_come_before_its_end(prefix: str) -> None:
    end = job_reader.prefix_end(prefix)

    assert end is not None
    assert prefix + "\U0010ffff" * 3 < end
    assert end.encode()
    assert job_reader.prefix_end("\U0010ffff") is None


# Over a socket.


def fetch(server: LocalServer, target: str, body: bytes = b"", **headers: str) -> Answer:
    with Raw(server.url) as raw:
        raw.send("POST" if body else "GET", target, body, **headers)
        return raw.read()


def test_the_page_needs_no_token_but_its_api_does() -> None:
    with LocalServer(token="secret") as server:
        public = {fetch(server, path).status for path in PAGE_PATHS}
        refused = [fetch(server, path).status for path in ("/local/queues", "/metrics")]
        bearer = "Bearer secret"
        served = [
            fetch(server, path, authorization=bearer).status
            for path in ("/local/queues", "/metrics")
        ]

    assert (public, refused, served) == ({200}, [401, 401], [200, 200])


def test_the_page_loads_nothing_from_other_sites() -> None:
    with LocalServer() as server:
        page = fetch(server, "/")

    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert b"http:" not in page.body
    assert b"https:" not in page.body


def test_without_the_dashboard_there_is_neither_page_nor_api() -> None:
    with LocalServer(dashboard=False) as server:
        statuses = [fetch(server, path).status for path in ("/", "/local/page.js", "/local/queues")]
        metrics = fetch(server, "/metrics").status

    assert (statuses, metrics) == ([404] * 3, 200)


def test_another_origins_page_reads_and_changes_nothing() -> None:
    with LocalServer() as server:
        evil = "https://evil.example"
        reads = {fetch(server, path, origin=evil).status for path in ("/local/queues", "/metrics")}
        write = fetch(server, "/local/purge", b'{"queue":"q"}', origin=evil).status

    assert (reads, write) == ({403}, 403)


def test_a_foreign_link_may_lead_to_the_page_but_not_to_its_api() -> None:
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    with LocalServer() as server:
        statuses = [fetch(server, path, **followed).status for path in ("/", "/local/queues")]

    assert statuses == [200, 403]


def test_changes_wake_long_polls() -> None:
    with LocalServer() as server:
        job = {
            "queue": "q",
            "id": "a",
            "timeout": 30,
            "payload": 1,
            "run_at": "2999-01-01T00:00:00Z",
        }
        fetch(server, "/v2/queues/jobs", json.dumps([job]).encode())
        with Raw(server.url) as waiting:
            waiting.send("GET", "/v2/queues/q/jobs", prefer="wait=30")
            # It may come after the change, and then finds the job as well.
            changed = fetch(server, "/local/run-now", b'{"queue":"q","ids":["a"]}')
            claimed = json.loads(waiting.read().body)

    assert json.loads(changed.body) == {"changed": 1}
    assert [job["id"] for job in claimed] == ["a"]


def test_no_worker_waits_for_the_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay_sdk.local.dashboard.executor.MAX_WAITING", 2)
    looked, over = Event(), Event()
    answer = DashboardApi.answer

    def slowly(desk: DashboardApi, request: Request) -> Response:
        looked.set()
        over.wait(30)
        return answer(desk, request)

    monkeypatch.setattr(DashboardApi, "answer", slowly)
    with LocalServer() as server, Raw(server.url) as first, Raw(server.url) as gone:
        first.send("GET", "/local/queues")
        assert looked.wait(30)
        gone.send("GET", "/local/queues")
        worker = fetch(server, "/v2/queues/q/jobs")
        gone.close()
        third = fetch(server, "/metrics")
        over.set()
        looker = first.read()

    assert (worker.status, looker.status) == (204, 200)
    assert (third.status, third.body) == (503, b"Too many requests for the dashboard.")


def test_a_stopping_server_answers_the_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Event()
    answer = DashboardApi.answer

    def slowly(desk: DashboardApi, request: Request) -> Response:
        looked.set()
        Event().wait(0.2)
        return answer(desk, request)

    monkeypatch.setattr(DashboardApi, "answer", slowly)
    with LocalServer() as server, Raw(server.url) as raw:
        raw.send("GET", "/local/queues")
        assert looked.wait(30)
        server.stop()
        assert raw.read().status == 200


def test_a_database_outage_is_reported_until_it_is_over(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    dashboard.enqueue("a")
    jobs = dashboard.api.reader.jobs

    def fail(*_: object) -> None:
        raise BackendError("db error: ERROR: away", retryable=True)

    monkeypatch.setattr(dashboard.api.reader, "jobs", fail)
    answer = dashboard.ask("/local/jobs", queue="q")
    monkeypatch.setattr(dashboard.api.reader, "jobs", jobs)

    assert (answer.status, answer.body) == (503, b"Backend error: db error: ERROR: away")
    assert dashboard.ids() == ["a"]


def test_on_postgresql_each_server_shows_the_jobs_of_all(postgres: str) -> None:
    here, there = Dashboard(postgres), Dashboard(postgres)
    there.enqueue("a", "b")
    there.complete(there.claim(1)[0])
    there.claim(1)

    seen = here.read("/local/queues")

    assert seen["shared"]
    assert seen["queues"][0]["running"] == 1
    assert (seen["queues"][0]["done"], there.queues()["q"]["done"]) == (0, 1)
    assert here.change("/local/remove", *here.ids()) == 1
    assert there.ids() == []
    here.close()
    there.close()


def test_a_connection_that_postgresql_closed_is_replaced(postgres: str) -> None:
    import psycopg

    dashboard = Dashboard(postgres)
    dashboard.enqueue("a")
    assert dashboard.ids() == ["a"]
    with psycopg.connect(postgres, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND application_name = 'relay-sdk'"
        )
    # Whether the end was seen before is a matter of luck.
    answers = [dashboard.ask("/local/jobs", queue="q").status for _ in range(2)]

    assert answers[1] == 200
    dashboard.close()


def test_the_openapi_description_matches_the_code() -> None:
    import yaml

    root = Path(__file__).resolve().parents[3]
    described = yaml.safe_load((root / "openapi/local.yaml").read_text("utf-8"))
    every = [
        shapes.Queues, shapes.Recent, shapes.Jobs, shapes.JobAt, shapes.Ids, shapes.Changed,
        shapes.PurgeAfter, shapes.PurgedTo,
    ]  # fmt: skip
    _, schemas = msgspec.json.schema_components(every, ref_template="#/components/schemas/{name}")

    assert without_words(described["components"]["schemas"]) == without_words(schemas)
    paths = {"/metrics", "/local/queues", "/local/recent", "/local/jobs", "/local/job"}
    paths |= {f"/local/{name}" for name in ("remove", "requeue", "run-now", "purge")}
    assert set(described["paths"]) == paths


def without_words(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {k: without_words(v) for k, v in value.items() if k not in ("description", "title")}
        if "anyOf" in kept:
            kept["anyOf"] = sorted(kept["anyOf"], key=str)
        return kept
    return [without_words(each) for each in value] if isinstance(value, list) else value


LOOKS: list[tuple[str, dict[str, str]]] = [
    ("/local/queues", {}),
    ("/local/queues", {"after": "a"}),
    *(("/local/jobs", {"queue": "q", "status": s}) for s in ("", "ready", "scheduled", "running")),
    *(
        ("/local/jobs", {"queue": "q", "status": s, "prefix": "1"})
        for s in ("", "ready", "running")
    ),
    ("/local/jobs", {"queue": "q", "after": "1"}),
    ("/local/job", {"queue": "q", "id": "1"}),
]


def test_sqlite_reads_everything_from_an_index(tmp_path: Path) -> None:
    dashboard = Dashboard(str(tmp_path / "relay.db"))
    dashboard.enqueue("1")
    dashboard.ids()
    seen: list[str] = []
    connection = dashboard.api.reader._connection  # type: ignore[attr-defined]
    connection.set_trace_callback(seen.append)
    for path, query in [*LOOKS, *later_pages("1.1")]:
        dashboard.api.overview.invalidate()
        dashboard.read(path, **query)
    connection.set_trace_callback(None)
    statements = [text for text in seen if text.lstrip().startswith(("SELECT", "WITH"))]
    plans = {
        text: connection.execute(f"EXPLAIN QUERY PLAN {text}").fetchall() for text in statements
    }
    dashboard.close()

    assert len(statements) > len(LOOKS)
    for text, plan in plans.items():
        steps = [row[3] for row in plan]
        scans = [step for step in steps if step.startswith("SCAN jobs") and "INDEX" not in step]
        # What runs is found by its lease, and grouped by its queue afterwards.
        sorts = [step for step in steps if "TEMP B-TREE" in step and "GROUP BY" not in step]
        assert scans == sorts == [], text


def test_postgresql_reads_everything_from_an_index(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    dashboard = Dashboard(postgres)
    dashboard.enqueue("1")
    seen: list[tuple[str, Any]] = []
    execute = psycopg.Cursor.execute

    def spy(cursor: Any, query: Any, params: Any = None, **settings: Any) -> Any:
        seen.append((query, params))
        return execute(cursor, query, params, **settings)

    dashboard.ids()
    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", spy)
        for path, query in [*LOOKS, *later_pages("1.(0,1)")]:
            dashboard.api.overview.invalidate()
            dashboard.read(path, **query)
    connection = dashboard.api.reader._connection  # type: ignore[attr-defined]
    plans = [
        "\n".join(row[0] for row in connection.execute(f"EXPLAIN {query}", params).fetchall())
        for query, params in seen
    ]
    dashboard.close()

    assert len(plans) > len(LOOKS)
    assert [plan for plan in plans if "Seq Scan" in plan or "Sort" in plan] == []


def later_pages(place: str) -> list[tuple[str, dict[str, str]]]:
    statuses = ("ready", "scheduled", "running")
    return [("/local/jobs", {"queue": "q", "status": s, "after": place}) for s in statuses]


def test_the_reader_does_not_recreate_a_deleted_file(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    dashboard = Dashboard(str(path))
    path.unlink()

    assert dashboard.ask("/local/queues").status == 503

    assert not path.exists()
    dashboard.close()
