"""How a trial times its epochs: how long it warms up, and the shortest timing.

Usage:
    timing = Timing(warmup_s=2.0, min_timing_s=0.5)
    timing.on("GPU").warmup_s
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False, strict=True)]

GPU_WARMUP_S = 2.0
"""An idle GPU takes a second or two to raise its clocks under load."""
GPU_MIN_TIMING_S = 0.5
"""The shortest measurement of NVIDIA's nvbench."""


class Timing(BaseModel):
    """The durations that a suite sets; None leaves the choice to the device."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    warmup_s: Seconds | None = None
    """Untimed training before the first epoch; the weights are restored afterwards."""
    min_timing_s: Seconds | None = None
    """A shorter epoch is repeated from the same state until the repeats take this long."""

    def on(self, device: str) -> "Timing":
        """Return both durations for ``device`` "GPU" or "CPU"; a CPU needs no warm-up."""
        warmup_s, min_timing_s = (GPU_WARMUP_S, GPU_MIN_TIMING_S) if device == "GPU" else (0.0, 0.0)
        return Timing(
            warmup_s=warmup_s if self.warmup_s is None else self.warmup_s,
            min_timing_s=min_timing_s if self.min_timing_s is None else self.min_timing_s,
        )
