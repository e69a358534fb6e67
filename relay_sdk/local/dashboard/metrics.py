"""Counts in the text format of Prometheus, under the names that Relay's exporter has."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from relay_sdk.local import answers, v1, v2
from relay_sdk.local.answers import Response
from relay_sdk.local.counts import TURN_BOUNDS, Asked, Counts, Key, What

from .overview import Overview

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Label = tuple[str, str]
Sample = tuple[Sequence[Label], float]

_COUNTERS: dict[What, str] = {
    "enqueued": "Jobs that were sent to a queue, those included that were ignored.",
    "fetched": "Jobs that were given to workers.",
    "heartbeat": "Heartbeats that were taken.",
    "completed": "Jobs that were completed by the run that held them.",
    "deleted": "Jobs that were removed otherwise.",
    "requeue": "Runs of jobs that were replaced by new jobs.",
    "rescheduled": "Jobs in flight that were put back, changed (v1).",
    "get": "Looks at a job.",
    "exists": "Looks whether a job is there.",
    "retries": "Jobs that timed out and went back into their queue.",
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


def answer(counts: Counts, look: Overview) -> Response:
    """Answer with all metrics."""
    lines = [*_of_this_server(counts), *_of_the_database(look), ""]
    full = answers.plain(200, "\n".join(lines))
    return Response(200, {**full.headers, "content-type": CONTENT_TYPE}, full.body)


def _of_this_server(counts: Counts) -> Iterator[str]:
    requests = [(_endpoint(asked), count) for asked, count in counts.requests.copy().items()]
    yield from _family("http_request", "counter", "Requests for jobs.", requests)
    totals = counts.totals()
    errors: list[Sample] = [
        ([*_endpoint(asked), ("type", _ERRORS.get(status, "request"))], count)
        for (asked, status), count in counts.errors.copy().items()
    ]
    dropped: list[Sample] = [
        ([*queue, ("type", "max_retries")], n) for queue, n in _of(totals, "dropped")
    ]
    about = "Requests that failed, and jobs that timed out without retries left."
    yield from _family("errors", "counter", about, _added(errors + dropped))
    for what, about in _COUNTERS.items():
        yield from _family(what, "counter", about, _of(totals, what))
    until = _of(totals, "waited"), _of(totals, "fetched")
    about = "Seconds from run_at until a worker got the job."
    yield from _summary("latency", about, ("type", "to_processing"), *until)
    until = _of(totals, "taken"), _of(totals, "completed")
    about = "Seconds from run_at until a run completed the job."
    yield from _summary("duration", about, ("type", "completed"), *until)
    yield from _turns(counts)


def _turns(counts: Counts) -> Iterator[str]:
    yield "# HELP turn_seconds Seconds for a turn of requests, which share a commit."
    yield "# TYPE turn_seconds histogram"
    so_far = list(accumulate(counts.turns))
    for bound, count in zip((*map(str, TURN_BOUNDS), "+Inf"), so_far, strict=True):
        yield f'turn_seconds_bucket{{le="{bound}"}} {count}'
    yield f"turn_seconds_sum {counts.turn_seconds:.6f}"
    yield f"turn_seconds_count {so_far[-1]}"


def _of_the_database(look: Overview) -> Iterator[str]:
    jobs = [
        ([("queue", each.queue), ("state", state)], count)
        for each in look.counted
        for state, count in zip(("ready", "scheduled", "running"), each[1:4], strict=True)
    ]
    yield from _family("jobs", "gauge", "Jobs in the database, counted up to jobs_most.", jobs)
    yield from _family("jobs_most", "gauge", "Where counting of jobs ended.", [((), look.most)])
    waits = [
        ([("queue", each.queue)], max(0, look.now - each.oldest) / 10**6)
        for each in look.counted
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


def _of(totals: Counter[Key], what: What) -> list[Sample]:
    return [([("queue", queue)], count) for (kind, queue), count in totals.items() if kind == what]


def _added(samples: Iterable[Sample]) -> list[Sample]:
    """Add up what has the same labels; Prometheus takes each but once."""
    sums: Counter[tuple[Label, ...]] = Counter()
    for labels, count in samples:
        sums[tuple(labels)] += int(count)
    return list(sums.items())


def _endpoint(asked: Asked) -> list[Label]:
    labels = [("version", asked.version), ("endpoint", _ENDPOINTS[asked.handler])]
    return labels if asked.queue is None else [*labels, ("queue", asked.queue)]


def _labels(labels: Sequence[Label]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
