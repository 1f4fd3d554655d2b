"""Reserve a port on which only its peers reach TensorFlow's server.

Usage:
    guard = PortGuard()                      # no connection is accepted yet
    guard.admit(["10.0.0.1", "10.0.0.2"])
    os.environ.update(guard.variables)       # TensorFlow may now open its server on guard.port

TensorFlow listens on all addresses (``GrpcServer::Init`` in
tensorflow/core/distributed_runtime/rpc/grpc_server_lib.cc) and requires no password, and anybody
who reaches it can read and write its user's files. It has no setting for the address to listen on.
It can, however, share its port with other sockets of the same user (SO_REUSEPORT). The guard's
socket is the first on the port, and installs the kernel's filter that chooses which socket gets a
connection (socket(7), SO_ATTACH_REUSEPORT_CBPF): connections of peers go to TensorFlow's socket,
all others to the guard's, which drops them. The filter is installed before TensorFlow listens, and
needs no root.
"""

import ctypes
import ipaddress
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.errors import ResourceError
from bench.execution.ray_backend.workers.free_port import bind_to_free_port

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SO_ATTACH_FILTER = 26
_SO_ATTACH_REUSEPORT_CBPF = 51
_LOAD_BYTE, _LOAD_WORD, _AND, _JUMP_IF_EQUAL, _RETURN = 0x30, 0x20, 0x54, 0x15, 0x06
_IP_HEADER = 0xFFF00000
"""SKF_NET_OFF of linux/filter.h: offsets from here count from the packet's IP header."""
_SOURCE_AT = {4: 12, 6: 8}
"""Bytes from the header's start to the source address, by IP version."""
_GUARD, _TENSORFLOW = 0, 1
"""Sockets of a port are numbered in the order in which they began to listen."""
_DROP = 0


class _Instruction(NamedTuple):
    """An instruction of the kernel's classic BPF (struct sock_filter)."""

    code: int
    if_true: int
    if_false: int
    operand: int


class PortGuard:
    """Holds a port for as long as it lives; ResourceError if the kernel has no such filter."""

    def __init__(self) -> None:
        self._socket = _wildcard_socket()
        try:
            self.port = bind_to_free_port(self._socket)
            # The option is set after the bind, so that no other process's socket shares the port by
            # chance.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._attach(_SO_ATTACH_FILTER, [_return(_DROP)])
            self._attach(_SO_ATTACH_REUSEPORT_CBPF, [_return(_GUARD)])
            self._socket.listen(1)
        except OSError as error:
            self._socket.close()
            raise ResourceError(
                f"ports cannot be protected here ({error.strerror}): avoid "
                "multi_worker, or use Linux 4.5 or newer outside a sandbox without socket filters"
            ) from None

    def fileno(self) -> int:
        """Return the socket's descriptor.

        A process that is open to peers keeps a copy: without any copy, the filter's first socket
        would be TensorFlow's, and all connections would reach it.
        """
        return self._socket.fileno()

    @property
    def variables(self) -> dict[str, str]:
        """The variable that makes TensorFlow share the port."""
        return {"TF_GRPC_REUSE_PORT": "1"}

    def admit(self, hosts: Iterable[str]) -> None:
        """Accept connections only from these IP addresses."""
        peers = sorted({ipaddress.ip_address(host) for host in hosts}, key=str)
        checks = [step for peer in peers for step in _admitting(peer)]
        self._attach(_SO_ATTACH_REUSEPORT_CBPF, [*checks, _return(_GUARD)])

    def close(self) -> None:
        """Close the port. TensorFlow's server must have ended: it would be open to everybody."""
        self._socket.close()

    def _attach(self, option: int, program: Sequence[_Instruction]) -> None:
        code = b"".join(struct.pack("HBBI", *step) for step in program)
        buffer = ctypes.create_string_buffer(code, len(code))  # the kernel copies it
        fprog = struct.pack("HP", len(program), ctypes.addressof(buffer))
        self._socket.setsockopt(socket.SOL_SOCKET, option, fprog)


def _wildcard_socket() -> socket.socket:
    """Open a socket of the family that gRPC uses: IPv6 for both versions if ::1 can be bound."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        both = socket.socket(socket.AF_INET6)
        both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    except OSError:
        return socket.socket(socket.AF_INET)
    return both


def _admitting(peer: Address) -> list[_Instruction]:
    """Choose TensorFlow's socket if a packet comes from ``peer``; otherwise continue below."""
    words = struct.unpack(f">{len(peer.packed) // 4}I", peer.packed)
    source = _IP_HEADER + _SOURCE_AT[peer.version]
    steps = [
        _Instruction(_LOAD_BYTE, 0, 0, _IP_HEADER),
        _Instruction(_AND, 0, 0, 0xF0),
        _Instruction(_JUMP_IF_EQUAL, 0, 2 * len(words) + 1, peer.version << 4),
    ]
    for index, word in enumerate(words):
        remaining = 2 * (len(words) - 1 - index) + 1
        steps.append(_Instruction(_LOAD_WORD, 0, 0, source + 4 * index))
        steps.append(_Instruction(_JUMP_IF_EQUAL, 0, remaining, word))
    return [*steps, _return(_TENSORFLOW)]


def _return(value: int) -> _Instruction:
    return _Instruction(_RETURN, 0, 0, value)
