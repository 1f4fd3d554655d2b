"""XLA compiles a window once, however many windows an epoch has."""

import pytest

from bench.training.data.pipeline import make_feed
from bench.training.device_strategy import make_replicas
from bench.training.loop.compiled_window import CompiledWindow, no_sums
from bench.training.loop.gradient_update import GradientUpdate
from bench.training.loop.heartbeat import Heartbeat
from bench.training.loop.training_step import TrainingStep
from bench.training.model.models import build_model
from tests.support.training_setup import arrays_of, small


@pytest.mark.parametrize("axes", [{}, {"examples": 8192, "augment": "always"}])
def test_windows_of_one_length_are_one_program_for_xla(axes: dict[str, object]) -> None:
    variant = small(**{"examples": 8192, "hidden": [4], "jit": "epoch", **axes})
    replicas, arrays = make_replicas(variant), arrays_of(variant)
    feed = make_feed(variant, arrays, 1, replicas)
    model = build_model(variant, variant.shape, variant.classes, 1, arrays.train_images)
    update = GradientUpdate(variant, model, replicas)
    step = TrainingStep(variant, model, update, feed, replicas)
    window = CompiledWindow(variant, model, step, feed, replicas, Heartbeat())
    programs = [
        window._run.experimental_get_compiler_ir(steps, no_sums(), *inputs)(stage="hlo")
        for steps, inputs in feed.windows(0)
    ]
    assert len(programs) > 2
    assert len(set(programs)) == 1
