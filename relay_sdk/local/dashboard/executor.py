"""Answer dashboard requests in a separate thread, so that no worker waits for them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from relay_sdk.local import responses
from relay_sdk.local.http import Exchange
from relay_sdk.local.responses import Response

from .api import DashboardApi

MAX_WAITING = 100
"""Requests that may wait for the thread."""


class DashboardExecutor:
    """Answers the dashboard requests of one event loop, one after another."""

    def __init__(self, api: DashboardApi) -> None:
        self._api = api
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "relay dashboard")
        self._waiting = 0

    def submit(self, exchange: Exchange) -> None:
        """Answer a request, now or later."""
        if file := self._api.file(exchange.request):
            exchange.answer(file)
        elif self._waiting >= MAX_WAITING:
            exchange.answer(responses.plain(503, "Too many requests for the dashboard."))
        else:
            self._waiting += 1
            self._thread.submit(self._answer, exchange)

    def close(self) -> None:
        """Wait for the thread to end; requests that wait are not answered."""
        self._thread.shutdown(cancel_futures=True)
        self._api.close()

    def _answer(self, exchange: Exchange) -> None:
        gone = exchange.request.client_gone
        response = responses.empty(204) if gone else self._api.answer(exchange.request)
        with suppress(RuntimeError):  # the loop was closed
            self._loop.call_soon_threadsafe(self._end, exchange, response)

    def _end(self, exchange: Exchange, response: Response) -> None:
        self._waiting -= 1
        exchange.answer(response)
