"""Train one trial, from its data to its record.

Usage:
    record = train(trial, load=lambda: arrays, threads=2)

An error inside becomes the record's status; the record keeps the epochs that were finished. Each
stage is timed separately: data, build, cold start, epochs, evaluation.
"""

import math
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.datasets.arrays import Arrays
from bench.records.epoch_record import EpochRecord
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Trial
from bench.spec.variant import Variant
from bench.training import runtime
from bench.training.cuda.cuda_versions import loaded_versions
from bench.training.cuda.gpu_kernels import check_kernels
from bench.training.data.pipeline import Feed, epoch_settings, make_feed
from bench.training.device_strategy import make_replicas
from bench.training.evaluation import Evaluator
from bench.training.failures import classify_exception
from bench.training.layer_health.layer_health import LayerHealth
from bench.training.loop.all_reduce_bytes import reduced_bytes_per_step
from bench.training.loop.compiled_epoch import CompiledEpoch
from bench.training.loop.flops import flops_of, has_convolutions
from bench.training.loop.gradient_update import GradientUpdate
from bench.training.loop.heartbeat import Heartbeat
from bench.training.loop.training_state import weights_l2
from bench.training.loop.turn_gate import OpenGate, TurnGate
from bench.training.model.custom_model import workload_line, workload_source
from bench.training.model.models import build_model, count_parameters, norm_settings
from bench.training.model.norm_sizes import norm_sizes
from bench.training.record_builder import RecordBuilder
from bench.training.replicas import Replicas, device_kind

_TRACEBACK_LINES = 20


def train(
    trial: Trial,
    load: Callable[[], Arrays],
    threads: int,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
    heartbeat: Heartbeat | None = None,
    gpus: Sequence[str] = (),
    gate: TurnGate | None = None,
) -> TrialRecord:
    """Train ``trial`` in this process and return its record; exceptions become its status.

    ``load`` returns the data and ``threads`` limits the cores. ``on_epoch`` is called after each
    epoch, outside its time. ``heartbeat`` counts windows for other threads. ``gpus`` are those
    assigned to this process; the trial fails if TensorFlow cannot see one of them. ``gate`` holds
    the trial back between windows while other arms of its block have their turns.
    """
    trial_run = _TrialRun(trial, on_epoch, heartbeat or Heartbeat(), gpus, gate or OpenGate())
    error, log_tail = None, None
    status: Status = "completed"
    try:
        status, error = trial_run.run(load, threads)
    except Exception as exception:
        status, error = classify_exception(exception)
        if status == "failed" and (line := workload_line(exception, trial.variant)):
            error = f"{error} ({line})"
        log_tail = "".join(traceback.format_exception(exception)[-_TRACEBACK_LINES:])
    return trial_run.record.build(status, error, log_tail)


