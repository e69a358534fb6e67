"""One connection for threads. Its waits keep to the deadline of the whole exchange."""

import socket
import threading
from contextlib import suppress

from relay_sdk._base.clock import Stopped
from relay_sdk._base.flow import Request, Response
from relay_sdk._http.address import Address
from relay_sdk._http.connecting import connecting
from relay_sdk._http.deadline import Deadline
from relay_sdk._http.errors import ReadError, ReadTimeout
from relay_sdk._http.parser import ResponseParser
from relay_sdk._http.proxy import check_tunnel
from relay_sdk._http.readable import ReadableProbe

SEND_BYTES = 16 * 1024
"""Bytes that are sent at once, so that the deadline is checked between them."""

RECEIVE_BYTES = 64 * 1024
"""How much is received at once."""

STOP_CHECK_INTERVAL = 0.1
"""Seconds between two checks whether the wait should be stopped."""


class Connection:
    """One connection, lent to one exchange at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def exchange(self, request: Request, deadline: Deadline) -> Response:
        """Send a request and wait for the reply. After an error, the caller must close this."""
        data, parser = self._address.writer.write(request), ResponseParser(request.method)
        sock = self._socket
        if sock is None or ReadableProbe(sock.fileno()).is_readable():
            self.close()
            with connecting():
                sock = self._connect(deadline)
        stop = deadline.stop
        try:
            _send(sock, data, deadline)
            while parser.response is None:
                parser.feed(_receive(sock, deadline, stop))
                stop = None  # a reply that has begun is read to its end
        except TimeoutError as error:
            raise ReadTimeout from error
        if not parser.keep_alive:
            self.close()
        return parser.response

    def _connect(self, deadline: Deadline) -> socket.socket:
        address = self._address
        peer = address.proxy or address
        found = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
        hosts = [str(each[0]) for *_, each in found]
        sock = self._socket = _connect_to_any(hosts, peer.port, deadline)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tunnel := address.tunnel_request:
            parser = ResponseParser("CONNECT")
            sock.settimeout(deadline.remaining())
            sock.sendall(tunnel)
            while parser.response is None:
                sock.settimeout(deadline.remaining())
                parser.feed(sock.recv(RECEIVE_BYTES))
            check_tunnel(parser.response.status)
        if address.scheme == "https":
            sock.settimeout(deadline.remaining())
            sock = self._socket = address.tls().wrap_socket(sock, server_hostname=address.host)
        return sock

    def close(self) -> None:
        """Close the connection, also while another thread uses it."""
        sock, self._socket = self._socket, None
        if sock is not None:
            with suppress(OSError):  # closing alone does not wake a thread that reads
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            sock.close()


def _connect_to_any(hosts: list[str], port: int, deadline: Deadline) -> socket.socket:
    while True:
        # Each host has its share of the time: one that is silent leaves some for the others.
        share = deadline.remaining() / len(hosts)
        try:
            return socket.create_connection((hosts.pop(0), port), share)
        except OSError:
            if not hosts:
                raise


def _send(sock: socket.socket, data: bytes, deadline: Deadline) -> None:
    try:
        for start in range(0, len(data), SEND_BYTES):
            sock.settimeout(deadline.remaining())
            sock.sendall(data[start : start + SEND_BYTES])
    except TimeoutError:
        raise
    except OSError:  # some servers reply before they have read the whole request
        pass


def _receive(sock: socket.socket, deadline: Deadline, stop: threading.Event | None) -> bytes:
    while True:
        if stop and stop.is_set():
            raise Stopped
        seconds = deadline.remaining()
        try:
            sock.settimeout(min(STOP_CHECK_INTERVAL, seconds) if stop else seconds)
            return sock.recv(RECEIVE_BYTES)
        except TimeoutError:
            if not stop:
                raise
        except OSError as error:
            raise ReadError(error) from error
