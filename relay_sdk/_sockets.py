"""Sockets that keep to the bound of a whole exchange, for httpcore's pool of connections.

httpcore's own begin anew with each read, so a reply that trickles would last for ever.
"""

import socket
from collections.abc import Iterable
from contextlib import suppress
from ssl import SSLContext
from time import monotonic

import httpcore
from httpcore import (
    SOCKET_OPTION,
    ConnectError,
    ConnectTimeout,
    ReadError,
    ReadTimeout,
    WriteError,
    WriteTimeout,
)

from relay_sdk._bound import Left
from relay_sdk._clock import Stopped

PIECE = 16 * 1024
"""Bytes that the system takes whole or not at all, so that a slow reader is noticed."""

SLICE = 0.1
"""Seconds between two looks at whether the wait is to be stopped."""


def _left(timeout: float | None, error: type[httpcore.TimeoutException]) -> float | None:
    if not isinstance(timeout, Left):
        return timeout
    left = timeout.bound.ends - monotonic()
    if left <= 0:
        raise error("the time of the exchange is over")
    return left


class Backend(httpcore.SyncBackend):
    """Opens such sockets, one at a time."""

    def __init__(self) -> None:
        self.stream: httpcore.NetworkStream | None = None

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ConnectError(str(error)) from error
        addresses = [str(address[0]) for *_, address in found]
        while True:
            # Each has its share: one that is silent leaves time for the others.
            left = _left(timeout, ConnectTimeout)
            share = None if left is None else left / len(addresses)
            try:
                stream = super().connect_tcp(
                    addresses.pop(0), port, share, local_address, socket_options
                )
                self.stream = _Stream(stream)
                return self.stream
            except (ConnectError, ConnectTimeout):
                if not addresses:
                    raise


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        plain = stream.get_extra_info("ssl_object") is None
        # To read and write by itself takes half the time of what httpcore does around it.
        self._socket: socket.socket | None = stream.get_extra_info("socket") if plain else None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        bound = timeout.bound if isinstance(timeout, Left) else None
        while bound and bound.stop:
            if bound.stop.is_set():
                raise Stopped
            left = _left(timeout, ReadTimeout)
            with suppress(ReadTimeout):
                content = self._stream.read(max_bytes, min(SLICE, left or SLICE))
                bound.stop = None
                return content
        left = _left(timeout, ReadTimeout)
        if self._socket is None:
            return self._stream.read(max_bytes, left)
        try:
            self._socket.settimeout(left)
            return self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise ReadTimeout(str(error)) from error
        except OSError as error:
            raise ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), PIECE):
            piece, left = buffer[start : start + PIECE], _left(timeout, WriteTimeout)
            if self._socket is None:
                self._stream.write(piece, left)
                continue
            try:
                self._socket.settimeout(left)
                self._socket.sendall(piece)
            except TimeoutError as error:
                raise WriteTimeout(str(error)) from error
            except OSError as error:
                raise WriteError(str(error)) from error

    def close(self) -> None:
        # Closing alone does not wake a thread that reads.
        used = self._stream.get_extra_info("socket")
        with suppress(OSError):
            socket.socket.shutdown(used, socket.SHUT_RDWR)
        self._stream.close()

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, ConnectTimeout)
        self._socket = None
        self._stream = self._stream.start_tls(ssl_context, server_hostname, left)
        return self

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
