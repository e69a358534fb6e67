"""A typed client for Relay, the HTTP job server."""

from importlib import import_module
from typing import TYPE_CHECKING

from relay_sdk.backoff import Backoff
from relay_sdk.codec import Codec
from relay_sdk.exceptions import (
    ClientStateError,
    JobExistsError,
    JobLostError,
    JobNotFoundError,
    PayloadError,
    RelayError,
    RequestRejectedError,
    RetryableError,
    ServerBusyError,
    TransportError,
    UnexpectedStatusError,
    UnsupportedError,
)
from relay_sdk.job import EnqueueMode, Job, Queue, RawJob
from relay_sdk.schedule import Cron, Every, MissedRuns, RRule, Schedule

if TYPE_CHECKING:
    from relay_sdk._engine.config import ApiChoice
    from relay_sdk.client import AsyncClient, Client
    from relay_sdk.events import Event, JobEvent, RequestEvent
    from relay_sdk.helper import AsyncJobHelper, JobHelper
    from relay_sdk.worker import AsyncErrorHandler, AsyncWorker, ErrorHandler, Worker
else:
    # Imported at first use: a module that declares queues does not load httpx, and a program that
    # enqueues jobs does not load the worker.
    _LAZY = {
        "_engine.config": ("ApiChoice",),
        "client": ("AsyncClient", "Client"),
        "events": ("Event", "JobEvent", "RequestEvent"),
        "helper": ("AsyncJobHelper", "JobHelper"),
        "worker": ("AsyncErrorHandler", "AsyncWorker", "ErrorHandler", "Worker"),
    }

    def __getattr__(name: str) -> object:
        for module, names in _LAZY.items():
            if name in names:
                value = getattr(import_module(f"{__name__}.{module}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "ApiChoice",
    "AsyncClient",
    "AsyncErrorHandler",
    "AsyncJobHelper",
    "AsyncWorker",
    "Backoff",
    "Client",
    "ClientStateError",
    "Codec",
    "Cron",
    "EnqueueMode",
    "ErrorHandler",
    "Event",
    "Every",
    "Job",
    "JobEvent",
    "JobExistsError",
    "JobHelper",
    "JobLostError",
    "JobNotFoundError",
    "MissedRuns",
    "PayloadError",
    "Queue",
    "RRule",
    "RawJob",
    "RelayError",
    "RequestEvent",
    "RequestRejectedError",
    "RetryableError",
    "Schedule",
    "ServerBusyError",
    "TransportError",
    "UnexpectedStatusError",
    "UnsupportedError",
    "Worker",
]
