"""Define what is measured on a trial as a whole.

Usage:
    Measures(parameters=266_610, cold_start_s=1.2)
"""

from pydantic import model_validator

from bench.records.epoch_record import without_accuracy_of_nan
from bench.records.ranges import Amount, Count, Flag, Number, Seconds, Share
from bench.records.record_part import RecordPart


class Measures(RecordPart):
    """Measurements of a trial as a whole, in SI units."""

    parameters: Count | None = None
    """All parameters of the model, including those that training does not change."""
    trainable_parameters: Count | None = None
    """Parameters that gradients change."""
    import_s: Seconds | None = None
    """Importing TensorFlow and Keras. The trials of a block are forked after one import, which the
    first of their records has."""
    rendezvous_s: Seconds | None = None
    """Making the strategy; with several workers, until all have connected."""
    data_load_s: Seconds | None = None
    """Loading the data to where training reads it."""
    build_s: Seconds | None = None
    """Building the model and its optimizer."""
    cold_start_s: Seconds | None = None
    """First call for every compiled shape: trace, compile, autotune; null if the trial may have
    found on disk what trials of an earlier block had compiled."""
    warmup_s: Seconds | None = None
    """Untimed training between the cold start and the first epoch."""
    warmup_steps: Count | None = None
    """Steps of that training."""
    loss_scale_initial: Amount | None = None
    """Loss scale of mixed_float16 in the first timed step."""
    loss_scale_final: Amount | None = None
    """The same after the last epoch."""
    loss_scale_settling_steps: Count | None = None
    """Untimed steps before the first epoch in which the scale came down from 32768; the weights
    were restored afterwards."""
    evaluate_s: Seconds | None = None
    """All validation and the final test, including first calls."""
    health_s: Seconds | None = None
    """Looking at layers (``health_epochs``) between epochs; not part of any epoch's time."""
    total_s: Seconds | None = None
    """The trial from its process's start to its record, with its import, without the time in which
    it waited for its turns."""
    test_loss: Number | None = None
    """On the test images, after the last epoch; infinite if some predictions are NaN."""
    test_accuracy: Share | None = None
    """On the test images, after the last epoch; a NaN prediction counts as wrong."""
    weights_l2: Number | None = None
    """Norm of all trained weights at the end: equal if a trial repeats another exactly."""
    peak_rss_bytes: Count | None = None
    """Peak resident memory of the process; with several workers, the largest."""
    peak_device_memory_bytes: Count | None = None
    """Peak in training, by TensorFlow's allocator; the largest of several GPUs; null on a CPU."""
    peak_device_memory_cold_start_bytes: Count | None = None
    """The same until the first epoch: data, compilation and autotuning, the warm-up."""
    peak_device_memory_evaluate_bytes: Count | None = None
    """The same for validation and test."""
    load_average: Amount | None = None
    """Load average of the node over the minute before training."""
    cpu_s: Seconds | None = None
    """CPU time of the trial's process, without that of its imports if it was forked after them."""
    other_cpu_s: Seconds | None = None
    """CPU time of all other processes on the node while the trial worked, including peers."""
    steal_s: Seconds | None = None
    """CPU time that the hypervisor gave to other machines during that time."""
    cpu_taken_share: Share | None = None
    """Least share of the time of the trial's cores that other work took during that time."""
    cpu_throttled_s: Seconds | None = None
    """CPU time for which the quota of a container or job throttled threads during that time."""
    energy_j: Amount | None = None
    """Not measured yet."""
    mean_power_w: Amount | None = None
    """Not measured yet."""
    throttled: Flag | None = None
    """Not measured yet."""
    flops_per_step: Count | None = None
    """Floating-point operations of one replica's passes, counted from its graph; null if a loop, a
    branch or an operation without a formula hides some of them."""
    reduced_bytes_per_step: Count | None = None
    """What each replica contributes to all-reduce in a step: gradients, metrics, statistics."""
    mfu: Amount | None = None
    """Not measured yet."""

    _accuracies = model_validator(mode="before")(without_accuracy_of_nan)
