"""What is recorded of a look at the layers of a network.

Usage:
    HealthRecord.model_validate({"after_epochs": 0, "kind": ["dense"], ...})
"""

from pydantic import model_validator

from bench.records.ranges import Count, Number, SomeShare
from bench.records.record_part import RecordPart
from bench.spec.fail_fast import FailFastTuple

_PerLayer = FailFastTuple[Number | None]
_SharePerLayer = FailFastTuple[SomeShare | None]


class HealthRecord(RecordPart):
    """A look at each layer between epochs, on 512 examples that never change.

    One value a layer, in the model's order; None where a layer has no such thing. Infinite
    stands for what is no finite number.
    """

    after_epochs: Count
    """Epochs trained before the look; 0: the weights as they start."""
    kind: FailFastTuple[str]
    """What the layer is: dense, activation, batch_norm ..."""
    depth: FailFastTuple[Count]
    """Products, dense or convolution, up to the layer and with it; 0 on the input's side."""
    output_mean: _PerLayer
    """Of its output, over examples and units."""
    output_variance: _PerLayer
    """Of its output, over examples and units."""
    output_gradient_variance: _PerLayer
    """Of the gradient of each example's loss by the layer's output, over examples and units."""
    saturated_fraction: _SharePerLayer
    """Part of outputs within 1 % of the range of a bound, of an activation that has two."""
    dead_fraction: _SharePerLayer
    """Part of units, or channels, that are 0 for every example, after relu."""
    gradient_norm: _PerLayer
    """L2 norm of the gradient of the mean loss by the layer's weights, before clipping."""
    update_ratio: _PerLayer
    """L2 norm of what the optimiser would then change, over that of the weights."""
    clipped_fraction: _SharePerLayer
    """Part of that gradient's numbers, zeros left out, that clipping would change."""
    overflow_fraction: _SharePerLayer
    """Part of that gradient's numbers that are not finite under the loss scale in force."""
    moving_mean_drift: _PerLayer
    """Root mean square of batch norm's moving mean less its input's, in its deviations."""
    moving_variance_drift: _PerLayer
    """Root mean square of the logarithm of batch norm's moving variance over its input's."""

    @model_validator(mode="after")
    def _one_value_a_layer(self) -> "HealthRecord":
        layers = len(self.kind)
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != layers:
                raise ValueError(f"{name} should have {layers} values, one a layer")
        return self
