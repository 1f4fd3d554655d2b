"""What Ray's process tells its run arrives whole."""

import os
import select
import signal
import socket
import threading
from multiprocessing.connection import Connection

import pytest

from bench.execution.ray_backend.process.ray_child import _Pipe

LARGE = bytes(8 * 2**20)
"""More than a socket holds, so that who sends it waits."""


def test_an_interrupt_cuts_no_message_in_two() -> None:
    own, its = socket.socketpair()
    arrived: list[object] = []
    with Connection(own.detach()) as run, Connection(its.detach()) as child:

        def interrupt_and_hear() -> None:
            select.select([run], [], [])
            os.kill(os.getpid(), signal.SIGINT)
            arrived.append(run.recv())

        reader = threading.Thread(target=interrupt_and_hear)
        reader.start()
        with pytest.raises(KeyboardInterrupt):
            _Pipe(child).send(LARGE)
        child.close()
        reader.join()
    assert arrived == [LARGE]


def test_messages_of_two_threads_do_not_mix() -> None:
    own, its = socket.socketpair()
    messages = [bytes([number]) * 2**20 for number in range(4)]
    with Connection(own.detach()) as run, Connection(its.detach()) as child:
        pipe = _Pipe(child)
        threads = [threading.Thread(target=pipe.send, args=[message]) for message in messages]
        for thread in threads:
            thread.start()
        arrived = [run.recv() for _ in messages]
        for thread in threads:
            thread.join()
    assert sorted(arrived) == messages
