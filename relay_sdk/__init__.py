"""A typed client for Relay, the HTTP job server."""

from relay_sdk._policy import ApiChoice
from relay_sdk.backoff import Backoff
from relay_sdk.client import AsyncClient, Client
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
from relay_sdk.helper import AsyncJobHelper, JobHelper
from relay_sdk.job import EnqueueMode, Job, Queue, RawJob
from relay_sdk.schedule import Cron, Every, Missed, Recurring, Schedule
from relay_sdk.worker import AsyncReport, AsyncWorker, Report, Worker

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
    "Every",
    "Job",
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
    "RequestRejectedError",
    "Schedule",
    "ServerBusyError",
    "TransportError",
    "UnexpectedStatusError",
    "UnsupportedError",
    "UnusableClientError",
    "Worker",
]
