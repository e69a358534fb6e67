"""The jobs that a batch of requests made available, for the long polls that wait for them."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class JobArrivals:
    """How many jobs each queue may have gained by `now`, and when its next job is due."""

    now: int
    ready: Counter[str] = field(default_factory=Counter)
    due: dict[str, int] = field(default_factory=dict)

    def add(self, queue: str, run_at: int) -> None:
        """Add a job that was put into its queue."""
        if run_at <= self.now:
            self.ready[queue] += 1
        else:
            self.due[queue] = min(run_at, self.due.get(queue, run_at))

    def subtract_claimed(self, queue: str, jobs: int, first_left: int | None) -> None:
        """Subtract claimed jobs; `first_left` is the run_at of the first job that is left."""
        rest = self.ready.pop(queue, 0) - jobs
        if first_left is not None and first_left <= self.now:
            self.ready[queue] = max(1, rest)
        elif first_left is not None:
            self.due[queue] = first_left
