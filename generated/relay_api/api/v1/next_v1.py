from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.job_v1 import JobV1
from ...types import UNSET, Request, Response, Unset, segment

REPLIES: dict[int, object] = {
    200: list[JobV1],
    204: None,
    400: str,
    429: str,
    500: str,
}
"""The documented statuses, and what the content is with each."""


def build_request(
    queue: str,
    *,
    num_jobs: int | Unset = 1,
    prefer: str | Unset = UNSET,
) -> Request:
    """Build the request, for a way of one's own to send it."""

    headers: dict[str, Any] = {}
    if not isinstance(prefer, Unset):
        headers["Prefer"] = prefer

    params: dict[str, Any] = {}

    params["num_jobs"] = num_jobs

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "GET",
        "url": "/v1/queues/{queue}/jobs".format(
            queue=segment(queue),
        ),
        "params": params,
    }

    _kwargs["headers"] = headers
    return Request(**_kwargs)


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> list[JobV1] | str | None:
    if response.status_code == 200:
        response_200 = []
        _response_200 = response.json()
        for response_200_item_data in _response_200:
            response_200_item = JobV1.from_dict(response_200_item_data)

            response_200.append(response_200_item)

        return response_200

    if response.status_code == 204:
        return None

    if response.status_code == 400:
        response_400 = response.text
        return response_400

    if response.status_code == 429:
        response_429 = response.text
        return response_429

    if response.status_code == 500:
        response_500 = response.text
        return response_500

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[list[JobV1] | str]:
    return Response(
        status_code=response.status_code,
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    queue: str,
    *,
    client: AuthenticatedClient | Client,
    num_jobs: int | Unset = 1,
    prefer: str | Unset = UNSET,
) -> Response[list[JobV1] | str]:
    """Claim the next jobs of a queue.

     Takes up to `num_jobs` queued jobs whose `run_at` has come, earliest first, and puts them in flight.
    With no job ready it is 204, at once unless `Prefer` says otherwise. The jobs are claimed before the
    answer is written, so those of a lost answer stay in flight until their timeout.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        num_jobs (int | Unset): How many jobs to take at most. The servers have no limit. 0 is
            400, but on relay-rs always 204; relay takes larger numbers than the bound. Default: 1.
        prefer (str | Unset): `wait=N` asks the server to hold the request for up to N whole
            seconds, until a job is ready (RFC 7240). The bundled server does; a server that does not
            know it answers at once.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[list[JobV1] | str]
    """

    request = build_request(
        queue=queue,
        num_jobs=num_jobs,
        prefer=prefer,
    )

    response = client.get_httpx_client().request(
        request.method, request.target, headers=request.headers, content=request.content
    )

    return _build_response(client=client, response=response)


def sync(
    queue: str,
    *,
    client: AuthenticatedClient | Client,
    num_jobs: int | Unset = 1,
    prefer: str | Unset = UNSET,
) -> list[JobV1] | str | None:
    """Claim the next jobs of a queue.

     Takes up to `num_jobs` queued jobs whose `run_at` has come, earliest first, and puts them in flight.
    With no job ready it is 204, at once unless `Prefer` says otherwise. The jobs are claimed before the
    answer is written, so those of a lost answer stay in flight until their timeout.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        num_jobs (int | Unset): How many jobs to take at most. The servers have no limit. 0 is
            400, but on relay-rs always 204; relay takes larger numbers than the bound. Default: 1.
        prefer (str | Unset): `wait=N` asks the server to hold the request for up to N whole
            seconds, until a job is ready (RFC 7240). The bundled server does; a server that does not
            know it answers at once.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        list[JobV1] | str
    """

    return sync_detailed(
        queue=queue,
        client=client,
        num_jobs=num_jobs,
        prefer=prefer,
    ).parsed


async def asyncio_detailed(
    queue: str,
    *,
    client: AuthenticatedClient | Client,
    num_jobs: int | Unset = 1,
    prefer: str | Unset = UNSET,
) -> Response[list[JobV1] | str]:
    """Claim the next jobs of a queue.

     Takes up to `num_jobs` queued jobs whose `run_at` has come, earliest first, and puts them in flight.
    With no job ready it is 204, at once unless `Prefer` says otherwise. The jobs are claimed before the
    answer is written, so those of a lost answer stay in flight until their timeout.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        num_jobs (int | Unset): How many jobs to take at most. The servers have no limit. 0 is
            400, but on relay-rs always 204; relay takes larger numbers than the bound. Default: 1.
        prefer (str | Unset): `wait=N` asks the server to hold the request for up to N whole
            seconds, until a job is ready (RFC 7240). The bundled server does; a server that does not
            know it answers at once.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[list[JobV1] | str]
    """

    request = build_request(
        queue=queue,
        num_jobs=num_jobs,
        prefer=prefer,
    )

    response = await client.get_async_httpx_client().request(
        request.method, request.target, headers=request.headers, content=request.content
    )

    return _build_response(client=client, response=response)


async def asyncio(
    queue: str,
    *,
    client: AuthenticatedClient | Client,
    num_jobs: int | Unset = 1,
    prefer: str | Unset = UNSET,
) -> list[JobV1] | str | None:
    """Claim the next jobs of a queue.

     Takes up to `num_jobs` queued jobs whose `run_at` has come, earliest first, and puts them in flight.
    With no job ready it is 204, at once unless `Prefer` says otherwise. The jobs are claimed before the
    answer is written, so those of a lost answer stay in flight until their timeout.

    Args:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        num_jobs (int | Unset): How many jobs to take at most. The servers have no limit. 0 is
            400, but on relay-rs always 204; relay takes larger numbers than the bound. Default: 1.
        prefer (str | Unset): `wait=N` asks the server to hold the request for up to N whole
            seconds, until a job is ready (RFC 7240). The bundled server does; a server that does not
            know it answers at once.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        list[JobV1] | str
    """

    return (
        await asyncio_detailed(
            queue=queue,
            client=client,
            num_jobs=num_jobs,
            prefer=prefer,
        )
    ).parsed
