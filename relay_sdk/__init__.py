"""A typed client of Relay, the HTTP job server."""

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
)
from relay_sdk.helper import AsyncJobHelper, JobHelper
from relay_sdk.job import EnqueueMode, Job, Queue, RawJob

__all__ = [
    "AsyncClient",
    "AsyncJobHelper",
    "Backoff",
    "Client",
    "Codec",
    "EnqueueMode",
    "Job",
    "JobExistsError",
    "JobHelper",
    "JobLostError",
    "JobNotFoundError",
    "PayloadError",
    "Queue",
    "RawJob",
    "RelayError",
    "RequestRejectedError",
    "ServerBusyError",
    "TransportError",
    "UnexpectedStatusError",
    "UnsupportedError",
]
