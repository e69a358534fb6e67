"""Detect the version of the API that the server has.

A version is believed on evidence only, and forgotten when a route of it is missing. The evidence is
the reply to `next` for no jobs, which claims none: v2, and v1 of `relay`, refuse the number, and
`relay-rs` returns no jobs. A server without the route answers 404 with an empty body.
"""

from functools import cache
from typing import Literal, TypeAlias

from attrs import define

from relay_sdk._base.flow import Flow, Response
from relay_sdk._base.log import logger
from relay_sdk._protocol.base import Api
from relay_sdk._protocol.request import ApiRequest, UnexpectedReplyError, expect_empty
from relay_sdk.exceptions import RetryableError, UnexpectedStatusError

ApiChoice: TypeAlias = Literal["auto", "v1", "v2"]


@define
class VersionNegotiator:
    """The API version that was chosen or detected, shared by everything that uses one client."""

    choice: ApiChoice
    negotiated: Api | None = None
    """The version in use, or `None` before the first request and after `invalidate`."""
    v2_missing: bool = False
    """Whether v2 was detected, and then missing: some of the servers have only v1."""

    def negotiate(self, description: str, timeout: float | None = None) -> Flow[Api]:
        """Return the version to use; probe the server unless the version is known.

        `timeout` bounds each probe, in seconds. `description` names the job or queue in errors.
        """
        api = self.negotiated
        if api is None:
            try:
                api = self.negotiated = yield from self._detect(description, timeout)
            except RetryableError as error:
                # Only a probe was sent, so the user's request had no effect.
                error.sent = False
                raise
        return api

    def invalidate(self, api: Api, error: UnexpectedStatusError) -> bool:
        """Forget a version whose route is missing; return whether to negotiate again."""
        if self.choice != "auto" or not _is_missing_route(error):
            return False
        # Another thread or task may have negotiated again already.
        if self.negotiated is api:
            self.negotiated = None
            self.v2_missing = self.v2_missing or api is v2()
            logger.warning("%s Detecting the API version again", error)
        return True

    def _detect(self, description: str, timeout: float | None) -> Flow[Api]:
        if self.choice != "auto":
            return v1() if self.choice == "v1" else v2()
        if not self.v2_missing:
            try:
                yield from probe(v2(), description).send(timeout)
                return v2()
            except UnexpectedStatusError as error:
                if not _is_missing_route(error):
                    raise
        yield from probe(v1(), description).send(timeout)
        return v1()


def probe(api: Api, description: str) -> ApiRequest[None]:
    """Return a `next` for no jobs, which succeeds only if the server has this version.

    `description` names the job or queue of the user's request, which fails if the probe does.
    """
    handlers = {400: _expect_refusal}
    if api is not v2():
        handlers[204] = expect_empty
    request = api.next_jobs("relay_sdk", 0).request
    return ApiRequest(description, request, handlers, retry_backend_errors=True)


@cache
def v1() -> Api:
    """Return API v1, which is imported when it is first used."""
    from relay_sdk._protocol import v1

    return v1


@cache
def v2() -> Api:
    """Return API v2, which is imported when it is first used."""
    from relay_sdk._protocol import v2

    return v2


def _expect_refusal(reply: Response) -> None:
    if not reply.text.startswith("Failed to deserialize query string"):
        raise UnexpectedReplyError(f"expected an error about num_jobs, got {reply.text[:200]!r}")


def _is_missing_route(error: UnexpectedStatusError) -> bool:
    return error.status == 404 and not error.message
