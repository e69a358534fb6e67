from typing import Any
from uuid import UUID

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.enqueue_mode import EnqueueMode
from ...models.new_job_v2 import NewJobV2
from ...types import UNSET, Request, Response, Unset, segment

REPLIES: dict[int, object] = {
    202: None,
    400: str,
    409: str,
    413: str,
    415: str,
    422: str,
    503: str,
}
"""The documented statuses, and what the content is with each."""


def build_request(
    queue: str,
    id: str,
    run_id: UUID,
    *,
    body: list[NewJobV2],
    mode: EnqueueMode | Unset = "unique",
) -> Request:
    """Build the request, for a way of one's own to send it."""

    headers: dict[str, Any] = {}

    params: dict[str, Any] = {}

    json_mode: str | Unset = UNSET
    if not isinstance(mode, Unset):
        json_mode = mode

    params["mode"] = json_mode

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "PUT",
        "url": "/v2/queues/{queue}/jobs/{id}/run-id/{run_id}".format(
            queue=segment(queue),
            id=segment(id),
            run_id=segment(run_id),
        ),
        "params": params,
    }

    _kwargs["json"] = []
    for body_item_data in body:
        body_item = body_item_data.to_dict()
        _kwargs["json"].append(body_item)

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return Request(**_kwargs)


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> str | None:
    if response.status_code == 202:
        return None

    if response.status_code == 400:
        response_400 = response.text
        return response_400

    if response.status_code == 409:
        response_409 = response.text
        return response_409

    if response.status_code == 413:
        response_413 = response.text
        return response_413

    if response.status_code == 415:
        response_415 = response.text
        return response_415

    if response.status_code == 422:
        response_422 = response.text
        return response_422

    if response.status_code == 503:
        response_503 = response.text
        return response_503

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[str]:
    return Response(
        status_code=response.status_code,
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    queue: str,
    id: str,
    run_id: UUID,
    *,
    client: AuthenticatedClient | Client,
    body: list[NewJobV2],
    mode: EnqueueMode | Unset = "unique",
) -> Response[str]:
    """Complete a run and enqueue jobs in its place.

     In one transaction: the run's job is deleted and the given jobs are enqueued under `mode`.
    They may have any queue and id, the deleted job's too; an empty list just completes the run.
    On an error nothing changes and the run continues.

    With a `run_id` that is no longer current it answers 202 all the same and does nothing: no
    job is enqueued.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.
        run_id (UUID): The run's id, as `next` gave it.
        mode (EnqueueMode | Unset): What enqueueing does with a job whose queue and id are taken,
            queued or in flight. `unique`: nothing is enqueued and the answer is 409; a repeat within
            the list counts. `ignore`: the existing job stays as it is; of repeats the first is taken.
            `replace`: the existing job is overwritten and queued again, which ends its run; of
            repeats the last is taken. The servers take an unknown mode for `unique`, without an
            error. Default: 'unique'.
        body (list[NewJobV2]):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[str]
    """

    request = build_request(
        queue=queue,
        id=id,
        run_id=run_id,
        body=body,
        mode=mode,
    )

    response = client.get_httpx_client().request(
        request.method, request.target, headers=request.headers, content=request.content
    )

    return _build_response(client=client, response=response)


def sync(
    queue: str,
    id: str,
    run_id: UUID,
    *,
    client: AuthenticatedClient | Client,
    body: list[NewJobV2],
    mode: EnqueueMode | Unset = "unique",
) -> str | None:
    """Complete a run and enqueue jobs in its place.

     In one transaction: the run's job is deleted and the given jobs are enqueued under `mode`.
    They may have any queue and id, the deleted job's too; an empty list just completes the run.
    On an error nothing changes and the run continues.

    With a `run_id` that is no longer current it answers 202 all the same and does nothing: no
    job is enqueued.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.
        run_id (UUID): The run's id, as `next` gave it.
        mode (EnqueueMode | Unset): What enqueueing does with a job whose queue and id are taken,
            queued or in flight. `unique`: nothing is enqueued and the answer is 409; a repeat within
            the list counts. `ignore`: the existing job stays as it is; of repeats the first is taken.
            `replace`: the existing job is overwritten and queued again, which ends its run; of
            repeats the last is taken. The servers take an unknown mode for `unique`, without an
            error. Default: 'unique'.
        body (list[NewJobV2]):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        str
    """

    return sync_detailed(
        queue=queue,
        id=id,
        run_id=run_id,
        client=client,
        body=body,
        mode=mode,
    ).parsed


async def asyncio_detailed(
    queue: str,
    id: str,
    run_id: UUID,
    *,
    client: AuthenticatedClient | Client,
    body: list[NewJobV2],
    mode: EnqueueMode | Unset = "unique",
) -> Response[str]:
    """Complete a run and enqueue jobs in its place.

     In one transaction: the run's job is deleted and the given jobs are enqueued under `mode`.
    They may have any queue and id, the deleted job's too; an empty list just completes the run.
    On an error nothing changes and the run continues.

    With a `run_id` that is no longer current it answers 202 all the same and does nothing: no
    job is enqueued.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.
        run_id (UUID): The run's id, as `next` gave it.
        mode (EnqueueMode | Unset): What enqueueing does with a job whose queue and id are taken,
            queued or in flight. `unique`: nothing is enqueued and the answer is 409; a repeat within
            the list counts. `ignore`: the existing job stays as it is; of repeats the first is taken.
            `replace`: the existing job is overwritten and queued again, which ends its run; of
            repeats the last is taken. The servers take an unknown mode for `unique`, without an
            error. Default: 'unique'.
        body (list[NewJobV2]):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[str]
    """

    request = build_request(
        queue=queue,
        id=id,
        run_id=run_id,
        body=body,
        mode=mode,
    )

    response = await client.get_async_httpx_client().request(
        request.method, request.target, headers=request.headers, content=request.content
    )

    return _build_response(client=client, response=response)


async def asyncio(
    queue: str,
    id: str,
    run_id: UUID,
    *,
    client: AuthenticatedClient | Client,
    body: list[NewJobV2],
    mode: EnqueueMode | Unset = "unique",
) -> str | None:
    """Complete a run and enqueue jobs in its place.

     In one transaction: the run's job is deleted and the given jobs are enqueued under `mode`.
    They may have any queue and id, the deleted job's too; an empty list just completes the run.
    On an error nothing changes and the run continues.

    With a `run_id` that is no longer current it answers 202 all the same and does nothing: no
    job is enqueued.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.
        run_id (UUID): The run's id, as `next` gave it.
        mode (EnqueueMode | Unset): What enqueueing does with a job whose queue and id are taken,
            queued or in flight. `unique`: nothing is enqueued and the answer is 409; a repeat within
            the list counts. `ignore`: the existing job stays as it is; of repeats the first is taken.
            `replace`: the existing job is overwritten and queued again, which ends its run; of
            repeats the last is taken. The servers take an unknown mode for `unique`, without an
            error. Default: 'unique'.
        body (list[NewJobV2]):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        str
    """

    return (
        await asyncio_detailed(
            queue=queue,
            id=id,
            run_id=run_id,
            client=client,
            body=body,
            mode=mode,
        )
    ).parsed
