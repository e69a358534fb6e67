"""Whether something has arrived on a connection that is not in use."""

import select


class ReadableProbe:
    """Checks whether a read would return at once: data, an error, or the end of the connection.

    On an idle connection only its end can arrive, so a readable one must not be used again.
    """

    def __init__(self, file_descriptor: int) -> None:
        self._file_descriptor = file_descriptor
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None and file_descriptor >= 0:
            self._poll.register(file_descriptor, select.POLLIN)

    def is_readable(self) -> bool:
        if self._file_descriptor < 0:  # another thread has closed the socket
            return True
        if self._poll is None:
            return bool(select.select([self._file_descriptor], [], [], 0)[0])
        return bool(self._poll.poll(0))
