"""How a trial's epochs are timed: for how long it warms up, and how long a timing is at least.

Usage:
    timing = Timing(warmup_s=2.0, min_timing_s=0.5)
    timing.on("GPU").warmup_s
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False, strict=True)]

GPU_WARMUP_S = 2.0
"""A GPU at rest takes a second or two to raise its clocks under load."""
GPU_MIN_TIMING_S = 0.5
"""As long as NVIDIA's nvbench measures at least."""


class Timing(BaseModel):
    """What a suite asks for; None leaves the choice to the device."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    warmup_s: Seconds | None = None
    """Untimed training before the first epoch, which leaves no trace in the weights."""
    min_timing_s: Seconds | None = None
    """A shorter epoch is timed several times, from the same state, until they take so long."""

    def on(self, device: str) -> "Timing":
        """With both chosen, for a ``device`` "GPU" or "CPU", whose cores need no warm-up."""
        warmup_s, min_timing_s = (GPU_WARMUP_S, GPU_MIN_TIMING_S) if device == "GPU" else (0.0, 0.0)
        return Timing(
            warmup_s=warmup_s if self.warmup_s is None else self.warmup_s,
            min_timing_s=min_timing_s if self.min_timing_s is None else self.min_timing_s,
        )
