"""Define the record of a look at the layers of a network.

Usage:
    HealthRecord.model_validate({"after_epochs": 0, "kind": ["dense"], ...})
"""

from pydantic import model_validator

from bench.records.ranges import Count, Number, SomeShare
from bench.records.record_part import RecordPart
from bench.spec.fail_fast_types import FailFastTuple

_PerLayer = FailFastTuple[Number | None]
_SharePerLayer = FailFastTuple[SomeShare | None]


class HealthRecord(RecordPart):
    """Statistics of each layer between epochs, on 512 fixed examples.

    Each field has one value per layer, in the model's order; None if the statistic does not apply
    to the layer. Infinite means that the value is not a finite number.
    """

    after_epochs: Count
    """Epochs trained before the look; 0: the initial weights."""
    kind: FailFastTuple[str]
    """The layer's kind: dense, activation, batch_norm ..."""
    depth: FailFastTuple[Count]
    """Dense layers and convolutions up to and including this layer; 0 before the first."""
    output_mean: _PerLayer
    """Mean of its output, over examples and units."""
    output_variance: _PerLayer
    """Variance of its output, over examples and units."""
    output_gradient_variance: _PerLayer
    """Variance of the gradient of each example's loss with respect to the layer's output, over
    examples and units."""
    saturated_fraction: _SharePerLayer
    """Share of outputs within 1 % of the range of a bound, for activations with two bounds."""
    dead_fraction: _SharePerLayer
    """Share of units, or channels, that are 0 for every example, after relu."""
    gradient_norm: _PerLayer
    """L2 norm of the gradient of the mean loss with respect to the layer's weights, before
    clipping."""
    update_ratio: _PerLayer
    """L2 norm of the change that the optimizer would then make, over that of the weights."""
    clipped_fraction: _SharePerLayer
    """Share of that gradient's nonzero numbers that clipping would change."""
    overflow_fraction: _SharePerLayer
    """Share of that gradient's numbers that are not finite at the current loss scale."""
    moving_mean_drift: _PerLayer
    """Root mean square difference of batch norm's moving mean and its input's mean, in standard
    deviations of the input."""
    moving_variance_drift: _PerLayer
    """Root mean square logarithm of the ratio of batch norm's moving variance to its input's."""

    @model_validator(mode="after")
    def _one_value_a_layer(self) -> "HealthRecord":
        layers = len(self.kind)
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != layers:
                raise ValueError(f"{name} should have {layers} values, one a layer")
        return self
