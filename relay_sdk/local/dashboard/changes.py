"""What a person changes: each request is one operation of a turn, as those of workers are."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from relay_sdk.local import answers, storable
from relay_sdk.local.answers import Refused, Response
from relay_sdk.local.call import Call
from relay_sdk.local.operations import Action, Change, Flow, Purge

from .shapes import Changed, Ids, PurgeAfter, PurgedTo

T = TypeVar("T")

PURGED = 1000
"""Jobs that one request removes of a queue."""


def _read(call: Call, shape: type[T]) -> T:
    # No other site's page can send this type without asking first, and it is not answered then.
    call.check_body()
    try:
        return msgspec.json.decode(call.content, type=shape)
    except msgspec.ValidationError as error:
        raise Refused(422, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"No JSON: {error}") from None


def _change(action: Action) -> Callable[[Call], Flow[Response]]:
    def handle(call: Call) -> Flow[Response]:
        asked = _read(call, Ids)
        ids = sorted({storable.no_nul(id) for id in asked.ids})
        change = Change(storable.no_nul(asked.queue), ids, action)
        changed = (yield from change) if ids else 0
        if changed and action != "remove":
            call.news.ready[asked.queue] += changed
        return as_json(Changed(changed))

    return handle


def _purge(call: Call) -> Flow[Response]:
    asked = _read(call, PurgeAfter)
    after = None if asked.after is None else storable.no_nul(asked.after)
    purged = yield from Purge(storable.no_nul(asked.queue), after, PURGED)
    return as_json(PurgedTo(purged.removed, purged.last))


CHANGES: Mapping[str, Callable[[Call], Flow[Response]]] = {
    "/local/remove": _change("remove"),
    "/local/requeue": _change("requeue"),
    "/local/run-now": _change("run_now"),
    "/local/purge": _purge,
}


def as_json(value: object) -> Response:
    """Answer with a shape."""
    response = answers.json(msgspec.json.encode(value).decode())
    return Response(200, {**response.headers, "cache-control": "no-store"}, response.body)
