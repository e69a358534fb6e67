from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.new_job_v1 import NewJobV1
from ...types import Request, Response

REPLIES: dict[int, object] = {
    202: None,
    400: str,
    409: str,
    413: str,
    415: str,
    422: str,
    429: str,
}
"""The documented statuses, and what the content is with each."""


def build_request(
    *,
    body: list[NewJobV1],
) -> Request:
    """Build the request, for a way of one's own to send it."""

    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "POST",
        "url": "/v1/queues/jobs",
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
    body: list[NewJobV1],
) -> Response[str]:
    """Enqueue jobs.

     How a job that already exists is treated depends on how many are sent. With exactly one, the answer
    is 409. With several, jobs that exist are left as they are and the rest are added, and of two with
    one queue and id the first is taken: the answer is 202 and does not tell which. Any other error
    stores none of them. An empty list does nothing.

    Args:
        body (list[NewJobV1]):

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
    body: list[NewJobV1],
) -> str | None:
    """Enqueue jobs.

     How a job that already exists is treated depends on how many are sent. With exactly one, the answer
    is 409. With several, jobs that exist are left as they are and the rest are added, and of two with
    one queue and id the first is taken: the answer is 202 and does not tell which. Any other error
    stores none of them. An empty list does nothing.

    Args:
        body (list[NewJobV1]):

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
    body: list[NewJobV1],
) -> Response[str]:
    """Enqueue jobs.

     How a job that already exists is treated depends on how many are sent. With exactly one, the answer
    is 409. With several, jobs that exist are left as they are and the rest are added, and of two with
    one queue and id the first is taken: the answer is 202 and does not tell which. Any other error
    stores none of them. An empty list does nothing.

    Args:
        body (list[NewJobV1]):

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
    body: list[NewJobV1],
) -> str | None:
    """Enqueue jobs.

     How a job that already exists is treated depends on how many are sent. With exactly one, the answer
    is 409. With several, jobs that exist are left as they are and the rest are added, and of two with
    one queue and id the first is taken: the answer is 202 and does not tell which. Any other error
    stores none of them. An empty list does nothing.

    Args:
        body (list[NewJobV1]):

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
