from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.new_job_v1 import NewJobV1
from ...types import Request, Response

REPLIES: dict[int, object] = {
    202: None,
    400: str,
    404: str,
    413: str,
    415: str,
    422: str,
    429: str,
}
"""The documented statuses, and what the content is with each."""


def build_request(
    *,
    body: NewJobV1,
) -> Request:
    """Build the request, for a way of one's own to send it."""

    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "PUT",
        "url": "/v1/queues/jobs",
    }

    _kwargs["json"] = body.to_dict()

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

    if response.status_code == 404:
        response_404 = response.text
        return response_404

    if response.status_code == 413:
        response_413 = response.text
        return response_413

    if response.status_code == 415:
        response_415 = response.text
        return response_415

    if response.status_code == 422:
        response_422 = response.text
        return response_422

    if response.status_code == 429:
        response_429 = response.text
        return response_429

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
    *,
    client: AuthenticatedClient | Client,
    body: NewJobV1,
) -> Response[str]:
    """Put a job in flight back into its queue.

     Replaces the job's timeout, retries, payload, state and `run_at` with those of the body;
    what the body leaves out is reset, the state included. Retries start over. Queue and id are
    the body's: they name the job and cannot be changed.

    On `relay` a job that does not exist also answers 202, as does any job while its database is
    down or busy, and nothing happens; a job that is not in flight gets no answer: the connection
    is closed.

    Args:
        body (NewJobV1): A job to enqueue or reschedule over v1. The servers ignore other fields,
            `updated_at` too, but refuse one that is not a date.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[str]
    """

    request = build_request(
        body=body,
    )

    response = client.get_httpx_client().request(
        request.method, request.target, headers=request.headers, content=request.content
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    body: NewJobV1,
) -> str | None:
    """Put a job in flight back into its queue.

     Replaces the job's timeout, retries, payload, state and `run_at` with those of the body;
    what the body leaves out is reset, the state included. Retries start over. Queue and id are
    the body's: they name the job and cannot be changed.

    On `relay` a job that does not exist also answers 202, as does any job while its database is
    down or busy, and nothing happens; a job that is not in flight gets no answer: the connection
    is closed.

    Args:
        body (NewJobV1): A job to enqueue or reschedule over v1. The servers ignore other fields,
            `updated_at` too, but refuse one that is not a date.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        str
    """

    return sync_detailed(
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: NewJobV1,
) -> Response[str]:
    """Put a job in flight back into its queue.

     Replaces the job's timeout, retries, payload, state and `run_at` with those of the body;
    what the body leaves out is reset, the state included. Retries start over. Queue and id are
    the body's: they name the job and cannot be changed.

    On `relay` a job that does not exist also answers 202, as does any job while its database is
    down or busy, and nothing happens; a job that is not in flight gets no answer: the connection
    is closed.

    Args:
        body (NewJobV1): A job to enqueue or reschedule over v1. The servers ignore other fields,
            `updated_at` too, but refuse one that is not a date.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[str]
    """

    request = build_request(
        body=body,
    )

    response = await client.get_async_httpx_client().request(
        request.method, request.target, headers=request.headers, content=request.content
    )

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    body: NewJobV1,
) -> str | None:
    """Put a job in flight back into its queue.

     Replaces the job's timeout, retries, payload, state and `run_at` with those of the body;
    what the body leaves out is reset, the state included. Retries start over. Queue and id are
    the body's: they name the job and cannot be changed.

    On `relay` a job that does not exist also answers 202, as does any job while its database is
    down or busy, and nothing happens; a job that is not in flight gets no answer: the connection
    is closed.

    Args:
        body (NewJobV1): A job to enqueue or reschedule over v1. The servers ignore other fields,
            `updated_at` too, but refuse one that is not a date.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        str
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
        )
    ).parsed
