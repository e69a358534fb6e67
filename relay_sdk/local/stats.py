"""Counts of what this server has done, since it started and in the last minutes."""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any, Literal, NamedTuple, TypeAlias

from .operations import (
    Change,
    Claim,
    Claimed,
    Enqueue,
    Exists,
    Get,
    Heartbeat,
    Operation,
    Purge,
    Purged,
    Remove,
    Requeue,
    Reschedule,
)
from .routes import RouteMatch

StatName = Literal[
    "enqueued", "fetched", "waited", "heartbeat", "completed", "taken", "deleted", "requeue",
    "rescheduled", "get", "exists", "retries", "dropped",
]  # fmt: skip
"""Numbers of jobs. `waited` and `taken` are microseconds from run_at to claim and to completion."""

Key: TypeAlias = tuple[StatName, str]

STEP_SECONDS = 10
"""Seconds that are counted together."""

MAX_STEPS = 90
"""Steps that are kept."""

MAX_QUEUES = 1000
"""Queues that are counted by name."""

JOB_STATS = {"enqueued", "completed", "retries"}
"""The statistics that only a job that existed can change."""

OTHER_QUEUES = "(others)"
"""The label of all further queues."""

BATCH_SECONDS_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5)
"""Upper bounds of the histogram of batch durations, in seconds."""


class Endpoint(NamedTuple):
    """The labels by which requests are counted."""

    version: str
    handler: Callable[..., object]
    queue: str | None


class Stats:
    """The counts of this server, safe to share between threads; times are in microseconds."""

    def __init__(self) -> None:
        self.batches: list[int] = [0] * (len(BATCH_SECONDS_BUCKETS) + 1)
        self.batch_seconds: float = 0.0
        self.requests: Counter[Endpoint] = Counter()
        self.errors: Counter[tuple[Endpoint, int]] = Counter()
        """Error responses, by endpoint and status."""
        self._lock = Lock()
        self._names: set[str] = set()
        self._totals: Counter[Key] = Counter()
        self._steps: deque[tuple[int, Counter[Key]]] = deque()
        self._step = 0
        self._current: Counter[Key] = Counter()

    def queue_label(self, queue: str) -> str:
        """Return the label of a queue; labels are limited, since any client can invent queues."""
        if queue in self._names:
            return queue
        if len(self._names) >= MAX_QUEUES:
            return OTHER_QUEUES
        self._names.add(queue)
        return queue

    def record_request(self, target: str, match: RouteMatch) -> None:
        """Count a request when it comes; always call this in the same thread."""
        self.requests[self._endpoint(target, match)] += 1

    def record_error(self, target: str, match: RouteMatch, status: int) -> None:
        """Count a response that is an error; call this with the lock of the app."""
        if target.startswith("/v"):
            self.errors[self._endpoint(target, match), status] += 1

    def _endpoint(self, target: str, match: RouteMatch) -> Endpoint:
        queue = match.path.get("queue")
        return Endpoint(
            target[1:3], match.handler, None if queue is None else self.queue_label(queue)
        )

    def record_batch(
        self, now: int, seconds: float, done: Iterable[tuple[Operation[Any], object]]
    ) -> None:
        """Count the operations of a batch, each with its outcome."""
        with self._lock:
            self.batches[bisect_left(BATCH_SECONDS_BUCKETS, seconds)] += 1
            self.batch_seconds += seconds
            self._advance_to(now)
            for operation, outcome in done:
                if not isinstance(outcome, Exception):
                    self._count(operation, outcome, now)

    def record_reaped(self, now: int, dropped: Iterable[str], requeued: Iterable[str]) -> None:
        """Count jobs that timed out, by their queues."""
        with self._lock:
            self._advance_to(now)
            self._current.update(("dropped", self.queue_label(queue)) for queue in dropped)
            self._current.update(("retries", self.queue_label(queue)) for queue in requeued)

    def totals(self) -> Counter[Key]:
        """Return all counts since the start."""
        with self._lock:
            return self._totals + self._current

    def last_minute(self, now: int) -> Counter[Key]:
        """Return the counts of the last minute; the oldest step counts in proportion."""
        with self._lock:
            self._advance_to(now)
            minute = self._current.copy()
            first = self._step - 60 // STEP_SECONDS
            part = 1 - now / 10**6 % STEP_SECONDS / STEP_SECONDS
            for step, counts in self._steps:
                if step > first:
                    minute.update(counts)
                elif step == first:
                    minute.update({key: round(count * part) for key, count in counts.items()})
            return minute

    def series(self, now: int, name: StatName, queue: str | None) -> list[int]:
        """Return the count in each step that is kept, the current one last."""
        with self._lock:
            self._advance_to(now)
            counted = [0] * MAX_STEPS
            for step, counts in (*self._steps, (self._step, self._current)):
                at = step - self._step + MAX_STEPS - 1
                if 0 <= at < MAX_STEPS and queue is None:
                    counted[at] = sum(n for (kind, _), n in counts.items() if kind == name)
                elif 0 <= at < MAX_STEPS:
                    counted[at] = counts[name, queue] if queue is not None else 0
            return counted

    def recent_queues(self, now: int) -> set[str]:
        """Return the queues that had jobs lately; requests for missing jobs do not count."""
        with self._lock:
            self._advance_to(now)
            every = [*(counts for _, counts in self._steps), self._current]
            return {queue for counts in every for kind, queue in counts if kind in JOB_STATS}

    def _advance_to(self, now: int) -> None:
        step = now // (STEP_SECONDS * 10**6)
        if step > self._step:  # if the clock was set back, the same step continues
            if self._current:
                self._totals.update(self._current)
                self._steps.append((self._step, self._current))
                self._current = Counter()
            self._step = step
            while self._steps and self._steps[0][0] <= step - MAX_STEPS:
                self._steps.popleft()

    def _count(self, operation: Operation[Any], outcome: object, now: int) -> None:
        current = self._current
        match operation:
            case Enqueue(jobs):
                for job in jobs:
                    current["enqueued", self.queue_label(job.queue)] += 1
            case Claim(queue) if isinstance(outcome, Claimed) and outcome.jobs:
                queue = self.queue_label(queue)
                number = len(outcome.jobs)
                current["fetched", queue] += number
                current["waited", queue] += number * now - sum([job.run_at for job in outcome.jobs])
            case Remove(queue, _, run_id) if isinstance(outcome, int):
                queue = self.queue_label(queue)
                current["completed" if run_id else "deleted", queue] += 1
                if run_id:
                    current["taken", queue] += now - outcome
            case Heartbeat(queue) if outcome:
                current["heartbeat", self.queue_label(queue)] += 1
            case Requeue(run) if outcome:
                current["requeue", self.queue_label(run.queue)] += 1
            case Reschedule(job) if outcome:
                current["rescheduled", self.queue_label(job.queue)] += 1
            case Get(queue):
                current["get", self.queue_label(queue)] += 1
            case Exists(queue):
                current["exists", self.queue_label(queue)] += 1
            case Change(queue, _, "remove") if isinstance(outcome, int):
                current["deleted", self.queue_label(queue)] += outcome
            case Purge(queue) if isinstance(outcome, Purged):
                current["deleted", self.queue_label(queue)] += outcome.removed
            case _:
                pass
