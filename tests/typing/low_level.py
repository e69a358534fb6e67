"""The generated functions give what the description says, and nothing unknown."""

from typing import assert_type
from uuid import UUID

from relay_api import AuthenticatedClient, Client
from relay_api.api.v1 import get_v1
from relay_api.api.v2 import enqueue_v2, get_v2, heartbeat_v2, next_v2
from relay_api.models import JobV1, JobV2, NewJobV2
from relay_api.types import Request, Response


def blocking(client: Client, run_id: UUID) -> None:
    assert_type(next_v2.sync("q", client=client, num_jobs=2), list[JobV2] | str | None)
    assert_type(next_v2.sync_detailed("q", client=client), Response[list[JobV2] | str])
    assert_type(next_v2.sync_detailed("q", client=client).status_code, int)
    assert_type(get_v2.sync("q", "x", client=client), JobV2 | str | None)
    assert_type(heartbeat_v2.sync("q", "x", run_id, client=client, body=1), str | None)

    job = NewJobV2(queue="q", id="x", timeout=30, payload=1)
    enqueue_v2.sync(client=client, body=[job], mode="ignore")
    enqueue_v2.sync(client=client, body=[job], mode="drop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def awaited(client: AuthenticatedClient) -> None:
    assert_type(await get_v1.asyncio("q", "x", client=client), JobV1 | str | None)
    assert_type(await get_v1.asyncio_detailed("q", "x", client=client), Response[JobV1 | str])


def without_io() -> None:
    request = next_v2.build_request("q", num_jobs=2)
    assert_type(request, Request)
    assert_type(request.target, str)
    assert_type(request.content, bytes | None)
    next_v2.build_request("q", limit=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
