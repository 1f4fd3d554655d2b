"""List the programs whose copies are counted: each way of compiling, on one device and several.

Usage:
    @pytest.mark.parametrize(("strategy", "jit"), CASES)
    def test_something(epoch_pair: EpochPairs, strategy: str, jit: str) -> None:
        pair = epoch_pair(strategy, jit)
        pair.per_step("d2h_copies")                 # of each device
"""

from collections.abc import Callable
from dataclasses import dataclass

from bench.spec.defaults import fill_defaults
from bench.spec.variant import Variant
from tests.cuda.measured_epoch import MeasuredEpoch

BATCH = 128
STEPS = (5, 15)
"""Steps of the short and the long epoch; each is one window."""

REPLICAS = {"one_device": 1, "mirrored 2": 2, "mirrored 4": 4}
JITS = {
    "one_device": ("none", "step", "epoch"),
    # XLA compiles no window over several replicas of one process.
    "mirrored 2": ("none", "step"),
    "mirrored 4": ("none", "step"),
}
CASES = [(strategy, jit) for strategy, jits in JITS.items() for jit in jits]


@dataclass(frozen=True)
class EpochPair:
    """Two epochs that differ only in their number of steps."""

    short: MeasuredEpoch
    long: MeasuredEpoch

    def per_step(self, count: str) -> list[float]:
        """Return by how much a count of each device grows with one more step."""
        extra_steps = self.long.steps - self.short.steps
        pairs = zip(self.short.epoch.devices, self.long.epoch.devices, strict=True)
        return [(getattr(b, count) - getattr(a, count)) / extra_steps for a, b in pairs]


EpochPairs = Callable[[str, str], EpochPair]


def variants_of(strategy: str) -> list[Variant]:
    """Return the variants of the short and the long epoch for each way of compiling."""
    name, replicas = strategy.split()[0], REPLICAS[strategy]
    axes = {
        "dataset": "synthetic",
        "examples": 5500,
        "hidden": (20,),
        "global_batch_size": BATCH,
        "epochs": 1,
        "strategy": name,
        "replicas": replicas,
    }
    return [
        Variant.model_validate(fill_defaults({**axes, "jit": jit, "max_steps": steps}))
        for jit in JITS[strategy]
        for steps in STEPS
    ]
