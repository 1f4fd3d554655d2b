"""Messages and their descriptors pass through a socket; a broken peer is found out."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.protocol import message_stream
from bench.protocol.message_stream import MessageStream
from bench.protocol.messages import HeartbeatCount, Message, MessageError, StartProcess, encode


class Ends(NamedTuple):
    stream: MessageStream
    peer: socket.socket


@contextlib.contextmanager
def connected() -> Iterator[Ends]:
    ours, theirs = socket.socketpair()
    stream = MessageStream(ours)
    with theirs:
        yield Ends(stream, theirs)
    stream.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    with connected() as both:
        yield both


@given(st.integers(0, 4), st.lists(st.integers(1, 40), max_size=10))
def test_messages_arrive_however_the_socket_cuts_them(count: int, cuts: list[int]) -> None:
    sent = [HeartbeatCount(count=number) for number in range(count)]
    line = b"".join(map(encode, sent))
    received: list[Message] = []
    with connected() as (stream, peer):
        for cut in cuts:
            peer.sendall(line[:cut])
            line = line[cut:]
            received += stream.available()
        peer.sendall(line)
        peer.shutdown(socket.SHUT_WR)
        while (message := stream.receive(5.0)) is not None:
            received.append(message)
    assert received == sent


def test_descriptors_arrive_with_their_messages(ends: Ends, tmp_path: Path) -> None:
    files = [os.open(tmp_path, os.O_RDONLY) for _ in range(3)]
    sender = MessageStream(ends.peer.dup())
    for number, file in enumerate(files):
        sender.send(StartProcess(number=number), [file])
        os.close(file)
    sender.close()
    for number in range(3):
        assert ends.stream.receive(5.0) == StartProcess(number=number)
        (received,) = ends.stream.take_descriptors(1)
        assert os.path.samestat(os.fstat(received), tmp_path.stat())
        assert not os.get_inheritable(received)
        os.close(received)
    with pytest.raises(MessageError, match="1 descriptors expected, 0 received"):
        ends.stream.take_descriptors(1)


def test_descriptors_that_nobody_takes_are_closed() -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    with connected() as (stream, peer):
        sender = MessageStream(peer.dup())
        sender.send(StartProcess(number=0), [write])
        sender.close()
        os.close(write)
        assert stream.receive(5.0)
        with pytest.raises(BlockingIOError):
            os.read(read, 1)
    assert os.read(read, 1) == b"", "a writing end is still open"
    os.close(read)


def test_what_was_read_with_a_message_is_available(ends: Ends) -> None:
    ends.peer.sendall(b"".join(encode(HeartbeatCount(count=number)) for number in range(3)))
    assert ends.stream.receive(5.0) == HeartbeatCount(count=0)
    assert ends.stream.has_messages
    assert list(ends.stream.available()) == [HeartbeatCount(count=1), HeartbeatCount(count=2)]
    assert not ends.stream.has_messages


def test_silence_is_a_timeout_and_an_end_is_none(ends: Ends) -> None:
    with pytest.raises(TimeoutError):
        ends.stream.receive(0.0)
    assert list(ends.stream.available()) == []
    ends.peer.close()
    assert ends.stream.receive(5.0) is None
    assert ends.stream.closed


def test_half_a_message_is_refused(ends: Ends) -> None:
    ends.peer.sendall(encode(HeartbeatCount(count=1)) + b'{"protocol"')
    ends.peer.close()
    assert ends.stream.receive(5.0) == HeartbeatCount(count=1)
    with pytest.raises(MessageError, match="the first 11 bytes of a message, then an end"):
        ends.stream.receive(5.0)
    assert ends.stream.receive(5.0) is None


def test_an_endless_line_is_refused(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_stream, "MAX_LINE_BYTES", 1000)
    ends.peer.sendall(b"x" * 2000)
    with pytest.raises(MessageError, match="a line of more than 1000 bytes"):
        ends.stream.receive(5.0)


def test_nothing_is_received_after_what_is_no_message(ends: Ends) -> None:
    ends.peer.sendall(b"rubbish\n" + encode(HeartbeatCount(count=1)))
    with pytest.raises(MessageError):
        list(ends.stream.available())
    assert ends.stream.receive(0.0) is None
