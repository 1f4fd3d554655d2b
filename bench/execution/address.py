"""Whether a Ray cluster answers at an address, and how it wants to be asked.

Usage:
    address = found_at("head:6379")        # ResourceError where no Ray answers there

Ray itself tries for minutes before it gives up, and says nothing of a token that is missing.
It is asked as Ray would ask: with RAY_USE_TLS set by its certificates, with the token where
there is one.
"""

import time

import grpc
from ray._private.authentication.authentication_token_setup import (
    maybe_enable_token_auth_if_token_available,
)
from ray._private.grpc_utils import init_grpc_channel
from ray._private.ray_constants import GLOBAL_GRPC_OPTIONS
from ray._private.services import get_ray_address_from_environment
from ray.exceptions import AuthenticationError

from bench.errors import ResourceError

_ANSWER_S = 5.0
_TRIES = 3
_ASKS_FOR_IDENTITY = "/ray.rpc.NodeInfoGcsService/GetClusterId"
"""What a Ray client asks first of all."""
_ASKS_FOR_SETTINGS = "/ray.rpc.NodeManagerService/GetSystemConfig"
"""What a worker asks its raylet first of all."""
_STRANGER = grpc.StatusCode.UNAUTHENTICATED
_SILENCE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def found_at(address: str) -> str:
    """HOST:PORT of the cluster that ``address`` means, once it has answered.

    "auto" is the cluster of RAY_ADDRESS, else the one of this machine. Where the cluster asks
    for a token, this process is set up to send the one that it has.
    """
    if address == "auto":
        address = _of_this_machine()
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise ResourceError(f"address {address!r} is not HOST:PORT: name a Ray head's, or auto")
    status, details = _ask(address)
    if status is _STRANGER and _sends_token():
        status, details = _ask(address)
    if status is _STRANGER:
        raise ResourceError(
            f"the Ray cluster at {address} asks for a token that is not here: "
            "copy its ~/.ray/auth_token, and set RAY_AUTH_MODE=token"
        )
    if status in _SILENCE:
        raise ResourceError(
            f"no Ray answers at {address} ({details}): start it there, or correct --address"
        )
    if status is not None:
        raise ResourceError(f"what answers at {address} is not Ray's head: correct --address")
    return address


def answers(address: str) -> bool:
    """Whether anything still speaks there; asked more than once, as a head may be busy."""
    return _answers(address, _ASKS_FOR_IDENTITY)


def raylet_answers(address: str) -> bool:
    """Whether the raylet there still does, or something in its place."""
    return _answers(address, _ASKS_FOR_SETTINGS)


def _answers(address: str, question: str) -> bool:
    for attempt in range(_TRIES):
        time.sleep(attempt)
        if _ask(address, question)[0] not in _SILENCE:
            return True
    return False


def _of_this_machine() -> str:
    try:
        return str(get_ray_address_from_environment("auto", None))
    except ConnectionError:
        raise ResourceError(
            "no Ray runs on this machine: start one (ray start --head), or leave --address out"
        ) from None


def _ask(address: str, question: str = _ASKS_FOR_IDENTITY) -> "tuple[grpc.StatusCode | None, str]":
    """How a question without arguments is answered: None where all is well, and words on it."""
    try:
        # Not through a proxy that http_proxy names, unless Ray itself goes that way.
        with init_grpc_channel(address, GLOBAL_GRPC_OPTIONS) as channel:
            channel.unary_unary(question)(b"", timeout=_ANSWER_S)
    except AuthenticationError:  # RAY_AUTH_MODE has it send a token that there is not
        return _STRANGER, ""
    except grpc.RpcError as error:
        return error.code(), str(error.details()).rpartition(": ")[2]
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ResourceError(
            f"no certificates for Ray ({reason}): name their files in RAY_TLS_SERVER_CERT, "
            "RAY_TLS_SERVER_KEY and RAY_TLS_CA_CERT, or unset RAY_USE_TLS"
        ) from None
    return None, ""


def _sends_token() -> bool:
    """Have this process send the token that it has; whether there is one."""
    # A first local Ray leaves a token, which "ray start" then asks for and ray.init omits.
    try:
        return bool(maybe_enable_token_auth_if_token_available(warn_if_disabled=False))
    except AuthenticationError:
        return False
