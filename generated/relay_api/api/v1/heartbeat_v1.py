from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...types import UNSET, Response, Unset


def _get_kwargs(
    queue: str,
    id: str,
    *,
    body: Any | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "patch",
        "url": "/v1/queues/{queue}/jobs/{id}".format(
            queue=quote(str(queue), safe=""),
            id=quote(str(id), safe=""),
        ),
    }

    if not isinstance(body, Unset):
        _kwargs["json"] = body

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Any | str | None:
    if response.status_code == 202:
        response_202 = cast(Any, None)
        return response_202

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
) -> Response[Any | str]:
    return Response(
        status_code=HTTPStatus(response.status_code),
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
) -> Response[Any | str]:
    """Keep a job in flight and save its state.

     Gives the job another `timeout` seconds, also when they have passed but the server has not
    yet acted on it. **The saved state becomes the body: a heartbeat without a body erases the
    state**, and so does one whose body is not JSON, is over 2 MiB or lacks the JSON content
    type, all with a 202. To keep the state, send it again.

    Any v1 heartbeat counts, whoever holds the job. On `relay` a job that exists but is not in
    flight gets no answer: the connection is closed; and while its database is down every job
    is 404.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.
        body (Any | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | str]
    """

    kwargs = _get_kwargs(
        queue=queue,
        id=id,
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    queue: str,
    id: str,
    *,
    client: AuthenticatedClient | Client,
    body: Any | Unset = UNSET,
) -> Any | str | None:
    """Keep a job in flight and save its state.

     Gives the job another `timeout` seconds, also when they have passed but the server has not
    yet acted on it. **The saved state becomes the body: a heartbeat without a body erases the
    state**, and so does one whose body is not JSON, is over 2 MiB or lacks the JSON content
    type, all with a 202. To keep the state, send it again.

    Any v1 heartbeat counts, whoever holds the job. On `relay` a job that exists but is not in
    flight gets no answer: the connection is closed; and while its database is down every job
    is 404.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.
        body (Any | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | str
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
) -> Response[Any | str]:
    """Keep a job in flight and save its state.

     Gives the job another `timeout` seconds, also when they have passed but the server has not
    yet acted on it. **The saved state becomes the body: a heartbeat without a body erases the
    state**, and so does one whose body is not JSON, is over 2 MiB or lacks the JSON content
    type, all with a 202. To keep the state, send it again.

    Any v1 heartbeat counts, whoever holds the job. On `relay` a job that exists but is not in
    flight gets no answer: the connection is closed; and while its database is down every job
    is 404.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.
        body (Any | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | str]
    """

    kwargs = _get_kwargs(
        queue=queue,
        id=id,
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    queue: str,
    id: str,
    *,
    client: AuthenticatedClient | Client,
    body: Any | Unset = UNSET,
) -> Any | str | None:
    """Keep a job in flight and save its state.

     Gives the job another `timeout` seconds, also when they have passed but the server has not
    yet acted on it. **The saved state becomes the body: a heartbeat without a body erases the
    state**, and so does one whose body is not JSON, is over 2 MiB or lacks the JSON content
    type, all with a 202. To keep the state, send it again.

    Any v1 heartbeat counts, whoever holds the job. On `relay` a job that exists but is not in
    flight gets no answer: the connection is closed; and while its database is down every job
    is 404.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.
        body (Any | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | str
    """

    return (
        await asyncio_detailed(
            queue=queue,
            id=id,
            client=client,
            body=body,
        )
    ).parsed
