"""What Relay promises, as small as it can be said: jobs in a dict, and time in microseconds."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from attrs import define

Mode = Literal["unique", "ignore", "replace"]
SECOND = 10**6
Key = tuple[str, str]
"""Queue and id."""


class New(NamedTuple):
    """A job as it is enqueued. `run_at` None is now."""

    key: Key
    timeout: int = 30
    max_retries: int | None = None
    payload: Any = 1
    state: Any = None
    run_at: int | None = None


@define
class Row:
    """A job as it is stored."""

    job: New
    run_at: int
    created: int
    updated: int
    left: int | None
    run: str | None = None
    expires: int = 0


class Model:
    """Relay, with the outcome of each operation as its status."""

    def __init__(self, reap_interval: int, now: int) -> None:
        self.rows: dict[Key, Row] = {}
        self.now = now
        self._reap_interval = reap_interval
        self._reaped = now

    def restart(self) -> None:
        self._reaped = self.now

    def reap(self) -> None:
        """Put back or drop what timed out, if it is time."""
        if 0 <= self.now - self._reaped < self._reap_interval:
            return
        self._reaped = self.now
        for key, row in list(self.rows.items()):
            if row.run is None or row.expires >= self.now:
                continue
            if row.left == 0:
                del self.rows[key]
            else:
                row.run = None
                row.left = None if row.left is None else row.left - 1

    def enqueue(self, jobs: Sequence[New], mode: Mode) -> int:
        rows = dict(self.rows)
        for job in jobs:
            there = rows.get(job.key)
            if there is not None and mode == "unique":
                return 409
            if there is None or mode == "replace":
                rows[job.key] = self._row(job, there)
        self.rows = rows
        return 202

    def ready(self, queue: str, limit: int) -> list[Key]:
        """Return the jobs that a claim takes, the earliest first."""
        found = [
            (row.run_at, key)
            for key, row in self.rows.items()
            if key[0] == queue and row.run is None and row.run_at <= self.now
        ]
        return [key for _, key in sorted(found)[:limit]]

    def claim(self, key: Key, run: str) -> None:
        row = self.rows[key]
        row.run, row.updated, row.expires = run, self.now, self.now + row.job.timeout * SECOND

    def heartbeat(self, key: Key, run: str | None, state: Any) -> int:
        row = self.rows.get(key)
        if row is None or row.run is None or run not in (None, row.run):
            return 404
        row.job = row.job._replace(state=state)
        row.updated, row.expires = self.now, self.now + row.job.timeout * SECOND
        return 202

    def reschedule(self, job: New) -> int:
        there = self.rows.get(job.key)
        if there is None or there.run is None:
            return 404
        self.rows[job.key] = self._row(job, there)
        return 202

    def remove(self, key: Key, run: str | None = None) -> int:
        row = self.rows.get(key)
        if row is not None and run in (None, row.run):
            del self.rows[key]
        return 200

    def requeue(self, key: Key, run: str, jobs: Sequence[New], mode: Mode) -> int:
        row = self.rows.get(key)
        if row is None or row.run != run:
            return 202
        del self.rows[key]
        status = self.enqueue(jobs, mode)
        if status == 409:
            self.rows[key] = row
        return status

    def _row(self, job: New, there: Row | None) -> Row:
        return Row(
            job,
            run_at=self.now if job.run_at is None else job.run_at,
            created=self.now if there is None else there.created,
            updated=self.now,
            left=job.max_retries,
        )
