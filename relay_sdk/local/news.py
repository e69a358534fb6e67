"""What a turn of requests did that may interest who waits for jobs."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class News:
    """How many jobs each queue may have gained at this moment, and when the next one is due."""

    now: int
    ready: Counter[str] = field(default_factory=Counter)
    due: dict[str, int] = field(default_factory=dict)

    def job(self, queue: str, run_at: int) -> None:
        """Tell of a job that is in its queue."""
        if run_at <= self.now:
            self.ready[queue] += 1
        else:
            self.due[queue] = min(run_at, self.due.get(queue, run_at))

    def claimed(self, queue: str, jobs: int, first: int | None) -> None:
        """Tell of jobs that were taken, and of the run_at of the first that is left."""
        rest = self.ready.pop(queue, 0) - jobs
        if first is not None and first <= self.now:
            self.ready[queue] = max(1, rest)
        elif first is not None:
            self.due[queue] = first
