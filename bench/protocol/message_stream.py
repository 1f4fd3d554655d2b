"""Send and receive messages, and the descriptors that go with them, over a Unix socket.

Usage:
    stream = MessageStream(connection)
    stream.send(StartProcess(number=0), descriptors=[child_socket.fileno()])
    message = stream.receive(timeout_s=5.0)     # None once the peer has closed its end
    for message in stream.available(): ...      # what has arrived; does not wait
    data, log = stream.take_descriptors(2)      # received with the messages so far

One thread receives; any number may send.
"""

import contextlib
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence

from bench.protocol.messages import MAX_LINE_BYTES, Message, MessageError, decode, encode

_READ_BYTES = 2**16
_MAX_DESCRIPTORS = 8


class MessageStream:
    """One end of a conversation; it owns the socket.

    A peer that is stopped reads nothing: ``send`` waits for it at most ``send_timeout_s``, and for
    ever if that is None.
    """

    def __init__(self, connection: socket.socket, send_timeout_s: float | None = None) -> None:
        connection.settimeout(send_timeout_s)
        self._connection = connection
        self._unread = bytearray()
        self._searched = 0
        self._lines: deque[bytes] = deque()
        self._descriptors: deque[int] = deque()
        self._lock = threading.Lock()
        self.closed = False
        """Whether nothing more can be received: the peer has ended, or sent no message."""
        self.peer_ended = False
        """Whether the peer has closed its end."""

    def fileno(self) -> int:
        """Return the descriptor to wait on, for ``selectors``."""
        return self._connection.fileno()

    @property
    def has_messages(self) -> bool:
        """Whether ``receive`` has read more than it returned, which no selector shows."""
        return bool(self._lines)

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send ``message``; OSError if the peer has gone or does not read in time."""
        line = encode(message)
        with self._lock:
            sent = socket.send_fds(self._connection, [line], list(descriptors))
            self._connection.sendall(line[sent:])

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """Return the next message, or None if the peer has closed its end.

        Raises TimeoutError if none comes in time, MessageError if the message is invalid; nothing
        can be received after a MessageError.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._lines:
            if self.closed:
                return None
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._is_readable(left_s):
                raise TimeoutError(f"no message in {timeout_s:g} s")
            self._read()
        return self._decode(self._lines.popleft())

    def available(self) -> Iterator[Message]:
        """Yield the messages that have arrived, without waiting; MessageError as in ``receive``."""
        while True:
            while self._lines:
                yield self._decode(self._lines.popleft())
            if self.closed or not self._is_readable(0.0):
                return
            self._read()

    def take_descriptors(self, count: int) -> list[int]:
        """Return the oldest ``count`` descriptors received, which the caller then owns."""
        if len(self._descriptors) < count:
            raise MessageError(f"{count} descriptors expected, {len(self._descriptors)} received")
        return [self._descriptors.popleft() for _ in range(count)]

    def close(self) -> None:
        """Close the socket, and all descriptors that nobody has taken."""
        self.closed = True
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
        self._connection.close()

    def _is_readable(self, timeout_s: float | None) -> bool:
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))

    def _read(self) -> None:
        """Read once from a readable socket, and split what has come into lines."""
        content, descriptors = b"", list[int]()
        # A peer that was killed may leave a reset connection.
        with contextlib.suppress(ConnectionResetError):
            content, descriptors, _, _ = socket.recv_fds(
                self._connection, _READ_BYTES, _MAX_DESCRIPTORS
            )
        for descriptor in descriptors:
            # `recv_fds` of Python 3.11 ignores MSG_CMSG_CLOEXEC.
            os.set_inheritable(descriptor, False)
        self._descriptors.extend(descriptors)
        self._unread += content
        if not content:
            self.closed = self.peer_ended = True
            if self._unread:
                raise MessageError(f"the first {len(self._unread)} bytes of a message, then an end")
        while (end := self._unread.find(b"\n", self._searched)) >= 0:
            self._lines.append(bytes(self._unread[:end]))
            del self._unread[: end + 1]
            self._searched = 0
        self._searched = len(self._unread)
        if len(self._unread) > MAX_LINE_BYTES:
            self.closed = True
            raise MessageError(f"a line of more than {MAX_LINE_BYTES} bytes")

    def _decode(self, line: bytes) -> Message:
        try:
            return decode(line)
        except MessageError:
            self.closed = True
            self._lines.clear()
            raise
