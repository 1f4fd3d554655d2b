"""A port on which TensorFlow's server is reached by its peers and by nobody else.

Usage:
    guard = PortGuard()                      # nobody is let through yet
    guard.admit(["10.0.0.1", "10.0.0.2"])
    os.environ.update(guard.variables)       # then TensorFlow may open its server on guard.port

TensorFlow listens on all addresses (``GrpcServer::Init`` in
tensorflow/core/distributed_runtime/rpc/grpc_server_lib.cc), asks for no password, and reads and
writes any file of its user's for whoever reaches it. It can be given no address to listen on. It
can share its port, though, with other sockets of the same user (SO_REUSEPORT). The guard's socket
is the first on the port, and installs the kernel's filter that chooses which of them gets a
connection (socket(7), SO_ATTACH_REUSEPORT_CBPF): those of peers go to TensorFlow's, all others to
the guard's, which drops them. The filter is in place before TensorFlow listens, and needs no root.
"""

import ctypes
import ipaddress
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.errors import ResourceError
from bench.execution.ray_backend.free_port import bind_to_free_port

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
    """One of the kernel's classic BPF (struct sock_filter)."""

    code: int
    if_true: int
    if_false: int
    operand: int


class PortGuard:
    """Holds a port for as long as it lives; ResourceError where the kernel has no such filter."""

    def __init__(self) -> None:
        self._socket = _wildcard_socket()
        try:
            self.port = bind_to_free_port(self._socket)
            # Bound first, so that no socket but this process's shares the port by chance.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._attach(_SO_ATTACH_FILTER, [_return(_DROP)])
            self._attach(_SO_ATTACH_REUSEPORT_CBPF, [_return(_GUARD)])
            self._socket.listen(1)
        except OSError as error:
            self._socket.close()
            raise ResourceError(
                f"no port can be kept from strangers here ({error.strerror}): leave multi_worker "
                "out, or use Linux 4.5 or newer outside a sandbox that has no socket filters"
            ) from None

    @property
    def variables(self) -> dict[str, str]:
        """What has TensorFlow share the port."""
        return {"TF_GRPC_REUSE_PORT": "1"}

    def admit(self, hosts: Iterable[str]) -> None:
        """Let connections from these IP addresses through, and no others."""
        peers = sorted({ipaddress.ip_address(host) for host in hosts}, key=str)
        checks = [step for peer in peers for step in _admitting(peer)]
        self._attach(_SO_ATTACH_REUSEPORT_CBPF, [*checks, _return(_GUARD)])

    def close(self) -> None:
        """Give the port up. TensorFlow's server must be gone: it would be open to all."""
        self._socket.close()

    def _attach(self, option: int, program: Sequence[_Instruction]) -> None:
        code = b"".join(struct.pack("HBBI", *step) for step in program)
        held = ctypes.create_string_buffer(code, len(code))  # the kernel copies it
        fprog = struct.pack("HP", len(program), ctypes.addressof(held))
        self._socket.setsockopt(socket.SOL_SOCKET, option, fprog)


def _wildcard_socket() -> socket.socket:
    """Of the family that gRPC takes: where ::1 can be bound to, IPv6 for both versions."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        both = socket.socket(socket.AF_INET6)
        both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    except OSError:
        return socket.socket(socket.AF_INET)
    return both


def _admitting(peer: Address) -> list[_Instruction]:
    """Choose TensorFlow's socket where a packet comes from ``peer``, else go on below."""
    words = struct.unpack(f">{len(peer.packed) // 4}I", peer.packed)
    source = _IP_HEADER + _SOURCE_AT[peer.version]
    steps = [
        _Instruction(_LOAD_BYTE, 0, 0, _IP_HEADER),
        _Instruction(_AND, 0, 0, 0xF0),
        _Instruction(_JUMP_IF_EQUAL, 0, 2 * len(words) + 1, peer.version << 4),
    ]
    for index, word in enumerate(words):
        left = 2 * (len(words) - 1 - index) + 1
        steps.append(_Instruction(_LOAD_WORD, 0, 0, source + 4 * index))
        steps.append(_Instruction(_JUMP_IF_EQUAL, 0, left, word))
    return [*steps, _return(_TENSORFLOW)]


def _return(value: int) -> _Instruction:
    return _Instruction(_RETURN, 0, 0, value)
