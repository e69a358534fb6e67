from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote
from uuid import UUID

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...types import Response


def _get_kwargs(
    queue: str,
    id: str,
    run_id: UUID,
) -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "delete",
        "url": "/v2/queues/{queue}/jobs/{id}/run-id/{run_id}".format(
            queue=quote(str(queue), safe=""),
            id=quote(str(id), safe=""),
            run_id=quote(str(run_id), safe=""),
        ),
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Any | str | None:
    if response.status_code == 200:
        response_200 = cast(Any, None)
        return response_200

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
    run_id: UUID,
    *,
    client: AuthenticatedClient | Client,
) -> Response[Any | str]:
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
        Response[Any | str]
    """

    kwargs = _get_kwargs(
        queue=queue,
        id=id,
        run_id=run_id,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    queue: str,
    id: str,
    run_id: UUID,
    *,
    client: AuthenticatedClient | Client,
) -> Any | str | None:
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
        Any | str
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
) -> Response[Any | str]:
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
        Response[Any | str]
    """

    kwargs = _get_kwargs(
        queue=queue,
        id=id,
        run_id=run_id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    queue: str,
    id: str,
    run_id: UUID,
    *,
    client: AuthenticatedClient | Client,
) -> Any | str | None:
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
        Any | str
    """

    return (
        await asyncio_detailed(
            queue=queue,
            id=id,
            run_id=run_id,
            client=client,
        )
    ).parsed
