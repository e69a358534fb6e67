"""The exceptions that handlers and stores raise to answer a request with an error."""


class RequestError(Exception):
    """The request is refused with this status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


class BackendError(Exception):
    """The database cannot do what the request asks; the route decides the status."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.retryable = retryable


class JobExistsError(Exception):
    """A job with this queue and id exists already."""

    def __init__(self, queue: str, id: str) -> None:
        super().__init__(queue, id)
        self.queue = queue
        self.id = id
