"""The handlers for changes on the dashboard: each request is one operation of a batch."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from relay_sdk.local import responses, validation
from relay_sdk.local.context import RequestContext
from relay_sdk.local.exceptions import RequestError
from relay_sdk.local.operations import Action, Change, Flow, Purge
from relay_sdk.local.responses import Response

from .shapes import Changed, Ids, PurgeAfter, PurgedTo

T = TypeVar("T")

PURGE_LIMIT = 1000
"""Jobs of a queue that one request removes."""


def _parse(context: RequestContext, shape: type[T]) -> T:
    # A page of another site cannot send this type without a preflight, which is refused.
    context.check_body()
    try:
        return msgspec.json.decode(context.content, type=shape)
    except msgspec.ValidationError as error:
        raise RequestError(422, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(400, f"not JSON: {error}") from None


def _change(action: Action) -> Callable[[RequestContext], Flow[Response]]:
    def handle(context: RequestContext) -> Flow[Response]:
        body = _parse(context, Ids)
        ids = sorted({validation.check_no_nul(id) for id in body.ids})
        change = Change(validation.check_no_nul(body.queue), ids, action)
        changed = (yield from change) if ids else 0
        if changed and action != "remove":
            context.arrivals.ready[body.queue] += changed
        return json_response(Changed(changed))

    return handle


def _purge(context: RequestContext) -> Flow[Response]:
    body = _parse(context, PurgeAfter)
    after = None if body.after is None else validation.check_no_nul(body.after)
    purged = yield from Purge(validation.check_no_nul(body.queue), after, PURGE_LIMIT)
    return json_response(PurgedTo(purged.removed, purged.last))


CHANGES: Mapping[str, Callable[[RequestContext], Flow[Response]]] = {
    "/local/remove": _change("remove"),
    "/local/requeue": _change("requeue"),
    "/local/run-now": _change("run_now"),
    "/local/purge": _purge,
}


def json_response(value: object) -> Response:
    """Return a response with one of the shapes."""
    response = responses.json(msgspec.json.encode(value).decode())
    return Response(200, {**response.headers, "cache-control": "no-store"}, response.body)
