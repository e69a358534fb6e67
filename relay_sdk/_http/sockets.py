"""One connection for threads, whose waits keep to the bound of the whole exchange."""

import socket
from contextlib import suppress

from relay_sdk._base.clock import Stopped
from relay_sdk._base.flow import Request, Response
from relay_sdk._http.address import Address
from relay_sdk._http.base import Peek, ReadError, connecting
from relay_sdk._http.deadline import Bound
from relay_sdk._http.parser import Reading
from relay_sdk._http.proxy import check_tunnel

PIECE = 16 * 1024
"""Bytes that the system takes whole or not at all, so that a slow reader is noticed."""

SLICE = 0.1
"""Seconds between two looks at whether the wait is to be stopped."""


class Connection:
    """One connection, lent to one exchange at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def exchange(self, call: Request, bound: Bound) -> Response:
        request, reading = self._address.request(call), Reading(call.method)
        used = self._socket
        if used is None or not Peek(used.fileno()).is_quiet():
            self.close()
            with connecting():
                used = self._connected(bound)
        _write(used, request, bound)
        while reading.reply is None:
            reading.feed(_read(used, bound))
        if not reading.keep:
            self.close()
        return reading.reply

    def _connected(self, bound: Bound) -> socket.socket:
        address = self._address
        place = address.proxy or address
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        used = self._socket = _reached([str(each[0]) for *_, each in found], place.port, bound)
        used.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address.tunnel:
            reading = Reading("CONNECT")
            used.settimeout(bound.begin("connect"))
            used.sendall(address.tunnel)
            while reading.reply is None:
                used.settimeout(bound.begin("connect"))
                reading.feed(used.recv(65536))
            check_tunnel(reading.reply.status)
        if address.scheme == "https":
            used.settimeout(bound.begin("connect"))
            used = self._socket = address.tls().wrap_socket(used, server_hostname=address.host)
        return used

    def close(self) -> None:
        used, self._socket = self._socket, None
        if used is not None:
            with suppress(OSError):  # closing alone does not wake a thread that reads
                socket.socket.shutdown(used, socket.SHUT_RDWR)
            used.close()


def _reached(hosts: list[str], port: int, bound: Bound) -> socket.socket:
    while True:
        # Each has its share: one that is silent leaves time for the others.
        share = bound.begin("connect") / len(hosts)
        try:
            return socket.create_connection((hosts.pop(0), port), share)
        except OSError:
            if not hosts:
                raise


def _write(used: socket.socket, request: bytes, bound: Bound) -> None:
    try:
        for start in range(0, len(request), PIECE):
            used.settimeout(bound.begin("write"))
            used.sendall(request[start : start + PIECE])
    except TimeoutError:
        raise
    except OSError:  # some answer before they have read all
        pass


def _read(used: socket.socket, bound: Bound) -> bytes:
    while True:
        if bound.stop and bound.stop.is_set():
            raise Stopped
        left = bound.begin("read")
        try:
            used.settimeout(min(SLICE, left) if bound.stop else left)
            content = used.recv(65536)
        except TimeoutError:
            if bound.stop:
                continue
            raise
        except OSError as error:
            raise ReadError(str(error)) from error
        bound.stop = None
        return content
