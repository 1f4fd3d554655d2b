"""A variant: one full training configuration, checked.

Usage:
    variant = Variant.model_validate(fill_defaults({"norm": "bn_post"}))
    variant.id                     # "9f1c2ab07e", equal for equal configurations

``bench.spec.axes`` declares its settings.
"""

import hashlib
import json
from typing import Any

from pydantic import model_validator

from bench.spec.axes import VariantAxes
from bench.spec.fail_fast_types import one_unknown_key
from bench.spec.variant_rules import contradictions, inactive_settings

FASHION_MNIST_TRAIN_EXAMPLES = 55_000
"""The 60,000 training images minus the first 5,000, which are kept for validation."""

FASHION_MNIST_SHAPE = (28, 28, 1)
"""Height, width and channels."""


class Variant(VariantAxes):
    """One training configuration; ``defaults.fill_defaults`` completes a partial one."""

    @model_validator(mode="before")
    @classmethod
    def _unknown_key(cls, value: Any) -> Any:
        return one_unknown_key(cls, value)

    @model_validator(mode="after")
    def _check_consistency(self) -> "Variant":
        for problem in contradictions(self):
            raise ValueError(problem)
        return self

    @property
    def total_replicas(self) -> int:
        """Number of devices of all workers together."""
        return self.workers * self.replicas

    @property
    def per_replica_batch_size(self) -> int:
        """Number of examples that each device trains on in a step."""
        return self.global_batch_size // self.total_replicas

    @property
    def has_custom_workload(self) -> bool:
        """Whether the network is a user's function, named by module and function."""
        return ":" in self.workload

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Height, width and channels of an example."""
        return self.shape if self.dataset == "synthetic" else FASHION_MNIST_SHAPE

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each hidden dense layer, including repeated ones."""
        return self.hidden * self.depth

    @property
    def sums_over_replicas(self) -> bool:
        """Whether each step sums gradients over several replicas."""
        return self.total_replicas > 1 and self.communication == "full"

    @property
    def whole_epoch_steps(self) -> int:
        """Number of full batches in the examples; an incomplete last batch is left out."""
        return self.examples // self.global_batch_size

    @property
    def steps_per_epoch(self) -> int:
        """Steps that an epoch runs: those of a whole epoch, at most ``max_steps``."""
        return min(self.whole_epoch_steps, self.max_steps or self.whole_epoch_steps)

    @property
    def is_capped(self) -> bool:
        """Whether ``max_steps`` cuts epochs short."""
        return self.steps_per_epoch < self.whole_epoch_steps

    @property
    def may_be_refused(self) -> bool:
        """Whether TensorFlow may refuse the program: all but plain float32 steps on one device.

        If it refuses any other program, the trial has failed instead of being unsupported.
        """
        is_plain = self.jit == "none" and self.precision in ("float32", "float32_strict")
        return not is_plain or self.total_replicas > 1 or self.deterministic

    def measures_health_after(self, epochs: int) -> bool:
        """Whether ``health_epochs`` names the point after ``epochs`` trained epochs."""
        return epochs in self.health_epochs or (epochs == self.epochs and -1 in self.health_epochs)

    def canonical(self) -> dict[str, Any]:
        """Return the settings that have an effect: equal for configurations that train alike.

        Widths are written out if ``depth`` repeats them.
        """
        inactive = inactive_settings(self)
        canonical = {k: v for k, v in self.model_dump().items() if k not in inactive}
        if "hidden" in canonical and "depth" in inactive:
            canonical["hidden"] = self.widths
        return canonical

    @property
    def id(self) -> str:
        """The first ten hex digits of the SHA-256 of ``canonical`` as JSON."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:10]