@dataclass
class _TrialRun:
    """A trial in progress; what it has recorded survives an exception."""

    trial: Trial
    on_epoch: Callable[[EpochRecord], None]
    heartbeat: Heartbeat
    gpus: Sequence[str]
    gate: TurnGate

    def __post_init__(self) -> None:
        self.record = RecordBuilder(self.trial)

    def run(self, load: Callable[[], Arrays], threads: int) -> tuple[Status, str | None]:
        """Return the status and, unless the trial completed, the reason."""
        variant = self.trial.variant
        runtime.configure(variant, threads)
        runtime.check_gpus(self.gpus)
        # Workers must meet before anything initializes TensorFlow's devices.
        with self.record.timed("rendezvous_s"):
            replicas = make_replicas(variant)
        self.record.resolved = {**runtime.describe(variant), **replicas.settings()}
        self.record.resolved.update(workload_source(variant))
        self.record.devices = runtime.device_names()
        check_kernels(variant)
        with self.record.timed("data_load_s"):
            arrays = load()
            feed = make_feed(variant, arrays, self.trial.seed, replicas)
        with self.record.timed("build_s"), replicas.scope():
            program, evaluator, update, model = self._build(variant, arrays, feed, replicas)
        self._cold_start(program)
        health = LayerHealth(variant, model, update, replicas, arrays)
        self._examine_layers(health, after_epochs=0)
        self._warm_up(program, evaluator, arrays)
        self.record.add_peak("peak_device_memory_cold_start_bytes")
        outcome = self._train(program, evaluator, health, arrays)
        self.record.measures["loss_scale_final"] = program.loss_scale
        norm = self.record.measures["weights_l2"] = weights_l2(model.trainable_variables)
        if outcome[0] == "completed" and not math.isfinite(norm):
            # The last step's loss was computed before that step changed the weights.
            outcome = "diverged", f"the weights' L2 norm was {norm} after the last epoch"
        if outcome[0] == "completed":
            self._test(evaluator, arrays)
        return outcome

    def _build(
        self, variant: Variant, arrays: Arrays, feed: Feed, replicas: Replicas
    ) -> tuple[CompiledEpoch, Evaluator, GradientUpdate, Any]:
        shape = arrays.train_images.shape[1:]
        seed, images = self.trial.seed, arrays.train_images
        before = runtime.current_settings()
        model = build_model(variant, shape, arrays.classes, seed, images)
        runtime.check_unchanged(before, variant.workload)
        self.record.resolved["keras_settings"] = runtime.keras_settings()
        update = GradientUpdate(variant, model, replicas)
        program = CompiledEpoch(
            variant, model, update, feed, replicas, heartbeat=self.heartbeat, gate=self.gate
        )
        total, trainable = count_parameters(model)
        self.record.measures.update(parameters=total, trainable_parameters=trainable)
        passes = program.step.passes_of_replica(shape)
        self.record.measures["flops_per_step"] = flops_of(passes)
        self.record.resolved["has_convolutions"] = has_convolutions(passes)
        self._warn_of(program.step.without_gradient)
        self.record.measures["reduced_bytes_per_step"] = reduced_bytes_per_step(variant, model)
        self.record.resolved["compiled"] = program.step.compiled
        self.record.resolved.update(norm_settings(model), **norm_sizes(variant, model))
        self.record.resolved.update(epoch_settings(variant, feed), **update.settings())
        return program, Evaluator(variant, model), update, model

    def _warn_of(self, without_gradient: Sequence[str]) -> None:
        if without_gradient:
            self.record.warnings.append(
                f"{', '.join(without_gradient)}: no gradient, which counts as one of zero"
            )

    def _cold_start(self, program: CompiledEpoch) -> None:
        self.record.measures["cold_start_s"] = program.cold_start()
        self.record.resolved.update(loaded_versions())
        settling_steps = program.settle_loss_scale()
        if program.loss_scale is not None:
            self.record.measures["loss_scale_settling_steps"] = settling_steps
            self.record.measures["loss_scale_initial"] = program.loss_scale

    def _warm_up(self, program: CompiledEpoch, evaluator: Evaluator, arrays: Arrays) -> None:
        timing = self.trial.timing.on(device_kind())
        self.record.resolved["timing"] = timing.model_dump()
        if timing.warmup_s or timing.min_timing_s:
            # Compile validation first: after the warm-up, the device would cool down meanwhile.
            with self.record.timed("evaluate_s"):
                evaluator.score(arrays.val_images, arrays.val_labels)
            warm_up = program.warm_up(timing.warmup_s or 0.0, timing.min_timing_s or 0.0)
            self.record.measures.update(warmup_s=warm_up.elapsed_s, warmup_steps=warm_up.steps)

    def _train(
        self, program: CompiledEpoch, evaluator: Evaluator, health: LayerHealth, arrays: Arrays
    ) -> tuple[Status, str | None]:
        variant = self.trial.variant
        for epoch in range(variant.epochs):
            result = program.run_epoch(epoch)
            self.record.add_peak("peak_device_memory_bytes")
            started = time.perf_counter()
            score = evaluator.score(arrays.val_images, arrays.val_labels)
            evaluate_s = time.perf_counter() - started
            self.on_epoch(self.record.add_epoch(epoch, result, score, evaluate_s))
            self.record.add_peak("peak_device_memory_evaluate_bytes")
            self._examine_layers(health, after_epochs=epoch + 1)
            if result.diverged:
                return "diverged", result.divergence(epoch)
        return "completed", None

    def _examine_layers(self, health: LayerHealth, after_epochs: int) -> None:
        if self.trial.variant.measures_health_after(after_epochs):
            with self.record.timed("health_s"):
                self.record.health.append(health.examine(after_epochs))
            # The examination's peak belongs to no stage.
            runtime.take_peak_device_memory_bytes()

    def _test(self, evaluator: Evaluator, arrays: Arrays) -> None:
        with self.record.timed("evaluate_s"):
            score = evaluator.score(arrays.test_images, arrays.test_labels)
        self.record.measures.update(test_loss=score.loss, test_accuracy=score.accuracy)
        self.record.add_peak("peak_device_memory_evaluate_bytes")
