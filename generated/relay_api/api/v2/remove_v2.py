from typing import Any

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
) -> Request:
    """Build the request, for a way of one's own to send it."""

    _kwargs: dict[str, Any] = {
        "method": "DELETE",
        "url": "/v2/queues/{queue}/jobs/{id}".format(
            queue=segment(queue),
            id=segment(id),
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
    *,
    client: AuthenticatedClient | Client,
) -> Response[str]:
    """Remove a job.

     Deletes the job, queued or in flight, whichever run holds it. A job that does not exist is a success
    too, so a repeat is safe.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[str]
    """

    request = build_request(
        queue=queue,
        id=id,
    )

    response = client.get_httpx_client().request(
        request.method, request.target, headers=request.headers, content=request.content
    )

    return _build_response(client=client, response=response)


def sync(
    queue: str,
    id: str,
    *,
    client: AuthenticatedClient | Client,
) -> str | None:
    """Remove a job.

     Deletes the job, queued or in flight, whichever run holds it. A job that does not exist is a success
    too, so a repeat is safe.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        str
    """

    return sync_detailed(
        queue=queue,
        id=id,
        client=client,
    ).parsed


async def asyncio_detailed(
    queue: str,
    id: str,
    *,
    client: AuthenticatedClient | Client,
) -> Response[str]:
    """Remove a job.

     Deletes the job, queued or in flight, whichever run holds it. A job that does not exist is a success
    too, so a repeat is safe.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[str]
    """

    request = build_request(
        queue=queue,
        id=id,
    )

    response = await client.get_async_httpx_client().request(
        request.method, request.target, headers=request.headers, content=request.content
    )

    return _build_response(client=client, response=response)


async def asyncio(
    queue: str,
    id: str,
    *,
    client: AuthenticatedClient | Client,
) -> str | None:
    """Remove a job.

     Deletes the job, queued or in flight, whichever run holds it. A job that does not exist is a success
    too, so a repeat is safe.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.

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
            client=client,
        )
    ).parsed
