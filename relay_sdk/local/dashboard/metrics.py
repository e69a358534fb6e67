"""The metrics in the text format of Prometheus, with the names of Relay's exporter."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from relay_sdk.local import responses, v1, v2
from relay_sdk.local.responses import Response
from relay_sdk.local.stats import BATCH_SECONDS_BUCKETS, Endpoint, Key, StatName, Stats

from .overview import Overview

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Label = tuple[str, str]
Sample = tuple[Sequence[Label], float]

_COUNTERS: dict[StatName, str] = {
    "enqueued": "Jobs that were sent to a queue, including ignored ones.",
    "fetched": "Jobs that workers claimed.",
    "heartbeat": "Heartbeats that were accepted.",
    "completed": "Jobs that were completed by the run that held them.",
    "deleted": "Jobs that were removed in another way.",
    "requeue": "Runs of jobs that were replaced by new jobs.",
    "rescheduled": "Jobs in flight that were rescheduled (v1).",
    "get": "Reads of a job.",
    "exists": "Checks whether a job exists.",
    "retries": "Jobs that timed out and were requeued.",
}

_ENDPOINTS: dict[Callable[..., object], str] = {
    v1.enqueue: "enqueue",
    v1.next_jobs: "next",
    v1.heartbeat: "heartbeat",
    v1.reschedule: "reschedule",
    v1.exists: "exists",
    v1.get: "get",
    v1.remove: "delete",
    v2.enqueue: "enqueue",
    v2.next_jobs: "next",
    v2.heartbeat: "heartbeat",
    v2.get: "get",
    v2.complete: "complete",
    v2.requeue: "requeue",
}

_ERRORS = {404: "job_not_found", 409: "job_exists", 429: "backend", 500: "backend", 503: "backend"}


def answer(stats: Stats, overview: Overview) -> Response:
    """Return a response with all metrics."""
    lines = [*_of_this_server(stats), *_of_the_database(overview), ""]
    full = responses.plain(200, "\n".join(lines))
    return Response(200, {**full.headers, "content-type": CONTENT_TYPE}, full.body)


def _of_this_server(stats: Stats) -> Iterator[str]:
    requests = [
        (_endpoint_labels(endpoint), count) for endpoint, count in stats.requests.copy().items()
    ]
    yield from _family("http_request", "counter", "Requests for jobs.", requests)
    totals = stats.totals()
    errors: list[Sample] = [
        ([*_endpoint_labels(endpoint), ("type", _ERRORS.get(status, "request"))], count)
        for (endpoint, status), count in stats.errors.copy().items()
    ]
    dropped: list[Sample] = [
        ([*queue, ("type", "max_retries")], n) for queue, n in _samples(totals, "dropped")
    ]
    about = "Requests that failed, and jobs that timed out without retries left."
    yield from _family("errors", "counter", about, _merge(errors + dropped))
    for stat, about in _COUNTERS.items():
        yield from _family(stat, "counter", about, _samples(totals, stat))
    until = _samples(totals, "waited"), _samples(totals, "fetched")
    about = "Seconds from run_at until a worker got the job."
    yield from _summary("latency", about, ("type", "to_processing"), *until)
    until = _samples(totals, "taken"), _samples(totals, "completed")
    about = "Seconds from run_at until a run completed the job."
    yield from _summary("duration", about, ("type", "completed"), *until)
    yield from _batches(stats)


def _batches(stats: Stats) -> Iterator[str]:
    yield "# HELP turn_seconds Seconds for a batch of requests that share a commit."
    yield "# TYPE turn_seconds histogram"
    so_far = list(accumulate(stats.batches))
    for bound, count in zip((*map(str, BATCH_SECONDS_BUCKETS), "+Inf"), so_far, strict=True):
        yield f'turn_seconds_bucket{{le="{bound}"}} {count}'
    yield f"turn_seconds_sum {stats.batch_seconds:.6f}"
    yield f"turn_seconds_count {so_far[-1]}"


def _of_the_database(overview: Overview) -> Iterator[str]:
    jobs = [
        ([("queue", each.queue), ("state", state)], count)
        for each in overview.queues
        for state, count in zip(("ready", "scheduled", "running"), each[1:4], strict=True)
    ]
    yield from _family("jobs", "gauge", "Jobs in the database, counted up to jobs_most.", jobs)
    yield from _family(
        "jobs_most", "gauge", "The limit up to which jobs were counted.", [((), overview.limit)]
    )
    waits = [
        ([("queue", each.queue)], max(0, overview.now - each.oldest) / 10**6)
        for each in overview.queues
        if each.oldest is not None
    ]
    about = "Seconds that the first ready job has been due."
    yield from _family("oldest_wait_seconds", "gauge", about, waits)


def _family(name: str, kind: str, about: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
    yield from (f"{name}{_labels(labels)} {value:.15g}" for labels, value in samples)


def _summary(
    name: str, about: str, kind: Label, microseconds: Iterable[Sample], jobs: Iterable[Sample]
) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} summary"
    for labels, value in microseconds:
        yield f"{name}_sum{_labels([*labels, kind])} {value / 10**6:.6f}"
    for labels, value in jobs:
        yield f"{name}_count{_labels([*labels, kind])} {value:.15g}"


def _samples(totals: Counter[Key], stat: StatName) -> list[Sample]:
    return [([("queue", queue)], count) for (kind, queue), count in totals.items() if kind == stat]


def _merge(samples: Iterable[Sample]) -> list[Sample]:
    """Add up samples with the same labels, which Prometheus accepts only once."""
    sums: Counter[tuple[Label, ...]] = Counter()
    for labels, count in samples:
        sums[tuple(labels)] += int(count)
    return list(sums.items())


def _endpoint_labels(endpoint: Endpoint) -> list[Label]:
    labels = [("version", endpoint.version), ("endpoint", _ENDPOINTS[endpoint.handler])]
    return labels if endpoint.queue is None else [*labels, ("queue", endpoint.queue)]


def _labels(labels: Sequence[Label]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
