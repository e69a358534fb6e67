from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...types import UNSET, Request, Response, Unset, segment

REPLIES: dict[int, object] = {
    202: None,
    400: str,
    404: str,
    422: str,
    429: str,
}
"""The documented statuses, and what the content is with each."""


def build_request(
    queue: str,
    id: str,
    *,
    body: Any | Unset = UNSET,
) -> Request:
    """Build the request, for a way of one's own to send it."""

    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "PATCH",
        "url": "/v1/queues/{queue}/jobs/{id}".format(
            queue=segment(queue),
            id=segment(id),
        ),
    }

    if not isinstance(body, Unset):
        _kwargs["json"] = body

    if not isinstance(body, Unset):
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
    queue: str,
    id: str,
    *,
    client: AuthenticatedClient | Client,
    body: Any | Unset = UNSET,
) -> Response[str]:
    """Keep a job in flight and save its state.

     Gives the job another `timeout` seconds, also when they have passed but the server has not
    yet acted on it. **The saved state becomes the body: a heartbeat without a body erases the
    state**, and so does one whose body is not JSON, is over 2 MiB or lacks the JSON content
    type, all with a 202. To keep the state, send it again.

    Any v1 heartbeat counts, whichever run holds it. On `relay` a job that exists but is not in
    flight gets no answer: the connection is closed; and while its database is down or busy
    every job is 404, though it may be there: v2 tells the two apart.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.
        body (Any | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[str]
    """

    request = build_request(
        queue=queue,
        id=id,
        body=body,
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
    body: Any | Unset = UNSET,
) -> str | None:
    """Keep a job in flight and save its state.

     Gives the job another `timeout` seconds, also when they have passed but the server has not
    yet acted on it. **The saved state becomes the body: a heartbeat without a body erases the
    state**, and so does one whose body is not JSON, is over 2 MiB or lacks the JSON content
    type, all with a 202. To keep the state, send it again.

    Any v1 heartbeat counts, whichever run holds it. On `relay` a job that exists but is not in
    flight gets no answer: the connection is closed; and while its database is down or busy
    every job is 404, though it may be there: v2 tells the two apart.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.
        body (Any | Unset):

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
        body=body,
    ).parsed


async def asyncio_detailed(
    queue: str,
    id: str,
    *,
    client: AuthenticatedClient | Client,
    body: Any | Unset = UNSET,
) -> Response[str]:
    """Keep a job in flight and save its state.

     Gives the job another `timeout` seconds, also when they have passed but the server has not
    yet acted on it. **The saved state becomes the body: a heartbeat without a body erases the
    state**, and so does one whose body is not JSON, is over 2 MiB or lacks the JSON content
    type, all with a 202. To keep the state, send it again.

    Any v1 heartbeat counts, whichever run holds it. On `relay` a job that exists but is not in
    flight gets no answer: the connection is closed; and while its database is down or busy
    every job is 404, though it may be there: v2 tells the two apart.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.
        body (Any | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[str]
    """

    request = build_request(
        queue=queue,
        id=id,
        body=body,
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
    body: Any | Unset = UNSET,
) -> str | None:
    """Keep a job in flight and save its state.

     Gives the job another `timeout` seconds, also when they have passed but the server has not
    yet acted on it. **The saved state becomes the body: a heartbeat without a body erases the
    state**, and so does one whose body is not JSON, is over 2 MiB or lacks the JSON content
    type, all with a 202. To keep the state, send it again.

    Any v1 heartbeat counts, whichever run holds it. On `relay` a job that exists but is not in
    flight gets no answer: the connection is closed; and while its database is down or busy
    every job is 404, though it may be there: v2 tells the two apart.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.
        body (Any | Unset):

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
            body=body,
        )
    ).parsed
