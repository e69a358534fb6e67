"""Jobs to the server in batches, and an honest count of what became of them."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Self

from msgspec import Raw

from relay_sdk.cli.records import Record
from relay_sdk.client import Client
from relay_sdk.exceptions import JobExistsError, UnsupportedError
from relay_sdk.job import Job

BATCH_BYTES = 1024 * 1024
"""Half of what a request may have, so that what is added to a record has room too."""
LOOKS = 8
"""Look-ups at a time."""


def batches(records: Iterable[Record], most: int) -> Iterator[list[Record]]:
    """Group records into requests, of one transaction each."""
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


class Sender:
    """Enqueues, leaves jobs that exist as they are, and counts.

    The server tells which jobs are new by refusing a batch with one that is not; only then they
    are looked up one by one. API v1 does not tell.
    """

    def __init__(self, relay: Client, queue: str, count: bool) -> None:
        self.accepted: int = 0
        self.existing: int = 0
        self.untold: int = 0
        self.last: str | None = None
        """Where the last record stands that the server has acknowledged."""
        self._relay = relay
        self._queue = queue
        self._count = count
        self._looks = ThreadPoolExecutor(LOOKS, "relay_sdk look-up")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._looks.shutdown(cancel_futures=True)

    @property
    def total(self) -> int:
        return self.accepted + self.existing + self.untold

    def send(self, jobs: Sequence[Job[Raw, Raw]]) -> None:
        """Enqueue a batch. The first of several jobs of one id is the one."""
        fresh = dict[str, Job[Raw, Raw]]()
        for job in jobs:
            fresh.setdefault(job.id, job)
        if self._send_counted(fresh):
            self.accepted += len(fresh)
            self.existing += len(jobs) - len(fresh)
        else:
            self._relay.enqueue_batch(list(fresh.values()))
            self.untold += len(jobs)

    def _send_counted(self, fresh: dict[str, Job[Raw, Raw]]) -> bool:
        """Enqueue jobs and leave the new ones in `fresh`; false when that cannot be told."""
        if not self._count:
            return False
        try:
            self._relay.enqueue_batch(list(fresh.values()), mode="unique")
        except UnsupportedError:
            self._count = False
            return False
        except JobExistsError:
            ids = list(fresh)
            there = self._looks.map(partial(self._relay.exists, self._queue), ids)
            for id, exists in zip(ids, there, strict=True):
                if exists:
                    del fresh[id]
            self._relay.enqueue_batch(list(fresh.values()))
        return True

    def summary(self) -> str:
        """Say what became of the jobs."""
        parts = list[str]()
        if self.accepted or self.existing or not self.untold:
            parts.append(f"{self.accepted:,} accepted, {self.existing:,} existing")
        if self.untold:
            parts.append(f"{self.untold:,} sent (how many existed was not found out)")
        return ", ".join(parts)
