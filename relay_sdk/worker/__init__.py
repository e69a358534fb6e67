"""Workers: what takes jobs, runs them, and tells the server what came of each."""

from relay_sdk.worker.execution import AsyncErrorHandler, ErrorHandler
from relay_sdk.worker.tasks import AsyncWorker
from relay_sdk.worker.threads import Worker

__all__ = ["AsyncErrorHandler", "AsyncWorker", "ErrorHandler", "Worker"]
