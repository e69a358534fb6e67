"""Workers claim jobs, run their handlers, and report the outcomes to the server."""

from relay_sdk.worker.execution import AsyncErrorHandler, ErrorHandler
from relay_sdk.worker.tasks import AsyncWorker
from relay_sdk.worker.threads import Worker

__all__ = ["AsyncErrorHandler", "AsyncWorker", "ErrorHandler", "Worker"]
