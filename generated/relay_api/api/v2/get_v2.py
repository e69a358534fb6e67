from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.job_v2 import JobV2
from ...types import Response


def _get_kwargs(
    queue: str,
    id: str,
) -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v2/queues/{queue}/jobs/{id}".format(
            queue=quote(str(queue), safe=""),
            id=quote(str(id), safe=""),
        ),
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Any | JobV2 | str | None:
    if response.status_code == 200:
        response_200 = JobV2.from_dict(response.json())

        return response_200

    if response.status_code == 400:
        response_400 = response.text
        return response_400

    if response.status_code == 404:
        response_404 = cast(Any, None)
        return response_404

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
) -> Response[Any | JobV2 | str]:
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
) -> Response[Any | JobV2 | str]:
    """Read a job.

     Finds queued jobs and jobs in flight alike, and changes nothing.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | JobV2 | str]
    """

    kwargs = _get_kwargs(
        queue=queue,
        id=id,
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
) -> Any | JobV2 | str | None:
    """Read a job.

     Finds queued jobs and jobs in flight alike, and changes nothing.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | JobV2 | str
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
) -> Response[Any | JobV2 | str]:
    """Read a job.

     Finds queued jobs and jobs in flight alike, and changes nothing.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | JobV2 | str]
    """

    kwargs = _get_kwargs(
        queue=queue,
        id=id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    queue: str,
    id: str,
    *,
    client: AuthenticatedClient | Client,
) -> Any | JobV2 | str | None:
    """Read a job.

     Finds queued jobs and jobs in flight alike, and changes nothing.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer
            ones.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | JobV2 | str
    """

    return (
        await asyncio_detailed(
            queue=queue,
            id=id,
            client=client,
        )
    ).parsed
