"""Run the handler of one request around the operation that it needs."""

import logging
from typing import Any

from . import responses
from .arrivals import JobArrivals
from .context import RequestContext
from .exceptions import BackendError, JobExistsError, RequestError
from .operations import Operation
from .request import Request
from .responses import Response
from .routes import RouteMatch, backend_error

log: logging.Logger = logging.getLogger("relay_sdk.local")


class HandlerRun:
    """A handler that has started: either it needs its operation, or its response is ready."""

    __slots__ = ("_handler", "_request", "operation", "response")

    def __init__(self, request: Request, match: RouteMatch, arrivals: JobArrivals) -> None:
        self._request = request
        self.operation: Operation[Any] | None = None
        self.response: Response = responses.server_error()
        context = RequestContext(
            arrivals=arrivals,
            is_long_poll=request.is_long_poll,
            client_gone=request.client_gone,
            path=match.path,
            query=match.query,
            content_type=request.headers.get("content-type", ""),
            content=request.body,
        )
        self._handler = match.handler(context)
        self.operation = self._advance(None)

    def resume(self, outcome: object) -> None:
        """Resume the handler with the result of its operation, which may be an exception."""
        if self._advance(outcome) is not None:
            log.error(
                "The handler of %s asked for a second operation, which was not executed",
                ascii(self._request.target),
            )

    def _advance(self, outcome: object) -> Operation[Any] | None:
        """Return the next operation of the handler, or keep its response and return None."""
        try:
            if isinstance(outcome, Exception):
                return self._handler.throw(outcome)
            return self._handler.send(outcome)
        except StopIteration as end:
            self.response = end.value
        except RequestError as error:
            self.response = responses.plain(error.status, error.text)
        except JobExistsError as conflict:
            self.response = responses.plain(
                409,
                f"job with id `{conflict.id}` already exists in queue `{conflict.queue}`.",
            )
        except BackendError as error:
            self.response = backend_error(self._request.target, error)
        except Exception:
            log.exception("Cannot answer %s %s", self._request.method, ascii(self._request.target))
        return None
