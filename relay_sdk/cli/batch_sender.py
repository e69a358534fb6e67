"""Send jobs to the server in batches, and count how many were new."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Self

from msgspec import Raw

from relay_sdk.cli.input_reader import Record
from relay_sdk.client import Client
from relay_sdk.exceptions import JobExistsError, UnsupportedError
from relay_sdk.job import Job

BATCH_BYTES = 1024 * 1024
"""Half the limit of a request, which leaves room for the fields that are added to each record."""
PARALLEL_LOOKUPS = 8


def batches(records: Iterable[Record], most: int) -> Iterator[list[Record]]:
    """Group records into batches, each of which is one request and one transaction."""
    batch: list[Record] = []
    size = 0
    for record in records:
        if batch and (len(batch) == most or size + len(record.text) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record.text)
    if batch:
        yield batch


class BatchSender:
    """Enqueues batches and counts. Jobs that already exist are not changed.

    The server refuses a batch of mode "unique" if any of its jobs exists; only then is each job
    looked up, and the new ones are sent. API v1 has no such mode, so nothing is counted there.
    """

    def __init__(self, relay: Client, queue: str, count: bool) -> None:
        self.accepted: int = 0
        self.existing: int = 0
        self.uncounted: int = 0
        self.last_position: str | None = None
        """The position of the last record that the server has acknowledged."""
        self._relay = relay
        self._queue = queue
        self._count = count
        self._lookups = ThreadPoolExecutor(PARALLEL_LOOKUPS, "relay_sdk look-up")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lookups.shutdown(cancel_futures=True)

    @property
    def total(self) -> int:
        return self.accepted + self.existing + self.uncounted

    def send(self, jobs: Sequence[Job[Raw, Raw]]) -> None:
        """Enqueue a batch. Of several jobs with one id, only the first is sent."""
        fresh = dict[str, Job[Raw, Raw]]()
        for job in jobs:
            fresh.setdefault(job.id, job)
        if self._send_counted(fresh):
            self.accepted += len(fresh)
            self.existing += len(jobs) - len(fresh)
        else:
            self._relay.enqueue_batch(list(fresh.values()))
            self.uncounted += len(jobs)

    def _send_counted(self, fresh: dict[str, Job[Raw, Raw]]) -> bool:
        """Enqueue jobs and keep only the new ones in `fresh`. Return whether they were counted."""
        if not self._count:
            return False
        try:
            self._relay.enqueue_batch(list(fresh.values()), mode="unique")
        except UnsupportedError:
            self._count = False
            return False
        except JobExistsError:
            ids = list(fresh)
            there = self._lookups.map(partial(self._relay.exists, self._queue), ids)
            for id, exists in zip(ids, there, strict=True):
                if exists:
                    del fresh[id]
            self._relay.enqueue_batch(list(fresh.values()))
        return True

    def summary(self) -> str:
        """Return the counts as text."""
        parts = list[str]()
        if self.accepted or self.existing or not self.uncounted:
            parts.append(f"{self.accepted:,} accepted, {self.existing:,} existing")
        if self.uncounted:
            parts.append(f"{self.uncounted:,} sent (existing jobs not counted)")
        return ", ".join(parts)
