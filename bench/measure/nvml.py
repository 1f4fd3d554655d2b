"""Open the NVIDIA driver's library (NVML), call it, and turn its error codes into messages.

Usage:
    with nvml_session() as available:
        if available:
            count = nvml_call(pynvml.nvmlDeviceGetCount)
            mode = nvml_optional(pynvml.nvmlDeviceGetMigMode, handle)   # None if unsupported
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pynvml

from bench.errors import ResourceError

_NO_DRIVER = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
    pynvml.NVML_ERROR_GPU_NOT_FOUND,
}
_UNSUPPORTED = {
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    pynvml.NVML_ERROR_NO_PERMISSION,
    pynvml.NVML_ERROR_NO_DATA,
    pynvml.NVML_ERROR_NOT_FOUND,
}
_MESSAGES = {
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
        "its library and its kernel module have different versions",
        "reboot, or in a container use the host's driver library",
    ),
    pynvml.NVML_ERROR_NO_PERMISSION: (
        "no permission",
        "give this user access to /dev/nvidia*, or ask the scheduler for a GPU",
    ),
    pynvml.NVML_ERROR_OPERATING_SYSTEM: (
        "the operating system refuses access",
        "give this user, or the container, access to /dev/nvidia*",
    ),
    pynvml.NVML_ERROR_GPU_IS_LOST: (
        "a GPU has fallen off the bus",
        "reset it with nvidia-smi --gpu-reset, or reboot",
    ),
    pynvml.NVML_ERROR_RESET_REQUIRED: (
        "a GPU needs a reset",
        "reset it with nvidia-smi --gpu-reset, or reboot",
    ),
    pynvml.NVML_ERROR_IRQ_ISSUE: (
        "the kernel does not deliver the GPU's interrupts",
        "see dmesg, and reinstall the driver",
    ),
    pynvml.NVML_ERROR_INSUFFICIENT_POWER: (
        "a GPU's power cables are not connected",
        "connect them",
    ),
}


@contextlib.contextmanager
def nvml_session() -> Iterator[bool]:
    """Open the library for the block; yields False if this machine has no driver.

    Raises ResourceError if the driver does not work.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value not in _NO_DRIVER:
            raise _driver_error(error) from None
        yield False
        return
    try:
        yield True
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def nvml_call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call an NVML function; raises ResourceError with a remedy if the driver fails."""
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        raise _driver_error(error) from None


def nvml_optional(function: Callable[..., Any], *arguments: Any) -> Any | None:
    """Call an NVML function; return None if the card, driver or user does not support it."""
    try:
        return function(*arguments)
    except (pynvml.NVMLLibraryMismatchError, pynvml.NVMLError) as error:
        if isinstance(error, pynvml.NVMLError) and error.value not in _UNSUPPORTED:
            raise _driver_error(error) from None
        return None


def _driver_error(error: Any) -> ResourceError:
    problem, remedy = _MESSAGES.get(
        error.value, (str(error), "see the output of nvidia-smi, and repair the driver")
    )
    return ResourceError(f"the NVIDIA driver: {problem} (NVML error {error.value}): {remedy}")
