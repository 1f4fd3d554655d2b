"""Define the metrics in one table: unit, which direction is better, rounding.

Usage:
    METRICS["epoch_s"].unit          # "s"
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A numeric column of results. ``unit`` is SI; "" if there is none."""

    name: str
    title: str
    unit: str
    better: Literal["lower", "higher", "neither"]
    digits: int
    """Significant digits in tables."""


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("epoch_s", "Epoch time", "s", "lower", 3),
        Metric("examples_per_s", "Throughput", "examples/s", "higher", 3),
        Metric("val_accuracy", "Validation accuracy", "", "higher", 4),
        Metric("test_accuracy", "Test accuracy", "", "higher", 4),
        Metric("train_loss", "Training loss", "", "lower", 3),
        Metric("time_to_accuracy_s", "Time to accuracy", "s", "lower", 3),
        Metric(
            "time_to_accuracy_with_cold_start_s",
            "Time to accuracy, cold start too",
            "s",
            "lower",
            3,
        ),
        Metric("cold_start_s", "Cold start", "s", "lower", 3),
        Metric("data_load_s", "Data load", "s", "lower", 3),
        Metric("import_s", "Import", "s", "lower", 3),
        Metric("peak_rss_bytes", "Peak memory", "B", "lower", 3),
        Metric("peak_device_memory_bytes", "Peak device memory", "B", "lower", 3),
        Metric("energy_j", "Energy", "J", "lower", 3),
        Metric("mean_power_w", "Mean power", "W", "neither", 3),
        Metric("parameters", "Parameters", "", "neither", 9),
        Metric("flops_per_step", "FLOPs a step", "", "neither", 3),
        Metric("mfu", "Model FLOPs use", "", "higher", 3),
    )
}
