"""What can go wrong.

RelayError
├── RetryableError          the SDK retries these, as `retry_backoff` says
│   ├── TransportError      no usable reply: unreachable, timed out, cut off, unreadable
│   └── ServerBusyError     408, 429, 500 and above, or the server's database is down
├── RequestRejectedError    400, 413, 415, 422: the server refuses the request
├── UnexpectedStatusError   any other status that is an error
├── UnsupportedError        the API version of this server cannot do that
├── ClientStateError     the client is closed, or belongs to another process or event loop
├── JobExistsError          409: a job with this id is already in the queue
├── JobNotFoundError        404: there is no such job
├── JobLostError            the job is no longer ours
└── PayloadError            a payload or state does not fit its type

Arguments that can never be right (an empty id, a naive datetime, a negative timeout) raise
`ValueError` or `TypeError`, before anything is sent.
"""

REFUSALS = {429, 503}
"""Statuses of a busy server after which it has surely not acted."""


def printable(text: str) -> str:
    """Escape characters that move the cursor, break the line or reverse the text."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


class RelayError(Exception):
    """The base class of all errors of Relay and this SDK.

    Its text is one line that is safe to print. Errors can be pickled. `sent` tells whether the
    server may have received one of the requests, and carried it out.
    """

    sent: bool = False

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))

    def __reduce__(self) -> tuple[object, ...]:
        # Not through `__init__`, which takes other arguments in most subclasses.
        return RelayError.__new__, (type(self), *self.args), self.__dict__


class RetryableError(RelayError):
    """Base class of the errors that a later attempt may not meet. The SDK retries them itself."""


class TransportError(RetryableError):
    """There was no usable reply, after all the retries that `retry_backoff` allows."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class _StatusError(RelayError):
    """A reply with an error status: `status`, and `message`, which is the server's text."""

    def __init__(self, about: str, status: int, message: str, advice: str = "") -> None:
        text = f"{about}: the server answered {status}"
        text += f": {message}" if message else ", without a message"
        super().__init__(f"{text.rstrip('.')}. {advice}" if advice else text)
        self.status = status
        self.message = message


class ServerBusyError(_StatusError, RetryableError):
    """The server cannot answer now, after all the retries that `retry_backoff` allows.

    `retry_after` is how many seconds the server asks you to wait, or 0.
    """

    def __init__(self, about: str, status: int, message: str, retry_after: float = 0.0) -> None:
        super().__init__(about, status, message, "Try again later")
        self.sent: bool = status not in REFUSALS
        self.retry_after = retry_after


class RequestRejectedError(_StatusError):
    """The server refuses the request, and would refuse it again."""


class UnexpectedStatusError(_StatusError):
    """A status that Relay does not send. Is `base_url` right? Is there a proxy in between?"""


class UnsupportedError(RelayError):
    """The API version of this server cannot do that. Nothing was sent."""


class ClientStateError(RelayError):
    """The client is closed, or its `http_client` belongs to another process or event loop.

    Trying again does not help. Make a client, or an `http_client`, here.
    """


class _JobError(RelayError):
    """An error about one job: `queue` and `id`."""

    def __init__(self, queue: str, id: str, message: str) -> None:
        super().__init__(message)
        self.queue = queue
        self.id = id


class JobExistsError(_JobError):
    """A job with this id is in the queue, waiting or running. Nothing was changed.

    With `sent` it may be this very job: the reply to an earlier attempt was lost, and the job has
    changed since.
    """

    def __init__(self, queue: str, id: str) -> None:
        advice = "use another id, or enqueue with mode 'ignore' or 'replace'"
        super().__init__(queue, id, f"job {id!r} already exists in queue {queue!r}: {advice}")


class JobNotFoundError(_JobError):
    """There is no job with this id in the queue: never enqueued, completed, or deleted."""

    def __init__(self, queue: str, id: str) -> None:
        why = "it was never enqueued, is done, or ran out of retries"
        super().__init__(queue, id, f"job {id!r} not found in queue {queue!r}: {why}")


class JobLostError(_JobError):
    """The job is no longer ours: it was removed, completed, or given to another worker.

    Stop working on it. This helper can no longer change the job.
    """

    def __init__(self, queue: str, id: str, reason: str) -> None:
        super().__init__(queue, id, f"job {id!r} in queue {queue!r} is no longer ours: {reason}")
        self.reason = reason


class PayloadError(_JobError):
    """A payload or state does not fit its declared type, or cannot be written as JSON.

    `raw` is the JSON text that was received, or `None` if the value was not sent yet.
    """

    def __init__(self, queue: str, id: str, what: str, reason: str, raw: bytes | None) -> None:
        super().__init__(queue, id, f"{what} of job {id!r} in queue {queue!r}: {reason}")
        self.raw = raw
