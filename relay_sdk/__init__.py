"""A typed client for Relay, the HTTP job server."""

from importlib import import_module
from typing import TYPE_CHECKING

from relay_sdk.backoff import Backoff
from relay_sdk.codec import Codec
from relay_sdk.exceptions import (
    JobExistsError,
    JobLostError,
    JobNotFoundError,
    PayloadError,
    RelayError,
    RequestRejectedError,
    ServerBusyError,
    TransportError,
    UnexpectedStatusError,
    UnsupportedError,
    UnusableClientError,
)
from relay_sdk.job import EnqueueMode, Job, Queue, RawJob
from relay_sdk.schedule import Cron, Every, Missed, Recurring, Schedule

if TYPE_CHECKING:
    from relay_sdk._policy import ApiChoice
    from relay_sdk.client import AsyncClient, Client
    from relay_sdk.events import Event, JobEvent, RequestEvent
    from relay_sdk.helper import AsyncJobHelper, JobHelper
    from relay_sdk.worker import AsyncReport, AsyncWorker, Report, Worker
else:
    # Who declares queues needs no httpx, and who enqueues jobs no worker.
    _LATER = {
        "_policy": ("ApiChoice",),
        "client": ("AsyncClient", "Client"),
        "events": ("Event", "JobEvent", "RequestEvent"),
        "helper": ("AsyncJobHelper", "JobHelper"),
        "worker": ("AsyncReport", "AsyncWorker", "Report", "Worker"),
    }

    def __getattr__(name: str) -> object:
        for module, names in _LATER.items():
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
    "AsyncJobHelper",
    "AsyncReport",
    "AsyncWorker",
    "Backoff",
    "Client",
    "Codec",
    "Cron",
    "EnqueueMode",
    "Event",
    "Every",
    "Job",
    "JobEvent",
    "JobExistsError",
    "JobHelper",
    "JobLostError",
    "JobNotFoundError",
    "Missed",
    "PayloadError",
    "Queue",
    "RawJob",
    "Recurring",
    "RelayError",
    "Report",
    "RequestEvent",
    "RequestRejectedError",
    "Schedule",
    "ServerBusyError",
    "TransportError",
    "UnexpectedStatusError",
    "UnsupportedError",
    "UnusableClientError",
    "Worker",
]
