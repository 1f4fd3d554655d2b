"""The devices that trials train on, as suites and commands name them."""

from typing import Literal

DeviceType = Literal["cpu", "gpu"]
"""The kind of device that a run's trials train on."""

RequestedDevice = Literal["auto", "cpu", "gpu"]
"""The device that a run asks for: auto means GPUs if there are any."""
