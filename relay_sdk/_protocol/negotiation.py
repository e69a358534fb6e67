"""Which version of the API to speak: believed on evidence only, and forgotten when that turns.

`next` for no jobs tells, and takes none: v2 and the v1 of `relay` refuse the number, `relay-rs` has
no jobs to give. A server without the route answers 404 with an empty body.
"""

from functools import cache
from typing import Literal, TypeAlias

from attrs import define

from relay_sdk._base.flow import Flow, Response
from relay_sdk._base.log import logger
from relay_sdk._protocol.base import Api
from relay_sdk._protocol.request import ApiRequest, Unreadable, nothing
from relay_sdk.exceptions import RetryableError, UnexpectedStatusError

ApiChoice: TypeAlias = Literal["auto", "v1", "v2"]


@define
class Versions:
    """The version that was chosen, or found: once for all who share a client."""

    choice: ApiChoice
    found: Api | None = None
    v2_missing: bool = False
    """Whether v2 was believed, and then missing: some of the servers speak v1 alone."""

    def find(self, about: str, timeout: float | None = None) -> Flow[Api]:
        """Give the version to speak; ask for it once, each question timeout some seconds."""
        found = self.found
        if found is None:
            try:
                found = self.found = yield from self._look(about, timeout)
            except RetryableError as error:
                error.sent = False  # only the question was
                raise
        return found

    def invalidate(self, api: Api, error: UnexpectedStatusError) -> bool:
        """Forget a version whose route is missing; tell whether to look again."""
        if self.choice != "auto" or not _no_route(error):
            return False
        if self.found is api:
            self.found = None
            self.v2_missing = self.v2_missing or api is v2()
            logger.warning("%s Looking for the version of the API again", error)
        return True

    def _look(self, about: str, timeout: float | None) -> Flow[Api]:
        if self.choice != "auto":
            return v1() if self.choice == "v1" else v2()
        if not self.v2_missing:
            try:
                yield from probe(v2(), about).send(timeout)
                return v2()
            except UnexpectedStatusError as error:
                if not _no_route(error):
                    raise
        yield from probe(v1(), about).send(timeout)
        return v1()


def probe(api: Api, about: str) -> ApiRequest[None]:
    """Ask `next` for no jobs: any answer is evidence of that version.

    `about` names the job or queue of the user's call: that is what has failed if this does.
    """
    handlers = {400: _refused} if api is v2() else {204: nothing, 400: _refused}
    return ApiRequest(
        about, api.next_jobs("relay_sdk", 0).call, handlers, retry_backend_errors=True
    )


@cache
def v1() -> Api:
    """API v1. What a version needs is imported when it is spoken."""
    from relay_sdk._protocol import v1

    return v1


@cache
def v2() -> Api:
    """API v2."""
    from relay_sdk._protocol import v2

    return v2


def _refused(reply: Response) -> None:
    if not reply.text.startswith("Failed to deserialize query string"):
        raise Unreadable(f"it should be about num_jobs, and is {reply.text[:200]!r}")


def _no_route(error: UnexpectedStatusError) -> bool:
    return error.status == 404 and not error.message
