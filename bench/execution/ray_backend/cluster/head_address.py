"""Check that a Ray cluster answers at an address, with the credentials that it requires.

Usage:
    address = resolve_address("head:6379")        # ResourceError if no Ray answers there

Ray itself retries for minutes before it gives up, and does not report a missing token. The check
connects as Ray would: with the certificates of RAY_USE_TLS, and with the token if there is one.
"""

import time

import grpc
from ray.exceptions import AuthenticationError

from bench.errors import ResourceError
from bench.execution.ray_backend.ray_compat import (
    GLOBAL_GRPC_OPTIONS,
    get_ray_address_from_environment,
    init_grpc_channel,
    maybe_enable_token_auth_if_token_available,
)

_ANSWER_S = 5.0
_TRIES = 3
_GET_CLUSTER_ID = "/ray.rpc.NodeInfoGcsService/GetClusterId"
"""The first call of a Ray client."""
_GET_SYSTEM_CONFIG = "/ray.rpc.NodeManagerService/GetSystemConfig"
"""The first call of a worker to its raylet."""
_NO_TOKEN = grpc.StatusCode.UNAUTHENTICATED
_NO_ANSWER = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def resolve_address(address: str) -> str:
    """Return HOST:PORT of the cluster that ``address`` names, after it has answered.

    "auto" names the cluster of RAY_ADDRESS, else the one on this machine. If the cluster requires a
    token, this process is set up to send the user's.
    """
    if address == "auto":
        address = _address_of_this_machine()
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise ResourceError(f"address {address!r} is not HOST:PORT: name a Ray head, or use auto")
    status, details = _call(address)
    if status is _NO_TOKEN and _enable_token():
        status, details = _call(address)
    if status is _NO_TOKEN:
        raise ResourceError(
            f"the Ray cluster at {address} requires a token that this user does not have: "
            "copy ~/.ray/auth_token from its head, and set RAY_AUTH_MODE=token"
        )
    if status in _NO_ANSWER:
        raise ResourceError(
            f"no Ray answers at {address} ({details}): start it there, or correct --address"
        )
    if status is not None:
        raise ResourceError(f"the server at {address} is not a Ray head: correct --address")
    return address


def is_alive(address: str) -> bool:
    """Return whether anything answers there; tries more than once, because a head may be busy."""
    return _answers(address, _GET_CLUSTER_ID)


def raylet_answers(address: str) -> bool:
    """Return whether the raylet, or any other server, answers there."""
    return _answers(address, _GET_SYSTEM_CONFIG)


def _answers(address: str, method: str) -> bool:
    for attempt in range(_TRIES):
        time.sleep(attempt)
        if _call(address, method)[0] not in _NO_ANSWER:
            return True
    return False


def _address_of_this_machine() -> str:
    try:
        return str(get_ray_address_from_environment("auto", None))
    except ConnectionError:
        raise ResourceError(
            "no Ray runs on this machine: start one (ray start --head), or omit --address"
        ) from None


def _call(address: str, method: str = _GET_CLUSTER_ID) -> "tuple[grpc.StatusCode | None, str]":
    """Call a method without arguments; return its error status, or None, and details."""
    try:
        # Ray's channel ignores a proxy that http_proxy names, unless Ray itself uses it.
        with init_grpc_channel(address, GLOBAL_GRPC_OPTIONS) as channel:
            channel.unary_unary(method)(b"", timeout=_ANSWER_S)
    except AuthenticationError:  # RAY_AUTH_MODE requires a token that is missing
        return _NO_TOKEN, ""
    except grpc.RpcError as error:
        return error.code(), str(error.details()).rpartition(": ")[2]
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ResourceError(
            f"Ray's certificates cannot be read ({reason}): name their files in "
            "RAY_TLS_SERVER_CERT, RAY_TLS_SERVER_KEY and RAY_TLS_CA_CERT, or unset RAY_USE_TLS"
        ) from None
    return None, ""


def _enable_token() -> bool:
    """Have this process send the user's token; return whether there is one."""
    # A first local Ray leaves a token, which "ray start" then requires and ray.init omits.
    try:
        return bool(maybe_enable_token_auth_if_token_available(warn_if_disabled=False))
    except AuthenticationError:
        return False
