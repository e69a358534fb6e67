"""What this server has done: since it started, and in the last minutes."""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

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

if TYPE_CHECKING:
    from .routes import Found

What = Literal[
    "enqueued", "fetched", "waited", "heartbeat", "completed", "taken", "deleted", "requeue",
    "rescheduled", "get", "exists", "retries", "dropped",
]  # fmt: skip
"""Jobs, but for `waited` and `taken`: microseconds from run_at until fetched, and completed."""

Key: TypeAlias = tuple[What, str]

STEP = 10
"""Seconds that are counted together."""

STEPS = 90
"""How many of them are remembered."""

NAMES = 1000
"""Queues that are counted by name."""

OF_JOBS = {"enqueued", "completed", "retries"}
"""What is counted for a job that was there."""

OTHERS = "(others)"
"""Stands for all further queues."""

TURN_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5)
"""Seconds; turns are counted by the first bound that they did not exceed."""


class Asked(NamedTuple):
    """What requests have in common."""

    version: str
    handler: Callable[..., object]
    queue: str | None


class Counts:
    """Safe to share between threads; a moment is in microseconds, as the turns have it."""

    def __init__(self) -> None:
        self.turns: list[int] = [0] * (len(TURN_BOUNDS) + 1)
        self.turn_seconds: float = 0.0
        self.requests: Counter[Asked] = Counter()
        self.errors: Counter[tuple[Asked, int]] = Counter()
        """With the status that was answered."""
        self._lock = Lock()
        self._names: set[str] = set()
        self._totals: Counter[Key] = Counter()
        self._steps: deque[tuple[int, Counter[Key]]] = deque()
        self._step = 0
        self._current: Counter[Key] = Counter()

    def name(self, queue: str) -> str:
        """Give the name by which a queue is counted; any client can make up a new one."""
        if queue in self._names:
            return queue
        if len(self._names) >= NAMES:
            return OTHERS
        self._names.add(queue)
        return queue

    def request(self, target: str, found: "Found") -> None:
        """Count a request when it comes; always in the same thread."""
        self.requests[self._asked(target, found)] += 1

    def error(self, target: str, found: "Found", status: int) -> None:
        """Count an answer that is an error, with the turns' lock."""
        if target.startswith("/v"):
            self.errors[self._asked(target, found), status] += 1

    def _asked(self, target: str, found: "Found") -> Asked:
        queue = found.path.get("queue")
        return Asked(target[1:3], found.handler, None if queue is None else self.name(queue))

    def turn(self, now: int, seconds: float, done: Iterable[tuple[Operation[Any], object]]) -> None:
        """Count the operations of a turn, each with its outcome."""
        with self._lock:
            self.turns[bisect_left(TURN_BOUNDS, seconds)] += 1
            self.turn_seconds += seconds
            self._go_to(now)
            for operation, outcome in done:
                if not isinstance(outcome, Exception):
                    self._count(operation, outcome, now)

    def reaped(self, now: int, dropped: Iterable[str], requeued: Iterable[str]) -> None:
        """Count jobs that timed out, by their queues."""
        with self._lock:
            self._go_to(now)
            self._current.update(("dropped", self.name(queue)) for queue in dropped)
            self._current.update(("retries", self.name(queue)) for queue in requeued)

    def totals(self) -> Counter[Key]:
        """Give all counts since the start."""
        with self._lock:
            return self._totals + self._current

    def last_minute(self, now: int) -> Counter[Key]:
        """Count what was done in the last minute; the oldest of its steps counts by its part."""
        with self._lock:
            self._go_to(now)
            minute = self._current.copy()
            first = self._step - 60 // STEP
            part = 1 - now / 10**6 % STEP / STEP
            for step, counts in self._steps:
                if step > first:
                    minute.update(counts)
                elif step == first:
                    minute.update({key: round(count * part) for key, count in counts.items()})
            return minute

    def series(self, now: int, what: What, queue: str | None) -> list[int]:
        """Give the counts of all remembered steps, the current one last."""
        with self._lock:
            self._go_to(now)
            counted = [0] * STEPS
            for step, counts in (*self._steps, (self._step, self._current)):
                at = step - self._step + STEPS - 1
                if 0 <= at < STEPS and queue is None:
                    counted[at] = sum(n for (kind, _), n in counts.items() if kind == what)
                elif 0 <= at < STEPS:
                    counted[at] = counts[what, queue] if queue is not None else 0
            return counted

    def seen(self, now: int) -> set[str]:
        """Name the queues that had jobs lately: to ask for one that is not there is not enough."""
        with self._lock:
            self._go_to(now)
            every = [*(counts for _, counts in self._steps), self._current]
            return {queue for counts in every for kind, queue in counts if kind in OF_JOBS}

    def _go_to(self, now: int) -> None:
        step = now // (STEP * 10**6)
        if step > self._step:  # a clock that was set back counts on in the same step
            if self._current:
                self._totals.update(self._current)
                self._steps.append((self._step, self._current))
                self._current = Counter()
            self._step = step
            while self._steps and self._steps[0][0] <= step - STEPS:
                self._steps.popleft()

    def _count(self, operation: Operation[Any], outcome: object, now: int) -> None:
        current = self._current
        match operation:
            case Enqueue(jobs):
                for job in jobs:
                    current["enqueued", self.name(job.queue)] += 1
            case Claim(queue) if isinstance(outcome, Claimed) and outcome.jobs:
                queue = self.name(queue)
                number = len(outcome.jobs)
                current["fetched", queue] += number
                current["waited", queue] += number * now - sum([job.run_at for job in outcome.jobs])
            case Remove(queue, _, run_id) if isinstance(outcome, int):
                queue = self.name(queue)
                current["completed" if run_id else "deleted", queue] += 1
                if run_id:
                    current["taken", queue] += now - outcome
            case Heartbeat(queue) if outcome:
                current["heartbeat", self.name(queue)] += 1
            case Requeue(run) if outcome:
                current["requeue", self.name(run.queue)] += 1
            case Reschedule(job) if outcome:
                current["rescheduled", self.name(job.queue)] += 1
            case Get(queue):
                current["get", self.name(queue)] += 1
            case Exists(queue):
                current["exists", self.name(queue)] += 1
            case Change(queue, _, "remove") if isinstance(outcome, int):
                current["deleted", self.name(queue)] += outcome
            case Purge(queue) if isinstance(outcome, Purged):
                current["deleted", self.name(queue)] += outcome.removed
            case _:
                pass
