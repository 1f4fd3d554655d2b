"""Call the CUDA driver, in processes that run on the counting stack.

Usage:
    driver = Driver()                     # sees CUDA_VISIBLE_DEVICES
    driver.use(1)
    address = driver.allocate(4096)
    driver.to_device(address, 100)
"""

import ctypes

NO_DEVICE = 100
OUT_OF_MEMORY = 2


class Driver:
    """The initialized library of the driver; every call raises DriverError if CUDA fails."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")
        self._host = ctypes.create_string_buffer(1 << 20)
        self._contexts: dict[int, ctypes.c_void_p] = {}
        self._call("cuInit", 0)

    def uuids(self) -> list[str]:
        """Return the UUIDs of all devices or instances, in CUDA's order and NVML's format."""
        return [self._uuid(device) for device in range(self.count())]

    def count(self) -> int:
        """Return the number of devices."""
        count = ctypes.c_int()
        self._call("cuDeviceGetCount", ctypes.byref(count))
        return count.value

    def bus_id(self, device: int) -> str:
        """Return a device's domain, bus, device and function."""
        text = ctypes.create_string_buffer(32)
        self._call("cuDeviceGetPCIBusId", text, 32, device)
        return text.value.decode()

    def use(self, device: int) -> None:
        """Make ``device`` the current one."""
        if device not in self._contexts:
            self._contexts[device] = ctypes.c_void_p()
            self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._contexts[device]), device)
        self._call("cuCtxSetCurrent", self._contexts[device])

    def allocate(self, size: int) -> int:
        """Allocate ``size`` bytes on the current device, and return their address."""
        address = ctypes.c_void_p()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        assert address.value is not None
        return address.value

    def free(self, address: int) -> None:
        """Free allocated memory."""
        self._call("cuMemFree_v2", ctypes.c_void_p(address))

    def free_bytes(self) -> int:
        """Return the free memory of the current device."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    def to_device(self, address: int, size: int) -> None:
        """Copy from the host."""
        self._copy("cuMemcpyHtoDAsync_v2", ctypes.c_void_p(address), self._host, size)

    def to_host(self, address: int, size: int) -> None:
        """Copy to the host."""
        self._copy("cuMemcpyDtoHAsync_v2", self._host, ctypes.c_void_p(address), size)

    def between(self, target: int, source: int, size: int) -> None:
        """Copy from an address of a device to one of the same or another device."""
        self._copy("cuMemcpyDtoDAsync_v2", ctypes.c_void_p(target), ctypes.c_void_p(source), size)

    def synchronize(self) -> None:
        """Wait for the default stream of the current device."""
        self._call("cuStreamSynchronize", None)

    def _copy(self, name: str, target: object, source: object, size: int) -> None:
        self._call(name, target, source, ctypes.c_size_t(size), None)

    def _uuid(self, device: int) -> str:
        raw = ctypes.create_string_buffer(16)
        self._call("cuDeviceGetUuid_v2", raw, device)
        digits = raw.raw.hex()
        parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
        return "-".join(parts)

    def _call(self, name: str, *arguments: object) -> None:
        code = self._library[name](*arguments)
        if code != 0:
            raise DriverError(code)


class DriverError(Exception):
    """A code of the driver other than success."""

    def __init__(self, code: int) -> None:
        super().__init__(f"CUDA error {code}")
        self.code = code
