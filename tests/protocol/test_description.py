"""The SDK handles everything in the description: each field of a job, each status of an operation.

Replies with jobs are read from bytes, not by the generated models, and the handlers of
statuses are written by hand. So these tests find differences between openapi/relay.yaml and
`relay_sdk/_protocol`.
"""

import datetime
import importlib
import json
from collections.abc import Callable
from types import ModuleType, UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
import pytest
from relay_api.models import JobV1, JobV2
from relay_api.types import Unset

from relay_sdk import RelayError, RequestRejectedError, ServerBusyError
from relay_sdk._base.flow import Request, Response
from relay_sdk._protocol import v1, v2
from relay_sdk._protocol.request import ApiRequest
from relay_sdk.job import RawJob

from ..test_description import OPERATIONS, examples

READ = get_type_hints(RawJob)
READ_AS = {Any: msgspec.Raw, datetime.datetime: datetime.datetime | None}
"""The types of RawJob: JSON stays text, and a date that Python cannot represent is `None`."""


def bare(hint: Any) -> Any:
    """Return a type without its bounds: `Int32 | None` is `int | None`."""
    if hint is Unset:
        return None
    if get_origin(hint) is Annotated:
        return get_args(hint)[0]
    if isinstance(hint, UnionType) or len(get_args(hint)) > 1:
        first, *rest = map(bare, get_args(hint))
        for other in rest:
            first |= other
        return first
    return hint


def fields(model: type) -> dict[str, Any]:
    """Return the fields of a generated model with the types that RawJob must have."""
    hints = get_type_hints(model).items()
    return {name: READ_AS.get(hint, bare(hint)) for name, hint in hints}


@pytest.mark.parametrize("name", sorted({*READ, *fields(JobV2), *fields(JobV1)}))
def test_raw_job_fields_match_the_description(name: str) -> None:
    on_v1, on_v2 = (fields(model).get(name, "not described") for model in (JobV1, JobV2))
    read = bare(READ[name]) if name in READ else "not read"

    assert read == on_v2, (
        f"{name}: RawJob in relay_sdk/_protocol/models.py, and JobV2 in openapi/relay.yaml"
    )
    if on_v1 == "not described":
        optional = name in RawJob.__struct_fields__[-len(RawJob.__struct_defaults__) :]
        assert optional, f"{name}: JobV1 does not have it, so it needs a default in RawJob"
    else:
        # A number that is negative without limit on v1, and null on v2.
        assert on_v1 in (read, *get_args(read)), f"{name}: RawJob, and JobV1 in openapi/relay.yaml"


RUN = RawJob(
    queue="emails",
    id="welcome-1",
    timeout=30,
    max_retries=3,
    payload=msgspec.Raw(b"1"),
    state=msgspec.Raw(b"null"),
    run_at=None,
    run_id=UUID("0b7ce8cb-1a71-4b0e-9d57-4a2a3bd4a4b9"),
)
KEY = ("emails", "welcome-1")

REQUESTS: dict[str, ApiRequest[Any]] = {
    "enqueue_v1": v1.enqueue([RUN], "unique"),
    "reschedule_v1": v1.requeue(RUN, [RUN], "replace"),
    "next_v1": v1.next_jobs("emails", 10),
    "exists_v1": v1.exists(*KEY),
    "get_v1": v1.get(*KEY),
    "heartbeat_v1": v1.heartbeat(RUN, RUN.state),
    "remove_v1": v1.remove(*KEY),
    "enqueue_v2": v2.enqueue([RUN], "unique"),
    "next_v2": v2.next_jobs("emails", 10),
    "exists_v2": v2.exists(*KEY),
    "get_v2": v2.get(*KEY),
    "remove_v2": v2.remove(*KEY),
    "heartbeat_v2": v2.heartbeat(RUN, RUN.state),
    "complete_v2": v2.complete(RUN),
    "requeue_v2": v2.requeue(RUN, [RUN], "unique"),
}

REFUSED = {400, 413, 415, 422, 429, 500, 503}
"""The statuses that mean the same everywhere: the request is rejected, or the server is busy."""

REFUSALS: dict[str, set[int]] = {
    "enqueue_v1": {400, 413, 415, 422, 429},
    "reschedule_v1": {400, 413, 415, 422, 429},
    "next_v1": {400, 429, 500},
    "exists_v1": {400, 422, 429},
    "get_v1": {400, 422, 429},
    "heartbeat_v1": {400, 422, 429},
    "remove_v1": {400, 422, 429},
    "enqueue_v2": {400, 413, 415, 422, 503},
    "next_v2": {400, 500, 503},
    "exists_v2": {400, 422, 503},
    "get_v2": {400, 422, 503},
    "remove_v2": {400, 422, 503},
    "heartbeat_v2": {400, 422, 503},
    "complete_v2": {400, 422, 503},
    "requeue_v2": {400, 413, 415, 422, 503},
}


def endpoint(name: str) -> ModuleType:
    return importlib.import_module(f"relay_api.api.{name[-2:]}.{name}")


def test_every_described_operation_has_a_request() -> None:
    described = {name for name, (_, path, _) in OPERATIONS.items() if path != "/health"}
    assert described == REQUESTS.keys(), (
        "an operation without a function in relay_sdk/_protocol, or twice"
    )


@pytest.mark.parametrize("name", REQUESTS)
def test_every_documented_status_has_a_handler(name: str) -> None:
    meant = REQUESTS[name].handlers.keys() | REFUSALS[name]
    documented = endpoint(name).REPLIES.keys()
    assert meant - documented == set(), f"{name}: statuses that relay.yaml does not have there"
    assert documented - meant == set(), f"{name}: statuses without a handler in relay_sdk/_protocol"


def documented() -> list[Any]:
    """Return every example of a reply, or an empty one for a status without content."""
    return [
        pytest.param(name, int(status), example, id=f"{name}-{status}-{number}")
        for name in REQUESTS
        for status, reply in OPERATIONS[name][2]["responses"].items()
        for number, example in enumerate(
            [
                example.encode() if media_type == "text/plain" else json.dumps(example).encode()
                for media_type, content in reply.get("content", {}).items()
                for example in examples(content)
            ]
            or [b""]
        )
    ]


@pytest.mark.parametrize(("name", "status", "content"), documented())
def test_every_documented_reply_is_handled(name: str, status: int, content: bytes) -> None:
    of_run = content.replace(b'"reports"', b'"emails"').replace(b'"report-7"', b'"welcome-1"')
    outcome = ask(REQUESTS[name], Response(status, {}, of_run))

    if status in REFUSED:
        assert isinstance(outcome, RequestRejectedError | ServerBusyError)
    elif isinstance(outcome, RelayError):
        # The job exists, does not exist, or is lost.
        assert type(outcome).__name__ in ("JobExistsError", "JobNotFoundError", "JobLostError")
    else:
        assert status < 300


def ask(request: ApiRequest[Any], reply: Response) -> Any:
    flow = request.send()
    assert isinstance(next(flow), Request)
    send: Callable[[Response], Any] = flow.send
    try:
        send(reply)
    except StopIteration as done:
        return done.value
    except RelayError as error:
        return error
    raise AssertionError("a request asks once")
