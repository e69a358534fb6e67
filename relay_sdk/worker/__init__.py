"""Workers: what takes jobs, runs them, and tells the server what came of each."""

from relay_sdk.worker._outcome import AsyncReport, Report
from relay_sdk.worker._tasks import AsyncWorker
from relay_sdk.worker._threads import Worker

__all__ = ["AsyncReport", "AsyncWorker", "Report", "Worker"]
