from typing import Any
from uuid import UUID

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...types import Request, Response, segment

REPLIES: dict[int, object] = {
    200: None,
    400: str,
    422: str,
    503: str,
}
"""The documented statuses, and what the content is with each."""


def build_request(
    queue: str,
    id: str,
    run_id: UUID,
) -> Request:
    """Build the request, for a way of one's own to send it."""

    _kwargs: dict[str, Any] = {
        "method": "DELETE",
        "url": "/v2/queues/{queue}/jobs/{id}/run-id/{run_id}".format(
            queue=segment(queue),
            id=segment(id),
            run_id=segment(run_id),
        ),
    }

    return Request(**_kwargs)


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> str | None:
    if response.status_code == 200:
        return None

    if response.status_code == 400:
        response_400 = response.text
        return response_400

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
) -> Response[str]:
    """Complete a run, which deletes its job.

     With a `run_id` that is no longer current it answers 200 all the same and does nothing, as it does
    for a job that does not exist.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.
        run_id (UUID): The run's id, as `next` gave it.

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
) -> str | None:
    """Complete a run, which deletes its job.

     With a `run_id` that is no longer current it answers 200 all the same and does nothing, as it does
    for a job that does not exist.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.
        run_id (UUID): The run's id, as `next` gave it.

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
    ).parsed


async def asyncio_detailed(
    queue: str,
    id: str,
    run_id: UUID,
    *,
    client: AuthenticatedClient | Client,
) -> Response[str]:
    """Complete a run, which deletes its job.

     With a `run_id` that is no longer current it answers 200 all the same and does nothing, as it does
    for a job that does not exist.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.
        run_id (UUID): The run's id, as `next` gave it.

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
) -> str | None:
    """Complete a run, which deletes its job.

     With a `run_id` that is no longer current it answers 200 all the same and does nothing, as it does
    for a job that does not exist.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.
        run_id (UUID): The run's id, as `next` gave it.

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
        )
    ).parsed
