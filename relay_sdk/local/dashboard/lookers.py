"""Requests for the desk, answered in a thread of their own, so that no worker waits for them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from relay_sdk.local import answers
from relay_sdk.local.answers import Response
from relay_sdk.local.http import Exchange

from .api import Desk

WAITING = 100
"""Requests that may wait for the desk."""


class Lookers:
    """Hands the requests of one event loop to the desk, one after another."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "relay desk")
        self._waiting = 0

    def take(self, exchange: Exchange) -> None:
        """Answer a request, now or later."""
        if file := self._desk.file(exchange.request):
            exchange.answer(file)
        elif self._waiting >= WAITING:
            exchange.answer(answers.plain(503, "Too many look at this server."))
        else:
            self._waiting += 1
            self._thread.submit(self._answer, exchange)

    def close(self) -> None:
        """Wait for the thread to end; what nobody began is not begun."""
        self._thread.shutdown(cancel_futures=True)
        self._desk.close()

    def _answer(self, exchange: Exchange) -> None:
        gone = exchange.request.gone
        response = answers.empty(204) if gone else self._desk.answer(exchange.request)
        with suppress(RuntimeError):  # the loop was closed
            self._loop.call_soon_threadsafe(self._end, exchange, response)

    def _end(self, exchange: Exchange, response: Response) -> None:
        self._waiting -= 1
        exchange.answer(response)
