"""What is measured on a trial as a whole.

Usage:
    Measures(parameters=266_610, cold_start_s=1.2)
"""

from pydantic import model_validator

from bench.records.epoch_record import without_accuracy_of_nan
from bench.records.ranges import Amount, Count, Flag, Number, Seconds, Share
from bench.records.record_part import RecordPart


class Measures(RecordPart):
    """What was measured on a trial as a whole, in SI units."""

    parameters: Count | None = None
    """All of the model's, those that training does not change included."""
    trainable_parameters: Count | None = None
    """Those that gradients change."""
    import_s: Seconds | None = None
    """Importing TensorFlow and Keras in the fresh process."""
    rendezvous_s: Seconds | None = None
    """Making the strategy; with several workers, until all of them have met."""
    data_load_s: Seconds | None = None
    """Bringing the data to where training reads it."""
    build_s: Seconds | None = None
    """Building the model and its optimiser."""
    cold_start_s: Seconds | None = None
    """First call of every compiled shape: trace, compile, autotune."""
    warmup_s: Seconds | None = None
    """Untimed training between the cold start and the first epoch."""
    warmup_steps: Count | None = None
    """Steps of that training."""
    loss_scale_initial: Amount | None = None
    """What mixed_float16 multiplies the loss by in the first timed step."""
    loss_scale_final: Amount | None = None
    """The same after the last epoch."""
    loss_scale_settling_steps: Count | None = None
    """Untimed steps before the first epoch in which it came down from 32768, weights put back."""
    evaluate_s: Seconds | None = None
    """All validation and the final test, first calls included."""
    health_s: Seconds | None = None
    """Looking at layers (``health_epochs``), between epochs and in no time of theirs."""
    total_s: Seconds | None = None
    """The trial from its process's first line to its record."""
    test_loss: Number | None = None
    """On the test images, after the last epoch; infinite where some predictions are NaN."""
    test_accuracy: Share | None = None
    """On the test images, after the last epoch; a prediction that is NaN is never right."""
    weights_l2: Number | None = None
    """Norm of all trained weights at the end: equal where a trial repeats another."""
    peak_rss_bytes: Count | None = None
    """Largest resident memory of the process; of several workers, the largest."""
    peak_device_memory_bytes: Count | None = None
    """Of training, as TensorFlow's allocator counts; of several GPUs the largest; null on a CPU."""
    peak_device_memory_cold_start_bytes: Count | None = None
    """The same until the first epoch: data, compiling and autotuning, the warm-up."""
    peak_device_memory_evaluate_bytes: Count | None = None
    """The same of validation and test."""
    load_average: Amount | None = None
    """Of the node, over the minute before training."""
    cpu_s: Seconds | None = None
    """CPU time of the trial's process, from after its imports to its record."""
    other_cpu_s: Seconds | None = None
    """CPU time of all other processes on the node meanwhile; of peers on it, too."""
    steal_s: Seconds | None = None
    """CPU time that the hypervisor gave to other machines meanwhile."""
    cpu_taken_share: Share | None = None
    """Part of the time of the trial's cores that others had meanwhile, at least."""
    cpu_throttled_s: Seconds | None = None
    """CPU time for which a container's or a job's quota held threads back meanwhile."""
    energy_j: Amount | None = None
    """Not measured yet."""
    mean_power_w: Amount | None = None
    """Not measured yet."""
    throttled: Flag | None = None
    """Not measured yet."""
    flops_per_step: Count | None = None
    """Floating-point operations of one replica's passes, counted from its graph; null where a
    loop, a branch or an operation without a formula hides a part of them."""
    reduced_bytes_per_step: Count | None = None
    """What a replica gives to be summed over all in a step: gradients, metrics, statistics."""
    mfu: Amount | None = None
    """Not measured yet."""

    _accuracies = model_validator(mode="before")(without_accuracy_of_nan)
